"""A password of a real broker is changed under load: no wrong move comes of it, in whichever order it is changed."""

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.brokers.rabbitmq import Broker
from tests.scalers.rabbit import channel, put

from .test_authentication import authentication, refs, secret
from .world import World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(600)]

TARGET = 5
"""Messages that one replica is to have."""
LONG = 120.0
BEHIND = 60.0
"""Seconds that replicas may be behind the queue: what a source that refused us is left alone for, and two polls."""
APART = 6.0
"""Seconds between the change at the broker and that of the Secret: some polls fail meanwhile."""
ORDERS = ("broker first", "Secret first")
PROTOCOLS = ("amqp", "http")


class Load:
    """A queue that only grows, message by message: what it says at any time is known exactly."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker, self._queue = broker, queue
        self._ended = threading.Event()
        self.published: list[float] = []
        """When each message was there."""

    def wanted(self, at: float) -> int:
        """Return how many replicas the queue asked for at a moment."""
        return math.ceil(sum(moment <= at for moment in self.published) / TARGET)

    async def _publish(self) -> None:
        async with channel(self._broker) as opened:
            await opened.declare_queue(self._queue, durable=True)
            while not self._ended.is_set():
                await put(opened, self._queue, 1)
                self.published.append(time.monotonic())
                await asyncio.sleep(0.7)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Publish within the block."""
        thread = threading.Thread(target=lambda: asyncio.run(self._publish()))
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(30)


@pytest.mark.parametrize("order", ORDERS)
def test_a_password_is_changed_under_load(world: World, rabbit: Broker, order: str) -> None:
    queue = f"load-{world.namespace}"
    load = Load(rabbit, queue)
    users = {protocol: f"{protocol}-{world.namespace}" for protocol in PROTOCOLS}
    seen: dict[str, list[int]] = {protocol: [] for protocol in PROTOCOLS}

    def passwords(text: str, *, of: str) -> None:
        for protocol, user in users.items():
            if of == "broker":
                rabbit.add_user(user, text)
            else:
                host = rabbit.host(protocol, user=f"{user}:{text}")
                world.apply(secret(protocol, host=host))

    def keeps_up() -> bool:
        """Look once: never fewer than before, never more than the queue asks for, and not for long less."""
        for protocol in PROTOCOLS:
            count, now = world.replicas(protocol), time.monotonic()
            least, most = load.wanted(now - BEHIND), max(1, load.wanted(now))
            assert max(seen[protocol], default=1) <= count, f"{protocol}: {seen[protocol][-1]} -> {count}"
            assert least <= count <= most, f"{protocol}: {count} replicas, the queue asked for {least} to {most}"
            seen[protocol].append(count)
        return True

    passwords("first-word", of="broker")
    passwords("first-word", of="Secret")
    with load.running():
        world.until(lambda: bool(load.published), "the queue is there", LONG)
        for protocol in PROTOCOLS:
            world.apply(authentication(protocol, secretTargetRef=refs(protocol, host="host")))
            trigger = {
                "type": "rabbitmq",
                "metadata": {"queueName": queue, "mode": "QueueLength", "value": str(TARGET)},
                "authenticationRef": {"name": protocol},
            }
            world.scaled(protocol, trigger, pollingInterval=2, cooldownPeriod=1, minReplicaCount=0)
            world.until(lambda name=protocol: world.replicas(name) >= 2, "at work", LONG)  # type: ignore[misc]
        sides = ["broker", "Secret"] if order == "broker first" else ["Secret", "broker"]
        passwords("second-word", of=sides[0])
        world.stays_so(keeps_up, APART)
        passwords("second-word", of=sides[1])
        world.stays_so(keeps_up, BEHIND / 2)
        after = {protocol: world.replicas(protocol) for protocol in PROTOCOLS}
        world.until(
            lambda: keeps_up() and all(world.replicas(protocol) > after[protocol] for protocol in PROTOCOLS),
            "both go on with the new password",
            LONG,
        )
        for protocol in PROTOCOLS:
            world.until_ready(protocol, seconds=LONG)
            assert len(set(seen[protocol])) > 2, "it moved all the time"
