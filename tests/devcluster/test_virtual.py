"""The loop in virtual time: it jumps, keeps the order, and says so when nothing or too much would ever happen."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from keda_py.devcluster import virtual
from keda_py.devcluster.virtual import DeadlockError, LivelockError, VirtualLoop

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def test_time_passes_at_once_and_in_order() -> None:
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("week", 604_800.0), ("second", 1.0), ("hour", 3600.0), ("now", 0.0)):
                group.create_task(sleeper(name, seconds))

    began = time.monotonic()
    run(main())
    assert seen == [("now", 0.0), ("second", 1.0), ("hour", 3600.0), ("week", 604_800.0)]
    assert time.monotonic() - began < 60


def test_what_is_cancelled_does_not_happen_and_deadlines_do() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(5.0, pytest.fail).cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await asyncio.sleep(3600.0)
        return loop.time()

    assert run(main()) == 10.0


def test_waiting_for_ever_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    task = loop.create_task(main())
    with pytest.raises(DeadlockError):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_going_round_in_one_moment_is_an_error() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    loop = VirtualLoop()
    loop._virtual._steps = virtual.STEPS_IN_A_MOMENT - 100
    task = loop.create_task(main())
    with pytest.raises(LivelockError):
        loop.run_until_complete(task)
    loop._virtual._steps = 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
