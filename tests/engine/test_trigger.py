"""A trigger at work: read on time, once for everyone who asks, and never taken for what it does not say."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.engine.trigger import LiveTrigger, next_poll
from keda_py.runtime.clock import loop_clock
from keda_py.runtime.source import Sources
from keda_py.scaler import (
    EmptyAnswer,
    ExternalSpec,
    Inputs,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
    build,
    param,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def now() -> float:
    return asyncio.get_running_loop().time()


class World:
    """A source that counts, and answers what it is told to."""

    def __init__(self) -> None:
        self.value: Any = 1.0
        self.asked: list[tuple[float, int]] = []
        self.batches = 0


class QueueMetadata(Metadata):
    queue: str = param("queue")


def queue_scaler(world: World, *, batches: bool) -> type[Scaler[Any]]:
    class QueueScaler(Scaler[QueueMetadata]):
        metadata = QueueMetadata
        batched = batches

        def metric_specs(self) -> list[MetricSpec]:
            return [ExternalSpec("queue", self.target(5))]

        async def get_metrics(self) -> list[Reading]:
            value = await self.source.ask(self.meta.queue)
            return [self.reading(value, active=value > 0)]

        @classmethod
        def source_key(cls, meta: QueueMetadata, trigger: Trigger) -> tuple[str]:
            return ("broker",)

        @classmethod
        @asynccontextmanager
        async def connect(cls, *_: Any) -> AsyncIterator[World]:
            yield world

        @classmethod
        async def answer(cls, connection: World, question: str) -> float:
            (answer,) = await cls.answer_all(connection, [question])
            return answer  # type: ignore[no-any-return]

        @classmethod
        async def answer_all(cls, connection: World, questions: Sequence[str]) -> Sequence[Any]:
            connection.asked += [(now(), len(questions))]
            connection.batches += 1
            await asyncio.sleep(0.01)
            if isinstance(connection.value, Exception):
                raise connection.value
            return [connection.value] * len(questions)

    return QueueScaler


Work = Callable[..., LiveTrigger]


@asynccontextmanager
async def at_work(world: World, *, batches: bool = False) -> AsyncIterator[Work]:
    nothing: Any = None
    platform = Platform(now=loop_clock(START), kubernetes=nothing)
    scaler_class = queue_scaler(world, batches=batches)
    triggers: list[LiveTrigger] = []
    async with Sources(platform, chance=random.Random(1)) as sources:

        def work(queue: str = "q", *, heard: list[bool] | None = None, **options: Any) -> LiveTrigger:
            trigger = Trigger("queue", 0, Inputs({"queue": queue}), "ns", "app")
            rented: list[Any] = []

            def rent(meta: Any) -> Any:
                rented.append(sources.rent(scaler_class, meta, trigger))
                return rented[0]

            scaler = build(scaler_class, trigger, platform=platform, source=rent)
            settings = {"interval": 30.0, "cached": False, "now": platform.now} | options
            said = heard if heard is not None else []
            triggers.append(LiveTrigger(scaler, rented[0], changed=said.append, **settings))
            return triggers[-1]

        try:
            yield work
        finally:
            for live in triggers:
                live.close()


virtual = pytest.mark.looptime


@virtual
async def test_a_new_trigger_is_read_at_once_and_then_once_an_interval() -> None:
    world = World()
    async with at_work(world) as work:
        work().start()
        await asyncio.sleep(301)
    times = [at for at, _ in world.asked]
    assert times[0] == 0
    assert len(times) in (11, 12)
    assert {round(later - earlier, 2) for earlier, later in itertools.pairwise(times[1:])} == {30}


@virtual
async def test_one_read_serves_the_loop_and_the_hpa() -> None:
    world = World()
    async with at_work(world) as work:
        live = work()
        live.start()
        for _ in range(40):  # the HPA controller asks every 15 s
            await live.current()
            await asyncio.sleep(15)
    assert len(world.asked) <= 41, "no polls besides"


@virtual
async def test_an_outcome_tells_when_the_question_went_out_be_it_anothers() -> None:
    world = World()
    async with at_work(world) as work:
        first, second = work(interval=30), work(interval=30)
        one = asyncio.create_task(first.current())
        await asyncio.sleep(0.005)
        other = await second.current()
        assert (await one).asked == other.asked == world.asked[0][0]
        assert len(world.asked) == 1


@virtual
async def test_what_the_hpa_is_given_is_young() -> None:
    world = World()
    async with at_work(world) as work:
        live = work()
        first = await live.current()
        await asyncio.sleep(4.9)
        assert await live.current() is first
        await asyncio.sleep(0.2)
        assert await live.current() is not first


@virtual
async def test_cached_metrics_give_the_hpa_any_reading_of_the_interval() -> None:
    world = World()
    async with at_work(world) as work:
        live = work(cached=True)
        live.start()
        for _ in range(40):
            await live.current()
            await asyncio.sleep(15)
    assert len(world.asked) in (20, 21, 22)


@virtual
async def test_a_failure_says_nothing_about_activity_and_is_told_once() -> None:
    world, heard = World(), list[bool]()
    async with at_work(world) as work:
        live = work(heard=heard)
        live.start()
        await asyncio.sleep(61)
        world.value = ScalerError("status 500")
        await asyncio.sleep(120)
        assert live.outcome is not None
        assert (live.outcome.failure, live.outcome.active, live.outcome.readings) == ("status 500", None, {})
        assert live.counts.errors == 4
        assert heard.count(True) == 2, "the first reading, and the failure"
        world.value = 0.0
        await asyncio.sleep(31)
        assert live.outcome.active is False


@virtual
async def test_activity_is_dated() -> None:
    world = World()
    async with at_work(world) as work:
        live = work()
        live.start()
        await asyncio.sleep(1)
        world.value = 0.0
        await asyncio.sleep(100)
        assert live.seen_active is not None
        assert (live.seen_active - START).total_seconds() == pytest.approx(0.01)


@virtual
async def test_an_empty_answer_that_is_refused_is_counted_as_such() -> None:
    world = World()
    world.value = EmptyAnswer("nothing there")
    async with at_work(world) as work:
        live = work()
        outcome = await live.current()
        assert outcome.failure == "nothing there"
        assert (live.counts.errors, live.counts.empty_refused) == (1, 1)


@virtual
async def test_an_old_outcome_is_not_current() -> None:
    world = World()
    async with at_work(world) as work:
        live = work()
        await live.current()
        assert live.is_current()
        await asyncio.sleep(64)
        assert not live.is_current()


@virtual
async def test_what_is_read_again_after_that_is_news_though_it_says_the_same() -> None:
    world, heard = World(), list[bool]()
    async with at_work(world) as work:
        live = work(heard=heard)
        for seconds in (10, 64, 10):
            await live.current()
            await asyncio.sleep(seconds)
        await live.current()
    assert heard == [True, False, True, False]


@virtual
async def test_who_waits_for_a_trigger_that_is_replaced_is_told_so() -> None:
    world = World()
    async with at_work(world) as work:
        live = work()
        waiting = asyncio.create_task(live.current())
        await asyncio.sleep(0.005)
        live.close()
        assert "replaced" in str((await asyncio.wait_for(waiting, 1)).failure)


@virtual
async def test_the_triggers_of_one_source_fall_together() -> None:
    world = World()
    async with at_work(world, batches=True) as work:
        for n in range(50):
            work(f"q{n}").start()
            await asyncio.sleep(0.1)
        world.asked.clear()
        await asyncio.sleep(90)
    assert [count for _, count in world.asked] == [50, 50, 50]


@virtual
async def test_a_thousand_questions_of_the_hpa_cost_a_batched_source_one_batch_every_few_seconds() -> None:
    world = World()
    async with at_work(world, batches=True) as work:
        lives = [work(f"q{n}") for n in range(100)]
        for live in lives:
            live.start()
        await asyncio.sleep(16)
        world.asked.clear()
        for _ in range(4):
            for live in lives:
                await live.current()
                await asyncio.sleep(0.15)
    assert len(world.asked) <= 61 / 2.5


@given(
    read_at=st.floats(0, 10**6),
    interval=st.floats(1, 3600),
    share=st.floats(0, 1, exclude_max=True),
    polled=st.booleans(),
)
def test_the_next_poll_comes_within_an_interval(read_at: float, interval: float, share: float, polled: bool) -> None:
    due = next_poll(read_at, interval=interval, phase=share * interval, polled=polled)
    assert read_at + interval / 2000 < due <= read_at + interval * 1.0011
    if not polled:
        assert due - read_at >= interval / 2 * 0.999999
