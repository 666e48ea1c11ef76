"""What tests of Kafka triggers on real brokers share: triggers to ask, and waiting until something holds."""

import asyncio
from typing import Any

from keda_py_scalers.kafka import KafkaScaler

from keda_py.engine.trigger import LiveTrigger, Outcome
from tests.brokers.kafka import PLAIN_LISTENER, Broker
from tests.brokers.kafka_admin import administered

from .asking import Asked, value

SECONDS = 10.0
"""How long an answer may take where silence is not the point."""
WAIT_SECONDS = 180.0


async def warmed_up(broker: Broker) -> None:
    """Have the topic of offsets made, which Kafka does when it is first asked for a coordinator."""
    async with administered(broker.address) as admin:
        await admin.topic("warm")
        await admin.commit("warm", {("warm", 0): 0})


def lag(broker: Broker, group: str, topic: str, *, kind: Any = KafkaScaler, port: int = 0, **metadata: str) -> Asked:
    servers = f"127.0.0.1:{port or broker.port}"
    given = {"bootstrapServers": servers, "consumerGroup": group, "topic": topic, "allowIdleConsumers": "true"}
    return Asked(kind, given | metadata)


async def until(live: LiveTrigger, expected: float) -> bool:
    """Return whether the value comes to be what is expected."""
    last: Outcome | None = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                last = await live.current()
                if last.failure is None and value(last) == expected:
                    return True
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"waited for {expected}, at last there was {last}") from None


async def failing(live: LiveTrigger) -> Outcome:
    """Return the first outcome that is a failure."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (outcome := await live.current()).failure is None:
            await asyncio.sleep(0.1)
    return outcome


async def said(live: LiveTrigger, words: str) -> str:
    """Return the first failure with these words."""
    async with asyncio.timeout(WAIT_SECONDS):
        while words not in (text := str((await live.current()).failure)):
            await asyncio.sleep(0.1)
    return text


async def left(broker: Broker, count: int, listener: str = PLAIN_LISTENER) -> None:
    """Wait until a listener has so many connections left."""
    async with asyncio.timeout(WAIT_SECONDS):
        while broker.connections(listener) != count:
            await asyncio.sleep(0.1)
