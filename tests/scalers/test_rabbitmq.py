"""The `rabbitmq` trigger against a real broker: every mode, names of all kinds, and many queues at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keda_py_scalers.http import Get, HttpConnection, HttpScaler
from keda_py_scalers.rabbitmq import RabbitMQScaler
from keda_py_scalers.rabbitmq_http import MANY, ManagementConnection, ManagementMetadata
from keda_py_scalers.rabbitmq_rule import RATE_MODES, Question, QueueState, measured

from keda_py.scaler import Platform, ScalerError
from keda_py.testing import FakeKubernetes, made
from tests.brokers.rabbitmq import Broker, rabbitmq

from .asking import asking, read, value
from .rabbit import SECONDS, channel, declare, eventually, ours, path, put, trigger

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


# --- the modes ------------------------------------------------------------------------------------------------------


async def test_messages_out_with_consumers_count_over_http_unless_excluded(broker: Broker) -> None:
    declare(broker, "unacked")
    async with channel(broker) as client:
        await put(client, "unacked", 5)
        queue = await client.get_queue("unacked")
        assert [await queue.get(), await queue.get()]
        amqp = await read(trigger(broker.host("amqp"), "unacked"), seconds=SECONDS)
        assert value(amqp) == 3

        for extra, count in (({}, 5), ({"excludeUnacknowledged": "true"}, 3)):
            asked = trigger(broker.host("http"), "unacked", **extra)
            await eventually(
                lambda asked=asked: read(asked, seconds=SECONDS),
                lambda found, count=count: found.failure is None and value(found) == count,
            )


@pytest.mark.parametrize(("activation", "active"), [("2", True), ("3", False)])
@pytest.mark.parametrize("scheme", ["amqp", "http"])
async def test_activation_is_strictly_above_its_value(
    broker: Broker, scheme: str, activation: str, active: bool
) -> None:
    declare(broker, "three")
    async with channel(broker) as client:
        await (await client.get_queue("three")).purge()
        await put(client, "three", 3)
    asked = trigger(broker.host(scheme), "three", activationValue=activation)
    outcome = await eventually(
        lambda: read(asked, seconds=SECONDS), lambda found: found.failure is None and value(found) == 3
    )
    assert outcome.active is active


async def test_rates_are_those_that_the_broker_measures(broker: Broker) -> None:
    declare(broker, "busy")

    async def traffic() -> None:
        async with channel(broker) as client:
            queue = await client.get_queue("busy")
            while True:
                await put(client, "busy", 6)
                for _ in range(4):
                    await queue.get(no_ack=True)
                await asyncio.sleep(0.1)

    def state() -> QueueState:
        found = broker.call("GET", path("/", "busy"))
        rates = [found["message_stats"][f"{kind}_details"]["rate"] for kind in ("publish", "deliver_get")]
        return QueueState(found["messages"], found["messages_ready"], *rates)

    going_on = asyncio.create_task(traffic())
    try:
        asked = [
            trigger(broker.host("http"), "busy", mode=mode, value="5", activationValue="1.25") for mode in RATE_MODES
        ]
        async with asking(*asked, seconds=SECONDS) as live:

            async def compared() -> list[Any]:
                """Return what we read and what the broker says, if it said the same before and after."""
                try:
                    before = await asyncio.to_thread(state)
                except KeyError:
                    return []
                outcomes = await asyncio.gather(*(one.current() for one in live))
                if min(before.publish_rate, before.deliver_rate) == 0 or before != await asyncio.to_thread(state):
                    return []
                expected = [measured(mode, before, messages=before.messages, activation=1.25) for mode in RATE_MODES]
                return [([(value(one), one.active) for one in outcomes], expected)]

            (found,) = await eventually(compared, bool)
            assert found[0] == [pytest.approx(pair) for pair in found[1]]
            assert len({number for number, _ in found[0]}) == len(RATE_MODES)
    finally:
        going_on.cancel()


async def test_a_queue_without_traffic_has_no_rate_if_the_broker_measures_any(broker: Broker) -> None:
    declare(broker, "quiet")
    asked = trigger(broker.host("http"), "quiet", mode="DeliverGetRate", value="5")

    async def reads() -> Any:
        return await read(asked, seconds=SECONDS)

    first = await reads()
    assert first.failure is None or "no statistics of queue quiet yet" in first.failure
    outcome = await eventually(reads, lambda found: found.failure is None)
    assert (value(outcome), outcome.active) == (0, False)
    try:
        broker.evaluate("application:set_env(rabbitmq_management_agent, rates_mode, none).")
        assert "does not measure rates" in str((await reads()).failure)
        length = trigger(broker.host("http"), "quiet")
        assert value(await read(length, seconds=SECONDS)) == 0
    finally:
        broker.evaluate("application:set_env(rabbitmq_management_agent, rates_mode, basic).")


async def test_without_statistics_nothing_is_known(broker: Broker) -> None:
    declare(broker, "unknown")
    try:
        broker.evaluate("application:set_env(rabbitmq_management, disable_management_stats, true).")
        for extra in ({}, {"useRegex": "true"}):
            outcome = await read(trigger(broker.host("http"), "unknown", **extra), seconds=SECONDS)
            assert outcome.failure == "the broker has no statistics of queue unknown yet"
            assert outcome.active is None
        assert value(await read(trigger(broker.host("amqp"), "unknown"), seconds=SECONDS)) == 0
    finally:
        broker.evaluate("application:set_env(rabbitmq_management, disable_management_stats, false).")


# --- several queues in one trigger ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page_size", ["3", "100", "9999"])
@pytest.mark.parametrize(("operation", "result"), [("sum", 21), ("avg", 3), ("max", 6)])
async def test_a_regular_expression_means_all_that_match(
    broker: Broker, operation: str, result: int, page_size: str
) -> None:
    names = [f"many-{number}" for number in range(7)]
    declare(broker, *names, "few-1")
    async with channel(broker) as client:
        for number, name in enumerate(names):
            await (await client.get_queue(name)).purge()
            await put(client, name, number)
    asked = trigger(
        broker.host("http"),
        r"^many-\d$",
        useRegex="true",
        operation=operation,
        pageSize=page_size,
        value="5",
        mode="QueueLength",
    )
    outcome = await eventually(
        lambda: read(asked, seconds=SECONDS), lambda found: found.failure is None and value(found) == result
    )
    assert list(outcome.readings) == ["s0-rabbitmq--5Emany--5Cd-24"]


async def test_a_regular_expression_that_nothing_matches_is_nothing_to_do(broker: Broker) -> None:
    outcome = await read(trigger(broker.host("http"), "^no-such-", useRegex="true"), seconds=SECONDS)
    assert (value(outcome), outcome.active) == (0, False)


async def test_a_wrong_regular_expression_is_told(broker: Broker) -> None:
    outcome = await read(trigger(broker.host("http"), "((", useRegex="true"), seconds=SECONDS)
    assert "answered 400" in str(outcome.failure)


STRANGE = ["team/a", "a b", "100%", "%2F", "c+d", "é?x=1&y#z", "a.b:c(d)"]
# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRANGE)
async def test_strange_names_of_virtual_hosts_and_queues(broker: Broker, name: str) -> None:
    broker.call("PUT", f"/api/vhosts/{quote(name, safe='')}")
    broker.add_user("guest2", "p@:/ss", vhosts=(name,))
    declare(broker, name, vhost=name)
    user = quote("guest2", safe="") + ":" + quote("p@:/ss", safe="")
    asked = []
    for scheme in ("amqp", "http"):
        asked += [
            trigger(broker.host(scheme, user=user, path=f"/{quote(name, safe='')}"), name),
            trigger(broker.host(scheme), name, {"username": "guest2", "password": "p@:/ss"}, vhostName=name),
        ]
    for one in asked:
        outcome = await eventually(
            lambda one=one: read(one, seconds=SECONDS),
            lambda found: found.failure is None or "no statistics" not in found.failure,
        )
        if name == "%2F" and "amqp" in one.metadata["host"]:
            assert "the virtual host %2F cannot be named over AMQP" in str(outcome.failure)
        else:
            assert value(outcome) == 0


# --- many triggers --------------------------------------------------------------------------------------------------


async def test_a_thousand_queues_are_one_connection_and_few_channels(broker: Broker) -> None:
    names = [f"k-{number}" for number in range(1000)]
    declare(broker, *names)
    missing = {f"k-{number}" for number in range(0, 1000, 40)}
    for name in missing:
        broker.call("DELETE", path("/", name))
    async with channel(broker) as client:
        for number in range(0, 1000, 7):
            await put(client, names[number], number % 5) if names[number] not in missing else None
    asked = [trigger(broker.host("amqp"), name) for name in names]
    async with asking(*asked, seconds=60) as live:
        for _ in range(2):
            outcomes = await asyncio.gather(*(one.current() for one in live))
            for number, (name, outcome) in enumerate(zip(names, outcomes, strict=True)):
                if name in missing:
                    assert outcome.failure is not None
                    assert f"no queue {name} " in outcome.failure
                else:
                    assert value(outcome) == (number % 5 if number % 7 == 0 else 0)
        # A channel that a missing queue has cost may still be counted, beside the one in its place.
        await eventually(
            lambda: asyncio.to_thread(ours, broker), lambda found: len(found) == 1 and found[0]["channels"] <= 16
        )
    await eventually(lambda: asyncio.to_thread(ours, broker), lambda found: not found)


class Counting:
    """A connection over HTTP that remembers what it was asked."""

    def __init__(self, http: HttpConnection) -> None:
        self.http = http
        self.asked: list[Get] = []

    async def get(self, question: Get) -> bytes:
        self.asked.append(question)
        return await self.http.get(question)


@asynccontextmanager
async def listening(broker: Broker, vhost: str) -> AsyncIterator[tuple[ManagementConnection, Counting]]:
    """Yield the management API of a virtual host, and what is asked of it."""
    scaler = made(RabbitMQScaler, {"host": broker.host("http"), "queueName": "q", "vhostName": vhost})
    meta: ManagementMetadata = scaler.meta.management()
    platform = Platform(now=lambda: datetime.now(UTC), kubernetes=FakeKubernetes())
    async with HttpScaler[ManagementMetadata].connect(meta, scaler.trigger, platform) as http:
        counting: Any = Counting(http)
        yield ManagementConnection(counting, scaler.meta.address), counting


async def test_many_queues_over_http_are_a_few_pages_with_the_same_numbers(broker: Broker) -> None:
    broker.call("PUT", "/api/vhosts/paged")
    names = [f"p-{number:03}" for number in range(600)]
    declare(broker, *names, vhost="paged")
    async with channel(broker, "paged") as client:
        for number in range(0, 600, 50):
            await put(client, names[number], number // 50)
    async with listening(broker, "paged") as (connection, http):

        async def answers(queues: Sequence[str]) -> list[Any]:
            http.asked.clear()
            found = await connection.answer_all([Question(name, 60) for name in queues])
            return [answer if isinstance(answer, ScalerError) else answer[0].messages for answer in found]

        right = [number // 50 if number % 50 == 0 else 0 for number in range(600)]

        async def are_right(queues: Sequence[str]) -> None:
            wanted = [right[names.index(name)] for name in queues]
            await eventually(lambda: answers(queues), lambda found: found == wanted)

        # The list is thirty times as long as what is asked for: its first page tells, and is made use of.
        some = [*names[:10], *names[-10:]]
        first = await answers(some)
        assert len(http.asked) == 1 + 10
        assert not [answer for answer in first if isinstance(answer, ScalerError) and "statistics" not in str(answer)]
        await are_right(some)
        assert len(http.asked) == len(some)
        await are_right(names)
        assert len(http.asked) == 2
        # So few are never worth a list.
        await are_right(names[: MANY - 1])
        assert len(http.asked) == MANY - 1
        with_missing = await answers([*names, "none"])
        assert with_missing[:-1] == right
        assert "no queue none in the virtual host paged" in str(with_missing[-1])
        assert len(http.asked) == 3


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "ack", "hold", "purge"]), st.integers(0, 30)), min_size=1, max_size=8
)
# --- whatever is done to a queue ------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_done_we_see_what_the_broker_sees(broker: Broker, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_compare(broker, steps))


async def _compare(broker: Broker, steps: list[tuple[str, int]]) -> None:
    declare(broker, "random")
    ready = held = 0
    async with channel(broker) as client, asking(trigger(broker.host("amqp"), "random"), seconds=SECONDS) as (live,):
        queue = await client.get_queue("random")
        await queue.purge()
        for what, count in steps:
            if what == "put":
                await put(client, "random", count)
                ready += count
            elif what == "purge":
                await queue.purge()
                ready = 0
            else:
                for _ in range(min(count, ready)):
                    message = await queue.get(no_ack=what == "ack")
                    assert message is not None
                taken = min(count, ready)
                ready, held = ready - taken, held + (taken if what == "hold" else 0)
            await asyncio.sleep(0.02)
            assert value(await live.current()) == ready
        asked = [
            trigger(broker.host("http"), "random"),
            trigger(broker.host("http"), "random", excludeUnacknowledged="true"),
        ]

        async def both() -> list[float | None]:
            found = [await read(one, seconds=SECONDS) for one in asked]
            return [None if one.failure else value(one) for one in found]

        await eventually(both, lambda found: found == [ready + held, ready])
        listing = await asyncio.to_thread(
            broker.call, "GET", path("/") + "?disable_stats=true&enable_queue_totals=true"
        )
        (told,) = [one for one in listing if one["name"] == "random"]
        assert (told["messages"], told["messages_ready"]) == (ready + held, ready)
