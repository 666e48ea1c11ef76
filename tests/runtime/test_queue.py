"""The work queue: never twice at once, never lost. Time is the loop's own, in fast-forward."""

import asyncio
import random
from collections import Counter
from time import sleep

import pytest

from keda_py.runtime.queue import WorkQueue, work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def queue() -> WorkQueue[str]:
    return WorkQueue(chance=random.Random(1))


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_asking_twice_is_asking_once() -> None:
    keys = queue()
    keys.add("a")
    keys.add("a")
    keys.add("b")
    assert [await keys.get(), await keys.get()] == ["a", "b"]
    assert len(keys) == 0


async def test_a_key_added_while_it_is_out_comes_back_when_it_is_done() -> None:
    keys = queue()
    keys.add("a")
    key = await keys.get()
    keys.add("a")
    assert len(keys) == 0, "not given to a second worker meanwhile"
    keys.done(key)
    assert await asyncio.wait_for(keys.get(), 1) == "a"


async def test_a_later_timer_replaces_an_earlier_one() -> None:
    keys = queue()
    keys.add_after("a", 10)
    keys.add_after("a", 3)
    assert await keys.get() == "a"
    assert now() == 3
    keys.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.get(), 60)


async def test_back_off_doubles_up_to_its_limit_and_is_forgotten_after_success() -> None:
    keys = queue()
    waits = [keys.add_failed("a") for _ in range(15)]
    assert 0.1 <= waits[0] <= 0.2
    assert 30 <= waits[-1] <= 60
    keys.succeeded("a")
    assert keys.add_failed("a") <= 0.2


async def test_discarding_a_key_stops_its_timer() -> None:
    keys = queue()
    keys.add_after("a", 1)
    keys.discard("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.get(), 60)


async def test_a_cancelled_waiter_hands_its_wake_up_on() -> None:
    keys = queue()
    first, second = asyncio.create_task(keys.get()), asyncio.create_task(keys.get())
    await asyncio.sleep(0)
    keys.add("a")  # wakes the first
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_workers_retry_failures_and_requeue_on_request() -> None:
    keys, tried, told = queue(), Counter[str](), []

    async def reconcile(key: str) -> float | None:
        tried[key] += 1
        await asyncio.sleep(0.01)
        if key == "bad" and tried[key] < 4:
            raise OSError("no route")
        return 30 if key == "again" else None

    workers = [
        asyncio.create_task(work(keys, reconcile, on_error=lambda key, error, seconds: told.append(key)))
        for _ in range(3)
    ]
    for key in ("bad", "again", "once"):
        keys.add(key)
    await asyncio.sleep(100)
    assert tried == {"bad": 4, "again": 4, "once": 1}
    assert told == ["bad"] * 3
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_nothing_is_lost_and_nothing_runs_twice_at_once() -> None:
    """A model check by chance: each add is followed by a run that starts after it, and runs of a key never overlap."""
    chance = random.Random(7)
    keys = queue()
    running: set[str] = set()
    asked: dict[str, float] = {}
    started: dict[str, float] = {}

    async def reconcile(key: str) -> float | None:
        assert key not in running
        running.add(key)
        started[key] = now()
        await asyncio.sleep(chance.random())
        running.discard(key)
        if chance.random() < 0.2:
            raise OSError("chance")
        return chance.choice([None, 1.0, 20.0])

    workers = [asyncio.create_task(work(keys, reconcile, on_error=lambda *_: None)) for _ in range(4)]
    for _ in range(2000):
        key = f"k{chance.randrange(12)}"
        keys.add(key)
        asked[key] = now()
        await asyncio.sleep(chance.random() / 10)
    await asyncio.sleep(120)
    assert not any(worker.done() for worker in workers)
    for key, time in asked.items():
        assert started[key] >= time
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_what_passes_through_is_counted() -> None:
    keys = queue()
    out: list[int] = []

    async def reconcile(key: str) -> float | None:
        # By the machine's clock, which a loop in fast-forward does not set.
        sleep(0.02)  # noqa: ASYNC251
        out.append(len([seconds for seconds in keys.out if seconds >= 0.02]))
        await asyncio.sleep(2)
        if key == "bad":
            raise ValueError
        return 100.0 if key == "again" else None

    for key in ("bad", "again", "once", "once"):
        keys.add(key)
    worker = asyncio.create_task(work(keys, reconcile, on_error=lambda *_: None))
    await asyncio.sleep(5)
    passage = keys.passage
    # The one that failed was added once more.
    assert (passage.adds, passage.retries, len(keys), keys.workers) == (4, 1, 1, 1)
    assert passage.results == {"error": 1, "requeue_after": 1}
    assert (sum(passage.waited.counts), sum(passage.worked.counts), sum(passage.passes.counts)) == (3, 2, 2)
    assert passage.waited.total >= 0.06
    assert passage.worked.total == passage.passes.total >= 0.04
    assert out == [1, 1, 1]
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert (keys.workers, keys.out) == (0, [])
