"""Servers that announce more than anybody should read: what is told, and that nothing of it is kept."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from keda_py_scalers.apache_kafka import ApacheKafkaScaler
from keda_py_scalers.bounded import MOST_MEBIBYTES, BoundedReader, OversizedError
from keda_py_scalers.kafka import KafkaScaler

from .asking import Asked, read
from .rabbit import trigger

GIBIBYTE = 2**30
BLOCK = bytes(2**20)
SECONDS = 10.0
ABOVE_BUFFERS = 32 * 2**20
"""More than the buffers of a socket hold: what was taken beyond that, somebody has read."""


class Flood:
    """A server that announces a gigabyte, and sends it as long as anybody takes it."""

    def __init__(self, announced: bytes) -> None:
        self.announced = announced
        self.port = 0
        self.taken = 0
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.current_task())
        with suppress(OSError):
            await reader.read(4)
            writer.write(self.announced)
            for _ in range(GIBIBYTE // len(BLOCK)):
                writer.write(BLOCK)
                await writer.drain()
                self.taken += len(BLOCK)
        writer.close()


@asynccontextmanager
async def flooding(announced: bytes) -> AsyncIterator[Flood]:
    flood = Flood(announced)
    server = await asyncio.start_server(flood.serve, "127.0.0.1", 0)
    flood.port = server.sockets[0].getsockname()[1]
    yield flood
    server.close()
    for task in filter(None, flood.serving):
        task.cancel()
    await asyncio.gather(*filter(None, flood.serving), return_exceptions=True)


def kafka(kind: Any) -> Callable[[int], Asked]:
    return lambda port: Asked(kind, {"bootstrapServers": f"127.0.0.1:{port}", "consumerGroup": "g", "topic": "t"})


def amqp(port: int) -> Asked:
    return trigger(f"amqp://guest:guest@127.0.0.1:{port}", "q")


METHOD = 1


@pytest.mark.parametrize(
    ("asked", "announced", "says"),
    [
        (
            kafka(KafkaScaler),
            struct.pack(">i", GIBIBYTE),
            "answered more than 64 MiB: is this port Kafka's, and are tls and sasl what its listener expects?",
        ),
        (
            kafka(ApacheKafkaScaler),
            b"HTTP",
            "answered more than 64 MiB: is this port Kafka's, and are tls and sasl what its listener expects?",
        ),
        (
            kafka(KafkaScaler),
            struct.pack(">i", -1),
            "answered more than 64 MiB: is this port Kafka's, and are tls and sasl what its listener expects?",
        ),
        (amqp, struct.pack(">BHI", METHOD, 0, GIBIBYTE), "answered more than 64 MiB: is this the port for AMQP?"),
    ],
)
async def test_what_is_too_much_is_not_read(asked: Callable[[int], Asked], announced: bytes, says: str) -> None:
    async with flooding(announced) as flood:
        outcome = await read(asked(flood.port), seconds=SECONDS)
        assert says in str(outcome.failure)
        assert f"127.0.0.1:{flood.port}" in str(outcome.failure)
        assert not outcome.readings
        assert flood.taken < ABOVE_BUFFERS


async def test_the_largest_answer_is_read_to_its_end() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"12345678")
    stream.feed_eof()
    reader = BoundedReader(stream)
    assert await reader.readexactly(0) == b""
    assert await reader.readexactly(8) == b"12345678"
    assert reader.at_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(MOST_MEBIBYTES * 2**20)
    with pytest.raises(OversizedError):
        await reader.readexactly(MOST_MEBIBYTES * 2**20 + 1)
