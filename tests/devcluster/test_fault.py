"""Each fault between a client and the API server does what it says, and what the server has is as it says."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.fault import Faults, FaultyTransport
from keda_py.devcluster.transport import LocalTransport
from keda_py.devcluster.virtual import VirtualLoop
from keda_py.engine.target import DEPLOYMENTS
from keda_py.kube import client as kube
from keda_py.kube.transport import Response
from keda_py.runtime.clock import loop_clock

from .side import deployment

MAPS = "/api/v1/namespaces/default/configmaps"
START = datetime(2026, 3, 1, tzinfo=UTC)


class Client:
    """Somebody who makes ConfigMaps by a way on which something may go wrong."""

    def __init__(self) -> None:
        self.cluster = DevCluster(now=loop_clock(START), chance=random.Random(1))
        self.faults = Faults()
        self.way = FaultyTransport(LocalTransport(self.cluster.api), self.faults, chance=random.Random(2))

    async def make(self, name: str) -> Response:
        body = orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
        return await self.way.request("POST", MAPS, params={}, body=body, content_type="application/json", seconds=10.0)

    def there(self) -> list[str]:
        return [found["metadata"]["name"] for found in self.cluster.store.items(("", "configmaps"))]


def playing(story: Callable[[Client], Awaitable[None]]) -> None:
    async def play() -> None:
        await story(Client())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_nothing_goes_wrong_by_itself() -> None:
    async def story(client: Client) -> None:
        assert (await client.make("a")).status == 201
        assert client.there() == ["a"]

    playing(story)


@pytest.mark.parametrize(("fault", "there"), [("refused", []), ("lost", ["a"])])
def test_a_connection_that_fails_before_or_after(fault: str, there: list[str]) -> None:
    async def story(client: Client) -> None:
        setattr(client.faults, fault, 1.0)
        with pytest.raises(ConnectionError):
            await client.make("a")
        assert client.there() == there
        client.faults.mend()
        assert (await client.make("b")).status == 201

    playing(story)


def test_throttled() -> None:
    async def story(client: Client) -> None:
        client.faults.throttled = 1.0
        answer = await client.make("a")
        assert (answer.status, answer.retry_after) == (429, 1.0)
        assert client.there() == []

    playing(story)


def test_slow() -> None:
    async def story(client: Client) -> None:
        client.faults.slow = 1.0
        assert (await client.make("a")).status == 201
        assert 0.1 <= now() <= 3.1

    playing(story)


def test_partitioned() -> None:
    async def story(client: Client) -> None:
        client.faults.partitioned = True
        with pytest.raises(TimeoutError):
            await client.make("a")
        assert now() == 10.0
        with pytest.raises(ConnectionError):
            async with client.way.stream(MAPS, params={"watch": "1"}, silence=10.0):
                pass
        assert client.there() == []

    playing(story)


@pytest.mark.parametrize(("steps", "there"), [(1, []), (2, ["a"])])
def test_a_client_that_dies_before_or_after(steps: int, there: list[str]) -> None:
    async def story(client: Client) -> None:
        client.way.until_death = steps
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await client.make("a")
        assert client.way.dead
        assert client.there() == there

    playing(story)


def test_watches_are_late_and_are_cut() -> None:
    async def story(client: Client) -> None:
        await client.make("a")
        client.faults.lag = 5.0
        async with client.way.stream(MAPS, params={"watch": "1"}, silence=60.0) as (_, lines):
            await client.make("b")
            seen = [await told(lines) for _ in range(2)]
            assert [name for name, _ in seen] == ["a", "b"]
            assert 0.0 < seen[-1][1] <= 11.0
            client.faults.cut_at = now() + 0.5
            await client.make("c")
            with pytest.raises(ConnectionError):
                await told(lines)

    playing(story)


def test_what_the_page_shows() -> None:
    page = (Path(__file__).parents[2] / "docs" / "embedded-cluster.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    known = {"DEPLOYMENTS": DEPLOYMENTS, "Client": kube.Client, "Unreachable": kube.Unreachable, "suppress": suppress}
    exec(program, globals() | known | {"deployment": deployment("desk", 3)})


async def told(lines: AsyncIterator[bytes]) -> tuple[str, float]:
    event: dict[str, Any] = orjson.loads(await anext(lines))
    return event["object"]["metadata"]["name"], now()
