"""Queues of real brokers, as the program in a Job's container uses them: take one message, and say when it is done."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from tests.brokers.rabbitmq import Broker
from tests.brokers.sqs import client
from tests.scalers.rabbit import channel


@dataclass(frozen=True)
class Message:
    """A message that is worked on; nobody else gets it meanwhile."""

    text: str
    done: Callable[[], Awaitable[Any]]


class Queue(Protocol):
    """A queue."""

    async def put(self, text: str) -> None:
        """Put a message in; it is there when this returns."""

    async def take(self) -> Message | None:
        """Take a message out; None if there is none."""


Opened = AbstractAsyncContextManager[Queue]


@dataclass(frozen=True)
class RabbitQueue:
    """A queue of RabbitMQ."""

    channel: AbstractChannel
    queue: AbstractQueue

    async def put(self, text: str) -> None:
        message = aio_pika.Message(text.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.channel.default_exchange.publish(message, self.queue.name)

    async def take(self) -> Message | None:
        found = await self.queue.get(fail=False)
        return None if found is None else Message(found.body.decode(), found.ack)


@asynccontextmanager
async def of_rabbitmq(broker: Broker, name: str) -> AsyncIterator[Queue]:
    """Open a queue of RabbitMQ, made if need be."""
    async with channel(broker) as opened:
        yield RabbitQueue(opened, await opened.declare_queue(name, durable=True))


@dataclass(frozen=True)
class SqsQueue:
    """A queue of SQS."""

    sqs: Any
    url: str

    async def put(self, text: str) -> None:
        await self.sqs.send_message(QueueUrl=self.url, MessageBody=text)

    async def take(self) -> Message | None:
        found = await self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=1)
        for message in found.get("Messages", []):
            delete = partial(self.sqs.delete_message, QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return Message(message["Body"], delete)
        return None


@asynccontextmanager
async def of_sqs(address: str, name: str) -> AsyncIterator[Queue]:
    """Open a queue of SQS, made if need be; what is taken stays taken for as long as a test lasts."""
    async with client(address) as sqs:
        made = await sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "900"})
        yield SqsQueue(sqs, made["QueueUrl"])
