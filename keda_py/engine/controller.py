"""Loops over keys: for each kind of object a queue, workers, and what to do for one key."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from keda_py.kube.client import ApiError
from keda_py.runtime.queue import WorkQueue, work

log = structlog.get_logger("daemon")

_BREATH: Final = 20
"""After so many objects at once, others get their turn."""


@dataclass(frozen=True, slots=True)
class Controller:
    """The loop of one kind.

    `keys`: all that there is, when a term begins. `begin`: told of each of them then, before any work.
    """

    queue: WorkQueue[Any]
    keys: Callable[[], Iterable[Any]]
    reconcile: Callable[[Any], Awaitable[float | None]]
    workers: int = 1
    begin: Callable[[Any], None] | None = None


async def work_term(controllers: Sequence[Controller], over: asyncio.Event) -> None:
    """Work until leadership changes hands: no pass outlives the term that it began in."""
    for controller in controllers:
        for position, key in enumerate(controller.keys()):
            if controller.begin is not None:
                controller.begin(key)
            controller.queue.add(key)
            if position % _BREATH == 0:
                await asyncio.sleep(0)
    workers = [
        asyncio.create_task(work(controller.queue, controller.reconcile, on_error=_tell_of_retry), name="worker")
        for controller in controllers
        for _ in range(controller.workers)
    ]
    try:
        await over.wait()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _tell_of_retry(key: tuple[str, ...], error: Exception, seconds: float) -> None:
    if isinstance(error, ApiError):
        log.warning("will retry", object="/".join(key), message=str(error), seconds=round(seconds, 1))
    else:
        log.error("will retry", object="/".join(key), seconds=round(seconds, 1), exc_info=error)
