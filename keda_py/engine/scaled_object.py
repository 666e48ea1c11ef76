"""The reconcile loop of ScaledObjects: observe, decide, act, write the status last.

Level-triggered: one pass looks at everything as it is now and needs no memory of why it was called. It is called when
a trigger says something new, when the object, its HPA or its target changed, and every polling interval. It never waits
for a source: triggers are read beside it, and what they said last is what a pass decides on.

What a pass raises is a failed call of ours to Kubernetes and goes to the queue's back-off; everything else that is
wrong with an object is a value, and ends up in its conditions.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import fallback, pause, report, status, validate
from keda_py.decide.combine import Combined, combine
from keda_py.decide.hpa import resource_names
from keda_py.decide.pause import Asked
from keda_py.decide.scale import Decision, Limits, Situation, Wakefulness, Why, decide, remember
from keda_py.decide.status import Condition
from keda_py.engine import health
from keda_py.engine.cluster import Cluster
from keda_py.engine.composite import Composite
from keda_py.engine.finalizer import Finalizer
from keda_py.engine.hpa import HpaKeeper, specs_of
from keda_py.engine.live import PAUSED, Builder, Key, Live
from keda_py.engine.reporter import Reporter
from keda_py.engine.scalable import of_scaled_object
from keda_py.engine.target import Scale, TargetError, TargetRef, Targets, target_of
from keda_py.kube.client import ApiError, Conflict, Unreachable
from keda_py.kube.recorder import Recorder
from keda_py.naming import COMPOSITE, EventReason, Reason
from keda_py.naming import Condition as Type
from keda_py.runtime.clock import Now
from keda_py.runtime.queue import WorkQueue

log = structlog.get_logger("scaledobject")

RESYNC_SECONDS: Final = 120.0


class UnusableError(Exception):
    """An object that cannot be worked on; the message says what to change, for its Ready condition."""


@dataclass(slots=True)
class _Pass:
    """One pass over one object."""

    key: Key
    raw: dict[str, Any]
    scaled_object: ScaledObject
    live: Live
    target: TargetRef
    scale: Scale
    now: datetime


class ScaledObjects:
    """Works on ScaledObjects by key."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        targets: Targets,
        hpas: HpaKeeper,
        builder: Builder,
        reporter: Reporter,
        queue: WorkQueue[Key],
        recorder: Recorder,
        now: Now,
        owns: Callable[[Key], bool],
    ) -> None:
        """`owns`: whether this process is the one that acts on an object; others only answer for its metrics."""
        self._cluster = cluster
        self._targets = targets
        self._hpas = hpas
        self._builder = builder
        self._reporter = reporter
        self._queue = queue
        self._recorder = recorder
        self._now = now
        self._owns = owns
        self._finalizer = Finalizer(cluster, targets, hpas, reporter)
        cluster.scaled_objects.on_change(self._learn)

    async def reconcile(self, key: Key) -> float | None:
        """Do what is to be done for an object now; return in how many seconds to look again, None for never."""
        raw = self._cluster.scaled_objects.get(key)
        if raw is None:
            self._builder.forget(key)
            return None
        if raw["metadata"].get("deletionTimestamp"):
            if self._owns(key) and await self._finalizer.finalize(key, raw):
                self._builder.forget(key)
            return None
        live = self._remembered(raw)
        try:
            again = await self._work(key, raw, live)
        except UnusableError as problem:
            live.failed_before += 1
            again = await self._report_unusable(raw, live, str(problem))
        except ApiError as error:
            # One who looked a moment too early looks again.
            live.failed_before += not isinstance(error, Conflict)
            raise
        return again

    def begin(self, key: Key) -> None:
        """Take up an object as a term begins: read its triggers, before its first pass comes up.

        So that with many objects their reading waits for nobody's writing, and a first pass has something to decide
        on. What is wrong, that pass will tell.
        """
        raw = self._cluster.scaled_objects.get(key)
        if raw is not None and not raw["metadata"].get("deletionTimestamp"):
            live = self._remembered(raw)
            # Another daemon may have led since: the status knows, what this one remembers of its last term does not.
            live.memory = None
            health.learn(live, _health(raw))
            with suppress(UnusableError):
                self._read(raw, self._parsed(raw, live), live)

    def _remembered(self, raw: dict[str, Any]) -> Live:
        live = self._builder.remembered(raw)
        live.asked = Asked.of(raw["metadata"].get("annotations"))
        return live

    def _learn(self, key: Key, _: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Take over what another process counts, which acts on an object: it is answered for as there."""
        if new is not None and not self._owns(key):
            health.learn(self._builder.remembered(new), _health(new))

    def _read(self, raw: dict[str, Any], scaled_object: ScaledObject, live: Live) -> None:
        """Have the triggers of the spec, and those of our own objects polled; none of an object that is paused."""
        key = (scaled_object.metadata.namespace, scaled_object.metadata.name)
        if live.asked.stopped:
            if live.triggers and self._owns(key):
                self._reporter.tell_of_stop(raw)
            live.close()
            # What happens meanwhile nobody sees: afterwards it is as after a start.
            live.memory, live.told = None, PAUSED
            return
        self._builder.update(live, of_scaled_object(scaled_object), lambda news: self._heard(key, live, news=news))
        live.compose(Composite.of(scaled_object.spec, self._now))
        found = self._cluster.hpas.get((key[0], scaled_object.hpa_name))
        health.follow(live, scaled_object, _health(raw), found=found, targets=self._targets, now=self._now)
        for trigger in live.working():
            if self._owns(key):
                trigger.start()
            else:
                trigger.stop()

    async def _work(self, key: Key, raw: dict[str, Any], live: Live) -> float | None:
        scaled_object = self._parsed(raw, live)
        self._read(raw, scaled_object, live)
        if not self._owns(key):
            return None
        if live.asked.stopped:
            await self._rest(key, raw, scaled_object, live)
            return None
        if any(live.waiting()):
            # Moments, and then we are woken: what is not known yet is not worth an HPA or a status without it.
            return RESYNC_SECONDS
        this = await self._observed(key, raw, scaled_object, live=live)
        if (refusal := self._hpas.refusal(scaled_object, raw, this.target)) is not None:
            raise UnusableError(refusal)
        self._reporter.tell_of_new_triggers(raw, live)
        return await self._scale(this)

    async def _observed(self, key: Key, raw: dict[str, Any], scaled_object: ScaledObject, *, live: Live) -> _Pass:
        self._check(key, scaled_object)
        target = target_of(scaled_object)
        try:
            scale = await self._targets.read(target)
        except TargetError as error:
            raise UnusableError(str(error)) from error
        except ApiError as error:
            if not isinstance(error, Unreachable):
                unknown = report.replicas_unknown(f"{target}: its replicas cannot be read: {error}")
                await self._write(raw, live, dict(raw.get("status") or {}), [unknown])
            raise
        return _Pass(key, raw, scaled_object, live, target, scale, self._now())

    def _heard(self, key: Key, live: Live, *, news: bool) -> None:
        # Each trigger may be as active as before, and what is made of all of them not.
        if live.composite is not None and live.composite.hear(live.outcomes(), live.stand_in):
            news = True
        if news:
            self._queue.add(key)

    def _parsed(self, raw: dict[str, Any], live: Live) -> ScaledObject:
        try:
            scaled_object = ScaledObject.parse(raw)
        except ManifestError as error:
            raise UnusableError(str(error)) from error
        # What is paused need make no sense.
        if not live.asked.stopped and (found := validate.problems(scaled_object.spec)):
            raise UnusableError("; ".join(found))
        return scaled_object

    def _check(self, key: Key, scaled_object: ScaledObject) -> None:
        owner = self._cluster.owner_of_target(target_of(scaled_object))
        if owner is not None and owner != key:
            target = target_of(scaled_object)
            raise UnusableError(
                f"{target} is already scaled by the older ScaledObject {owner[1]}; point spec.scaleTargetRef at "
                f"another target, or delete one of the two and put its triggers into the other"
            )

    # --- deciding and acting ----------------------------------------------------------------------------------------

    async def _scale(self, this: _Pass) -> float:
        wanted = dict(this.raw.get("status") or {})
        wanted.pop("pausedReplicaCount", None)
        await self._adopt(this)
        hpa_problem = await self._hpas.ensure(this.scaled_object, this.raw, this.live, this.target)
        next_failure = health.count_broken(this.live, this.scaled_object.spec.polling_interval.total_seconds())
        combined = await self._combined(this.live)
        this.live.memory = memory = self._remember(this, combined)
        decision = self._decide(this, combined, memory)
        if decision.replicas is not None:
            await self._act(this, decision, decision.replicas, combined)
        self._describe(this, wanted, combined)
        broken = [f"{trigger.label}: {trigger.error}" for trigger in this.live.broken()]
        if hpa_problem is not None:
            broken.append(hpa_problem)
        changes = [
            report.ready(broken, combined),
            report.active(combined, decision.why),
            self._hpas.health(this.scaled_object),
        ]
        await self._write(this.raw, this.live, wanted, [change for change in changes if change is not None])
        again = self._again(this, decision)
        return again if next_failure is None else min(again, next_failure)

    async def _combined(self, live: Live) -> Combined:
        composed = None
        if live.composite is not None:
            composed = await live.composite.look(live.outcomes(), live.stand_in)
        return combine(live.states(), forced=live.asked.forced, composed=composed)

    def _remember(self, this: _Pass, combined: Combined) -> Wakefulness:
        persisted = this.raw.get("status") or {}
        last_active = status.parse_time(persisted["lastActiveTime"]) if persisted.get("lastActiveTime") else None
        before = this.live.memory or Wakefulness(None, last_active)
        said = status.find(persisted.get("conditions"), Type.ACTIVE)
        was_active = last_active is not None and (said is None or said.status != "False")
        return remember(before, combined.activity, this.now, seen_active=this.live.seen_active(), was_active=was_active)

    def _decide(self, this: _Pass, combined: Combined, memory: Wakefulness) -> Decision:
        spec = this.scaled_object.spec
        situation = Situation(
            activity=combined.activity,
            replicas=this.scale.replicas,
            limits=Limits(
                spec.min_replicas, spec.idle_replica_count, spec.cooldown_period, spec.initial_cooldown_period
            ),
            created=this.scaled_object.metadata.creation_timestamp or this.now,
            last_active=memory.last_active,
            asked=this.live.asked,
        )
        return decide(situation, this.now)

    async def _act(self, this: _Pass, decision: Decision, after: int, combined: Combined) -> None:
        before = this.scale.replicas
        kind = f"{this.scale.resource.api_version}.{this.target.kind} {this.target.namespace}/{this.target.name}"
        up = decision.why in (Why.WAKE, Why.FORCED)
        try:
            await self._targets.set(this.target, this.scale, after)
        except Exception:
            if decision.why is not Why.RAISE:
                reason = EventReason.ACTIVATION_FAILED if up else EventReason.DEACTIVATION_FAILED
                verb = "scale" if up else "deactivate"
                self._recorder.warning(this.raw, reason, f"Failed to {verb} {kind} from {before} to {after}")
            raise
        _log(this, after, why=combined.cause if up else decision.why.value, triggers=combined.awake_by)
        if up:
            note = f"Scaled {kind} from {before} to {after}, {report.awoken(combined)}"
            self._recorder.normal(this.raw, EventReason.ACTIVATED, note)
        elif decision.why in (Why.SLEEP, Why.UNUSED):
            note = f"Deactivated {kind} from {before} to {after}: {decision.why.value}"
            self._recorder.normal(this.raw, EventReason.DEACTIVATED, note)

    async def _rest(self, key: Key, raw: dict[str, Any], scaled_object: ScaledObject, live: Live) -> None:
        """Do nothing until it is not paused any more, but for the replicas that it is to be paused at.

        Those are set once, which the status remembers: what others make of the target after that is their business.
        """
        asked = live.asked
        await self._hpas.delete(scaled_object, raw)
        if asked.problem is not None:
            raise UnusableError(asked.problem)
        if asked.replicas is not None and (raw.get("status") or {}).get("pausedReplicaCount") != asked.replicas:
            this = await self._observed(key, raw, scaled_object, live=live)
            await self._adopt(this)
            if this.scale.replicas != asked.replicas:
                await self._targets.set(this.target, this.scale, asked.replicas)
                _log(this, asked.replicas, why=Why.PAUSED.value)
            raw = this.raw
        wanted = dict(raw.get("status") or {})
        wanted.pop("pausedReplicaCount", None)
        if asked.replicas is not None:
            wanted["pausedReplicaCount"] = asked.replicas
        ready = Condition(Type.READY, "True", Reason.READY, "ScaledObject is paused, its triggers are not read")
        await self._write(raw, live, wanted, [ready])

    def _again(self, this: _Pass, decision: Decision) -> float:
        """Return when to look again if nothing wakes us: what triggers say and what is watched does, time does not.

        A target that is not watched is looked at every polling interval; the rest is in case something was missed.
        """
        seconds = this.scaled_object.spec.polling_interval.total_seconds()
        if self._targets.watches(this.scale.resource):
            seconds = max(seconds, RESYNC_SECONDS)
        return seconds if decision.again is None else min(seconds, decision.again.total_seconds())

    # --- status -------------------------------------------------------------------------------------------------------

    async def _adopt(self, this: _Pass) -> None:
        adopted = await self._finalizer.adopt(this.raw, this.scaled_object, this.scale)
        if adopted is not this.raw:
            # The HPA copies the labels as they are now. A spec that was edited meanwhile is for the next pass, which
            # the edit has asked for: the triggers at work are those of the spec that this one began with.
            this.raw = {**adopted, "spec": this.raw["spec"]}
            this.scaled_object = ScaledObject.parse(this.raw)

    def _describe(self, this: _Pass, wanted: dict[str, Any], combined: Combined) -> None:
        """Fill in what the status says besides conditions."""
        names = [name for trigger in this.live.working() for name in trigger.external_names]
        triggers = this.scaled_object.spec.triggers
        resource = this.scale.resource
        wanted |= {
            "scaleTargetKind": f"{resource.api_version}.{resource.kind}",
            "scaleTargetGVKR": {
                "group": resource.group,
                "version": resource.version,
                "kind": resource.kind,
                "resource": resource.plural,
            },
            "externalMetricNames": names,
            "resourceMetricNames": resource_names(specs_of(this.live)),
            "triggersTypes": ",".join(dict.fromkeys(trigger.type for trigger in triggers)),
            "authenticationsTypes": ",".join(
                dict.fromkeys(trigger.authentication_ref.name for trigger in triggers if trigger.authentication_ref)
            ),
        }
        wanted.pop("compositeScalerName", None)
        if this.live.composite is not None:
            wanted["compositeScalerName"] = COMPOSITE
        wanted.setdefault("originalReplicaCount", this.scale.replicas)
        if (hpa_name := self._hpas.name_in_use(this.scaled_object)) is not None:
            wanted["hpaName"] = hpa_name
        wanted["health"] = health.entries(this.live, _health(this.raw))
        for name in ("externalMetricNames", "resourceMetricNames", "health"):
            if not wanted[name]:
                # As KEDA has it, which leaves out what is empty.
                del wanted[name]
        if not combined.pending and len(combined.failures) == len(combined.replaced):
            wanted["triggersActivity"] = status.triggers_activity(names, combined.active_metrics)

    async def _write(
        self, raw: dict[str, Any], live: Live, wanted: dict[str, Any], changes: Sequence[Condition]
    ) -> None:
        changes = [
            fallback.condition(None if live.stand_in is None else live.stand_in.policy, live.failed_enough()),
            pause.condition(live.asked),
            *changes,
        ]
        last_active = live.memory.last_active if live.memory is not None else None
        await self._reporter.write(raw, wanted, changes, last_active=last_active)
        for reason, note in report.turns((raw.get("status") or {}).get("conditions"), changes):
            self._recorder.normal(raw, reason, note)
            log.info(note, object=f"{raw['metadata']['namespace']}/{raw['metadata']['name']}")

    async def _report_unusable(self, raw: dict[str, Any], live: Live, problem: str) -> float | None:
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        if not self._owns(key):
            return None
        await self._write(raw, live, dict(raw.get("status") or {}), report.unusable(problem))
        return 30.0


def _log(this: _Pass, after: int, *, why: str, triggers: Sequence[str] = ()) -> None:
    about = {"object": "/".join(this.key), "target": f"{this.target.kind}/{this.target.name}"}
    log.info("scaled", **about, before=this.scale.replicas, after=after, why=why, triggers=list(triggers))


def _health(raw: dict[str, Any]) -> dict[str, Any]:
    return (raw.get("status") or {}).get("health") or {}
