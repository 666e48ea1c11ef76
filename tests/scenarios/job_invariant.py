"""What must hold for ScaledJobs: at every Job that is made or deleted, and once all faults have ended."""

from typing import Any, Final

from keda_py.devcluster.store import Change

from . import knowledge
from .backlog import finished, goes, owner_of
from .world import CONTROLLER, JOBS, Violation, World, said, who

IN_FLIGHT_SECONDS: Final = 60.0
"""So long a pass may still make Jobs by what it knew as it began: one after the other, each request in up to 3 s, and
what the API server puts off in up to 10 s."""


def watch(world: World) -> None:
    """Check every Job from now on."""
    world.observers += [_job_made, _job_deleted]


# --- at every write -------------------------------------------------------------------------------------------------


def _job_made(world: World, change: Change, writer: int) -> None:
    """Within the bounds, not while paused, and only for what a trigger has said or for the minimum."""
    if change.place != JOBS or change.before is not None or change.after is None:
        return
    name = owner_of(change.after)
    specs = knowledge.specs(world, name, writer, seconds=IN_FLIGHT_SECONDS)
    owner = change.after["metadata"]["ownerReferences"][0]
    unfinished = sum(not finished(job) for job in world.jobs_of({"metadata": owner}))
    if unfinished > max(map(_most, specs)):
        raise Violation(f"bounds: {name} has {unfinished} Jobs by {who(writer)}, and is allowed {_most(specs[-1])}")
    if all(spec["paused"] for spec in specs):
        raise Violation(f"paused: a Job of {name} is made by {who(writer)}")
    found = {"metadata": {"name": name}}
    for at in knowledge.moments(world, name, writer, seconds=IN_FLIGHT_SECONDS):
        for spec in specs:
            if unfinished <= spec["minReplicaCount"] or _asked_for(world, found, spec, writer=writer, at=at):
                return
    heard = knowledge.told(world, writer, found, specs[-1], at=world.moment)
    raise Violation(f"unknown is never zero: a Job of {name} is made by {who(writer)}, who heard {heard}: {specs[-1]}")


def _most(spec: dict[str, Any]) -> int:
    """Return how many unfinished Jobs there may be at once, as KEDA reckons.

    A minimum of all there may be leaves none for what waits, a larger one adds nothing and takes nothing away. A custom
    share of the running Jobs lets those that are not counted come on top.
    """
    least, most = spec["minReplicaCount"], spec["maxReplicaCount"]
    least, extra = (least, most - least) if least <= most else (most, most)
    share = float(spec["scalingStrategy"].get("customScalingRunningJobPercentage", 1))
    return least + (extra if share >= 1 else int(extra / share) + 1)


def _asked_for(world: World, found: dict[str, Any], spec: dict[str, Any], *, writer: int, at: float) -> bool:
    heard = knowledge.told(world, writer, found, spec, at=at)
    active = any(h is not None and h.active for h in heard)
    needs_all = spec["scalingStrategy"]["multipleScalersCalculation"] in {"min", "avg"}
    return active and (not needs_all or all(h is not None and h.value is not None for h in heard))


def _job_deleted(world: World, change: Change, writer: int) -> None:
    """A Job at work goes only for another jobTargetRef, or with its object; one that is finished, beyond the limit."""
    job = change.before
    if change.place != JOBS or job is None or not goes(change) or "deletionTimestamp" in job["metadata"]:
        return
    name, uid = owner_of(job), job["metadata"]["ownerReferences"][0]["uid"]
    owner = world.scaled_job(name)
    if writer == CONTROLLER:
        if owner is not None and owner["metadata"]["uid"] == uid:
            raise Violation(f"at work: {change.name[1]} is deleted as if {name} were gone")
        return
    specs = knowledge.specs(world, name, writer, seconds=IN_FLIGHT_SECONDS)
    if any(_replaces(spec, job) for spec in specs):
        return
    if not finished(job):
        raise Violation(f"at work: {change.name[1]} is deleted by {who(writer)}, and nothing says so")
    kept = sum(bool(finished(one)) for one in world.jobs_of({"metadata": {"uid": uid}}))
    if all(kept < spec["successfulJobsHistoryLimit"] for spec in specs):
        raise Violation(f"history: {name} is left {kept} finished Jobs by {who(writer)}: {specs[-1]}")


def _replaces(spec: dict[str, Any], job: dict[str, Any]) -> bool:
    return spec["rollout"]["strategy"] != "gradual" and _command(spec["jobTargetRef"]) != _command(job["spec"])


def _command(spec: dict[str, Any]) -> Any:
    return spec["template"]["spec"]["containers"][0]["command"]


# --- once all faults have ended -------------------------------------------------------------------------------------


def unsettled(world: World) -> str | None:
    """Return what is not yet as the ScaledJobs and their messages say, None if everything is."""
    for found in world.scaled_jobs():
        name, jobs = found["metadata"]["name"], world.jobs_of(found)
        backlog, at_work = world.backlogs[name], sum(not finished(job) for job in jobs)
        states = (said(found, "Ready"), said(found, "Active"))
        if backlog.left or at_work:
            return f"nothing lost: {name} has {backlog.left} messages left, and {at_work} Jobs at work"
        if "deletionTimestamp" in found["metadata"] or states != ("True", "False"):
            return f"converged: {name} is Ready={states[0]}, Active={states[1]}"
        if backlog.exact and backlog.made != backlog.came:
            return f"once only: {name} had {backlog.made} Jobs for {backlog.came} messages"
        if len(jobs) > found["spec"]["successfulJobsHistoryLimit"]:
            return f"history: {name} has {len(jobs)} finished Jobs"
    uids = {found["metadata"]["uid"] for found in world.scaled_jobs()}
    left = [
        j["metadata"]["name"] for j in world.store.items(JOBS) if j["metadata"]["ownerReferences"][0]["uid"] not in uids
    ]
    return f"converged: {left} belong to nobody" if left else None


def noticed(world: World, before: dict[str, int], *, seconds: float) -> None:
    """Raise `Violation` if a ScaledJob has made no Job since messages came to all its queues."""
    for found in world.scaled_jobs():
        name = found["metadata"]["name"]
        if world.backlogs[name].made == before[name]:
            raise Violation(f"prompt: {name} has made no Job {seconds:g} s after messages came")
