"""What must hold at every write, and once all faults have ended.

Each rule stands alone and names itself in the violation; later features add theirs here.
"""

from datetime import timedelta
from typing import Any, Final

from keda_py.decide.hpa_algorithm import by_average, highest
from keda_py.decide.pause import Asked
from keda_py.devcluster.store import Change

from . import knowledge, pausing
from .activity import activity, stood_in
from .world import (
    CONTROLLER,
    DEPLOYMENTS,
    HPAS,
    JOBS,
    SCALED_JOBS,
    SCALED_OBJECTS,
    Violation,
    World,
    activation,
    modified,
    replicas,
    restores,
    said,
    who,
)

FRESH_SECONDS: Final = 17.0
"""So old may be what the HPA acts on: a reading of five seconds, a slow source, and its own waiting, for ten seconds
where the source of its other metric hangs."""
BURST_SECONDS: Final = 10.0
ROUNDING: Final = timedelta(seconds=1)
"""Times in a status have whole seconds."""


def watch(world: World) -> None:
    """Check every write from now on."""
    world.observers += [
        _few_writes,
        _one_writer,
        _target_written,
        _restored,
        _status_written,
        _hpa_written,
        pausing.note,
    ]


# --- at every write -------------------------------------------------------------------------------------------------


def _few_writes(world: World, change: Change, writer: int) -> None:
    """No daemon writes in circles."""
    if writer <= 0:
        return
    recent = world.recent_writes
    recent.append(world.time)
    if len(recent) == recent.maxlen and world.time - recent[0] < BURST_SECONDS:
        raise Violation(f"few writes: {len(recent)} within {world.time - recent[0]:.1f} s")


def _one_writer(world: World, change: Change, writer: int) -> None:
    """Only a daemon that leads writes, and only one leads."""
    if writer <= 0 or change.place not in (SCALED_OBJECTS, DEPLOYMENTS, HPAS, SCALED_JOBS, JOBS):
        return
    others = [p.number for p in world.processes.values() if p.leads and p.number != writer]
    process = world.processes.get(writer)
    # What a daemon sent before it died may arrive after.
    if others or (process is not None and not process.daemon.acts):
        raise Violation(f"one writer: daemon {writer} writes, and {others or 'nobody'} leads")


def _target_written(world: World, change: Change, writer: int) -> None:
    before, after = replicas(change.before), replicas(change.after)
    if change.place != DEPLOYMENTS or before is None or after is None or before == after:
        return
    found = _owner(world, change.name[1])
    if found is None or writer < 0:
        return
    if restores(found["spec"]) and "originalReplicaCount" not in (found.get("status") or {}):
        _nothing_recorded(world, found, writer)
    if writer == CONTROLLER:
        _scaled_by_hpa(world, found, before, after)
        return
    if found["metadata"].get("deletionTimestamp"):
        if after == (found.get("status") or {}).get("originalReplicaCount"):
            world.restored.add(found["metadata"]["uid"])
            return
        if (
            world.time - world.deleted.get((writer, found["metadata"]["uid"]), world.time)
            >= knowledge.IN_FLIGHT_SECONDS
        ):
            raise Violation(f"restored: {change.name[1]} is set to {after} on deletion: {found}")
    # It decided at any moment since its first request may have left, and on any spec that it may have seen.
    objections = [
        _objection(world, found, spec, writer=writer, before=before, after=after, at=at)
        for at in knowledge.moments(world, change.name[1], writer)
        for spec in knowledge.specs(world, change.name[1], writer)
    ]
    if None not in objections:
        latest = knowledge.told(world, writer, found, found["spec"], at=world.moment)
        raise Violation(
            f"{objections[0] if objections else 'bounds: no object'}: {change.name[1]}, {before} -> {after} by "
            f"{who(writer)} at {world.now()}: {found['spec']}, heard {latest}"
        )


def _nothing_recorded(world: World, found: dict[str, Any], writer: int) -> None:
    """A target that is to be restored is not touched before it is recorded what it had."""
    if all(restores(spec) for spec in knowledge.specs(world, found["metadata"]["name"], writer)):
        raise Violation(f"restored: {found['metadata']['name']} is scaled before it is recorded what it had")


def _scaled_by_hpa(world: World, found: dict[str, Any], before: int, after: int) -> None:
    """Within the bounds of the HPA, and never down while a trigger cannot be read."""
    name = found["metadata"]["name"]
    hpa = world.hpa(name)
    if hpa is None or not hpa["spec"]["minReplicas"] <= after <= hpa["spec"]["maxReplicas"]:
        raise Violation(f"bounds: the HPA sets {after}")
    if not hpa["spec"]["minReplicas"] <= before <= hpa["spec"]["maxReplicas"]:
        return
    if ("scaleDown" if after < before else "scaleUp") in _switched_off(hpa):
        raise Violation(f"paused: the HPA scales {name} from {before} to {after}, and is told not to")
    # What it asks for: of an edit a daemon that is cut off knows nothing yet.
    specs = _specs_in_mind(world, name)
    silent = [queue for queue in _queues(hpa, specs) if not _answered(world, name, queue)]
    unknown = [queue for queue in silent if not any(_replaced(world, name, spec, queue) for spec in specs)]
    if after < before and unknown:
        raise Violation(f"unknown is never zero: the HPA scales down, and {unknown} has not answered")
    if unknown and unknown == _queues(hpa, specs):
        raise Violation(f"fallback: the HPA scales up, {unknown} has not answered and not failed often enough")


def _specs_in_mind(world: World, name: str) -> list[dict[str, Any]]:
    return [spec for who in (CONTROLLER, *world.processes) for spec in knowledge.specs(world, name, who)]


def _queues(hpa: dict[str, Any], specs: list[dict[str, Any]]) -> list[str]:
    """Return the queues that an HPA's metrics are made of; of a formula's, those of the latest spec."""
    metrics = _metrics(hpa)
    if metrics != _OF_A_FORMULA:
        return metrics
    return next(([t["metadata"]["queue"] for t in spec["triggers"]] for spec in specs[::-1] if modified(spec)), [])


def _answered(world: World, name: str, queue: str) -> bool:
    told = [h[-1] for h in world.heard.values() if (h[-1].owner, h[-1].queue) == (name, queue)]
    return any(h.value is not None and world.time - h.at <= FRESH_SECONDS for h in told)


def _replaced(world: World, name: str, spec: dict[str, Any], queue: str) -> bool:
    """Whether something may have stood in for a queue when the HPA asked."""
    return any(stood_in(world, name, spec, queue, at=world.moment - ago) for ago in (0.0, FRESH_SECONDS))


def _objection(
    world: World, found: dict[str, Any], spec: dict[str, Any], *, writer: int, before: int, after: int, at: float
) -> str | None:
    """Return the rule that a daemon has broken by deciding this at a moment, under a spec; None if it may have."""
    least, idle = spec.get("minReplicaCount", 0), spec.get("idleReplicaCount")
    if pausing.in_force(spec, before=before, after=after):
        return pausing.objection(world, found, spec, after=after)
    says = activity(world, found["metadata"]["name"], spec, knowledge.told(world, writer, found, spec, at=at), at=at)
    active, known = says.active, says.known
    if after == max(least, 1) and after > before and (before == 0 or idle is not None or before < least):
        may_wake = active or (known and idle is None and before < least)
        return None if may_wake else "activation: woken while nothing is active"
    asleep = idle if idle is not None else 0 if least == 0 else None
    if asleep is None or after != asleep or after >= before:
        return "bounds: a daemon sets a count that is none of its own"
    if not known:
        return "unknown is never zero: put to sleep on triggers that have not answered"
    if active:
        return "activation: put to sleep while active"
    return None if _cooled_down(world, found, spec, writer=writer, at=at) else "cooldown: put to sleep before its end"


def _cooled_down(world: World, found: dict[str, Any], spec: dict[str, Any], *, writer: int, at: float) -> bool:
    memory = world.memories.get(found["metadata"]["name"])
    cooldown = timedelta(seconds=spec.get("cooldownPeriod", 300))
    if memory is None or memory.uid != found["metadata"]["uid"]:
        return True
    own = [wall for moment, wall in memory.active[writer] if moment <= at][-1:]
    if own and world.now() - own[0] < cooldown:
        return False
    # The latest by loop time: a clock that was set back makes what came later look earlier.
    recorded = max((read for moment, read in memory.recorded if moment <= at), default=None)
    return recorded is None or world.now() - recorded[1] >= cooldown - ROUNDING


def _restored(world: World, change: Change, writer: int) -> None:
    """An object that is to restore its target has done so before it goes."""
    found = change.before
    if change.place != SCALED_OBJECTS or writer <= 0 or change.after is not None or found is None:
        return
    target = world.deployment(found["spec"]["scaleTargetRef"]["name"])
    original = (found.get("status") or {}).get("originalReplicaCount")
    if target is None or original is None or not restores(found["spec"]):
        return
    if replicas(target) != original and found["metadata"]["uid"] not in world.restored:
        raise Violation(f"restored: {found['metadata']['name']} goes, and its target has not the {original} it had")


def _status_written(world: World, change: Change, writer: int) -> None:
    """The status says what is so: active only if a trigger was read as active, inactive only if all were read."""
    if change.place not in (SCALED_OBJECTS, SCALED_JOBS) or writer <= 0 or change.after is None:
        return
    found = change.after
    if said(found, "Active") == "True" != said(change.before or {}, "Active"):
        if not _ever_active(world, found, writer) and not _has_minimum(world, found, writer):
            raise Violation(f"status: {change.name[1]} is called active, and no trigger ever was to {who(writer)}")
    elif said(found, "Active") == "False" and said(change.before or {}, "Active") != "False":
        for at in knowledge.moments(world, change.name[1], writer):
            for spec in knowledge.specs(world, change.name[1], writer):
                heard = knowledge.told(world, writer, found, spec, at=at)
                if activity(world, change.name[1], spec, heard, at=at).known:
                    return
        raise Violation(f"status: {change.name[1]} is called inactive, and not every trigger has answered")


def _has_minimum(world: World, found: dict[str, Any], writer: int) -> bool:
    """Whether it is a ScaledJob with a minimum, which is always active."""
    name = found["metadata"]["name"]
    return name in world.backlogs and any(s["minReplicaCount"] > 0 for s in knowledge.specs(world, name, writer))


def _ever_active(world: World, found: dict[str, Any], writer: int) -> bool:
    name = found["metadata"]["name"]
    return any(
        h.active for (number, owner, _), all_ in world.heard.items() if (number, owner) == (writer, name) for h in all_
    ) or any(
        activity(world, name, spec, knowledge.told(world, writer, found, spec, at=at), at=at).active
        for at in knowledge.moments(world, name, writer)
        for spec in knowledge.specs(world, name, writer)
    )


def _hpa_written(world: World, change: Change, writer: int) -> None:
    """An HPA is the way its object says."""
    if change.place != HPAS or writer <= 0 or change.after is None:
        return
    name = change.after["metadata"]["labels"]["scaledobject.keda.sh/name"]
    specs = knowledge.specs(world, name, writer)
    allowed = [_wanted_of_hpa(spec) for spec in specs if not spec["asked"].stopped]
    if specs and not allowed:
        raise Violation(f"paused: the HPA of {name} is written while it is paused")
    if _has(change.after) not in allowed:
        raise Violation(f"bounds: the HPA of {name} has {_has(change.after)}, the object allows {allowed}")


HpaParts = tuple[int, int, list[str], list[str]]
_OF_A_FORMULA: Final = ["metric"]
"""What is left of the name of the metric that a formula makes."""


def _wanted_of_hpa(spec: dict[str, Any]) -> HpaParts:
    """Return the bounds that an object's HPA is to have, the queues it is to ask for, and what it is not to do."""
    queues = [trigger["metadata"]["queue"] for trigger in spec["triggers"]]
    off = [way for way, on in (("scaleDown", spec["asked"].scale_in), ("scaleUp", spec["asked"].scale_out)) if on]
    least, most = max(1, spec.get("minReplicaCount", 0)), spec.get("maxReplicaCount", 100)
    return least, most, _OF_A_FORMULA if modified(spec) else queues, off


def _has(hpa: dict[str, Any]) -> HpaParts:
    return hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"], _metrics(hpa), _switched_off(hpa)


def _switched_off(hpa: dict[str, Any]) -> list[str]:
    behavior = hpa["spec"].get("behavior") or {}
    return sorted(way for way, rules in behavior.items() if (rules or {}).get("selectPolicy") == "Disabled")


def _metrics(hpa: dict[str, Any]) -> list[str]:
    return [metric["external"]["metric"]["name"].rpartition("-")[2] for metric in hpa["spec"].get("metrics") or []]


def _owner(world: World, target: str) -> dict[str, Any] | None:
    owners = [o for o in world.scaled_objects() if o["spec"]["scaleTargetRef"]["name"] == target]
    return owners[0] if len(owners) == 1 else None


# --- once all faults have ended -------------------------------------------------------------------------------------


def unsettled(world: World) -> str | None:
    """Return what is not yet as the objects and the sources say, None if everything is."""
    try:
        for found in world.scaled_objects():
            _object_converged(world, found)
    except Violation as wrong:
        return str(wrong)
    names = {f"keda-hpa-{found['metadata']['name']}" for found in world.scaled_objects()}
    left = sorted({hpa["metadata"]["name"] for hpa in world.store.items(HPAS)} - names)
    return f"converged: {left} belong to nobody" if left else None


def _object_converged(world: World, found: dict[str, Any]) -> None:
    name = found["metadata"]["name"]
    spec = {**found["spec"], "asked": Asked.of(found["metadata"].get("annotations"))}
    if found["metadata"].get("deletionTimestamp"):
        raise Violation(f"converged: {name} is deleted and stays")
    target = world.deployment(spec["scaleTargetRef"]["name"])
    if target is not None:
        _target_converged(world, found, spec, target)
    elif said(found, "Ready") != "False":
        raise Violation(f"converged: {name} has no target and is called ready")


def _target_converged(world: World, found: dict[str, Any], spec: dict[str, Any], target: dict[str, Any]) -> None:
    name = found["metadata"]["name"]
    values = [(world.truth.values.get(t["metadata"]["queue"], 0.0), t) for t in spec["triggers"]]
    if modified(spec):
        values = [(sum(value for value, _ in values), {"metadata": {"length": "5"}})]
    active = any(value > activation(t) for value, t in values)
    if "True" in (said(found, "Fallback"), said(found, "Paused")):
        raise Violation(f"converged: {name} is called paused, or something stands in for its triggers")
    states = (said(found, "Ready"), said(found, "Active"))
    if states != ("True", str(active)):
        raise Violation(f"converged: {name} is Ready={states[0]}, Active={states[1]}, and should be Active={active}")
    hpa = world.hpa(name)
    if hpa is None or _has(hpa) != _wanted_of_hpa(spec):
        raise Violation(f"bounds: the HPA of {name} has not {_wanted_of_hpa(spec)}: {hpa and _has(hpa)}")
    bounds = _has(hpa)[:2]
    count = replicas(target) or 0
    least, idle = spec.get("minReplicaCount", 0), spec.get("idleReplicaCount")
    if not active and (idle is not None or least == 0):
        if count != (idle or 0):
            raise Violation(f"converged: {name} is inactive and has {count} replicas")
        return
    asked = highest([by_average(value, float(t["metadata"]["length"]), count, None) for value, t in values], count)
    wanted = min(max(asked or 0, bounds[0]), bounds[1])
    if count != wanted:
        raise Violation(f"converged: {name} has {count} replicas and should have {wanted} ({values}, {bounds})")


def awake(world: World, *, seconds: float, wanted: bool) -> None:
    """Raise `Violation` if an object has not yet heard from its sources that it is to be awake, or not."""
    for found in world.scaled_objects():
        name = found["metadata"]["name"]
        if said(found, "Ready") == "True" and said(found, "Active") != str(wanted):
            raise Violation(f"prompt: {name} is not Active={wanted} {seconds:g} s after all its sources said so")
        if wanted and replicas(world.deployment(found["spec"]["scaleTargetRef"]["name"])) == 0:
            raise Violation(f"prompt: {name} still has no replicas {seconds:g} s after all its sources became active")
