"""A daemon that can be killed at any moment, and the network between it and the API server, which can fail."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from keda_py.daemon import Daemon
from keda_py.devcluster.api import Api, Request
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.cluster import SCALED_JOBS, SCALED_OBJECTS
from keda_py.engine.registry import Registry
from keda_py.kube.client import Client
from keda_py.kube.reflector import Store
from keda_py.kube.transport import Response
from keda_py.runtime.clock import Now
from keda_py.scaler import Scaler
from keda_py.settings import Leadership, Settings

LATENCY: Final = 0.002


@dataclass
class Network:
    """What goes wrong between a daemon and the API server; chances from 0 to 1."""

    refused: float = 0.0
    lost: float = 0.0
    throttled: float = 0.0
    slow: float = 0.0
    lag: float = 0.0
    cut_at: float = 0.0
    partitioned: bool = False


class FlakyTransport:
    """Carries a daemon's requests, as far as its network lets it; none at all once the daemon is dead."""

    def __init__(self, api: Api, network: Network, chance: random.Random, writing: Callable[[], Any]) -> None:
        """`writing`: a context in which writes are made, so that they can be told from others'."""
        self._api = api
        self._local = LocalTransport(api)
        self._network = network
        self._chance = chance
        self._writing = writing
        self.dead = False
        self.until_death: int | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,
    ) -> Response:
        network, chance = self._network, self._chance
        await self._survive()
        if network.partitioned:
            await asyncio.sleep(seconds)
            raise TimeoutError
        if chance.random() < network.slow:
            await asyncio.sleep(min(seconds, chance.uniform(0.1, 3.0)))
            await self._survive()
        if chance.random() < network.refused:
            raise ConnectionError("connection refused")
        if chance.random() < network.throttled:
            return Response(429, b'{"reason":"TooManyRequests","message":"slow down"}', retry_after=1.0)
        await asyncio.sleep(LATENCY)
        decoded = orjson.loads(body) if body else None
        with self._writing():
            answer = self._api.answer(Request(method, path, params, decoded, content_type))
        await self._survive()
        if chance.random() < network.lost:
            await asyncio.sleep(min(seconds, 2.0))
            raise ConnectionError("connection reset")
        return Response(answer.status, orjson.dumps(answer.body))

    async def _survive(self) -> None:
        if self.until_death is not None and not self.dead:
            self.until_death -= 1
            self.dead = self.until_death <= 0
        if self.dead:
            raise ConnectionError("killed")

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        if self.dead or self._network.partitioned:
            raise ConnectionError("no way")
        opened = asyncio.get_running_loop().time()
        async with self._local.stream(path, params=params, silence=silence) as (answer, lines):

            async def late() -> AsyncIterator[bytes]:
                async for line in lines:
                    if self.dead or self._network.partitioned or self._network.cut_at > opened:
                        raise ConnectionError("cut")
                    if self._network.lag:
                        await asyncio.sleep(self._network.lag * self._chance.random())
                    yield line

            yield answer, late()


class Installed:
    """An entry point that leads to a class made for a scenario."""

    dist = None

    def __init__(self, name: str, found: type[Scaler[Any]]) -> None:
        self.name = name
        self.value = f"scenario:{name}"
        self._found = found

    def load(self) -> type[Scaler[Any]]:
        return self._found


class Process:
    """One daemon."""

    def __init__(
        self,
        number: int,
        api: Api,
        network: Network,
        scalers: Mapping[str, type[Scaler[Any]]],
        *,
        now: Now,
        chance: random.Random,
        writing: Callable[[int], Any],
        elects: bool,
    ) -> None:
        self.number = number
        self.transport = FlakyTransport(api, network, chance, lambda: writing(number))
        settings = Settings(
            external_metrics=None,
            webhook=None,
            telemetry=None,
            health=None,
            reconciles=3,
            leadership=Leadership(elect=elects),
        )
        registry = Registry([Installed(name, found) for name, found in scalers.items()])  # type: ignore[list-item]
        self.daemon = Daemon(settings, registry, Client(self.transport), now=now, chance=chance)
        self._task = asyncio.create_task(self.daemon.run(), name=f"daemon-{number}")

    @property
    def alive(self) -> bool:
        """Whether it runs; raises what it died of, if that was its own doing."""
        if self._task.done() and not self._task.cancelled() and not self.transport.dead:
            self._task.result()
        return not self._task.done() and not self.transport.dead

    @property
    def watched(self) -> list[Store]:
        """Its own copies of the objects."""
        return [self.daemon._stores[resource] for resource in (SCALED_OBJECTS, SCALED_JOBS)]

    @property
    def leads(self) -> bool:
        """Whether it may write."""
        return self.alive and self.daemon.acts

    async def kill(self) -> None:
        """End it as SIGKILL does: from now on no request of it gets out."""
        self.transport.dead = True
        await self._end()

    def bury(self) -> None:
        """Let what is left of it after its death do nothing more."""
        self._task.cancel()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        await self._end()

    async def _end(self) -> None:
        self._task.cancel()
        # What a dying daemon raises is nobody's business.
        with suppress(asyncio.CancelledError, Exception):
            await self._task
