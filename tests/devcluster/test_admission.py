"""Who is asked before an object of KEDA's kinds is written, and what becomes of the answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer

from keda_py.decide.admission import Finding, Verdict
from keda_py.devcluster.admission import SECONDS, WEBHOOKS, answer
from keda_py.devcluster.api import APPLY, MERGE, Answer, Request
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.http import application
from keda_py.devcluster.virtual import VirtualLoop
from keda_py.engine.admission import Asked

OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects"
ONE = f"{OBJECTS}/one"
REFUSED = Verdict((Finding("name", "not this one"),), ("look again",))
REFUSAL = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": 'admission webhook "vscaledobject.kb.io" denied the request: not this one',
    "reason": "Forbidden",
    "code": 403,
}


def scaled_object(**spec: Any) -> dict[str, Any]:
    whole = {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cron", "metadata": {}}]} | spec
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "one"}, "spec": whole}


class World:
    """A cluster, and what was asked about its objects."""

    def __init__(self, verdict: Verdict = Verdict()) -> None:  # noqa: B008  it is frozen
        self.api = DevCluster(now=lambda: datetime(2026, 3, 1, tzinfo=UTC), chance=random.Random(1)).api
        self.verdict = verdict
        self.asked: list[Asked] = []
        self.api.admit = self.admit

    async def admit(self, asked: Asked) -> Verdict:
        self.asked.append(asked)
        return self.verdict

    async def ask(self, method: str, path: str, body: Any, type_: str = "application/json", **params: str) -> Answer:
        return await answer(self.api, Request(method, path, params, body, type_))

    @property
    def stored(self) -> dict[str, Any] | None:
        return self.api.store.get(("keda.sh", "scaledobjects"), ("default", "one"))


def test_webhooks_are_those_of_the_manifests() -> None:
    path = Path(__file__).parents[2] / "manifests" / "operator" / "webhook.yaml"
    webhooks = yaml.safe_load(path.read_text())["webhooks"]
    rules = {(w["rules"][0]["apiGroups"][0], w["rules"][0]["resources"][0]): w["name"] for w in webhooks}
    assert rules == {(group, f"{kind.lower()}s"): name for (group, kind), name in WEBHOOKS.items()}
    assert {w["timeoutSeconds"] for w in webhooks} == {SECONDS}


async def test_what_is_refused_is_not_made_and_told_as_the_api_server_does() -> None:
    world = World(REFUSED)
    for method, path, type_ in (("POST", OBJECTS, "application/json"), ("PATCH", ONE, APPLY)):
        for dry in ({}, {"dryRun": "All"}):
            found = await world.ask(method, path, scaled_object(), type_, fieldManager="me", **dry)
            assert (found.status, found.body, found.warnings) == (403, REFUSAL, ("look again",))
            assert world.stored is None
    assert [(a.kind, a.namespace, a.action, a.dry_run) for a in world.asked] == [
        ("ScaledObject", "default", "create", False),
        ("ScaledObject", "default", "create", True),
    ] * 2
    assert world.asked[0].spec["scaleTargetRef"] == {"name": "web"}


async def test_a_change_that_is_refused_leaves_the_object_as_it_was() -> None:
    world = World()
    assert (await world.ask("POST", OBJECTS, scaled_object())).status == 201
    before, world.verdict = world.stored, REFUSED
    assert before is not None
    version = before["metadata"]["resourceVersion"]
    whole = scaled_object(maxReplicaCount=7)
    whole["metadata"]["resourceVersion"] = version
    changes: list[tuple[str, Any, str]] = [
        ("PUT", whole, "application/json"),
        ("PATCH", {"spec": {"maxReplicaCount": 7}}, MERGE),
        ("PATCH", [{"op": "add", "path": "/spec/maxReplicaCount", "value": 7}], "application/json-patch+json"),
        ("PATCH", scaled_object(maxReplicaCount=7), APPLY),
    ]
    world.asked.clear()
    for method, body, type_ in changes:
        assert (await world.ask(method, ONE, body, type_, fieldManager="me")).body == REFUSAL
    assert world.stored is before
    assert [(a.action, a.old is before, a.spec["maxReplicaCount"]) for a in world.asked] == [("update", True, 7)] * 4


async def test_what_is_let_in_carries_its_warnings_and_is_stored_unless_dry() -> None:
    world = World(Verdict(warnings=("look", "look", "again")))
    dry = await world.ask("POST", OBJECTS, scaled_object(), dryRun="All")
    assert (dry.status, dry.warnings, world.stored) == (201, ("look", "again"), None)
    made = await world.ask("POST", OBJECTS, scaled_object())
    assert (made.status, made.warnings, made.body) == (201, ("look", "again"), world.stored)


async def test_who_is_not_asked() -> None:
    world = World(REFUSED)
    admit, world.api.admit = world.api.admit, None
    assert (await world.ask("POST", OBJECTS, scaled_object())).status == 201
    world.api.admit = admit
    config_map = {"metadata": {"name": "one"}}
    for method, path, body, code in (
        ("PATCH", f"{ONE}/status", {"status": {"externalMetricNames": ["a"]}}, 200),
        ("POST", "/api/v1/namespaces/default/configmaps", config_map, 201),
        ("POST", "/apis/no/such/thing", {}, 404),
        ("GET", ONE, None, 200),
        ("DELETE", ONE, None, 200),
    ):
        assert (await world.ask(method, path, body, MERGE if method == "PATCH" else "application/json")).status == code
    assert world.asked == []


async def test_what_would_not_be_stored_anyway_is_not_asked_about() -> None:
    world = World(REFUSED)
    assert (await world.ask("POST", OBJECTS, scaled_object(maxReplicaCount="many"))).status == 422
    assert (await world.ask("PATCH", ONE, {}, MERGE)).status == 404
    assert world.asked == []


async def test_an_error_of_who_is_asked_lets_the_object_in() -> None:
    world = World()

    async def broken(_: Asked) -> Verdict:
        raise ValueError("a mistake")

    world.api.admit = broken
    assert (await world.ask("POST", OBJECTS, scaled_object())).status == 201
    assert world.stored is not None


def test_who_does_not_answer_in_time_lets_the_object_in() -> None:
    async def main() -> float:
        world = World()

        async def silent(_: Asked) -> Verdict:
            await asyncio.sleep(3600)
            raise AssertionError("it is too late")

        world.api.admit = silent
        begin = asyncio.get_running_loop().time()
        assert (await world.ask("POST", OBJECTS, scaled_object())).status == 201
        return asyncio.get_running_loop().time() - begin

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == pytest.approx(SECONDS)


def meddling(world: World, times: int) -> Callable[[Asked], Awaitable[Verdict]]:
    """Return an admission during which somebody else writes, so often."""

    async def admit(asked: Asked) -> Verdict:
        world.asked.append(asked)
        if len(world.asked) <= times:
            patch = {"spec": {"pollingInterval": len(world.asked)}}
            assert world.api.answer(Request("PATCH", ONE, {}, patch, MERGE)).status == 200
        return Verdict()

    return admit


async def test_an_object_that_changes_meanwhile_is_asked_about_again() -> None:
    world = World()
    await world.ask("POST", OBJECTS, scaled_object())
    world.asked.clear()
    world.api.admit = meddling(world, 2)
    found = await world.ask("PATCH", ONE, {"spec": {"maxReplicaCount": 7}}, MERGE)
    assert (found.status, found.body["spec"]["maxReplicaCount"], found.body["spec"]["pollingInterval"]) == (200, 7, 2)
    assert [a.spec.get("pollingInterval") for a in world.asked] == [None, 1, 2]


async def test_one_that_never_stays_is_a_conflict() -> None:
    world = World()
    await world.ask("POST", OBJECTS, scaled_object())
    world.asked.clear()
    world.api.admit = meddling(world, 100)
    found = await world.ask("PATCH", ONE, {"spec": {"maxReplicaCount": 7}}, MERGE)
    assert (found.status, found.body["reason"], len(world.asked)) == (409, "Conflict", 5)
    assert world.stored is not None
    assert "maxReplicaCount" not in world.stored["spec"]


async def test_warnings_are_headers() -> None:
    world = World(Verdict((Finding("name", "not this one"),), ('there is "no" such \\ thing', "größer")))

    async def nobody(_: Request) -> None:
        return None

    async with TestClient(TestServer(application(world.api, proxied=nobody))) as client:
        found = await client.post(OBJECTS, json=scaled_object())
        assert (found.status, await found.json()) == (403, REFUSAL)
        assert found.headers.getall("Warning") == [
            '299 - "there is \\"no\\" such \\\\ thing"',
            '299 - "größer"',
        ]
