"""Combining triggers: from what each one says to whether the scale target should be awake.

An unknown is never a no. KEDA's rules are those of pkg/scaling/scale_handler.go (getScaledObjectState); where KEDA
lets an error read as "inactive", it is `UNKNOWN` here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keda_py.naming import COMPOSITE


class Activity(Enum):
    """What the triggers of an object say together."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What one trigger says.

    `label`: how a person finds it, such as ``triggers[0] (kafka)``. `active`: by external metric name; None when it
    has not been read or could not be. `failure`: why not; None while the first read is under way. A trigger without
    external metrics (cpu, memory) says nothing about activity and has an empty `active`. `replaced`: it fails, and has
    failed often enough for `spec.fallback` to stand in; then it counts as active, unless a formula decides.
    """

    label: str
    active: dict[str, bool] | None
    failure: str | None = None
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Composed:
    """What the metric says that scaling modifiers make of all triggers.

    `active`: None while it has no value. `failure`: why not, if that is not the triggers' doing.
    """

    active: bool | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Combined:
    """All triggers of an object together; `failures` has a sentence for each trigger that fails.

    `active_metrics`: of triggers. `awake_by`: what makes it active: those, or the one metric made of all. `replaced`:
    the labels of those that `spec.fallback` stands in for. `by_fallback`: whether nothing but that makes it active.
    `forced`: it is active because an annotation says so.
    """

    activity: Activity
    active_metrics: tuple[str, ...]
    failures: tuple[str, ...]
    pending: bool
    replaced: tuple[str, ...] = ()
    forced: bool = False
    awake_by: tuple[str, ...] = ()
    by_fallback: bool = False

    @property
    def cause(self) -> str:
        """In words: why it is active, where it is."""
        if self.forced:
            return "activation is forced by annotation"
        return "spec.fallback stands in" if self.by_fallback else "triggers are active"


def combine(states: Iterable[TriggerState], *, forced: bool = False, composed: Composed | None = None) -> Combined:
    """Return what the triggers say together; `forced` makes it active whatever they say.

    One active trigger is enough to be active. To be inactive every trigger must have said so: with one that fails, or
    has not answered yet, it is unknown. Objects that only have cpu and memory triggers are always active. With scaling
    modifiers all of that is up to the metric that is `composed` of the triggers'.
    """
    known = list(states)
    active = tuple(name for state in known for name, is_active in (state.active or {}).items() if is_active)
    failures = tuple(f"{state.label}: {state.failure}" for state in known if state.failure is not None)
    pending = any(state.active is None and state.failure is None for state in known)
    only_resources = bool(known) and all(state.active == {} for state in known)
    replaced = tuple(state.label for state in known if state.replaced)
    awake_by = active
    if composed is not None:
        awake_by = (COMPOSITE,) if composed.active else ()
        failures += () if composed.failure is None else (composed.failure,)
        says = composed.active
    elif active or only_resources or replaced:
        says = True
    else:
        says = None if failures or pending or not known else False
    activity = _ACTIVITY[True if forced else says]
    by_itself = any(any(state.active.values()) for state in known if state.active and not state.replaced)
    by_fallback = composed is None and bool(replaced) and not by_itself
    return Combined(activity, active, failures, pending, replaced, forced, awake_by, by_fallback)


_ACTIVITY: Final = {True: Activity.ACTIVE, False: Activity.INACTIVE, None: Activity.UNKNOWN}
