"""What tests of the trigger `aws-sqs-queue` share: queues, triggers that read them, and waiting for a value."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from keda_py_scalers.aws_sqs_queue import DELAYED, IN_FLIGHT, VISIBLE, AwsSqsQueueScaler

from keda_py.engine.trigger import LiveTrigger
from tests.brokers.sqs import REGION, SERVERS, client

from .asking import Asked, value

KEYS = {"awsAccessKeyID": "AKIDTESTS", "awsSecretAccessKey": "c4nary-secret", "awsSessionToken": "c4nary-token"}
PATIENCE = 60.0


@dataclass
class Queue:
    """A queue of a test's own."""

    url: str
    sqs: Any

    async def send(self, count: int, *, delay: int = 0) -> None:
        for number in range(count):
            await self.sqs.send_message(QueueUrl=self.url, MessageBody=str(number), DelaySeconds=delay)

    async def receive(self, count: int) -> list[str]:
        """Take so many messages, which are in flight from then on; return what deletes them."""
        taken: list[str] = []
        while len(taken) < count:
            wanted = min(10, count - len(taken))
            answer = await self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=wanted)
            taken += [message["ReceiptHandle"] for message in answer.get("Messages", [])]
        return taken

    async def delete(self, handles: list[str]) -> None:
        for handle in handles:
            await self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=handle)

    async def counts(self) -> dict[str, int]:
        """Return the server's own counts."""
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[VISIBLE, IN_FLIGHT, DELAYED])
        return {name: int(answer["Attributes"][name]) for name in (VISIBLE, IN_FLIGHT, DELAYED)}


@asynccontextmanager
async def queue(server: str, name: str = "") -> AsyncIterator[Queue]:
    async with client(server) as sqs:
        made = await sqs.create_queue(
            QueueName=name or f"q-{uuid.uuid4().hex}", Attributes={"VisibilityTimeout": "900"}
        )
        yield Queue(made["QueueUrl"], sqs)


def asked(endpoint: str, url: str, **metadata: str) -> Asked:
    given = {"queueURL": url, "awsRegion": REGION, "awsEndpoint": endpoint} | metadata
    return Asked(AwsSqsQueueScaler, given, KEYS)


async def values(live: list[LiveTrigger]) -> list[float]:
    return [value(outcome) for outcome in await asyncio.gather(*(one.current() for one in live))]


async def until_read(live: LiveTrigger, expected: float) -> None:
    """Read until that is the value, and see that until then there is a failure and no value."""
    until = time.monotonic() + PATIENCE
    while (outcome := await live.current()).failure is not None:
        assert not outcome.readings
        assert time.monotonic() < until, outcome.failure
        await asyncio.sleep(0.1)
    assert value(outcome) == expected


def length(number: int) -> int:
    """How many messages the n-th of many queues has."""
    return number % 3 if number < 40 else 0


async def queues(server: str, count: int) -> list[str]:
    run = uuid.uuid4().hex
    urls: list[str] = []
    async with client(server) as sqs:
        for number in range(count):
            urls.append((await sqs.create_queue(QueueName=f"m-{run}-{number}"))["QueueUrl"])
            for _ in range(length(number)):
                await sqs.send_message(QueueUrl=urls[-1], MessageBody="m")
    return urls


@contextmanager
def started_servers(folders: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Start each server when the first test wants it, for all of them; yield what returns its address."""
    addresses: dict[str, str] = {}
    with ExitStack() as stack:

        def address(name: str) -> str:
            if name not in addresses:
                addresses[name] = stack.enter_context(SERVERS[name](folders.mktemp(name)))
            return addresses[name]

        yield address
