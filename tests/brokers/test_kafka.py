"""Kafka and the engine together, on an embedded cluster: what the page shows, and a broker that is gone for a while."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.brokers.certificate import Authority
from tests.brokers.kafka import PASSWORD, USER, Broker, certified, kafka, sasl
from tests.brokers.kafka_admin import administered
from tests.pages import Manifest, manifests, trying
from tests.scalers.kafka_world import left, warmed_up

from .engine import OUTAGE_SECONDS, PATIENCE, WAIT_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
"""Starting a JVM takes its time on a slow machine, and the first time of all Kafka is fetched."""
AUTHORITY = Authority()
SASL = "SASL"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    with kafka(folder, [[sasl(SASL, certified(folder, AUTHORITY, trusted=AUTHORITY))]]) as (broker,):
        asyncio.run(warmed_up(broker))
        yield broker


async def test_the_targets_of_the_page_wake_and_sleep(broker: Broker) -> None:
    replaced = {
        "kafka-0.kafka.shop.svc:9092,kafka-1.kafka.shop.svc:9092": broker.address,
        "kafka.shop.svc:9093": f"localhost:{broker.listeners[SASL].port}",
        "username: keda": f"username: {USER}",
        "from-your-vault": PASSWORD,
        "the-authority-in-PEM": json.dumps(AUTHORITY.pem),
    }
    async with administered(broker.address) as admin, trying(http_timeout=PATIENCE) as cluster:
        for topic, group, partitions in (
            ("orders", "order-workers", 3),
            ("payments", "payment-workers", 3),
            ("refunds", "payment-workers", 1),
        ):
            await admin.topic(topic, partitions)
            await admin.commit(group, {(topic, partition): 0 for partition in range(partitions)})
        cluster.apply(*manifests("triggers/kafka.md", replaced))
        await cluster.until(lambda: cluster.ready("orders")[0] == cluster.ready("payments")[0] == "True", WAIT_SECONDS)
        assert (cluster.replicas("order-worker"), cluster.replicas("payment-worker")) == (0, 0)
        # 120 records at 50 each, and 20 and 5 at 10 each.
        for topic, count in (("orders", 120), ("payments", 20), ("refunds", 5)):
            await admin.produce(topic, 0, count)
        await cluster.until(
            lambda: cluster.replicas("order-worker") == cluster.replicas("payment-worker") == 3, WAIT_SECONDS
        )
        await admin.commit("order-workers", {("orders", 0): 120})
        await admin.commit("payment-workers", {("payments", 0): 20, ("refunds", 0): 5})
        await cluster.until(
            lambda: cluster.replicas("order-worker") == cluster.replicas("payment-worker") == 0, WAIT_SECONDS
        )
    await left(broker, 0, SASL)


async def test_a_broker_that_is_gone_for_a_while(broker: Broker) -> None:
    async with administered(broker.address) as admin:
        for name, count in (("busy", 30), ("idle", 0)):
            await admin.topic(name, 3)
            await admin.commit(name, {(name, partition): 0 for partition in range(3)})
            await admin.produce(name, 0, count)
    async with trying(http_timeout=PATIENCE) as cluster:
        cluster.apply(*(waits_for(broker, name) for name in ("busy", "idle")))
        await cluster.until(lambda: cluster.replicas("busy") == 3 and cluster.ready("idle")[0] == "True", WAIT_SECONDS)
        await left(broker, 1)
        before = cluster.generations()
        broker.kill()
        await asyncio.sleep(OUTAGE_SECONDS)
        for name in ("busy", "idle"):
            state, message = cluster.ready(name)
            assert state == "False"
            assert f"broker {broker.address}: Connection refused" in message
            assert "replicas are held" in message
        broker.start()
        await asyncio.to_thread(broker.wait_ready)
        back = asyncio.get_running_loop().time()
        await cluster.until(lambda: cluster.all_read_since(back), WAIT_SECONDS)
        assert cluster.generations() == before
        await left(broker, 1)
        async with administered(broker.address) as admin:
            await admin.commit("busy", {("busy", 0): 30})
            await admin.produce("idle", 0, 30)
        await cluster.until(lambda: (cluster.replicas("busy"), cluster.replicas("idle")) == (0, 3), WAIT_SECONDS)
        assert all(cluster.generations()[name] > before[name] for name in before)
    await left(broker, 0)


def waits_for(broker: Broker, name: str) -> Manifest:
    """Return the ScaledObject of a target, a group and a topic of the same name."""
    metadata = {"bootstrapServers": broker.address, "consumerGroup": name, "topic": name, "lagThreshold": "10"}
    spec = {"scaleTargetRef": {"name": name}, "triggers": [{"type": "kafka", "metadata": metadata}]}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}
