"""Fallback: what stands in for a metric that cannot be read, and from when on (``spec.fallback``).

The rules are those of KEDA's pkg/fallback/fallback.go. Failures in a row are counted for each metric. Once there are
more of them than the threshold, the HPA is answered with the value that makes it want a number of replicas:

    behavior                | replicas
    ------------------------+---------------------------------------------------------------------
    static                  | those of the manifest
    currentReplicas         | those that there are
    currentReplicasIfHigher | the more of the two
    currentReplicasIfLower  | the fewer of the two
    scalingModifiers        | the formula's business: to it such a metric is nil, and nothing stands in

A metric that is compared as a whole (``Value``) is divided by the pods that are ready, as the HPA multiplies by them.
What is not known has no value here either: then the HPA gets none, and holds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keda_py.api.scaled_object import Fallback, ScalingModifiers
from keda_py.decide.status import Condition
from keda_py.naming import Condition as Type
from keda_py.naming import Reason
from keda_py.quantity import parse
from keda_py.scaler import Target

_FAILING: Final = "Failing"
_HAPPY: Final = "Happy"
_MOST: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[+-]?0*[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a manifest asks for. `composite`: what the metric of a formula is compared with, None without a formula."""

    threshold: int
    replicas: int
    behavior: str = "static"
    composite: Target | None = None

    @property
    def enough(self) -> int:
        """How many failures in a row it takes: one more than the threshold."""
        return self.threshold + 1

    @property
    def stands_in(self) -> bool:
        """Whether the metric itself is replaced, rather than left to a formula."""
        return self.behavior != "scalingModifiers"


def policy(fallback: Fallback | None, modifiers: ScalingModifiers | None = None) -> Policy | None:
    """Return what a manifest asks for; None if it asks for nothing.

    With scaling modifiers their target has to be a positive whole number, else KEDA takes the fallback for not
    configured (HasValidFallback).
    """
    if fallback is None:
        return None
    composite = None
    if modifiers is not None:
        if not _WHOLE.fullmatch(modifiers.target) or not 0 < int(modifiers.target) <= _MOST:
            return None
        composite = Target(modifiers.metric_type or "AverageValue", modifiers.target)
    return Policy(fallback.failure_threshold, fallback.replicas, fallback.behavior, composite)


# --- counting -------------------------------------------------------------------------------------------------------


def failures(entry: Mapping[str, Any] | None) -> int | None:
    """Return how many failures in a row an entry of ``status.health`` tells of; None without one."""
    if entry is None:
        return None
    return int(entry.get("numberOfFailures") or 0) if entry.get("status") == _FAILING else 0


def health(before: Mapping[str, Any] | None, count: int, wanted: Policy) -> dict[str, Any]:
    """Return the entry of ``status.health`` for so many failures in a row, `before` being what it says now.

    Each failure is written up to the one with which the fallback begins, so that a new process counts on where this
    one stopped. From then on the number changes nothing: what has been written stays, until a reading succeeds.
    """
    if before is not None and min(failures(before) or 0, count) >= wanted.enough:
        return dict(before)
    return {"numberOfFailures": count, "status": _FAILING if count else _HAPPY}


def condition(wanted: Policy | None, failing: Sequence[str]) -> Condition:
    """Return the Fallback condition; `failing`: the triggers that have failed often enough, as a person finds them."""
    if wanted is None or not failing:
        return Condition(Type.FALLBACK, "False", Reason.NO_FALLBACK, "No fallbacks are active on this scaled object")
    about = f"failed more than {wanted.threshold} times in a row, spec.fallback stands in ({wanted.behavior})"
    return Condition(Type.FALLBACK, "True", Reason.FALLBACK, f"{', '.join(failing)}: {about}")


# --- the value ------------------------------------------------------------------------------------------------------


def value(wanted: Policy, target: Target, *, current: int | None, ready: int | None) -> float | None:
    """Return what stands in for a metric with such a target, in whole thousandths; None if nothing can.

    `current`: how many replicas the scale target is told to have; `ready`: how many of its pods are ready. Each is
    needed only sometimes (`needs_current`, `needs_ready`), and None if it is not known.
    """
    replicas = _replicas(wanted, current)
    if replicas is None:
        return None
    compared = wanted.composite or target
    if needs_ready(wanted, target):
        if not ready:
            return None
        replicas /= ready
    thousandths = float(parse(compared.amount)) * 1000 * replicas
    return int(thousandths) / 1000 if abs(thousandths) <= _MOST else None


def needs_current(wanted: Policy) -> bool:
    """Whether the value depends on how many replicas there are."""
    return wanted.behavior != "static"


def needs_ready(wanted: Policy, target: Target) -> bool:
    """Whether the value depends on how many pods are ready."""
    return (wanted.composite or target).kind == "Value"


def _replicas(wanted: Policy, current: int | None) -> float | None:
    if wanted.behavior == "static":
        return float(wanted.replicas)
    if not wanted.stands_in or current is None:
        return None
    match wanted.behavior:
        case "currentReplicas":
            return float(current)
        case "currentReplicasIfHigher":
            return float(max(current, wanted.replicas))
        case _:
            return float(min(current, wanted.replicas))
