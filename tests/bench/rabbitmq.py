"""Measures a thousand queues of one RabbitMQ, and prints a table: ``python -m tests.bench.rabbitmq``.

The triggers are read as the daemon reads them, through their shared source, with the broker beside them on the same
machine. A round is one reading of each of the thousand.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from keda_py_scalers.rabbitmq import RabbitMQScaler
from keda_py_scalers.rabbitmq_http import MANY
from keda_py_scalers.rabbitmq_rule import Question

from keda_py.scaler import Platform
from keda_py.testing import FakeKubernetes, made
from tests.brokers.rabbitmq import Broker, rabbitmq
from tests.scalers.asking import asking, value
from tests.scalers.rabbit import channel, ours, put, trigger

QUEUES: Final = 1000
ROUNDS: Final = 10
NAMES: Final = [f"work-{number}" for number in range(QUEUES)]


async def rounds(ask: Callable[[], Awaitable[Any]]) -> str:
    """Return how long a round took: the middle one, the slowest, and what of the middle one was our processor time."""
    took, used = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter(), time.process_time()
        await ask()
        took.append(1000 * (time.perf_counter() - began[0]))
        used.append(1000 * (time.process_time() - began[1]))
    return f"{statistics.median(took):6.0f} {max(took):6.0f} {statistics.median(used):6.0f}"


async def triggers(broker: Broker, scheme: str) -> str:
    """Return the row of a thousand triggers."""
    asked = [trigger(broker.host(scheme), name) for name in NAMES]
    async with asking(*asked, seconds=60) as live:

        async def ask() -> None:
            outcomes = await asyncio.gather(*(one.current() for one in live))
            assert sum(value(outcome) for outcome in outcomes) == QUEUES // 10

        await ask()
        took = await rounds(ask)
        found = await asyncio.to_thread(ours, broker)
        channels = sum(one["channels"] for one in found)
    return f"{len(found) or '-':>11} {channels or '-':>8} {took}"


async def one_by_one(broker: Broker) -> str:
    """Return the row of a thousand single requests: so few at a time that no list is read."""
    scaler = made(RabbitMQScaler, {"host": broker.host("http"), "queueName": "q"})
    platform = Platform(now=lambda: datetime.now(UTC), kubernetes=FakeKubernetes(), http_timeout=timedelta(seconds=60))
    async with RabbitMQScaler.connect(scaler.meta, scaler.trigger, platform) as connection:
        questions = [Question(name, 60) for name in NAMES]
        parts = [questions[start : start + MANY - 1] for start in range(0, QUEUES, MANY - 1)]
        took = await rounds(lambda: asyncio.gather(*(connection.answer_all(part) for part in parts)))
    return f"{'-':>11} {'-':>8} {took}"


async def measure(broker: Broker) -> None:
    """Fill a tenth of the queues, and print what reading all of them costs."""
    queues = [{"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}} for name in NAMES]
    broker.call("POST", "/api/definitions", {"queues": queues})
    async with channel(broker) as client:
        for name in NAMES[::10]:
            await put(client, name, 1)
    while sum(queue.get("messages", 0) for queue in broker.call("GET", "/api/queues?columns=messages") if queue) < 100:
        await asyncio.sleep(0.5)
    print(f"{QUEUES} queues           connections channels     ms    max    cpu")
    print(f"amqp                  {await triggers(broker, 'amqp')}")
    print(f"http, pages of a list {await triggers(broker, 'http')}")
    print(f"http, one by one      {await one_by_one(broker)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, rabbitmq(Path(folder)) as running:
        asyncio.run(measure(running))
