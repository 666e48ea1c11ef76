"""Kafka triggers against a real broker: what they read, in how few requests, how it goes wrong."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keda_py_scalers.apache_kafka import ApacheKafkaScaler
from keda_py_scalers.kafka import KafkaScaler

from tests.brokers.kafka import Broker, Listener, committed, kafka
from tests.brokers.kafka_admin import Admin, administered
from tests.brokers.kafka_proxy import FIND_COORDINATOR, LIST_OFFSETS, METADATA, OFFSET_FETCH, Proxy, proxied
from tests.servers import free_port

from .asking import Asked, asking, read, value
from .kafka_world import SECONDS, WAIT_SECONDS, failing, lag, left, said, until, warmed_up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
"""Starting a JVM takes its time on a slow machine, and the first time of all Kafka is fetched."""
PROXIED = "PROXIED"
CONNECTIONS, REQUESTS = 3, 10


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with kafka(tmp_path_factory.mktemp("kafka"), [[Listener(PROXIED, advertised=free_port())]]) as (broker,):
        asyncio.run(warmed_up(broker))
        yield broker


@pytest.fixture
async def admin(broker: Broker) -> AsyncIterator[Admin]:
    async with administered(broker.address) as admin:
        yield admin


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for topics and groups that no other test has."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)


# --- the value ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KafkaScaler, ApacheKafkaScaler])
async def test_the_lag_of_a_group(broker: Broker, admin: Admin, name: str, kind: Any) -> None:
    await admin.topic(name, 3)
    for partition, count in enumerate((5, 7, 2)):
        await admin.produce(name, partition, count)
    await admin.commit(name, {(name, 0): 1, (name, 1): 7})
    # 4 and 0, and one for the partition in which nothing was committed.
    outcome = await read(lag(broker, name, name, kind=kind), seconds=SECONDS)
    assert value(outcome) == 5
    assert outcome.active
    for metadata, expected in [
        ({"offsetResetPolicy": "earliest"}, 6),
        ({"scaleToZeroOnInvalidOffset": "true"}, 4),
        ({"offsetResetPolicy": "earliest", "scaleToZeroOnInvalidOffset": "true"}, 4),
        ({"partitionLimitation": "1-2"}, 1),
        ({"partitionLimitation": "0"}, 4),
        ({"allowIdleConsumers": "false", "lagThreshold": "1"}, 3),
    ]:
        assert value(await read(lag(broker, name, name, kind=kind, **metadata), seconds=SECONDS)) == expected


async def test_a_group_that_never_committed_finds_what_is_there(broker: Broker, admin: Admin, name: str) -> None:
    await admin.topic(name, 2)
    await admin.produce(name, 0, 9)
    await admin.delete_before(name, 0, 4)
    assert value(await read(lag(broker, name, name), seconds=SECONDS)) == 2
    # Four records are there no more: retention took them.
    assert value(await read(lag(broker, name, name, offsetResetPolicy="earliest"), seconds=SECONDS)) == 5


@pytest.mark.parametrize("kind", [KafkaScaler, ApacheKafkaScaler])
async def test_all_topics_of_a_group(broker: Broker, admin: Admin, name: str, kind: Any) -> None:
    for topic, count in ((f"{name}-a", 4), (f"{name}-b", 6), (f"{name}-c", 100)):
        await admin.topic(topic, 2)
        await admin.produce(topic, 0, count)
    await admin.commit(name, {(f"{name}-a", 0): 1, (f"{name}-b", 0): 1})
    # 3 and 5, one for each partition without a commit in those topics, and nothing for a topic that is not the group's.
    asked = [
        lag(broker, name, "", kind=kind),
        lag(broker, name, f"{name}-a", kind=kind),
        lag(broker, f"{name}-stranger", "", kind=kind),
    ]
    async with asking(*asked, seconds=SECONDS) as live:
        every, one, stranger = await asyncio.gather(*(trigger.current() for trigger in live))
    assert (value(every), value(one)) == (10, 4)
    assert "has not committed in any topic yet: name its topic" in str(stranger.failure)


async def test_several_topics_of_apache_kafka(broker: Broker, admin: Admin, name: str) -> None:
    for topic in ("a", "b"):
        await admin.topic(f"{name}-{topic}")
        await admin.produce(f"{name}-{topic}", 0, 3)
    await admin.commit(name, {(f"{name}-a", 0): 1, (f"{name}-b", 0): 2})
    assert value(await read(lag(broker, name, f"{name}-a,{name}-b", kind=ApacheKafkaScaler), seconds=SECONDS)) == 3


async def test_one_that_cannot_be_read_is_no_other_ones_failure(broker: Broker, admin: Admin, name: str) -> None:
    await admin.topic(name)
    await admin.produce(name, 0, 3)
    await admin.commit(name, {(name, 0): 1})
    asked = [
        lag(broker, name, name),
        lag(broker, name, f"{name}-none"),
        lag(broker, name, name, partitionLimitation="7"),
    ]
    async with asking(*asked, seconds=SECONDS) as live:
        good, missing, empty = await asyncio.gather(*(trigger.current() for trigger in live))
    assert value(good) == 2
    assert missing.failure == f"topic {name}-none does not exist"
    assert empty.failure == f"topic {name} has no partition that counts: is partitionLimitation right?"
    async with administered(broker.address) as other:
        # Nobody made the topic by asking about it.
        assert f"{name}-none" not in await other._client.list_topics()


async def test_new_partitions_and_recreated_topics_are_seen_at_once(broker: Broker, admin: Admin, name: str) -> None:
    await admin.topic(name)
    await admin.produce(name, 0, 10)
    await admin.commit(name, {(name, 0): 4})
    async with asking(lag(broker, name, name), seconds=SECONDS) as (live,):
        assert value(await live.current()) == 6
        await admin.grow(name, 3)
        assert await until(live, 8)
        await admin.delete_topic(name)
        assert "does not exist" in str((await failing(live)).failure)
        await admin.topic(name, 2)
        # Its offsets went with the topic: nothing is committed in either partition.
        assert await until(live, 2)


PARTITIONS = 3
HISTORY = st.lists(
    st.tuples(st.sampled_from(["produce", "commit", "delete"]), st.integers(0, PARTITIONS - 1), st.integers(0, 9)),
    max_size=14,
)


async def test_lag_is_what_kafka_itself_says(broker: Broker, name: str) -> None:
    """Histories of records, commits and deletions; at the end Kafka's own tool tells about all of them."""
    loop, numbers = asyncio.get_running_loop(), itertools.count()
    ours: dict[tuple[str, str, int], int] = {}

    async def example(history: list[tuple[str, int, int]]) -> None:
        topic = f"{name}-{next(numbers)}"
        await admin.topic(topic, PARTITIONS)
        known = await played(admin, topic, history)
        asked = [
            lag(broker, topic, topic, partitionLimitation=str(partition), offsetResetPolicy="earliest")
            for partition in range(PARTITIONS)
        ]
        async with asking(*asked, seconds=SECONDS) as live:
            values = [value(await trigger.current()) for trigger in live]
        for partition, (start, at, end) in known.items():
            assert values[partition] == end - (start if at is None else at)
            if at is not None:
                ours[topic, topic, partition] = int(values[partition])

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HISTORY)
    def examples(history: list[tuple[str, int, int]]) -> None:
        asyncio.run_coroutine_threadsafe(example(history), loop).result(WAIT_SECONDS)

    async with administered(broker.address) as admin:
        await asyncio.to_thread(examples)
    told = await asyncio.to_thread(committed, broker.address)
    assert ours
    assert ours == {place: lag for place, (_, _, lag) in told.items() if place[0].startswith(f"{name}-")}


async def played(
    admin: Admin, topic: str, history: list[tuple[str, int, int]]
) -> dict[int, tuple[int, int | None, int]]:
    """Play a history; return first record, commit and end of each partition."""
    state: dict[int, tuple[int, int | None, int]] = dict.fromkeys(range(PARTITIONS), (0, None, 0))
    for what, partition, count in history:
        start, at, end = state[partition]
        match what:
            case "produce":
                await admin.produce(topic, partition, count)
                state[partition] = (start, at, end + count)
            case "commit":
                at = min(end, (at or 0) + count)
                await admin.commit(topic, {(topic, partition): at})
                state[partition] = (start, at, end)
            case "delete":
                start = min(end, start + count)
                await admin.delete_before(topic, partition, start)
                state[partition] = (start, at, end)
    return state


# --- how few --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def before(broker: Broker) -> AsyncIterator[tuple[Proxy, int]]:
    listener = broker.listeners[PROXIED]
    assert listener.advertised
    async with proxied(listener.advertised, listener.port) as proxy:
        yield proxy, listener.advertised


@pytest.fixture(scope="module")
def thousand(broker: Broker) -> int:
    """Return how many groups there are in the topic `thousand`, called as their numbers are."""
    count = 1000

    async def make() -> None:
        async with administered(broker.address) as admin:
            await admin.topic("thousand", 4)
            for partition in range(4):
                await admin.produce("thousand", partition, 2)
            await admin.commit_all({str(n): {("thousand", p): (n + p) % 3 for p in range(4)} for n in range(count)})

    asyncio.run(make())
    return count


@pytest.mark.parametrize("hidden", [{}, {OFFSET_FETCH: 3, FIND_COORDINATOR: 1}], ids=["new", "old"])
async def test_a_thousand_triggers(broker: Broker, thousand: int, hidden: dict[int, int]) -> None:
    async with before(broker) as (proxy, port):
        proxy.hidden = hidden
        asked = [lag(broker, str(n), "thousand", port=port) for n in range(thousand)]
        async with asking(*asked, seconds=60) as live:
            for _ in range(2):
                proxy.requests.clear()
                # All due at one time, as the triggers of one source are.
                outcomes = await asyncio.gather(*(trigger.current() for trigger in live))
                expected = [sum(max(0, 2 - (n + p) % 3) for p in range(4)) for n in range(thousand)]
                assert [value(outcome) for outcome in outcomes] == expected
                await asyncio.sleep(0.02)
            assert proxy.connections <= CONNECTIONS
            assert broker.connections(PROXIED) <= CONNECTIONS
        # A broker before 3.0 is asked group by group, over the same connection.
        assert proxy.requests.total() - (thousand if hidden else 0) <= REQUESTS
        assert proxy.requests[METADATA] == proxy.requests[LIST_OFFSETS] == 1
        assert proxy.requests[FIND_COORDINATOR] == 0
    await left(broker, 0, PROXIED)


# --- how it goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", [METADATA, FIND_COORDINATOR, OFFSET_FETCH, LIST_OFFSETS])
async def test_a_connection_that_breaks_in_the_middle_of_an_answer(
    broker: Broker, admin: Admin, name: str, api: int
) -> None:
    await admin.topic(name)
    await admin.produce(name, 0, 3)
    await admin.commit(name, {(name, 0): 1})
    async with before(broker) as (proxy, port):  # noqa: SIM117  the proxy's port makes the trigger
        async with asking(lag(broker, name, name, port=port), seconds=SECONDS) as (live,):
            if api != FIND_COORDINATOR:
                assert value(await live.current()) == 2
                await asyncio.sleep(0.05)
            proxy.cut = api
            # Opened anew, and asked again, before anybody notices.
            assert value(await live.current()) == 2
            await asyncio.sleep(0.05)
            assert proxy.cut is None
            assert broker.connections(PROXIED) == proxy.connections == 1
    await left(broker, 0, PROXIED)


async def test_a_broker_that_hangs_and_one_that_dies(broker: Broker, name: str) -> None:
    async with administered(broker.address) as admin:
        await admin.topic(name)
        await admin.produce(name, 0, 3)
        await admin.commit(name, {(name, 0): 1})
    async with asking(lag(broker, name, name), lag(broker, "other", name), seconds=2) as (live, _):
        await left(broker, 0)
        assert await until(live, 2)
        assert broker.connections() == 1
        broker.kill(signal.SIGSTOP)
        assert "did not answer within 2 s" in str((await failing(live)).failure)
        broker.kill(signal.SIGCONT)
        assert await until(live, 2)
        broker.kill()
        assert await said(live, "Connection refused")
        broker.start()
        await asyncio.to_thread(broker.wait_ready)
        assert await until(live, 2)
        await left(broker, 1)
    await left(broker, 0)


async def test_nobody_there() -> None:
    given = {"consumerGroup": "g", "topic": "t"}
    for servers, says in [
        ("127.0.0.1:1", "broker 127.0.0.1:1: Connection refused"),
        ("no-such-host.invalid:9092", "broker no-such-host.invalid:9092"),
        ("127.0.0.1:nine", "expected host:port"),
    ]:
        outcome = await read(Asked(KafkaScaler, given | {"bootstrapServers": servers}), seconds=SECONDS)
        assert says in str(outcome.failure)
