"""One CloudEventSource at work: a bounded queue, and one task that sends what is in it, in its order.

So a receiver that is slow or gone costs its own source some events, and nobody else anything. What was not taken is
sent again a few times, ever later; then it is dropped and counted. As long as that goes on each event has one chance.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from keda_py.api.cloud_event_source import CloudEventSourceSpec
from keda_py.event_sink import CloudEvent, EventSink
from keda_py.runtime.source import as_scaler_error

QUEUED: Final = 1000
ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 0.5
SEND_SECONDS: Final = 10.0
"""How long one attempt may take: a login, if need be, and a request."""
CLOSE_SECONDS: Final = 5.0


class EventSource:
    """Who is told of events, and how that goes.

    `kind`: which kind of sink it has. `problem`: why it has none; `failure`: why it did not take the last event.
    """

    def __init__(self, *, chance: random.Random, turned: Callable[[], None]) -> None:
        """`turned`: told when sending begins to fail, or to succeed again."""
        self.spec: CloudEventSourceSpec | None = None
        self.kind = ""
        self.problem: str | None = None
        self.failure: str | None = None
        self.emitted = self.failed = 0
        self._chance = chance
        self._turned = turned
        self._waiting: deque[CloudEvent] = deque(maxlen=QUEUED)
        self._sink: EventSink | None = None
        self._old: list[EventSink] = []
        self._wake = asyncio.Event()

    @property
    def queued(self) -> int:
        """How many events wait."""
        return len(self._waiting)

    def put(self, event: CloudEvent) -> None:
        """Take an event, to be sent after those before it; of too many the oldest go."""
        self.failed += len(self._waiting) == QUEUED
        self._waiting.append(event)
        self._wake.set()

    def use(self, sink: EventSink | None, problem: str | None = None) -> None:
        """Send to another sink from now on; without one, events wait."""
        if self._sink is not None:
            self._old.append(self._sink)
        self._sink, self.problem, self.failure = sink, problem, None
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; then close what was opened."""
        try:
            while True:
                await self._wake.wait()
                await self._close_old()
                while self._waiting and self._sink is not None:
                    await self._deliver(self._waiting.popleft())
                    await self._close_old()
                self._wake.clear()
        finally:
            self.use(None)
            await self._close_old()

    async def _deliver(self, event: CloudEvent) -> None:
        attempts = ATTEMPTS if self.failure is None else 1
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2.0 ** (attempt - 1) * self._chance.uniform(0.5, 1.0))
            failure = await self._send(event)
            if failure is None:
                break
        self.emitted += failure is None
        self.failed += failure is not None
        # The first reason is kept while it lasts: a receiver may find a new one each time.
        if (failure is None) is not (self.failure is None):
            self.failure = failure
            self._turned()

    async def _send(self, event: CloudEvent) -> str | None:
        """Return why an event was not taken, None if it was."""
        if self._sink is None:
            return self.problem or "its credentials have not been read yet"
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._sink.send(event)
        except TimeoutError:
            return f"no answer within {SEND_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001  whatever a sink does is this source's failure alone
            return str(as_scaler_error(error))
        return None

    async def _close_old(self) -> None:
        # Only here, between two events: none is being sent to what is closed.
        while self._old:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._old.pop().close()
