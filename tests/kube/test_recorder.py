"""Events: told once, in order, and never in anyone's way."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.kube.client import Client
from keda_py.kube.discovery import Discovery, DiscoveryError
from keda_py.kube.recorder import WAITING, Recorder

from .conftest import Script, status, thing

OBJECT: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Thing", **thing("a", 1)}


@asynccontextmanager
async def recording(client: Client) -> AsyncIterator[Recorder]:
    recorder = Recorder(client, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), instance="here", chance=random.Random(0))
    task = asyncio.create_task(recorder.run())
    yield recorder
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()


async def test_an_event_says_of_what_and_why(client: Client, script: Script) -> None:
    script.says({"ok": True})
    async with recording(client) as recorder:
        recorder.warning(OBJECT, "Failed", "x" * 2000)
    (request,) = script.asked
    sent = await request.json()
    assert request.path == "/api/v1/namespaces/ns/events"
    assert (sent["type"], sent["reason"], sent["eventTime"]) == ("Warning", "Failed", "2026-01-01T00:00:00.000000Z")
    # What kubectl sorts and shows them by.
    assert (sent["lastTimestamp"], sent["count"]) == ("2026-01-01T00:00:00Z", 1)
    assert sent["involvedObject"]["uid"] == "uid-a"
    assert len(sent["message"]) == 1024


async def test_the_same_event_is_told_once(client: Client, script: Script) -> None:
    script.says({"ok": True})
    async with recording(client) as recorder:
        for _ in range(5):
            recorder.normal(OBJECT, "Ready", "ready")
        recorder.normal(OBJECT, "Ready", "ready again")
    assert len(script.asked) == 2


async def test_what_cannot_be_sent_is_counted_and_the_next_one_goes_on(client: Client, script: Script) -> None:
    script.says(status(403, "Forbidden", "no events for you"), {"ok": True})
    async with recording(client) as recorder:
        recorder.normal(OBJECT, "One", "1")
        recorder.normal(OBJECT, "Two", "2")
    assert (len(script.asked), recorder.dropped) == (2, 1)


async def test_what_waits_is_bounded(client: Client) -> None:
    recorder = Recorder(client, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), instance="here", chance=random.Random(0))
    for n in range(WAITING + 7):
        recorder.normal(OBJECT, "Many", str(n))
    assert recorder.dropped == 7


RESOURCES = {
    "resources": [
        {"name": "things", "kind": "Thing"},
        {"name": "things/scale", "kind": "Scale"},
        {"name": "stones", "kind": "Stone"},
    ]
}


async def test_a_kind_is_looked_up_once(client: Client, script: Script) -> None:
    script.says(RESOURCES)
    discovery = Discovery(client)
    for _ in range(3):
        resource = await discovery.scalable("example.com/v1", "Thing")
    assert (resource.plural, resource.api_version) == ("things", "example.com/v1")
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("kind", "says"), [("Stone", "has no /scale subresource"), ("Ghost", "the cluster has no kind Ghost")]
)
async def test_what_cannot_be_scaled_says_why(client: Client, script: Script, kind: str, says: str) -> None:
    script.says(RESOURCES)
    with pytest.raises(DiscoveryError, match=says):
        await Discovery(client).scalable("example.com/v1", kind)


async def test_an_api_version_that_is_not_there_is_told(client: Client, script: Script) -> None:
    script.says(status(404, "NotFound", "the server could not find the requested resource"))
    with pytest.raises(DiscoveryError, match="no API version nowhere/v1"):
        await Discovery(client).scalable("nowhere/v1", "X")
