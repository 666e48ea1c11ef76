"""The webhook's side of HTTP: reviews answered as the API server expects, garbage refused, our own mistakes let in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import structlog
import yaml

from keda_py.decide.admission import Finding, Verdict
from keda_py.engine.admission import Asked
from keda_py.serve.admission import LARGEST, PATHS, Review, application
from keda_py.serve.certificate import Bundle
from keda_py.serve.listen import listening
from keda_py.serve.tls import ServerTls
from keda_py.settings import Address

from .conftest import bundle, client_context

MANIFESTS = Path(__file__).parents[2] / "manifests" / "operator"
PATH = "/validate-keda-sh-v1alpha1-scaledobject"
OBJECT = {"metadata": {"name": "a"}, "spec": {"triggers": []}}


class Caller:
    """The API server's side."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.session = session
        self.address = address

    async def post(self, body: Any, path: str = PATH) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.session.post(self.address + path, data=data) as answer:
            return answer.status, await answer.text()

    async def ask(self, path: str = PATH, **request: Any) -> dict[str, Any]:
        """Return the response to a review."""
        status, text = await self.post(review(**request), path)
        assert status == 200, text
        answer = orjson.loads(text)
        assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert answer["response"]["uid"] == "u-1"
        return dict(answer["response"])


def review(**request: Any) -> dict[str, Any]:
    usual = {"uid": "u-1", "operation": "CREATE", "namespace": "shop", "object": OBJECT, "oldObject": None}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": usual | request}


@asynccontextmanager
async def serving(answer: Review, client: Bundle | None = None) -> AsyncIterator[Caller]:
    own = bundle("localhost")
    tls = ServerTls(asks_clients=False)
    tls.set_certificate(own.certificate, own.key)
    context = client_context(own.authority.decode(), client)
    async with (
        listening(application(answer), Address("127.0.0.1", 0), flag="--x", tls=tls.context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Caller(session, f"https://localhost:{port}")


async def good(asked: Asked) -> Verdict:
    return Verdict()


async def test_what_is_let_in() -> None:
    async with serving(good) as caller:
        assert await caller.ask() == {"uid": "u-1", "allowed": True}


async def test_what_is_refused_and_what_is_warned_of() -> None:
    async def answer(asked: Asked) -> Verdict:
        return Verdict((Finding("other-hpa", "spec.a: wrong"), Finding("b", "spec.b: too")), ("careful",))

    async with serving(answer) as caller:
        assert await caller.ask() == {
            "uid": "u-1",
            "allowed": False,
            "status": {"code": 403, "reason": "Forbidden", "message": "\n- spec.a: wrong\n- spec.b: too"},
            "warnings": ["careful"],
        }


async def test_what_is_asked_is_understood() -> None:
    seen: list[Asked] = []

    async def answer(asked: Asked) -> Verdict:
        seen.append(asked)
        return Verdict()

    async with serving(answer) as caller:
        await caller.ask()
        await caller.ask(operation="UPDATE", oldObject=OBJECT, dryRun=True)
        for path in PATHS:
            await caller.ask(path, namespace=None)
        # Nothing is said of these.
        assert await caller.ask(operation="DELETE", object=None, oldObject=OBJECT) == {"uid": "u-1", "allowed": True}
        assert await caller.ask(operation="CONNECT") == {"uid": "u-1", "allowed": True}
    first, second, *rest = seen
    assert (first.kind, first.namespace, first.old, first.dry_run) == ("ScaledObject", "shop", None, False)
    assert first.new == {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"triggers": []}}
    assert (second.old, second.dry_run, second.action) == (OBJECT, True, "update")
    assert [asked.kind for asked in rest] == list(PATHS.values())
    assert {asked.namespace for asked in rest} == {""}


def test_the_manifests_ask_at_the_paths_that_there_are() -> None:
    configuration = yaml.safe_load((MANIFESTS / "webhook.yaml").read_text())
    asked = {
        hook["clientConfig"]["service"]["path"]: hook["rules"][0]["resources"][0] for hook in configuration["webhooks"]
    }
    assert asked == {path: f"{kind.lower()}s" for path, kind in PATHS.items()}


GARBAGE: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "a list": [],
    "a text": "review",
    "no request": {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"},
    "another version": review() | {"apiVersion": "admission.k8s.io/v1beta1"},
    "no uid": review(uid=None),
    "an empty uid": review(uid=""),
    "no object": review(object=None),
    "an object that is none": review(object="a"),
    "no metadata": review(object={}),
    "an old object that is none": review(operation="UPDATE", oldObject=[1]),
    "a namespace that is none": review(namespace=["shop"]),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_refused(body: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(good) as caller:
            status, text = await caller.post(body)
            assert await caller.ask() == {"uid": "u-1", "allowed": True}
    assert status == 400
    assert "Traceback" not in text
    assert logs == []


async def test_what_is_too_large_or_elsewhere_is_refused() -> None:
    async with serving(good) as caller:
        assert (await caller.post(b" " * (LARGEST + 1)))[0] == 413
        assert (await caller.post(review(), "/validate-keda-sh-v1alpha1-something"))[0] == 404
        async with caller.session.get(caller.address + PATH) as answer:
            assert answer.status == 405


async def test_a_mistake_of_ours_lets_the_object_in_and_says_so() -> None:
    async def answer(asked: Asked) -> Verdict:
        raise ZeroDivisionError("s3cret")

    with structlog.testing.capture_logs() as logs:
        async with serving(answer) as caller:
            response = await caller.ask()
    assert response["allowed"] is True
    assert response["warnings"] == ["keda-py could not check this ScaledObject, and let it in: ZeroDivisionError"]
    (line,) = logs
    assert (line["event"], line["object"], line["log_level"]) == ("could not be checked", "shop/a", "error")


async def test_a_caller_may_show_any_certificate() -> None:
    """The API server has one for webhooks only if it was given one, and then it is no front proxy's."""
    async with serving(good, client=bundle("stranger")) as caller:
        assert (await caller.ask())["allowed"]
