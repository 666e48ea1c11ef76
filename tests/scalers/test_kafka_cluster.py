"""Kafka triggers against a cluster whose leaders and coordinators move: a reading is right, or it is none."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from keda_py_scalers.kafka import KafkaScaler

from keda_py.engine.trigger import LiveTrigger
from tests.brokers.kafka import Broker, Listener, kafka
from tests.brokers.kafka_admin import Admin, administered
from tests.pages import trying

from .asking import Asked, asking, value
from .kafka_world import SECONDS, WAIT_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
"""Starting a JVM takes its time on a slow machine, and the first time of all Kafka is fetched."""
PARTITIONS, GROUPS = 6, 12
RIGHT = 3 * PARTITIONS
CLIENTS = "CLIENTS"
"""What brokers say to each other goes over another listener."""


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Broker]]:
    with kafka(tmp_path_factory.mktemp("cluster"), [[Listener(CLIENTS)], [Listener(CLIENTS)]]) as brokers:
        asyncio.run(filled(brokers))
        yield brokers


async def filled(brokers: list[Broker]) -> None:
    """Make a topic with leaders and groups with coordinators on both brokers."""
    async with administered(*(broker.address for broker in brokers)) as admin:
        await admin.topic("orders", PARTITIONS, replicas=2)
        for partition in range(PARTITIONS):
            await admin.produce("orders", partition, 5)
        await at_home(admin)


async def at_home(admin: Admin) -> None:
    """Wait until both brokers lead partitions, and look after groups and have loaded what those committed."""
    async with asyncio.timeout(WAIT_SECONDS):
        while set((await admin.leaders("orders")).values()) != {1, 2} or set(await coordinators(admin)) != {1, 2}:
            await asyncio.sleep(0.2)
    offsets = {("orders", partition): 2 for partition in range(PARTITIONS)}
    await admin.commit_all({f"g{group}": offsets for group in range(GROUPS)})


async def coordinators(admin: Admin) -> list[int]:
    return [(await admin.coordinator(f"g{group}"))[0] for group in range(GROUPS)]


@asynccontextmanager
async def reading(brokers: list[Broker], *, seconds: float = SECONDS) -> AsyncIterator[list[LiveTrigger]]:
    """Yield a trigger for each group, and one for each partition by a group that the first broker looks after.

    Both brokers have something to do from the start.
    """
    async with administered(*(broker.address for broker in brokers)) as admin:
        await at_home(admin)
        first = (await coordinators(admin)).index(1)
    servers = ",".join(f"127.0.0.1:{broker.listeners[CLIENTS].port}" for broker in brokers)
    given = {"bootstrapServers": servers, "topic": "orders", "allowIdleConsumers": "true"}
    asked = [Asked(KafkaScaler, given | {"consumerGroup": f"g{group}"}) for group in range(GROUPS)]
    asked += [
        Asked(KafkaScaler, given | {"consumerGroup": f"g{first}", "partitionLimitation": str(partition)})
        for partition in range(PARTITIONS)
    ]
    async with asking(*asked, seconds=seconds) as live:
        yield live


async def read_all(live: list[LiveTrigger]) -> list[float | None]:
    """Return what each trigger reads now, None for a failure; a wrong value is none of the two."""
    outcomes = await asyncio.gather(*(trigger.current() for trigger in live))
    values = [None if outcome.failure else value(outcome) for outcome in outcomes]
    assert all(found in (None, RIGHT) for found in values[:GROUPS])
    assert all(found in (None, 3) for found in values[GROUPS:])
    return values


async def until_all_right(live: list[LiveTrigger]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while None in await read_all(live):
            await asyncio.sleep(0.1)


async def test_a_connection_to_each_broker_and_no_more(brokers: list[Broker]) -> None:
    async with reading(brokers) as live:
        await until_all_right(live)
        for _ in range(3):
            await asyncio.sleep(0.02)
            await read_all(live)
        assert [broker.connections(CLIENTS) for broker in brokers] == [1, 1]


async def test_fifty_scaled_objects_share_a_connection_to_each_broker(brokers: list[Broker]) -> None:
    names = [f"g{number}" for number in range(50)]
    async with administered(brokers[0].address) as admin:
        for name in names[GROUPS:]:
            await admin.commit(name, {("orders", partition): 2 for partition in range(PARTITIONS)})
    servers = ",".join(f"127.0.0.1:{broker.listeners[CLIENTS].port}" for broker in brokers)
    async with trying(http_timeout=timedelta(seconds=SECONDS)) as cluster:
        for name in names:
            metadata = {"bootstrapServers": servers, "topic": "orders", "consumerGroup": name, "lagThreshold": "9"}
            spec = {"scaleTargetRef": {"name": name}, "triggers": [{"type": "kafka", "metadata": metadata}]}
            head = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}}
            cluster.apply(head | {"spec": spec})
        await cluster.until(lambda: all(cluster.replicas(name) == 2 for name in names), WAIT_SECONDS)
        for _ in range(3):
            now = asyncio.get_running_loop().time()
            await cluster.until(partial(cluster.all_read_since, now), WAIT_SECONDS)
            assert [broker.connections(CLIENTS) for broker in brokers] == [1, 1]


async def test_a_silent_broker_costs_only_what_it_looks_after(brokers: list[Broker]) -> None:
    async with reading(brokers, seconds=3) as live:
        await until_all_right(live)
        brokers[1].kill(signal.SIGSTOP)
        try:
            # What the other one both leads and coordinates is read meanwhile, and in time.
            async with asyncio.timeout(WAIT_SECONDS):
                while len({found is None for found in await read_all(live)}) == 1:
                    await asyncio.sleep(0.05)
        finally:
            brokers[1].kill(signal.SIGCONT)
        await until_all_right(live)


async def test_leaders_and_coordinators_move(brokers: list[Broker]) -> None:
    async with reading(brokers) as live:
        await until_all_right(live)
        brokers[1].kill()
        # The first broker takes over what the second looked after; until it has, nobody is told a number.
        await until_all_right(live)
        async with administered(brokers[0].address) as admin:
            assert set(await coordinators(admin)) == {1}
            brokers[1].start()
            await asyncio.to_thread(brokers[1].wait_ready)
            await at_home(admin)
        # What was remembered about coordinators is wrong now, which one round finds out.
        assert None not in await read_all(live)
