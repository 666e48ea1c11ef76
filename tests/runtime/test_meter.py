"""For whom HTTP requests are counted: whoever asked first. Time is the loop's own, in fast-forward."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.runtime.meter import Histogram, Meter
from keda_py.runtime.source import Sources, Tenancy
from keda_py.scaler import Inputs, Metadata, Platform, Scaler, ScalerError, Trigger
from keda_py.testing import FakeKubernetes

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class NoMetadata(Metadata):
    """Nothing to set."""


class WebScaler(Scaler[NoMetadata]):
    """Sends one request to connect, and for each question one of its own task and one of another; all last a second."""

    metadata = NoMetadata

    @classmethod
    def source_key(cls, meta: NoMetadata, trigger: Trigger) -> tuple[str, ...]:
        return ("web",)

    @classmethod
    @asynccontextmanager
    async def connect(cls, meta: NoMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[Platform]:
        platform.requested(201, 1.0)
        yield platform

    @classmethod
    async def answer(cls, connection: Platform, question: Any) -> Any:
        await asyncio.sleep(1)
        connection.requested(question, 1.0)

        async def login() -> None:
            connection.requested(None, 0.02)

        await asyncio.create_task(login())
        if question != 200:
            raise ScalerError(f"answered {question}")

    @classmethod
    async def answer_all(cls, connection: Platform, questions: Sequence[Any]) -> Sequence[Any]:
        await asyncio.sleep(1)
        connection.requested(200, 1.0)
        return list(questions)


@asynccontextmanager
async def renting(meter: Meter, *, batched: bool = False) -> AsyncIterator[list[Tenancy]]:
    platform = Platform(lambda: datetime(2026, 1, 1, tzinfo=UTC), FakeKubernetes(), requested=meter.note)
    kind = type("Web", (WebScaler,), {"batched": batched})
    async with Sources(platform, chance=random.Random(1), meter=meter) as sources:
        found = [
            sources.rent(kind, NoMetadata(), Trigger("web", index, Inputs({}), "ns", f"app{index}"))
            for index in range(3)
        ]
        tenancies = [one for one in found if one is not None]
        for one in tenancies:
            one.seconds = 5
        yield tenancies


async def test_one_question_of_two_is_counted_for_the_first() -> None:
    meter = Meter()
    async with renting(meter) as (one, other, third):
        await asyncio.gather(one.ask(200), other.ask(200), third.ask(503), return_exceptions=True)
        assert one.requests.counts == {"200": 1, "error": 1}
        assert other.requests.counts == {}
        assert third.requests.counts == {"503": 1, "error": 1}
        await asyncio.sleep(1)
        await other.ask(200)
        assert other.requests.counts == {"200": 1, "error": 1}
    assert {code: sum(found.counts) for code, found in meter.durations["web"].items()} == {
        "200": 2,
        "503": 1,
        "error": 3,
    }
    assert meter.durations["web"]["200"].total == 2.0


async def test_a_batch_is_counted_for_the_first_of_its_questions() -> None:
    meter = Meter(by_trigger=True)
    async with renting(meter, batched=True) as (one, other, third):
        await asyncio.gather(other.ask("b"), one.ask("a"), third.ask("c"))
        assert other.requests.counts == {"200": 1}
        assert one.requests.counts == third.requests.counts == {}
        assert other.requests.durations is not None
        assert other.requests.durations["200"].total == 1.0
    assert not meter.durations


async def test_what_nobody_asked_for_is_not_counted() -> None:
    meter = Meter()
    meter.note(200, 1.0)
    async with renting(meter) as tenancies:
        await tenancies[0].ask(200)
        assert all("201" not in one.requests.counts for one in tenancies)
    assert "201" not in meter.durations["web"]


async def test_a_bound_belongs_to_its_bucket() -> None:
    times = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 1.0, 7.0):
        times.observe(seconds)
    assert times.counts == [2, 2, 1]
    times.add(times)
    assert (times.counts, times.total) == ([4, 4, 2], pytest.approx(17.3))
