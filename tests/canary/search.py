"""The search: all that leaves the daemon, or describes what is in it."""

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, Final

import prometheus_client
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.test_utils import TestClient, TestServer

from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.serve.admission import API_VERSION, PATHS, application
from tests.pages import NAMESPACE, Tried

from .garden import EVENTING, SOURCE, Garden

EVENTS: Final = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
OURS: Final = ("keda_py.", "keda_py_scalers.")
EMBEDDED: Final = "keda_py.devcluster"
"""The API server, which keeps Secrets as an API server does, and is no part of the daemon."""
THEIRS: Final = (BadHttpMessage,)
"""What the sources here stumble over: they are in the same process."""
Found = tuple[str, str]
"""Where something was found, and its text."""


async def all_told(cluster: Tried, garden: Garden, *, seconds: float) -> None:
    """Wait until every object says how it is, and what it should; looked at seldom: the daemon is in this process."""
    try:
        async with asyncio.timeout(seconds):
            while _not_told(cluster, garden):
                await asyncio.sleep(3)
    except TimeoutError:
        raise AssertionError(_not_told(cluster, garden)) from None


def _not_told(cluster: Tried, garden: Garden) -> dict[str, tuple[str, str, str]]:
    """Return what objects say that do not say how they are, or something else than they should, and what that is.

    What is wrong, events tell too: they come a little later.
    """
    notes = {event["note"] for event in cluster.listed(EVENTS)}
    odd = {}
    for name, wanted in garden.expected.items():
        status, message = cluster.ready(name)
        told = status and (status == "True" or message in notes)
        if not told or (status != "True" if wanted == "True" else wanted not in message):
            odd[name] = (status, message, wanted)
    for name, wanted in garden.receivers.items():
        active = _active(cluster, name)
        if wanted not in " ".join(active):
            odd[name] = (*active, wanted)
    return odd


def _active(cluster: Tried, name: str) -> tuple[str, str]:
    """Return whether a CloudEventSource says that it sends, and what it says of that."""
    found = cluster.get(EVENTING, SOURCE, name) or {}
    conditions = (found.get("status") or {}).get("conditions") or []
    return next(((c["status"], c["message"]) for c in conditions if c["type"] == "Active"), ("", ""))


class Search:
    """What was looked through, and what showed where."""

    def __init__(self, garden: Garden) -> None:
        self._garden = garden
        self.leaks: dict[str, set[str]] = {}

    def look(self, where: str, text: str, *, besides: Collection[str] = ()) -> None:
        """Look through one text; `besides`: what may stand there."""
        for leak in self._garden.canaries.seen_in(text):
            if leak not in besides:
                self.leaks.setdefault(leak, set()).add(where)

    async def through(self, cluster: Tried) -> None:
        """Look through all that leaves the daemon or describes it, but for its log."""
        for where, text in _objects(cluster, self._garden):
            self.look(where, text)
        async for where, text in _answers(cluster):
            self.look(where, text)
        async for where, text in _reviews(cluster, self._garden):
            self.look(where, text)
        self.look("/metrics", _metrics(cluster))
        seen = 0
        for what, text in _described():
            seen += 1
            self.look(f"an object: {what}", text, besides=self._garden.canaries.shown)
        assert seen > 10 * len(self._garden.names), "they are there to be looked at"

    def through_log(self, said: str) -> None:
        """Look through all that was logged."""
        for line in said.splitlines():
            self.look(f"log: {re.sub('cnry[0-9a-f]*', 'CANARY', line)[:300]}", line)
        assert said.count("\n") > len(self._garden.names)

    def nothing_was_found(self) -> None:
        """Fail with what shows, and where."""
        found = sorted(self.leaks.items())
        assert not found, "\n".join(f"{leak} shows in {sorted(where)[:4]}" for leak, where in found)


def _objects(cluster: Tried, garden: Garden) -> Iterator[Found]:
    """Yield what the API server shows of all that the daemon writes; not what somebody else has."""
    for name in garden.names:
        found = cluster.get("keda.sh/v1alpha1", "ScaledObject", name) or {}
        yield f"ScaledObject {name}", _without_spec(found)
    for name in garden.receivers:
        yield f"{SOURCE} {name}", _without_spec(cluster.get(EVENTING, SOURCE, name) or {})
    for plural in ("triggerauthentications", "clustertriggerauthentications"):
        for item in _all(cluster, f"/apis/keda.sh/v1alpha1/{plural}"):
            yield f"{plural} {item['metadata']['name']}", _without_spec(item)
    for path in (f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers", EVENTS):
        for item in _all(cluster, path):
            yield f"{path} {item['metadata']['name']}", json.dumps(item)


def _all(cluster: Tried, path: str) -> list[dict[str, Any]]:
    found = cluster.listed(path)
    assert found, f"there is something at {path}"
    return found


def _without_spec(found: dict[str, Any]) -> str:
    return json.dumps({key: part for key, part in found.items() if key != "spec"})


async def _answers(cluster: Tried) -> AsyncIterator[Found]:
    """Yield what the HPA controller is told."""
    for key, live in list(cluster.daemon.live.items()):
        for metric in [name for trigger in live.working() for name in trigger.external_names]:
            try:
                said = str(await read_metric(cluster.daemon.live, *key, metric))
            except (MetricUnavailableError, MetricUnknownError) as error:
                said = f"{error} {error!r}"
            yield f"metric {metric} of {key[1]}", said


async def _reviews(cluster: Tried, garden: Garden) -> AsyncIterator[Found]:
    """Yield what the webhook says of all that was applied."""
    paths = {kind: path for path, kind in PATHS.items()}
    webhook = application(cluster.daemon.admission.review)
    async with TestClient(TestServer(webhook)) as client:
        for manifest in garden.manifests:
            if (path := paths.get(manifest["kind"])) is not None:
                request = {"uid": "1", "operation": "CREATE", "namespace": NAMESPACE, "object": manifest}
                body = {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}
                async with client.post(path, json=body) as answer:
                    assert answer.status == 200
                    yield f"the webhook on {manifest['kind']} {manifest['metadata']['name']}", await answer.text()


def _metrics(cluster: Tried) -> str:
    """Return what /metrics says."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(cluster.daemon.telemetry)
    return prometheus_client.generate_latest(registry).decode()


def _described() -> Iterator[Found]:
    """Yield how all objects of ours that are alive describe themselves, and all tasks and exceptions."""
    gc.collect()
    for found in gc.get_objects():
        module = str(type(found).__module__)
        ours = module.startswith(OURS) and not module.startswith(EMBEDDED)
        if ours or (isinstance(found, BaseException | asyncio.Task) and not isinstance(found, THEIRS)):
            yield f"{module}.{type(found).__qualname__}", f"{found!r} {found}"
