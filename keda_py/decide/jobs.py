"""How many Jobs a ScaledJob wants more, and which of its Jobs have had their time.

The arithmetic is KEDA's to the last number (pkg/scaling/scaledjob/metrics.go, pkg/scaling/executor/scale_jobs.go). What
could not be read is where it differs: there a failed trigger is left out of the calculation, and here it counts for
what it is, an unknown that may make the number smaller.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from keda_py.decide.number import added, go_float, int64, wrapped

# --- what waits -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many Jobs there may be: `minimum` at any time, and `extra` for what waits.

    KEDA takes the minimum out of a given maximum, but not out of the default of 100 (scaledjob_types.go).
    """

    minimum: int
    extra: int

    @classmethod
    def of(cls, minimum: int | None, maximum: int | None) -> "Bounds":
        """Return the bounds of a spec's minReplicaCount and maxReplicaCount."""
        if maximum is None or minimum is None:
            return cls(minimum or 0, 100 if maximum is None else maximum)
        return cls(maximum, maximum) if minimum > maximum else cls(minimum, maximum - minimum)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, as one trigger or all of them together see it.

    `length`: the metric's value. `jobs`: for how many Jobs that is work, not more than the bounds allow.
    """

    length: float
    jobs: float
    active: bool


Measured = Sequence[tuple[str, float]]
"""Numbers by metric name."""


def measure(values: Measured, targets: Measured, *, active: bool, extra: int) -> Backlog:
    """Return what one trigger sees; `targets` are how many items one Job is for, 0 where that is not said.

    All values of the first target's metric together are the length of the queue, and the target is the mean of all
    (CalculateQueueLengthAndMaxValue).
    """
    length = added(value for name, value in values if name == targets[0][0]) if targets else 0.0
    target = added(value for _, value in targets) / len(targets) if targets else 0.0
    return Backlog(length, min(length / target, float(extra)) if target else 0.0, active)


def together(seen: Iterable[Backlog], calculation: str, bounds: Bounds, *, some_unknown: bool = False) -> Backlog:
    """Return what several triggers see together: min, avg, sum, or else max (IsScaledJobActive).

    Only active ones count. With max one that is active with nothing in its queue does not; with min neither, if another
    is active. `some_unknown`: whether there are more that could not be read. Min and avg could be less with those, and
    so nothing is known to wait; what max and sum see is work all the same.
    """
    if some_unknown and calculation in {"min", "avg"}:
        return Backlog(0, 0, active=bounds.minimum > 0)
    active = [backlog for backlog in seen if backlog.active]
    match calculation:
        case "sum":
            found = _added(active)
        case "avg":
            total, count = _added(active), len(active) or 1
            found = Backlog(total.length / count, total.jobs / count, total.active)
        case "min":
            found = _least(active)
        case _:
            waiting = [backlog for backlog in active if backlog.length > 0]
            found = max(waiting, key=lambda backlog: backlog.length, default=Backlog(0, 0, active=False))
    jobs = min(found.jobs, float(bounds.extra))
    return Backlog(math.ceil(found.length), math.ceil(jobs), found.active or bounds.minimum > 0)


def _added(active: Sequence[Backlog]) -> Backlog:
    return Backlog(added(b.length for b in active), added(b.jobs for b in active), bool(active))


def _least(active: Sequence[Backlog]) -> Backlog:
    """Return the shortest, one of length 0 being replaced by whatever comes after it."""
    found = Backlog(0, 0, active=False)
    for backlog in active:
        if found.length == 0 or backlog.length < found.length:
            found = backlog
    return found


# --- what runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a Job: its phase, and which of its conditions are true."""

    phase: str
    fulfilled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Job:
    """A Job of a ScaledJob. `finished` is Complete, Failed or "", and `finished_at` when that came to be.

    `version` tells of which jobTargetRef it was made, None for a Job that does not say, and `generation` of which
    generation of the ScaledJob. `going`: being deleted; such a one still counts, as its pods may run.
    """

    name: str
    finished: str = ""
    finished_at: datetime | None = None
    version: str | None = None
    going: bool = False
    pods: tuple[Pod, ...] = ()
    generation: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """How many Jobs are not finished, and how many of those have not begun."""

    running: int
    pending: int


def count(jobs: Iterable[Job], pending_conditions: Sequence[str]) -> Work:
    """Return how many Jobs run and how many of those are pending (getRunningJobCount, getPendingJobCount).

    A Job has begun when one of its pods runs or has succeeded, or, if conditions are named, fulfils all of them; one
    that is named twice is never fulfilled, as in KEDA.
    """
    unfinished = [job for job in jobs if not job.finished]
    if pending_conditions:
        needed, possible = frozenset(pending_conditions), len(set(pending_conditions)) == len(pending_conditions)
        begun = [job for job in unfinished if possible and any(needed <= pod.fulfilled for pod in job.pods)]
    else:
        begun = [job for job in unfinished if any(pod.phase in {"Running", "Succeeded"} for pod in job.pods)]
    return Work(len(unfinished), len(unfinished) - len(begun))


# --- how many more ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strategy:
    """The scalingStrategy of a spec; `deduction` and `share` are for custom only."""

    name: str = "default"
    deduction: int = 0
    share: str = ""


def more(backlog: Backlog, work: Work, bounds: Bounds, strategy: Strategy) -> int:
    """Return how many Jobs to create (getScalingDecision, createJobs)."""
    if not backlog.active:
        return 0
    if work.running < bounds.minimum:
        return bounds.minimum - work.running
    return max(0, min(strategic(backlog, work, bounds, strategy)))


def strategic(backlog: Backlog, work: Work, bounds: Bounds, strategy: Strategy) -> tuple[int, int]:
    """Return how many more a strategy allows, possibly less than none, and how many it wants."""
    jobs, wanted = int(backlog.jobs), int(backlog.length)
    running, pending, most = work.running - bounds.minimum, work.pending, bounds.extra
    share = go_float(strategy.share) if strategy.name == "custom" else None
    if share is not None:
        counted = int64(running * share)
        return min(wrapped(jobs - strategy.deduction - counted), most), wanted
    if strategy.name == "accurate":
        return (most - running if jobs + running - pending > most else jobs - pending), wanted
    if strategy.name == "eager":
        return min(most - running - pending, jobs), most
    return jobs - running, wanted


# --- what goes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """How many finished Jobs to keep."""

    succeeded: int = 100
    failed: int = 100


def surplus(jobs: Iterable[Job], history: History) -> list[Job]:
    """Return the finished Jobs beyond the limits, those that finished first; of one moment, the first by name.

    KEDA goes by completionTime, which failed Jobs do not have; here it is when the condition came to be.
    """
    known = sorted((job for job in jobs if job.finished and not job.going), key=_finished_at)
    found = []
    for outcome, limit in (("Complete", history.succeeded), ("Failed", history.failed)):
        ended = [job for job in known if job.finished == outcome]
        found += ended[: max(0, len(ended) - limit)]
    return found


def _finished_at(job: Job) -> tuple[float, str]:
    return (job.finished_at.timestamp() if job.finished_at is not None else 0.0, job.name)


def outdated(jobs: Iterable[Job], version: str, generation: str) -> list[Job]:
    """Return the Jobs that were made of another jobTargetRef than the present one.

    A Job that does not say of which, as KEDA makes them, is left alone: it may be at work on what it was made for. So
    is one of the present generation, whatever it says: since then nobody has edited anything, though another CRD may
    have the API server show it otherwise, by its defaults.
    """
    others = [job for job in jobs if job.version not in (None, version) and job.generation != generation]
    return [job for job in others if not job.going]
