"""Measuring for `/metrics`: how long things take, and for which trigger each HTTP request of a scaler is made.

A scaler tells its platform of each request (`keda_py.scaler.Platform`) and knows nothing of who is asking. Who is, is
known where questions are sent to a source: there the requests of that task, and of all that it starts, are accounted
to the trigger that asked first. What is sent outside of any question, to open a connection say, is not counted.
"""

from bisect import bisect_left
from collections import defaultdict
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Final

REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""KEDA's buckets (pkg/metricscollector/prommetrics.go)."""
FAILED: Final = "error"
"""What stands for the status of a request without an answer."""


@dataclass(slots=True, eq=False)
class Histogram:
    """How often something took how long: `counts` has one for each of `bounds` (upper ones, in seconds), and a last."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count something that took so long."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def add(self, other: "Histogram") -> None:
        """Count all that another one of the same bounds has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


Durations = defaultdict[str, Histogram]
"""By status code."""
_durations = partial(Durations, partial(Histogram, REQUEST_SECONDS))


@dataclass(slots=True, eq=False)
class Requests:
    """HTTP requests made for one trigger, whose type it knows; gone with the trigger."""

    type: str
    counts: dict[str, int] = field(default_factory=dict)
    """By status code."""
    durations: Durations | None = None
    """There if durations are kept for each trigger."""


_MADE_FOR: ContextVar[Requests | None] = ContextVar("made_for", default=None)


def account_to(requests: Requests) -> None:
    """Count the HTTP requests of this task, and of the tasks that it starts, in `requests`."""
    _MADE_FOR.set(requests)


class Meter:
    """Counts HTTP requests of scalers: how many for each trigger, and how long they take for each type of trigger."""

    def __init__(self, *, by_trigger: bool = False) -> None:
        """`by_trigger`: keep durations for each trigger instead of each type."""
        self.by_trigger = by_trigger
        self.durations: defaultdict[str, Durations] = defaultdict(_durations)
        """By type of trigger; they stay when triggers go, for a sum that shrinks would look like one begun anew."""

    def requests(self, trigger_type: str) -> Requests:
        """Return where requests for a new trigger are counted."""
        return Requests(trigger_type, durations=_durations() if self.by_trigger else None)

    def note(self, status: int | None, seconds: float) -> None:
        """Count a request: the status of its answer, None without one, and how long that took."""
        made_for = _MADE_FOR.get()
        if made_for is None:
            return
        code = FAILED if status is None else str(status)
        made_for.counts[code] = made_for.counts.get(code, 0) + 1
        durations = self.durations[made_for.type] if made_for.durations is None else made_for.durations
        durations[code].observe(seconds)
