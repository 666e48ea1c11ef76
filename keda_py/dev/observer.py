"""Takes the snapshot: from the embedded cluster's store, and from the daemon's memory of the objects it works on."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_job import ScaledJob
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.combine import Activity as Combined
from keda_py.decide.jobs import Bounds
from keda_py.decide.modifiers import metric
from keda_py.decide.scale import Limits, Situation, cooled_down_at
from keda_py.decide.status import find
from keda_py.dev.snapshot import SCALED_JOB, Activity, Entry, Measure, Replicas, ScaledSeen, Snapshot, TriggerSeen
from keda_py.devcluster import scale
from keda_py.devcluster.api import Api
from keda_py.devcluster.store import Object
from keda_py.engine.composite import Composite
from keda_py.engine.job import trim_job
from keda_py.engine.live import Key, Live
from keda_py.engine.target import target_of
from keda_py.engine.trigger import AnyTrigger, BrokenTrigger, LiveTrigger, WaitingTrigger
from keda_py.naming import Condition, Reason, indexed
from keda_py.quantity import parse
from keda_py.scaler import ExternalSpec, MetricSpec

_SCALED_OBJECTS: Final = ("keda.sh", "scaledobjects")
_SCALED_JOBS: Final = ("keda.sh", "scaledjobs")
_JOBS: Final = ("batch", "jobs")
_HPAS: Final = ("autoscaling", "horizontalpodautoscalers")


def observe(
    api: Api, live: Mapping[Key, Live], live_jobs: Mapping[Key, Live], entries: Iterable[Entry], now: datetime
) -> Snapshot:
    """Return what there is to show now; `live`, `live_jobs`: the ScaledObjects and the ScaledJobs at work."""
    objects = [_scaled_object(api, raw, live, now) for raw in api.store.items(_SCALED_OBJECTS)]
    found = [*objects, *(_scaled_job(api, raw, live_jobs) for raw in api.store.items(_SCALED_JOBS))]
    return Snapshot(now, tuple(found), tuple(entries))


def _scaled_object(api: Api, raw: Object, live: Mapping[Key, Live], now: datetime) -> ScaledSeen:
    seen = _seen(raw, live)
    try:
        scaled_object = ScaledObject.parse(raw)
    except ManifestError as error:
        return replace(seen, problem=str(error))
    known, reference = live.get((seen.namespace, seen.name)), target_of(scaled_object)
    status = raw.get("status") or {}
    active = find(status.get("conditions"), Condition.ACTIVE)
    cooling = active is not None and active.reason == Reason.COOLDOWN
    made = (_formula(known.composite),) if known is not None and known.composite is not None else ()
    return replace(
        seen,
        triggers=(*seen.triggers, *made),
        target=f"{reference.kind}/{reference.name}",
        replicas=_replicas(api, scaled_object),
        cooldown=_cooldown_left(scaled_object, known, now) if cooling and known is not None else None,
        hpa=_hpa(
            api.store.get(_HPAS, (seen.namespace, status.get("hpaName") or scaled_object.hpa_name)),
            told=any(trigger.failure for trigger in seen.triggers),
        ),
    )


def _scaled_job(api: Api, raw: Object, live: Mapping[Key, Live]) -> ScaledSeen:
    seen = _seen(raw, live)
    try:
        scaled_job = ScaledJob.parse(raw)
    except ManifestError as error:
        return replace(seen, problem=str(error))
    owned = [job for job in api.store.items(_JOBS, seen.namespace) if _is_owned(job, raw["metadata"]["uid"])]
    unfinished = [job.get("status") or {} for job in owned if not trim_job(job)["status"]["conditions"]]
    bounds = Bounds.of(scaled_job.spec.min_replica_count, scaled_job.spec.max_replica_count)
    running = sum(bool(status.get("ready")) for status in unfinished)
    counts = Replicas(running, len(unfinished), bounds.minimum, bounds.minimum + bounds.extra)
    return replace(seen, target="Jobs", replicas=counts)


def _is_owned(found: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences") or ())


def _seen(raw: Object, live: Mapping[Key, Live]) -> ScaledSeen:
    """Return what is shown of either kind."""
    metadata = raw["metadata"]
    key = (metadata["namespace"], metadata["name"])
    conditions = (raw.get("status") or {}).get("conditions")
    ready, active, paused = (find(conditions, kind) for kind in (Condition.READY, Condition.ACTIVE, Condition.PAUSED))
    said = paused if paused is not None and paused.status == "True" else active
    known = live.get(key)
    each = "Job" if raw["kind"] == SCALED_JOB else "replica"
    return ScaledSeen(
        kind=raw["kind"],
        namespace=key[0],
        name=key[1],
        target="",
        replicas=Replicas(None, None, 0, 0),
        triggers=tuple(_trigger(one, each) for one in known.triggers) if known is not None else (),
        state=said.message if said is not None else "being looked at",
        problem=ready.message if ready is not None and ready.status != "True" else "",
    )


def _replicas(api: Api, scaled_object: ScaledObject) -> Replicas:
    reference, spec = target_of(scaled_object), scaled_object.spec
    kind = api.kind_of(reference.api_version, reference.kind)
    found = api.store.get(kind.place, (reference.namespace, reference.name)) if kind is not None else None
    if kind is None or kind.scale is None or found is None:
        return Replicas(None, None, spec.min_replicas, spec.max_replicas)
    shown = scale.shown(kind, found)
    ready = shown["status"]["replicas"] if kind.custom else (found.get("status") or {}).get("readyReplicas", 0)
    return Replicas(ready, shown["spec"].get("replicas", 0), spec.min_replicas, spec.max_replicas)


def _cooldown_left(scaled_object: ScaledObject, live: Live, now: datetime) -> timedelta:
    spec = scaled_object.spec
    situation = Situation(
        Combined.INACTIVE,
        replicas=0,
        limits=Limits(cooldown=spec.cooldown_period, initial_cooldown=spec.initial_cooldown_period),
        created=scaled_object.metadata.creation_timestamp or now,
        last_active=live.memory.last_active if live.memory is not None else None,
    )
    return max(cooled_down_at(situation) - now, timedelta(0))


def _trigger(trigger: AnyTrigger, each: str) -> TriggerSeen:
    if isinstance(trigger, BrokenTrigger):
        return TriggerSeen(trigger.type, Activity.FAILING, failure=str(trigger.error))
    if isinstance(trigger, WaitingTrigger):
        return TriggerSeen(trigger.type, Activity.PENDING)
    own = trigger.scaler.trigger
    label = f"{own.type} {own.name}" if own.name else own.type
    measures = tuple(_measure(trigger, spec, each) for spec in trigger.specs)
    outcome = trigger.outcome
    if not trigger.external_names:
        return TriggerSeen(label, Activity.UNREAD, measures)
    if outcome is None:
        return TriggerSeen(label, Activity.PENDING, measures)
    if outcome.failure is not None:
        return TriggerSeen(label, Activity.FAILING, measures, outcome.failure)
    return TriggerSeen(label, Activity.ACTIVE if outcome.active else Activity.INACTIVE, measures)


def _formula(composite: Composite) -> TriggerSeen:
    """Return what is made of all triggers, and decides in their place."""
    target, said = metric(composite.modifiers).target, composite.said
    per = "replica" if target.kind == "AverageValue" else ""
    measures = (Measure(composite.value, float(parse(target.amount)), per),)
    if said.failure is not None:
        return TriggerSeen("formula", Activity.FAILING, measures, said.failure)
    states = {None: Activity.PENDING, True: Activity.ACTIVE, False: Activity.INACTIVE}
    return TriggerSeen("formula", states[said.active], measures)


def _measure(trigger: LiveTrigger, spec: MetricSpec, each: str) -> Measure:
    readings = trigger.outcome.readings if trigger.outcome is not None else {}
    reading = readings.get(indexed(trigger.index, spec.name)) if isinstance(spec, ExternalSpec) else None
    kind = spec.target.kind
    value = reading.value if reading is not None else None
    per, unit = each if kind == "AverageValue" else "", "%" if kind == "Utilization" else ""
    return Measure(value, float(parse(spec.target.amount)), per, unit)


def _hpa(found: dict[str, Any] | None, *, told: bool) -> str:
    """Return what an HPA says of itself, in a few words; `told`: a trigger tells already why it cannot be read."""
    if found is None:
        return ""
    status = found.get("status") or {}
    active = find(status.get("conditions"), "ScalingActive")
    able = find(status.get("conditions"), "AbleToScale")
    limited = find(status.get("conditions"), "ScalingLimited")
    if able is not None and able.status == "False":
        return f"cannot scale: {able.message}"
    if active is None:
        return "has not looked yet"
    if active.reason == Reason.HPA_SCALING_DISABLED:
        return "off at zero"
    if active.status != "True":
        unread = active.reason == "FailedGetExternalMetric"
        return "holds: it cannot read that either" if unread and told else f"cannot scale: {active.message}"
    bound = f" ({limited.reason})" if limited is not None and limited.status == "True" else ""
    return f"wants {status.get('desiredReplicas', 0)}{bound}"
