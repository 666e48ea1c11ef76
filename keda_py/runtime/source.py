"""Asking sources: one connection and one round trip for all triggers that talk to the same place.

`Sources` keeps one `SharedSource` for each source key. A trigger rents a `Tenancy` and asks through it; what it may
ask for, the scaler class says (`connect`, `answer`, `answer_all`, see keda_py.scaler). Here is what is the same for
all of them: equal questions are asked once, answers young enough are used again, questions that are pending together
go out together, every question has a deadline, the number in flight is bounded, and a source that is down is left
alone for a while.

A failed question fails alone. A failed connection is recycled alone: it lives in a task of its own, which opens it
when the first question comes and closes it after the last tenant left.
"""

import asyncio
import hashlib
import math
import random
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from keda_py.runtime.meter import Meter, Requests, account_to
from keda_py.scaler import Platform, Scaler, ScalerError, SourceUnavailable, Trigger

IN_FLIGHT: Final = 32
BATCHES_IN_FLIGHT: Final = 4
FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 30.0
SILENT_LIMIT: Final = 8
"""So many deadlines missed in a row, with no answer between, mean that the source and not the question is at fault."""
ANSWERS_PER_TENANT: Final = 8
"""How many answers are kept for each tenant of a source; the oldest go first."""
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0


class _SilenceError(ScalerError):
    """A question's deadline passed."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """`at`: when it came in; `asked`: when its question was put, if it was.

    A source may say anything, what it was told included: that is for the scaler and stays out of `repr`.
    """

    at: float
    value: Any = field(default=None, repr=False)
    error: Exception | None = None
    asked: float = math.inf

    def unfold(self) -> Any:
        if self.error is not None:
            # The same error is raised in every asker: each starts its own traceback, or it would grow for ever.
            raise self.error.with_traceback(None)
        return self.value


@dataclass(slots=True, eq=False)
class _Flight:
    question: Any
    seconds: float
    asked: float
    requests: Requests
    askers: list[asyncio.Future[_Answer]] = field(default_factory=list)


class SharedSource:
    """One place that triggers of one scaler class talk to."""

    def __init__(
        self, scaler: type[Scaler[Any]], connect: Callable[[], Any], *, phase: int, chance: random.Random
    ) -> None:
        self.phase = phase
        self.tenants: dict[Tenancy, None] = {}
        self._scaler = scaler
        self._connect = connect
        self._chance = chance
        self._answers: dict[Hashable, _Answer] = {}
        self._flights: dict[Hashable, _Flight] = {}
        self._pending: deque[_Flight] = deque()
        self._woken = asyncio.Event()
        self._slots = asyncio.Semaphore(BATCHES_IN_FLIGHT if scaler.batched else IN_FLIGHT)
        self._down: SourceUnavailable | None = None
        self._down_until = 0.0
        self._failures = 0
        self._silent = 0
        self._connected = False

    @property
    def batched(self) -> bool:
        """Whether one call answers many questions."""
        return self._scaler.batched

    async def ask(self, question: Hashable, *, max_age: float, seconds: float, requests: Requests) -> _Answer:
        """Return an answer not older than `max_age`, waiting at most `seconds` for it from when it is sent.

        `requests`: where the HTTP requests are counted that this takes, if nobody has asked the same already.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        known = self._answers.get(question)
        if known is not None and now - known.at <= max_age:
            return known
        if self._down is not None and now < self._down_until:
            raise self._down.with_traceback(None)
        flight = self._flights.get(question)
        if flight is None:
            self._flights[question] = flight = _Flight(question, seconds, now, requests)
            self._pending.append(flight)
            self._woken.set()
        # A future for each: one asker's cancellation must not take the answer from the others.
        asker: asyncio.Future[_Answer] = loop.create_future()
        flight.askers.append(asker)
        return await asker

    async def run(self) -> None:
        """Hold the connection while there are tenants; a task of its own, cancelled by the last one that leaves."""
        try:
            while True:
                await self._until_pending_or_down()
                try:
                    await self._hold_connection()
                except Exception as error:  # noqa: BLE001  a scaler author's bug costs this source, nothing else
                    self._mark_down(as_scaler_error(error))
                    self._land_all(as_scaler_error(error))
        finally:
            self._land_all(ScalerError("the trigger was removed while it was being read"))

    async def _until_pending_or_down(self) -> None:
        while not self._pending and not (self._connected and self._down):
            self._woken.clear()
            await self._woken.wait()

    async def _hold_connection(self) -> None:
        opened = self._connect()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await opened.__aenter__()
        except TimeoutError:
            self._mark_down(SourceUnavailable(f"no connection within {CONNECT_SECONDS:g} s"))
            return
        self._connected = True
        try:
            await self._serve(connection)
        finally:
            self._connected = False
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await opened.__aexit__(None, None, None)

    async def _serve(self, connection: Any) -> None:
        """Send out what is pending, until the source is found to be down."""
        self._down = None
        async with asyncio.TaskGroup() as flying:
            while self._down is None:
                await self._until_pending_or_down()
                await self._slots.acquire()
                # What became pending while all slots were taken goes along; what a failure landed meanwhile is gone.
                flying.create_task(self._fly(connection, self._take_batch()))

    def _take_batch(self) -> list[_Flight]:
        if not self._scaler.batched:
            return [self._pending.popleft()] if self._pending else []
        batch = list(self._pending)
        self._pending.clear()
        return batch

    async def _fly(self, connection: Any, batch: list[_Flight]) -> None:
        if batch:
            account_to(batch[0].requests)
        try:
            outcomes = await self._outcomes(connection, batch)
        finally:
            self._slots.release()
        at = asyncio.get_running_loop().time()
        for flight, outcome in zip(batch, outcomes, strict=True):
            error = as_scaler_error(outcome) if isinstance(outcome, Exception) else None
            self._note(error)
            self._land(flight, _Answer(at, None if error else outcome, error, flight.asked))

    async def _outcomes(self, connection: Any, batch: list[_Flight]) -> list[Any]:
        if not batch:
            return []
        seconds = max(flight.seconds for flight in batch)
        questions = [flight.question for flight in batch]
        try:
            async with asyncio.timeout(seconds):
                if self._scaler.batched:
                    return _one_each(questions, await self._scaler.answer_all(connection, questions))
                return [await self._scaler.answer(connection, questions[0])]
        except TimeoutError:
            self._silent += 1
            kind = SourceUnavailable if self._silent >= SILENT_LIMIT else _SilenceError
            return [kind(f"no answer within {seconds:g} s")] * len(batch)
        except asyncio.CancelledError:
            # Libraries cancel what waits on a connection that they close. Only whoever holds us may end us.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return [SourceUnavailable("the connection was lost")] * len(batch)
        except Exception as error:  # noqa: BLE001  becomes the answer to the questions of this batch
            return [error] * len(batch)

    def _note(self, error: ScalerError | None) -> None:
        if isinstance(error, SourceUnavailable):
            self._mark_down(error)
        elif not isinstance(error, _SilenceError):
            # Even "no such queue" shows that somebody is there.
            self._failures = self._silent = 0

    def _mark_down(self, error: ScalerError) -> None:
        """Leave the source alone for a while, and fail at once what is waiting for it."""
        unavailable = error if isinstance(error, SourceUnavailable) else SourceUnavailable(str(error))
        now = asyncio.get_running_loop().time()
        # What was in flight when the source went down fails with it, and does not lengthen the pause.
        if now >= self._down_until:
            self._failures += 1
            longest = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))
            self._down_until = now + longest * self._chance.uniform(0.5, 1.0)
        self._down = unavailable
        self._silent = 0
        self._woken.set()
        while self._pending:
            self._land(self._pending.popleft(), _Answer(now, None, unavailable))

    def _land(self, flight: _Flight, answer: _Answer) -> None:
        self._flights.pop(flight.question, None)
        self._answers.pop(flight.question, None)
        self._answers[flight.question] = answer
        while len(self._answers) > ANSWERS_PER_TENANT * (len(self.tenants) + 1):
            del self._answers[next(iter(self._answers))]
        for asker in flight.askers:
            if not asker.done():
                asker.set_result(answer)

    def _land_all(self, error: ScalerError) -> None:
        at = asyncio.get_running_loop().time()
        for flight in list(self._flights.values()):
            self._land(flight, _Answer(at, None, error))


class Tenancy:
    """A trigger's place at a shared source; what a scaler knows as `self.source`.

    The reader of the trigger sets how old an answer may be before it lets the scaler ask, and finds in `oldest` when
    the oldest of the answers that were used came in, and in `asked` when the first of their questions was put (loop
    time): an answer may have been asked for by another trigger.
    """

    def __init__(self, source: SharedSource, requests: Requests, leave: Callable[["Tenancy"], None]) -> None:
        self.shared = source
        self.requests = requests
        self.max_age = 0.0
        self.seconds = 0.0
        self.oldest: float | None = None
        self.asked = math.inf
        self.invite: Callable[[], None] | None = None
        self._leave = leave

    async def ask(self, question: Hashable) -> Any:
        """Return the answer to a question; raise what stands for it (`keda_py.scaler.Source`)."""
        answer = await self.shared.ask(question, max_age=self.max_age, seconds=self.seconds, requests=self.requests)
        self.oldest = answer.at if self.oldest is None else min(self.oldest, answer.at)
        self.asked = min(self.asked, answer.asked)
        return answer.unfold()

    def invite_others(self) -> None:
        """Let the other tenants of a batched source come along, if they will ask soon anyway."""
        if self.shared.batched:
            for tenant in list(self.shared.tenants):
                if tenant is not self and tenant.invite is not None:
                    tenant.invite()

    def close(self) -> None:
        """Leave; the last tenant closes the connection."""
        self._leave(self)


class Sources:
    """All shared sources, by key. Use as an async context manager; leaving it closes every connection."""

    def __init__(self, platform: Platform, *, chance: random.Random, meter: Meter | None = None) -> None:
        """`meter`: what `platform` tells of HTTP requests."""
        self._platform = platform
        self._chance = chance
        self._meter = meter or Meter()
        # Source keys hold credentials: only a digest is kept, keyed so that it tells nothing outside this process.
        self._digest_key = chance.randbytes(16)
        self._open: dict[bytes, tuple[SharedSource, asyncio.Task[None]]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for _, task in self._open.values():
            task.cancel()
        self._open.clear()
        await self._tasks.__aexit__(None, None, None)

    def __len__(self) -> int:
        return len(self._open)

    def rent(self, scaler: type[Scaler[Any]], meta: Any, trigger: Trigger) -> Tenancy | None:
        """Return a place at the source of a trigger; None for a scaler that talks to nobody.

        Rent for a new trigger before closing the old one's place, and an unchanged connection is kept.
        """
        parts = scaler.source_key(meta, trigger)
        if parts is None:
            return None
        named = (scaler.__module__, scaler.__qualname__, parts)
        digest = hashlib.blake2b(repr(named).encode(), key=self._digest_key, digest_size=16).digest()
        if digest not in self._open:
            source = SharedSource(
                scaler,
                lambda: scaler.connect(meta, trigger, self._platform),
                phase=int.from_bytes(digest[:8], "big"),
                chance=self._chance,
            )
            self._open[digest] = (source, self._tasks.create_task(source.run(), name="source"))
        source, _ = self._open[digest]
        requests = self._meter.requests(trigger.type)
        tenancy = Tenancy(source, requests, lambda leaving: self._leave(digest, leaving))
        source.tenants[tenancy] = None
        return tenancy

    def _leave(self, digest: bytes, tenancy: Tenancy) -> None:
        tenancy.shared.tenants.pop(tenancy, None)
        known = self._open.get(digest)
        if known is not None and known[0] is tenancy.shared and not tenancy.shared.tenants:
            del self._open[digest]
            known[1].cancel()


def _one_each(questions: Sequence[Any], answers: Sequence[Any]) -> list[Any]:
    if len(answers) != len(questions):
        raise ScalerError(f"the scaler answered {len(answers)} of {len(questions)} questions")
    return list(answers)


def as_scaler_error(error: Exception) -> ScalerError:
    """Return an error fit for a condition: a scaler's own, or for anything else its kind and place but not its text.

    The text of an unforeseen exception may hold whatever it was raised over, a password in a URL included. So may what
    a scaler's own error was raised over: it is not kept along.
    """
    if isinstance(error, ScalerError):
        error.__cause__ = error.__context__ = None
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return ScalerError(f"unexpected {type(error).__name__}{place}")
