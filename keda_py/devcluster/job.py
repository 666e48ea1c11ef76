"""What comes next for a Job: a pure function of the Job, its pods and the time.

The rules are those of the real controller (kubernetes pkg/controller/job/job_controller.go): how a Job ends, how long
it waits after a pod that failed, what suspending it does, and when it goes by itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time, parse_time
from keda_py.devcluster.store import Object

BACKOFF_SECONDS: Final = 10.0
LONGEST_BACKOFF_SECONDS: Final = 600.0

Ended = tuple[str, str, str]
"""How a Job ends: the type of its condition, the reason and the message."""

COMPLETE: Final = ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
BACKOFF_LIMIT: Final = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE: Final = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
_BEFORE: Final = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}


@dataclass(frozen=True)
class Step:
    """One step: the status that is due, how many pods to make, which to delete.

    `expired`: whether the Job itself is to go. `again`: in how many seconds to look again though nothing changes.
    """

    status: Object
    create: int = 0
    delete: tuple[Object, ...] = ()
    expired: bool = False
    again: float | None = None


def step(job: Object, pods: list[Object], now: datetime) -> Step:
    """Return what is due for a Job with these pods."""
    spec, status = job["spec"], dict(job.get("status") or {})
    active = [pod for pod in pods if phase(pod) not in ("Succeeded", "Failed")]
    if (at := _finished_at(status)) is not None:
        ttl = spec.get("ttlSecondsAfterFinished")
        left = None if ttl is None else ttl - (now - at).total_seconds()
        return Step(status, delete=tuple(active), expired=left is not None and left <= 0, again=left)
    status = _begun(spec, status, now)
    if (ended := _ended(spec, status, pods, active, now)) is not None:
        return Step(_ended_status(status, ended, pods, active, now), delete=tuple(active))
    if spec.get("suspend"):
        return Step(_counted(status, pods, []), delete=tuple(active))
    wanted = _wanted(spec, pods, active)
    waits = _backoff(pods, now) if wanted > len(active) else 0.0
    until = [waits] if waits else []
    if (deadline := spec.get("activeDeadlineSeconds")) is not None:
        until.append(deadline - _age(status, now))
    return Step(
        _counted(status, pods, active),
        create=max(0, wanted - len(active)) if not waits else 0,
        delete=tuple(active[max(0, wanted) :]),
        again=min(until, default=None),
    )


def phase(pod: Object) -> str:
    """Return the phase of a pod."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_ready(pod: Object) -> bool:
    """Return whether a pod is ready."""
    return _holds(pod.get("status") or {}, "Ready")


def _holds(status: Object, type_: str) -> bool:
    return any(c["type"] == type_ and c["status"] == "True" for c in status.get("conditions") or [])


def _finished_at(status: Object) -> datetime | None:
    ended = [c for c in status.get("conditions") or [] if c["type"] in _BEFORE and c["status"] == "True"]
    return parse_time(ended[0]["lastTransitionTime"]) if ended else None


def _age(status: Object, now: datetime) -> float:
    return (now - parse_time(status["startTime"])).total_seconds()


def _begun(spec: Object, status: Object, now: datetime) -> Object:
    """Return the status of a Job that runs, or is suspended: its time begins anew when it no longer is."""
    suspended, was = bool(spec.get("suspend")), _holds(status, "Suspended")
    if suspended == was:
        return status if suspended else {"startTime": format_time(now), **status}
    reason, message = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
    said = _condition("Suspended", reason, message, now, holds=suspended)
    others = [c for c in status.get("conditions") or [] if c["type"] != "Suspended"]
    start = {} if suspended else {"startTime": format_time(now)}
    return {**status, **start, "conditions": [*others, said]}


def _ended(spec: Object, status: Object, pods: list[Object], active: list[Object], now: datetime) -> Ended | None:
    failed = sum(phase(pod) == "Failed" for pod in pods)
    restarts = sum(s.get("restartCount", 0) for pod in active for s in _containers(pod))
    limit = spec.get("backoffLimit", 6)
    if failed > limit or (restarts and restarts >= limit):
        return BACKOFF_LIMIT
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not spec.get("suspend") and _age(status, now) >= deadline:
        return DEADLINE
    succeeded, completions = _succeeded(pods), spec.get("completions")
    enough = succeeded > 0 and not active if completions is None else succeeded >= completions
    return COMPLETE if enough else None


def _ended_status(status: Object, ended: Ended, pods: list[Object], active: list[Object], now: datetime) -> Object:
    type_, reason, message = ended
    said = [_condition(name, reason, message, now) for name in (_BEFORE[type_], type_)]
    counted = _counted(status, pods, [])
    if type_ == "Complete":
        counted["completionTime"] = format_time(now)
    elif active:
        # They are deleted before their time.
        counted["failed"] = counted.get("failed", 0) + len(active)
    return {**counted, "conditions": [*(status.get("conditions") or []), *said]}


def _wanted(spec: Object, pods: list[Object], active: list[Object]) -> int:
    """Return how many pods are to be at work."""
    parallelism, completions, succeeded = spec.get("parallelism", 1), spec.get("completions"), _succeeded(pods)
    if completions is None:
        # They share the work among them: once one of them found it done, no more come.
        return len(active) if succeeded else parallelism
    return int(min(parallelism, completions - succeeded))


def _succeeded(pods: list[Object]) -> int:
    return sum(phase(pod) == "Succeeded" for pod in pods)


def _backoff(pods: list[Object], now: datetime) -> float:
    """Return how long to wait for the next pod, since the last of those that failed after one that succeeded."""
    ended = sorted((_ended_at(pod), phase(pod)) for pod in pods if phase(pod) in ("Succeeded", "Failed"))
    failures = 0
    for _, how in reversed(ended):
        if how == "Succeeded":
            break
        failures += 1
    if not failures:
        return 0.0
    wait = min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))
    return max(0.0, wait - (now - parse_time(ended[-1][0])).total_seconds())


def _ended_at(pod: Object) -> str:
    ends = [(s.get("state") or {}).get("terminated", {}).get("finishedAt") for s in _containers(pod)]
    return str(max(filter(None, ends), default=pod["metadata"]["creationTimestamp"]))


def _containers(pod: Object) -> list[dict[str, Any]]:
    return list((pod.get("status") or {}).get("containerStatuses") or [])


def _counted(status: Object, pods: list[Object], active: list[Object]) -> Object:
    counts = {
        "active": len(active),
        "succeeded": _succeeded(pods),
        "failed": sum(phase(pod) == "Failed" for pod in pods),
    }
    kept = {name: value for name, value in status.items() if name not in counts}
    said = {name: count for name, count in counts.items() if count}
    return {**kept, **said, "ready": sum(map(is_ready, active)), "terminating": 0, "uncountedTerminatedPods": {}}


def _condition(type_: str, reason: str, message: str, now: datetime, *, holds: bool = True) -> dict[str, Any]:
    at = format_time(now)
    return {
        "type": type_,
        "status": "True" if holds else "False",
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }
