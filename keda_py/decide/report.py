"""What an object's conditions say of a decision: one sentence a person can act on, the same while nothing changes.

Reasons are KEDA's (KEDA apis/keda/v1alpha1/condition_types.go); the sentences are ours and name the trigger. No
sentence holds a value or a time that changes by itself, so that a steady object is never written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keda_py.decide.combine import Activity, Combined
from keda_py.decide.scale import Why
from keda_py.decide.status import Condition, find
from keda_py.naming import Condition as Type
from keda_py.naming import EventReason, Reason


@dataclass(frozen=True, slots=True)
class Wording:
    """What differs between the kinds: reasons, and what a trigger that cannot be read leads to."""

    kind: str
    ready: str
    check_failed: str
    update_failed: str
    deleted: str
    held: str


SCALED_OBJECT: Final = Wording(
    "ScaledObject",
    Reason.READY,
    Reason.CHECK_FAILED,
    EventReason.UPDATE_FAILED,
    EventReason.DELETED,
    held="replicas are held as they are",
)
SCALED_JOB: Final = Wording(
    "ScaledJob",
    Reason.JOB_READY,
    Reason.JOB_CHECK_FAILED,
    EventReason.JOB_UPDATE_FAILED,
    EventReason.JOB_DELETED,
    held="no Job is made",
)


def ready(broken: Sequence[str], combined: Combined, wording: Wording = SCALED_OBJECT) -> Condition | None:
    """Return the Ready condition; None while the first reading is under way, to leave what it says.

    `broken`: a sentence for each trigger that could not be built. They weigh most: only an edit can mend them.
    """
    if broken:
        return Condition(Type.READY, "False", wording.check_failed, "; ".join(broken))
    if combined.failures and combined.activity is not Activity.UNKNOWN:
        return Condition(Type.READY, "Unknown", Reason.PARTIAL_TRIGGER_ERROR, _failing(combined, _instead(combined)))
    if combined.failures:
        return Condition(Type.READY, "False", Reason.TRIGGER_ERROR, _failing(combined, wording.held))
    if combined.pending:
        return None
    return Condition(
        Type.READY, "True", wording.ready, f"{wording.kind} is defined correctly and its triggers are read"
    )


def _instead(combined: Combined) -> str:
    if combined.replaced:
        return "spec.fallback stands in"
    return "activation is forced by annotation" if combined.forced else "the others decide"


def _failing(combined: Combined, effect: str) -> str:
    return f"{'; '.join(combined.failures)} ({effect})"


def active(combined: Combined, why: Why | None = None, wording: Wording = SCALED_OBJECT) -> Condition | None:
    """Return the Active condition; None while the first reading is under way."""
    if combined.activity is Activity.ACTIVE:
        return Condition(Type.ACTIVE, "True", Reason.ACTIVE, combined.cause)
    if why is Why.COOLING:
        return Condition(Type.ACTIVE, "False", Reason.COOLDOWN, "triggers are not active, cooling down")
    if combined.activity is Activity.INACTIVE:
        return Condition(Type.ACTIVE, "False", Reason.NOT_ACTIVE, "triggers are not active")
    if combined.failures:
        return Condition(Type.ACTIVE, "Unknown", Reason.UNKNOWN, f"triggers cannot be read, {wording.held}")
    return None


def awoken(combined: Combined) -> str:
    """Return what the event of a wake says of its cause, with KEDA's words where KEDA has any."""
    if combined.forced:
        return "caused by forced activation annotation"
    if not combined.awake_by:
        # Of cpu and memory alone there is no external metric to name.
        return f"because {combined.cause}"
    triggered = f"triggered by {';'.join(combined.awake_by)}"
    return f"{triggered}, where {combined.cause}" if combined.by_fallback else triggered


def unusable(problem: str, wording: Wording = SCALED_OBJECT) -> list[Condition]:
    """Return the conditions of an object that cannot be worked on at all."""
    return [
        Condition(Type.READY, "False", wording.check_failed, problem),
        Condition(Type.ACTIVE, "Unknown", Reason.UNKNOWN, f"the {wording.kind} cannot be worked on, see Ready"),
    ]


def replicas_unknown(problem: str) -> Condition:
    """Return the Ready condition of an object whose target is there and does not tell its replicas."""
    return Condition(Type.READY, "False", Reason.REPLICAS_UNKNOWN, f"{problem} ({SCALED_OBJECT.held})")


def not_ready(now: Condition, wording: Wording, *, composed: bool) -> str:
    """Return the reason of the event that tells of a Ready condition other than True.

    `composed`: whether one metric is made of all triggers; KEDA calls their failures otherwise then.
    """
    if now.reason in (Reason.TRIGGER_ERROR, Reason.PARTIAL_TRIGGER_ERROR):
        return EventReason.METRIC_SOURCE_FAILED if composed else EventReason.SCALER_FAILED
    return wording.check_failed


_TURNS: Final = {
    (Type.FALLBACK, True): (EventReason.FALLBACK_ACTIVATED, "ScaledObject fallback is active"),
    (Type.FALLBACK, False): (EventReason.FALLBACK_DEACTIVATED, "ScaledObject fallback is no longer active"),
    (Type.PAUSED, True): (EventReason.PAUSED, "ScaledObject is paused"),
    (Type.PAUSED, False): (EventReason.UNPAUSED, "ScaledObject is not paused any more"),
}


def turns(before: Sequence[dict[str, Any]] | None, changes: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Yield reason and note of an event for each fallback or pause that began or ended, as conditions changed."""
    for change in changes:
        old = find(before, change.type)
        now, was = change.status == "True", old is not None and old.status == "True"
        if now is not was and (change.type, now) in _TURNS:
            yield _TURNS[change.type, now]
