"""The reconcile loop of ScaledJobs: observe, decide, make Jobs, write the status last.

Level-triggered as that of ScaledObjects, with one difference: making Jobs is not idempotent. So a reading is decided on
once. The next decision waits until every trigger has been read anew, by a question that was put after the last Job was
made; what that question counts, those Jobs had their chance to take. And it is decided on with the Jobs as they were
when the question was put: one that has ended since was at work on what was counted.

A Job counts from the moment that it was made: the API server's answer is taken in before anything else is decided. That
no decision makes a second Job is the names' business, see `engine.job`.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from keda_py import quantity
from keda_py.api.meta import ManifestError
from keda_py.api.scaled_job import ScaledJob
from keda_py.decide import jobs, report, status, validate
from keda_py.decide.combine import Activity, Combined, combine
from keda_py.decide.jobs import Backlog, Bounds
from keda_py.decide.pause import paused
from keda_py.decide.report import SCALED_JOB
from keda_py.decide.status import Condition
from keda_py.engine.cluster import SCALED_JOBS, telling_of_edits
from keda_py.engine.job import Jobs
from keda_py.engine.job_maker import JobMaker, Making
from keda_py.engine.live import PAUSED, Builder, Key, Live
from keda_py.engine.release import release
from keda_py.engine.reporter import Reporter
from keda_py.engine.scalable import Scalable, of_scaled_job
from keda_py.engine.trigger import LiveTrigger
from keda_py.kube.client import ApiError, Client, Conflict
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Store
from keda_py.naming import Condition as Type
from keda_py.naming import EventReason, Reason
from keda_py.runtime.clock import Now
from keda_py.runtime.queue import WorkQueue
from keda_py.scaler import ExternalSpec

log = structlog.get_logger("scaledjob")

RESYNC_SECONDS: Final = 120.0
UNKNOWN_SECONDS: Final = 1.0
"""When to look again while the Jobs are not known."""
SHORTLY_SECONDS: Final = 30.0
"""So long nobody need be told that the Jobs are not known: to list thousands takes its time."""
REMEMBER: Final = timedelta(minutes=5)
"""How old lastActiveTime may be while it is active."""


class UnusableError(Exception):
    """A ScaledJob that cannot be worked on; the message says what to change, for its Ready condition."""


@dataclass(slots=True)
class _Pass:
    """One pass over one object."""

    key: Key
    raw: dict[str, Any]
    scaled_job: ScaledJob
    live: Live
    making: Making
    bounds: Bounds
    now: datetime
    made: int = 0


class ScaledJobs:
    """Works on ScaledJobs by key."""

    def __init__(
        self,
        client: Client,
        store: Store,
        found: Jobs,
        *,
        builder: Builder,
        reporter: Reporter,
        recorder: Recorder,
        queue: WorkQueue[Key],
        now: Now,
        owns: Callable[[Key], bool],
        blind: Callable[[Key], str | None],
    ) -> None:
        """`store`: the watched ScaledJobs. `owns`: whether this process is the one that acts on an object.

        `blind`: why the watched Jobs and pods of an object are not those of the API server; None if they are, as far as
        can be told.
        """
        self._client = client
        self._store = store
        self._jobs = found
        self._builder = builder
        self._reporter = reporter
        self._recorder = recorder
        self._queue = queue
        self._now = now
        self._owns = owns
        self._blind = blind
        self._maker = JobMaker(client, found, recorder)
        store.on_change(telling_of_edits(queue.add))

    def begin(self, key: Key) -> None:
        """Take up an object as a term begins: read its triggers, before its first pass comes up."""
        raw = self._store.get(key)
        if raw is not None and not raw["metadata"].get("deletionTimestamp"):
            live = self._builder.remembered(raw)
            # What was read in an earlier term, somebody else may have acted on since.
            for trigger in live.working():
                trigger.outcome = None
            with suppress(UnusableError):
                self._read(raw, self._parsed(raw), live)

    async def reconcile(self, key: Key) -> float | None:
        """Do what is to be done for an object now; return in how many seconds to look again, None for never."""
        raw = self._store.get(key)
        if raw is None:
            self._forget(key)
            return None
        if raw["metadata"].get("deletionTimestamp"):
            await self._let_go(key, raw)
            return None
        live = self._builder.remembered(raw)
        try:
            again = await self._work(key, raw, live)
        except UnusableError as problem:
            live.failed_before += 1
            again = await self._report_unusable(raw, str(problem)) if self._owns(key) else None
        except ApiError as error:
            # One who looked a moment too early looks again.
            live.failed_before += not isinstance(error, Conflict)
            raise
        return again

    def _forget(self, key: Key) -> None:
        self._builder.forget(key)
        self._maker.forget(key)

    def _parsed(self, raw: dict[str, Any]) -> tuple[ScaledJob, Scalable]:
        try:
            scaled_job = ScaledJob.parse(raw)
            scalable = of_scaled_job(scaled_job)
        except ManifestError as error:
            raise UnusableError(str(error)) from error
        # What is paused need make no sense.
        if not paused(scaled_job.metadata.annotations) and (found := validate.job_problems(scaled_job.spec)):
            raise UnusableError("; ".join(found))
        return scaled_job, scalable

    def _read(self, raw: dict[str, Any], parsed: tuple[ScaledJob, Scalable], live: Live) -> None:
        """Have the triggers of the spec, and those of our own objects polled."""
        scaled_job, scalable = parsed
        key = scalable.key
        if paused(scaled_job.metadata.annotations):
            if live.triggers and self._owns(key):
                self._reporter.tell_of_stop(raw)
            live.close()
            live.told = PAUSED
            return
        # Each outcome is news here: what was read once is decided on once.
        self._builder.update(live, scalable, lambda _: self._queue.add(key))
        if self._blind(key) is not None and self._owns(key):
            # Which Jobs had not ended yet when the question was put, nobody could tell.
            return
        generation = scaled_job.metadata.generation
        edited, live.generation = live.generation not in (None, generation), generation
        for trigger in live.working():
            if edited or not self._owns(key):
                trigger.stop()
            if self._owns(key):
                # After an edit at once, as in KEDA: what it asks for does not wait for the next poll.
                trigger.start()

    async def _work(self, key: Key, raw: dict[str, Any], live: Live) -> float | None:
        parsed = self._parsed(raw)
        self._read(raw, parsed, live)
        if not self._owns(key):
            return None
        scaled_job = parsed[0]
        bounds = Bounds.of(scaled_job.spec.min_replica_count, scaled_job.spec.max_replica_count)
        this = _Pass(key, raw, scaled_job, live, self._maker.remembered(scaled_job), bounds, self._now())
        if paused(scaled_job.metadata.annotations):
            await self._rest(this)
            return None
        if any(live.waiting()):
            return RESYNC_SECONDS
        if (why := self._blind(key)) is not None:
            return await self._hold(this, why)
        this.making.blind_since = math.inf
        self._reporter.tell_of_new_triggers(raw, live)
        await self._maker.replace(raw, this.scaled_job)
        return await self._scale(this)

    async def _hold(self, this: _Pass, why: str) -> float:
        """Make nothing while it is not known how many Jobs run: that is not none. Say so if it lasts."""
        loop = asyncio.get_running_loop()
        this.making.blind_since = min(this.making.blind_since, loop.time())
        if loop.time() - this.making.blind_since >= SHORTLY_SECONDS:
            problem = f"the Jobs of the cluster, or their pods, cannot be watched: {why} (no Job is made)"
            change = Condition(Type.READY, "False", Reason.JOB_CHECK_FAILED, problem)
            await self._reporter.write(this.raw, dict(this.raw.get("status") or {}), [change], last_active=None)
        return UNKNOWN_SECONDS

    # --- deciding and making ----------------------------------------------------------------------------------------

    async def _scale(self, this: _Pass) -> float:
        combined = combine(this.live.states())
        backlog = self._backlog(this, combined)
        if (asked := self._asked(this)) is not None:
            then = self._jobs.as_of(this.scaled_job, asked)
            work = jobs.count(then, this.scaled_job.spec.strategy.pending_pod_conditions)
            wanted = self._more(this, backlog, work)
            still = partial(self._is_asked, this)
            this.made = await self._maker.make(this.raw, this.scaled_job, wanted, still)
            if this.made:
                log.info(
                    "created jobs",
                    object="/".join(this.key),
                    jobs=this.made,
                    queue=backlog.length,
                    running=work.running,
                    pending=work.pending,
                )
        await self._report(this, combined, backlog)
        await self._maker.prune(this.scaled_job)
        return self._again(this)

    def _is_asked(self, this: _Pass) -> bool:
        """Whether the object is still as it was decided on: a person may edit, pause or delete it under way."""
        now = self._store.get(this.key)
        return now is not None and _asked_for(now) == _asked_for(this.raw)

    def _asked(self, this: _Pass) -> float | None:
        """Return as of when to decide now; None not to.

        That is when the first question was put, if each trigger has been read by one that was put after the last
        decision. Where none can be read there is still a minimum to keep, each polling interval.
        """
        now = asyncio.get_running_loop().time()
        if now < this.making.not_before:
            return None
        read = _readable(this.live)
        if not read:
            return now if this.bounds.minimum and now >= this.making.ended + _interval(this) else None
        asked = [trigger.outcome.asked for trigger in read if trigger.outcome is not None and trigger.is_current()]
        return min(asked) if len(asked) == len(read) and min(asked) >= this.making.ended else None

    def _again(self, this: _Pass) -> float:
        """Return when to look again if nothing wakes us, as each reading and each Job does."""
        waits = this.making.not_before - asyncio.get_running_loop().time()
        seconds = RESYNC_SECONDS if _readable(this.live) or not this.bounds.minimum else _interval(this)
        return min(seconds, waits) if waits > 0 else seconds

    def _backlog(self, this: _Pass, combined: Combined) -> Backlog:
        seen = []
        for trigger in this.live.working():
            outcome = trigger.outcome if trigger.is_current() else None
            if outcome is None or outcome.failure is not None or not trigger.external_names:
                continue
            specs = [spec for spec in trigger.specs if isinstance(spec, ExternalSpec)]
            targets = [(spec.name, _per_job(spec)) for spec in specs]
            values = [(reading.metric, quantity.handed_on(reading.value)) for reading in outcome.readings.values()]
            seen.append(jobs.measure(values, targets, active=bool(outcome.active), extra=this.bounds.extra))
        calculation = this.scaled_job.spec.strategy.multiple_scalers_calculation or "max"
        return jobs.together(seen, calculation, this.bounds, some_unknown=bool(combined.failures))

    def _more(self, this: _Pass, backlog: Backlog, work: jobs.Work) -> int:
        spec = this.scaled_job.spec.strategy
        strategy = jobs.Strategy(
            spec.strategy or "default",
            spec.custom_scaling_queue_length_deduction or 0,
            spec.custom_scaling_running_job_percentage,
        )
        return jobs.more(backlog, work, this.bounds, strategy)

    # --- metadata and status ----------------------------------------------------------------------------------------

    async def _report(self, this: _Pass, combined: Combined, backlog: Backlog) -> None:
        wanted = dict(this.raw.get("status") or {})
        before = wanted.get("conditions")
        names = [name for trigger in this.live.working() for name in trigger.external_names]
        triggers = this.scaled_job.spec.triggers
        wanted |= {
            "externalMetricNames": names,
            "triggersTypes": ",".join(dict.fromkeys(trigger.type for trigger in triggers)),
            "authenticationsTypes": ",".join(
                dict.fromkeys(trigger.authentication_ref.name for trigger in triggers if trigger.authentication_ref)
            ),
        }
        if not combined.pending and not combined.failures:
            wanted["triggersActivity"] = status.triggers_activity(names, combined.active_metrics)
        broken = [f"{trigger.label}: {trigger.error}" for trigger in this.live.broken()]
        if this.making.refusal:
            broken.append(f"a Job cannot be created: {this.making.refusal}")
        if this.making.undeleted:
            broken.append(f"{this.making.undeleted} (it is of an earlier jobTargetRef)")
        seen = _as_seen(combined, backlog)
        active = report.active(seen, wording=SCALED_JOB)
        changes = [report.ready(broken, replace(combined, activity=seen.activity), SCALED_JOB), active, _unpaused()]
        last_active = self._last_active(this, seen)
        if last_active is not None and _is_old(wanted.get("lastActiveTime"), last_active, made=this.made):
            wanted["lastActiveTime"] = status.format_time(last_active)
        await self._reporter.write(
            this.raw, wanted, [change for change in changes if change is not None], last_active=last_active
        )
        self._tell_of_changes(this.raw, before, active)

    def _last_active(self, this: _Pass, seen: Combined) -> datetime | None:
        """Return when it was last active; None if it never was."""
        if seen.activity is Activity.ACTIVE:
            return this.now
        persisted = (this.raw.get("status") or {}).get("lastActiveTime")
        return status.parse_time(persisted) if persisted else None

    def _tell_of_changes(self, raw: dict[str, Any], before: Any, active: Condition | None) -> None:
        was_paused, was_active = (_is_true(status.find(before, kind)) for kind in (Type.PAUSED, Type.ACTIVE))
        if was_paused:
            self._recorder.normal(raw, EventReason.JOB_UNPAUSED, "ScaledJob is not paused any more")
        if _is_true(active) and not was_active:
            self._recorder.normal(raw, EventReason.JOB_ACTIVE, "Jobs are made, because triggers are active")
        elif was_active and active is not None and not _is_true(active):
            self._recorder.normal(raw, EventReason.JOB_INACTIVE, "No Jobs are made, because triggers are not active")

    async def _rest(self, this: _Pass) -> None:
        """Do nothing until it is not paused any more; what runs goes on."""
        was_paused = _is_true(status.find((this.raw.get("status") or {}).get("conditions"), Type.PAUSED))
        changes = [
            Condition(Type.PAUSED, "True", Reason.JOB_PAUSED, "ScaledJob is paused"),
            Condition(Type.READY, "True", Reason.JOB_READY, "ScaledJob is paused, nothing is read and no Job is made"),
        ]
        await self._reporter.write(this.raw, dict(this.raw.get("status") or {}), changes, last_active=None)
        if not was_paused:
            self._recorder.normal(this.raw, EventReason.JOB_PAUSED, "ScaledJob is paused")

    async def _report_unusable(self, raw: dict[str, Any], problem: str) -> float:
        changes = report.unusable(problem, SCALED_JOB)
        await self._reporter.write(raw, dict(raw.get("status") or {}), changes, last_active=None)
        return 30.0

    async def _let_go(self, key: Key, raw: dict[str, Any]) -> None:
        """Let go of an object that is to go; its Jobs go with it, by their owner references."""
        self._builder.forget(key)
        if self._owns(key):
            await release(self._client, SCALED_JOBS, raw)


def _asked_for(raw: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells whether a person wants something else; a status alone does not."""
    metadata = raw["metadata"]
    gone, is_paused = metadata.get("deletionTimestamp"), paused(metadata.get("annotations"))
    return metadata["uid"], metadata["generation"], gone, is_paused


def _readable(live: Live) -> list[LiveTrigger]:
    """Return the triggers whose outcomes a decision waits for: all that are read, but a read that does not end."""
    return [t for t in live.working() if t.external_names and (t.is_current() or not t.overdue)]


def _per_job(spec: ExternalSpec) -> float:
    """Return how many items one Job is for; a target that is not an average does not say."""
    return float(quantity.parse(spec.target.amount)) if spec.target.kind == "AverageValue" else 0.0


def _interval(this: _Pass) -> float:
    return this.scaled_job.spec.polling_interval.total_seconds()


def _is_true(condition: Condition | None) -> bool:
    return condition is not None and condition.status == "True"


def _unpaused() -> Condition:
    return Condition(Type.PAUSED, "False", Reason.JOB_UNPAUSED, "ScaledJob is not paused")


def _as_seen(combined: Combined, backlog: Backlog) -> Combined:
    """Return the triggers' activity as the calculation has it: active with nothing in the queue may not be enough."""
    if backlog.active:
        return replace(combined, activity=Activity.ACTIVE)
    if combined.activity is not Activity.ACTIVE:
        return combined
    return replace(combined, activity=Activity.UNKNOWN if combined.failures else Activity.INACTIVE)


def _is_old(persisted: str | None, last_active: datetime, *, made: int) -> bool:
    """Whether it is time to write when it was active; a clock may have been ahead as it was written."""
    return persisted is None or bool(made) or not timedelta(0) <= last_active - status.parse_time(persisted) < REMEMBER
