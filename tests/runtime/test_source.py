"""Shared sources: asked once, bounded, left alone while down, recycled alone. Time is the loop's, in fast-forward."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.runtime.source import IN_FLIGHT, Sources, Tenancy
from keda_py.scaler import Inputs, Metadata, Platform, Scaler, ScalerError, SourceUnavailable, Trigger, param

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Place:
    """A source in the test's hand: what it answers, and what it saw."""

    def __init__(self) -> None:
        self.opened = self.closed = self.in_flight = self.most_in_flight = 0
        self.asked: Counter[Any] = Counter()
        self.calls: list[list[Any]] = []
        self.seconds = 0.1
        self.connect_error: Exception | None = None
        self.reply: Callable[[Any], Any] = lambda question: f"answer to {question}"

    async def take(self, questions: Sequence[Any]) -> list[Any]:
        self.asked.update(questions)
        self.calls.append(list(questions))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        return [self.reply(question) for question in questions]


class PlaceMetadata(Metadata):
    address: str = param("address")


def scaler_for(place: Place, *, batches: bool = False) -> type[Scaler[Any]]:
    class PlaceScaler(Scaler[PlaceMetadata]):
        metadata = PlaceMetadata
        batched = batches

        @classmethod
        def source_key(cls, meta: PlaceMetadata, trigger: Trigger) -> tuple[str, ...]:
            return (meta.address,)

        @classmethod
        @asynccontextmanager
        async def connect(cls, meta: PlaceMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[Place]:
            if place.connect_error is not None:
                raise place.connect_error
            place.opened += 1
            try:
                yield place
            finally:
                place.closed += 1

        @classmethod
        async def answer(cls, connection: Place, question: Any) -> Any:
            (reply,) = await connection.take([question])
            if isinstance(reply, Exception):
                raise reply
            return reply

        @classmethod
        async def answer_all(cls, connection: Place, questions: Sequence[Any]) -> Sequence[Any]:
            return await connection.take(questions)

    return PlaceScaler


class Tenants:
    """Rents places for a test."""

    def __init__(self, sources: Sources, scaler: type[Scaler[Any]]) -> None:
        self.sources, self.scaler = sources, scaler

    def rent(self, address: str = "one", *, max_age: float = 0.0, seconds: float = 3.0) -> Tenancy:
        trigger = Trigger("place", 0, Inputs({"address": address}), "ns", "owner")
        tenancy = self.sources.rent(self.scaler, PlaceMetadata(address=address), trigger)
        assert tenancy is not None
        tenancy.max_age, tenancy.seconds = max_age, seconds
        return tenancy


@asynccontextmanager
async def renting(place: Place, *, batches: bool = False) -> AsyncIterator[Tenants]:
    async def nothing(*_: Any, **__: Any) -> Any:
        raise AssertionError("not asked here")

    class NoCluster:
        get = nothing
        list = nothing

    platform = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=NoCluster())
    async with Sources(platform, chance=random.Random(3)) as sources:
        yield Tenants(sources, scaler_for(place, batches=batches))


def now() -> float:
    return asyncio.get_running_loop().time()


async def outcome(asking: Any) -> Any:
    try:
        return await asking
    except ScalerError as error:
        return error


async def test_equal_questions_are_asked_once() -> None:
    place = Place()
    async with renting(place) as tenants:
        places = [tenants.rent() for _ in range(50)]
        answers = await asyncio.gather(*(tenancy.ask("q") for tenancy in places))
    assert set(answers) == {"answer to q"}
    assert place.asked == {"q": 1}
    assert place.opened == place.closed == 1


async def test_an_answer_is_used_again_while_it_is_young_enough() -> None:
    place = Place()
    async with renting(place) as tenants:
        one, other = tenants.rent(), tenants.rent(max_age=5)
        await one.ask("q")
        answered = now()
        await asyncio.sleep(4.9)
        await other.ask("q")
        assert other.oldest == answered
        assert other.asked == answered - place.seconds
        assert place.asked["q"] == 1
        await asyncio.sleep(0.2)
        await other.ask("q")
    assert place.asked["q"] == 2


async def test_an_answer_says_when_it_was_asked_for_be_it_by_another() -> None:
    place = Place()
    async with renting(place) as tenants:
        one, other, later = tenants.rent(), tenants.rent(), tenants.rent(max_age=5)
        asked = now()
        first = asyncio.create_task(one.ask("q"))
        await asyncio.sleep(place.seconds / 2)
        await other.ask("q")
        await first
        await asyncio.sleep(1)
        await later.ask("q")
    assert place.asked["q"] == 1
    assert one.asked == other.asked == later.asked == asked


async def test_different_addresses_have_their_own_connections() -> None:
    place = Place()
    async with renting(place) as tenants:
        await asyncio.gather(tenants.rent("one").ask("q"), tenants.rent("two").ask("q"))
        assert place.opened == len(tenants.sources) == 2
    assert place.closed == 2


async def test_the_last_tenant_closes_the_connection_and_not_before() -> None:
    place = Place()
    async with renting(place) as tenants:
        one, other = tenants.rent(), tenants.rent()
        await one.ask("q")
        one.close()
        await asyncio.sleep(1)
        assert place.closed == 0
        other.close()
        await asyncio.sleep(1)
        assert place.closed == 1
        assert len(tenants.sources) == 0


async def test_questions_in_flight_are_bounded_and_slow_ones_delay_no_one_elses_answer() -> None:
    place = Place()
    place.seconds = 1
    async with renting(place) as tenants:
        tenancy = tenants.rent()
        await asyncio.gather(*(tenancy.ask(n) for n in range(IN_FLIGHT * 3)))
        assert now() == pytest.approx(3, abs=0.1)
    assert place.most_in_flight == IN_FLIGHT


async def test_a_failed_question_fails_alone_and_keeps_the_connection() -> None:
    place = Place()
    place.reply = lambda question: ScalerError("no such queue") if question == "bad" else 1
    async with renting(place) as tenants:
        tenancy = tenants.rent()
        results = await asyncio.gather(*(outcome(tenancy.ask(question)) for question in ("a", "bad", "b")))
        assert [str(result) for result in results] == ["1", "no such queue", "1"]
        assert await tenancy.ask("c") == 1
    assert place.opened == 1


async def test_a_hanging_question_costs_its_own_deadline() -> None:
    place = Place()
    place.seconds = 3600
    async with renting(place) as tenants:
        failed = await outcome(tenants.rent(seconds=3).ask("q"))
        assert "no answer within 3 s" in str(failed)
        assert not isinstance(failed, SourceUnavailable)
        assert now() == pytest.approx(3)


async def test_a_source_that_never_answers_is_found_to_be_down_and_left_alone() -> None:
    place = Place()
    place.seconds = 3600
    async with renting(place) as tenants:
        tenancy = tenants.rent(seconds=3)
        await asyncio.gather(*(outcome(tenancy.ask(n)) for n in range(200)))
        assert place.asked.total() == IN_FLIGHT, "the others fail without being sent"
        assert now() == pytest.approx(3)
        assert isinstance(await outcome(tenancy.ask("at once")), SourceUnavailable)
        assert now() == pytest.approx(3)


async def test_a_broken_connection_is_recycled_after_a_pause_that_grows() -> None:
    place = Place()
    place.reply = lambda _: SourceUnavailable("connection refused")
    async with renting(place) as tenants:
        tenancy = tenants.rent()
        for _ in range(600):
            await outcome(tenancy.ask("q"))
            await asyncio.sleep(1)
        assert 18 < place.asked["q"] < 60, "asked less and less often, up to every half minute"
        place.reply = lambda _: 7
        await asyncio.sleep(31)
        assert await tenancy.ask("q") == 7
        opened = place.opened
        assert await tenancy.ask("r") == 7
        assert place.opened == opened
    assert place.opened == place.closed


async def test_a_refused_connection_is_tried_again_by_itself() -> None:
    place = Place()
    place.connect_error = SourceUnavailable("refused")
    async with renting(place) as tenants:
        tenancy = tenants.rent()
        assert "refused" in str(await outcome(tenancy.ask("q")))
        place.connect_error = None
        await asyncio.sleep(2)
        assert await tenancy.ask("q") == "answer to q"


async def test_a_connection_that_never_opens_has_a_deadline() -> None:
    place = Place()

    class Stuck(scaler_for(place)):  # type: ignore[misc]
        @classmethod
        @asynccontextmanager
        async def connect(cls, *_: Any) -> AsyncIterator[None]:
            await asyncio.sleep(3600)
            yield None

    async with renting(place) as tenants:
        tenants.scaler = Stuck
        assert "no connection within 10 s" in str(await outcome(tenants.rent().ask("q")))


async def test_what_is_pending_goes_out_in_one_batch() -> None:
    place = Place()
    async with renting(place, batches=True) as tenants:
        places = [tenants.rent() for _ in range(100)]
        await asyncio.gather(*(tenancy.ask(n % 60) for n, tenancy in enumerate(places)))
    assert [len(call) for call in place.calls] == [60]


async def test_each_question_of_a_batch_gets_its_own_answer_or_error() -> None:
    place = Place()
    place.reply = lambda question: ScalerError(f"no {question}") if question % 2 else question
    async with renting(place, batches=True) as tenants:
        tenancy = tenants.rent()
        results = await asyncio.gather(*(outcome(tenancy.ask(n)) for n in range(4)))
    assert [str(result) for result in results] == ["0", "no 1", "2", "no 3"]


async def test_a_batch_that_answers_too_little_is_an_error_for_all_of_it() -> None:
    place = Place()

    class Short(scaler_for(place, batches=True)):  # type: ignore[misc]
        @classmethod
        async def answer_all(cls, connection: Place, questions: Sequence[Any]) -> Sequence[Any]:
            return [1]

    async with renting(place) as tenants:
        tenants.scaler = Short
        tenancy = tenants.rent()
        results = await asyncio.gather(*(outcome(tenancy.ask(n)) for n in range(3)))
    assert {str(result) for result in results} == {"the scaler answered 1 of 3 questions"}


async def test_an_unforeseen_exception_tells_its_kind_and_place_but_not_its_text() -> None:
    place = Place()
    place.reply = lambda _: ValueError("amqp://user:canary@host")
    async with renting(place) as tenants:
        failed = str(await outcome(tenants.rent().ask("q")))
    assert "ValueError" in failed
    assert "canary" not in failed


async def test_an_asker_that_gives_up_leaves_the_answer_to_the_others() -> None:
    place = Place()
    async with renting(place) as tenants:
        impatient = asyncio.create_task(tenants.rent().ask("q"))
        patient = asyncio.create_task(tenants.rent().ask("q"))
        await asyncio.sleep(0.05)
        impatient.cancel()
        assert await patient == "answer to q"
    assert place.asked == {"q": 1}


async def test_leaving_ends_what_is_waiting_and_closes_everything() -> None:
    place = Place()
    place.seconds = 3600
    async with renting(place) as tenants:
        waiting = asyncio.create_task(outcome(tenants.rent(seconds=60).ask("q")))
        await asyncio.sleep(1)
    assert isinstance(await asyncio.wait_for(waiting, 1), ScalerError)
    assert place.opened == place.closed == 1


async def test_what_is_remembered_is_bounded_whatever_is_asked() -> None:
    place = Place()
    place.seconds = 0
    async with renting(place) as tenants:
        tenancy = tenants.rent()
        for n in range(500):
            await tenancy.ask(f"at {n}")
        assert len(tenancy.shared._answers) < 50


async def test_a_digest_stands_for_the_key_so_that_no_secret_is_kept() -> None:
    place = Place()
    async with renting(place) as tenants:
        tenants.rent("canary-password")
        assert "canary" not in repr(tenants.sources.__dict__)


@pytest.mark.parametrize("batches", [False, True])
async def test_a_library_that_cancels_what_it_was_asked_costs_that_question_and_leaves_nothing_behind(
    batches: bool,
) -> None:
    place = Place()

    def cancelled(_: Any) -> Any:
        raise asyncio.CancelledError

    place.reply = cancelled
    async with renting(place, batches=batches) as tenants:
        tenancy = tenants.rent()
        with pytest.raises(SourceUnavailable, match="the connection was lost"):
            await tenancy.ask("q")
        place.reply = lambda question: f"answer to {question}"
        await asyncio.sleep(60)
        assert await tenancy.ask("q") == "answer to q"


async def test_what_a_failure_was_raised_over_is_not_kept_with_it() -> None:
    place = Place()
    refusal = ScalerError("it refuses")
    refusal.__context__ = refusal.__cause__ = RuntimeError("the server said c4nary")
    place.reply = lambda _: refusal
    async with renting(place) as tenants:
        with pytest.raises(ScalerError, match="it refuses") as raised:
            await tenants.rent().ask("x")
    assert raised.value.__context__ is raised.value.__cause__ is None
