"""A trigger at work: reads its scaler on time, and keeps the last outcome for whoever asks.

There is one way to read a trigger, `LiveTrigger.read`, and both readers use it: the poll that wakes the reconcile loop
and the HPA controller asking through the metrics API. What one has read young enough, the other is given.

Polls have a fixed phase, taken from the source: the triggers of one source fall together and share a round trip, and
sources spread out over the interval.
"""

import asyncio
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

from keda_py.decide.hpa import target_of_metric
from keda_py.engine.fallback import Tally
from keda_py.naming import indexed
from keda_py.runtime.clock import Now
from keda_py.runtime.meter import Requests
from keda_py.runtime.source import Tenancy, as_scaler_error
from keda_py.scaler import EmptyAnswer, ExternalSpec, MetricSpec, Reading, Scaler, ScalerError, Target

FRESH_SECONDS: Final = 5.0
"""A reading of this age still serves the HPA, if the polling interval is not shorter."""
OVERDUE_SECONDS: Final = 5.0
"""So long after its deadline a read has ended, unless it never will."""
SHARED_SECONDS: Final = 2.0
"""A poll is content with an answer that another trigger got this long ago, at intervals of 8 s and more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of reading a trigger: readings by metric name as the HPA knows it, or the failure.

    `at` is loop time, when the oldest answer in it came in; `seen` the same by the wall clock. What happened before
    `asked`, loop time too, is in the readings.
    """

    at: float
    seen: datetime
    latency: float
    readings: dict[str, Reading]
    failure: str | None = None
    asked: float = 0.0

    @property
    def active(self) -> bool | None:
        """Whether it keeps the target awake; None when it could not be read."""
        return None if self.failure is not None else any(reading.active for reading in self.readings.values())


@dataclass(slots=True)
class Counts:
    """What a trigger counts for `/metrics`."""

    errors: int = 0
    empty: int = 0
    empty_refused: int = 0


def next_poll(read_at: float, *, interval: float, phase: float, polled: bool) -> float:
    """Return when to poll after a read at `read_at`; all in loop seconds, `phase` in [0, interval).

    Polls follow each other at the phase's points. After a read on the HPA's behalf a point that comes in less than
    half an interval is passed over, and the poll is due one interval after that read: one read serves both.
    """
    point = read_at - (read_at - phase) % interval + interval
    if polled:
        # A timer may fire a hair early: the point it was set for is not the next one.
        return point if point - read_at > interval / 1000 else point + interval
    return point if point - read_at >= interval / 2 else read_at + interval


class LiveTrigger:
    """One trigger of one object, with its place at its source, its last outcome and its timer."""

    def __init__(
        self,
        scaler: Scaler[Any],
        tenancy: Tenancy | None,
        *,
        interval: float,
        cached: bool,
        now: Now,
        changed: Callable[[bool], None],
    ) -> None:
        """`cached`: the HPA is given any reading of the current interval (``useCachedMetrics``).

        `changed` is told of every outcome, and whether it says something else than the one before.
        """
        self.index = scaler.trigger.index
        self.scaler = scaler
        self.specs: Sequence[MetricSpec] = scaler.metric_specs()
        self.targets = {
            indexed(self.index, spec.name): spec.target for spec in self.specs if isinstance(spec, ExternalSpec)
        }
        self.external_names = tuple(self.targets)
        self.outcome: Outcome | None = None
        self.seen_active: datetime | None = None
        self.counts = Counts()
        self.tally = Tally()
        self.late = 0.0
        """How many seconds after its time the last poll began."""
        self._due = 0.0
        self._tenancy = tenancy
        self._interval = interval
        self._fresh = interval if cached else min(interval, FRESH_SECONDS)
        self.phase = self._phase_of(tenancy)
        self._now = now
        self._changed = changed
        self._polling = False
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[Outcome] | None = None
        self._began = 0.0
        """When it began, in loop time."""
        if tenancy is not None:
            tenancy.invite = self._come_along

    def _phase_of(self, tenancy: Tenancy | None) -> float:
        trigger = self.scaler.trigger
        number = (
            zlib.crc32(f"{trigger.namespace}/{trigger.owner}".encode()) if tenancy is None else tenancy.shared.phase
        )
        return number % max(1, round(self._interval * 1000)) / 1000

    @property
    def label(self) -> str:
        """How a person finds it in the manifest."""
        return f"triggers[{self.index}] ({self.scaler.trigger.type})"

    @property
    def scaler_name(self) -> str:
        """How `/metrics` calls it: by its own name, else as KEDA calls its scaler, ``prometheusScaler``."""
        kind = type(self.scaler).__name__
        return self.scaler.trigger.name or kind[0].lower() + kind[1:]

    @property
    def errors(self) -> int:
        """How many reads have failed."""
        return self.counts.errors

    @property
    def requests(self) -> Requests | None:
        """The HTTP requests that were made for it; None for one that talks to nobody."""
        return None if self._tenancy is None else self._tenancy.requests

    @property
    def under_way(self) -> bool:
        """Whether it is being read at the moment."""
        return self._reading is not None

    @property
    def overdue(self) -> bool:
        """Whether the read under way should have ended long ago: a scaler may heed no deadline."""
        if self._reading is None:
            return False
        return asyncio.get_running_loop().time() - self._began > self._longest + OVERDUE_SECONDS

    def start(self) -> None:
        """Poll from now on, the first time at once."""
        if self.external_names and not self._polling:
            self._polling = True
            if self._reading is None:
                self._due = asyncio.get_running_loop().time()
                self._poll()

    def stop(self) -> None:
        """Read only for whoever asks, until `start`."""
        self._polling = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop polling, leave the source; a read that is under way ends with an error."""
        self.stop()
        if self._reading is not None:
            self._reading.cancel()
        if self._tenancy is not None:
            self._tenancy.close()

    async def current(self) -> Outcome:
        """Return an outcome young enough for the HPA, read now if need be; never raises for a failing trigger."""
        known = self.outcome
        if known is not None and self._age(known) <= self._fresh:
            return known
        task = self._read(max_age=self._fresh, polled=False)
        # Waits without being tied to the read: neither may cancel the other.
        await asyncio.wait({task})
        if task.cancelled():
            return Outcome(0.0, self._now(), 0.0, {}, "the trigger was replaced while it was being read")
        return task.result()

    def is_current(self) -> bool:
        """Whether the last outcome is of this interval; an older one tells nothing about now."""
        return self.outcome is not None and self._age(self.outcome) <= self._interval + self._longest

    def _age(self, outcome: Outcome) -> float:
        return asyncio.get_running_loop().time() - outcome.at

    def _poll(self) -> None:
        self._timer = None
        self.late = max(0.0, asyncio.get_running_loop().time() - self._due)
        self._read(max_age=min(SHARED_SECONDS, self._interval / 4), polled=True)

    def _come_along(self) -> None:
        if self._reading is None and (self.outcome is None or self._age(self.outcome) > self._fresh / 2):
            self._begin(self._fresh / 2, polled=False)

    def _read(self, *, max_age: float, polled: bool) -> asyncio.Task[Outcome]:
        """Return the read that is under way, or a new one that other triggers of its source come along with."""
        if self._reading is not None:
            return self._reading
        if self._tenancy is not None:
            self._tenancy.invite_others()
        return self._begin(max_age, polled=polled)

    @property
    def _longest(self) -> float:
        """How long a read may take, in seconds, waiting for its turn included."""
        return self.scaler.deadline.total_seconds() + self._interval

    def _begin(self, max_age: float, *, polled: bool) -> asyncio.Task[Outcome]:
        self._began = asyncio.get_running_loop().time()
        self._reading = asyncio.create_task(self._read_now(max_age, polled=polled), name="read")
        return self._reading

    async def _read_now(self, max_age: float, *, polled: bool) -> Outcome:
        try:
            outcome = await self._outcome(max_age)
        finally:
            self._reading = None
        # What says the same as before is news if that had become too old to count.
        lately = self.is_current()
        before, self.outcome = self.outcome, outcome
        counted = self.tally.count
        self.tally.note(failed=outcome.failure is not None)
        if outcome.active or self.tally.full:
            self.seen_active = outcome.seen
        self._schedule(polled=polled)
        said = (outcome.failure, outcome.active, self.tally.count)
        self._changed(before is None or not lately or said != (before.failure, before.active, counted))
        return outcome

    async def _outcome(self, max_age: float) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = self.scaler.deadline.total_seconds()
        if self._tenancy is not None:
            self._tenancy.max_age, self._tenancy.seconds = max_age, seconds
            self._tenancy.oldest, self._tenancy.asked = None, math.inf
        readings: Sequence[Reading] = ()
        failure: str | None = None
        try:
            # The source bounds each question; this bounds what a scaler does besides, waiting for its turn included.
            async with asyncio.timeout(self._longest):
                readings = await self.scaler.get_metrics()
        except TimeoutError:
            failure = f"not read within {self._longest:g} s"
        except Exception as error:  # noqa: BLE001  whatever a scaler does is this trigger's failure alone
            failure = str(as_scaler_error(error))
            self.counts.empty_refused += isinstance(error, EmptyAnswer)
        named = {indexed(self.index, reading.metric): reading for reading in readings}
        if failure is None and set(named) != set(self.external_names):
            failure, named = "the scaler returned other metrics than it declared", {}
        if not all(math.isfinite(reading.value) for reading in named.values()):
            failure, named = "the scaler returned a value that is no number", {}
        self.counts.errors += failure is not None
        self.counts.empty += sum(reading.empty for reading in readings)
        oldest, asked = (self._tenancy.oldest, self._tenancy.asked) if self._tenancy is not None else (None, math.inf)
        answered = loop.time() if oldest is None else oldest
        return Outcome(answered, self._now(), loop.time() - began, named, failure, asked=min(began, answered, asked))

    def _schedule(self, *, polled: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._polling:
            return
        loop = asyncio.get_running_loop()
        self._due = next_poll(loop.time(), interval=self._interval, phase=self.phase, polled=polled)
        self._timer = loop.call_at(self._due, self._poll)


@dataclass(slots=True, eq=False)
class BrokenTrigger:
    """A trigger that could not be built, and why; the others of its object go on.

    `kept`: what the HPA has, or is to have, in its place. `next_failure`: when it fails the next time, as loop time.
    """

    index: int
    type: str
    error: ScalerError
    interval: float
    kept: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    next_failure: float = 0.0
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def errors(self) -> int:
        """How often it has failed: each time that it should have been read, `interval` seconds apart."""
        return 1 + int((asyncio.get_running_loop().time() - self.since) / self.interval)

    @property
    def targets(self) -> dict[str, Target]:
        """What its metrics are compared with, by name."""
        return dict(map(target_of_metric, self.kept))

    @property
    def label(self) -> str:
        """How a person finds it in the manifest."""
        return f"triggers[{self.index}] ({self.type})"

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class WaitingTrigger:
    """A trigger that something it needs, a Secret perhaps, has not been read for yet: neither failing nor inactive."""

    errors: ClassVar[int] = 0
    index: int
    type: str

    @property
    def label(self) -> str:
        """How a person finds it in the manifest."""
        return f"triggers[{self.index}] ({self.type})"

    def close(self) -> None:
        """Nothing is open."""


AnyTrigger = LiveTrigger | BrokenTrigger | WaitingTrigger
