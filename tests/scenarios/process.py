"""A daemon that can be killed at any moment, with a network between it and the API server that can fail."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from keda_py.daemon import Daemon
from keda_py.devcluster.api import Api
from keda_py.devcluster.fault import Faults, FaultyTransport
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.cluster import SCALED_JOBS, SCALED_OBJECTS
from keda_py.engine.registry import Registry
from keda_py.kube.client import Client
from keda_py.kube.reflector import Store
from keda_py.runtime.clock import Now
from keda_py.scaler import Scaler
from keda_py.settings import Leadership, Settings


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
        network: Faults,
        scalers: Mapping[str, type[Scaler[Any]]],
        *,
        now: Now,
        chance: random.Random,
        writing: Callable[[int], Any],
        elects: bool,
    ) -> None:
        self.number = number
        way = LocalTransport(api, within=lambda: writing(number))
        self.transport = FaultyTransport(way, network, chance=chance)
        settings = Settings(
            external_metrics=None,
            webhook=None,
            telemetry=None,
            health=None,
            reconciles=3,
            job_reconciles=3,
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
