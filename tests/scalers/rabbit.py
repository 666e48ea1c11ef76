"""What tests of the `rabbitmq` trigger share: triggers, messages, and waiting for the broker's statistics."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aio_pika
from aio_pika.abc import AbstractChannel
from keda_py_scalers.rabbitmq import RabbitMQScaler

from tests.brokers.rabbitmq import Broker

from .asking import Asked

WAIT_SECONDS: Final = 40.0
SECONDS: Final = 20.0
"""How long an answer may take where silence is not the point."""


def path(vhost: str, queue: str = "") -> str:
    """Return where the management API has a queue, or all of a virtual host."""
    return f"/api/queues/{quote(vhost, safe='')}" + (f"/{quote(queue, safe='')}" if queue else "")


def declare(broker: Broker, *queues: str, vhost: str = "/") -> None:
    """Make queues, in one request however many."""
    found = [{"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": {}} for name in queues]
    broker.call("POST", "/api/definitions", {"queues": found})


def trigger(host: str, queue: str, auth: dict[str, str] | None = None, **metadata: str) -> Asked:
    """Return a trigger on a queue."""
    return Asked(RabbitMQScaler, {"host": host, "queueName": queue} | metadata, auth or {})


@asynccontextmanager
async def channel(broker: Broker, vhost: str = "/") -> AsyncIterator[AbstractChannel]:
    """Yield a channel of a client that puts messages in and takes them out."""
    connection = await aio_pika.connect(
        host="127.0.0.1", port=broker.ports["amqp"], virtualhost=vhost, client_properties={"connection_name": "tests"}
    )
    async with connection:
        yield await connection.channel()


async def put(open_channel: AbstractChannel, queue: str, count: int) -> None:
    """Publish messages, each confirmed by the broker."""
    messages = (aio_pika.Message(b"x", delivery_mode=aio_pika.DeliveryMode.PERSISTENT) for _ in range(count))
    await asyncio.gather(*(open_channel.default_exchange.publish(message, queue) for message in messages))


async def eventually(ask: Callable[[], Awaitable[Any]], is_right: Callable[[Any], bool]) -> Any:
    """Return the first answer that is right."""
    until = time.monotonic() + WAIT_SECONDS
    while not is_right(answer := await ask()):
        assert time.monotonic() < until, answer
        await asyncio.sleep(0.1)
    return answer


def ours(broker: Broker) -> list[dict[str, Any]]:
    """Return the connections of the scaler, as the broker knows them."""
    found = broker.call("GET", "/api/connections?columns=name,user,channels,client_properties.connection_name")
    return [one for one in found if one.get("client_properties", {}).get("connection_name") == "keda-py"]


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
