"""Waits for the servers among the applied pods, so that what they serve is there when keda-py first asks.

On a cluster that has been there for a while sources run before somebody scales by them. Here all begins at once, and a
source that takes a second to start would be the first thing told of, as a failure.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from keda_py.devcluster.api import Api

_PATIENCE_SECONDS: Final = 10.0
_EVERY_SECONDS: Final = 0.1
_WORKLOADS: Final = (("apps", "deployments"), ("apps", "statefulsets"))


async def opened_ports(api: Api) -> None:
    """Return when something listens on all ports that commands of containers name, or ten seconds are over.

    Whatever is not open by then is told by the trigger that asks it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.gather(*map(_opened, set(_ports(api))))


def _ports(api: Api) -> Iterator[int]:
    for place in _WORKLOADS:
        for workload in api.store.items(place):
            spec = workload["spec"]
            if spec.get("replicas", 1):
                yield from _named(spec)


def _named(spec: dict[str, Any]) -> Iterator[int]:
    for container in ((spec.get("template") or {}).get("spec") or {}).get("containers") or ():
        if container.get("command"):
            yield from (port["containerPort"] for port in container.get("ports") or ())


async def _opened(port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(_EVERY_SECONDS)
