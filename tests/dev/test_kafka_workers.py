"""A developer's story with a real Kafka: the sample's workers are processes that come with orders, and go without."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.brokers.kafka import committed, kafka
from tests.brokers.kafka_admin import administered

from .command import Dev, dev

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CLONE: Final = Path(__file__).parents[2]
SAMPLE: Final = CLONE / "manifests" / "samples" / "kafka"
PARTITIONS: Final = 2
ORDERS: Final = 15


def test_workers_come_with_orders_and_go_when_they_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with the environment's programs on the PATH: that python3 has aiokafka.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with kafka(tmp_path) as (broker,):
        asyncio.run(ordered(broker.address, 0))
        manifest = tmp_path / "worker.yaml"
        manifest.write_text(as_here((SAMPLE / "worker.yaml").read_text(), broker.address))
        with dev(tmp_path, "--run-processes", "--hpa-sync=2s", str(manifest)) as running:
            running.wait_for("order-worker: -  0/0 ready; kafka 0 / 10 per replica; triggers are not active")
            assert workers(running) == []
            asyncio.run(ordered(broker.address, ORDERS))
            running.wait_for("keda-py: Deployment/order-worker 0 -> 1: triggers are active (s0-kafka-orders)")
            running.wait_for("HPA: keda-hpa-order-worker -> 2: external metric s0-kafka-orders above target")
            running.wait_for("order-worker: ##  2/2 ready")
            running.wait_until(lambda: len(workers(running)) == PARTITIONS, "2 workers")
            running.wait_for("2 -> 0: triggers were inactive for the whole cooldown")
            running.wait_until(lambda: workers(running) == [], "no workers")
        done = committed(broker.address)
        assert {key: lag for key, (_, _, lag) in done.items()} == {
            ("order-workers", "orders", partition): 0 for partition in range(PARTITIONS)
        }
        assert sum(at for at, _, _ in done.values()) == PARTITIONS * ORDERS


def as_here(manifest: str, address: str) -> str:
    """Return the sample as a person would change it: where Kafka is, and where the clone is."""
    for old, new in (("127.0.0.1:9092", address), ("manifests/samples/kafka", str(SAMPLE))):
        assert old in manifest
        manifest = manifest.replace(old, new)
    return manifest


async def ordered(address: str, count: int) -> None:
    """Order so much in each partition; at first, nothing but the topic is there."""
    async with administered(address) as admin:
        if not count:
            await admin.topic("orders", PARTITIONS)
        for partition in range(PARTITIONS):
            await admin.produce("orders", partition, count)


def workers(running: Dev) -> list[int]:
    """Return the ids of the sample's workers."""
    return [pid for pid, command in running.processes().items() if str(SAMPLE / "worker.py") in command]
