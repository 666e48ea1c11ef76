"""The status of a ScaledObject: its conditions, and the smallest patch that makes one of another.

Conditions have KEDA's shape (apis/keda/v1alpha1/condition_types.go): type, status, reason and message, no times.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from keda_py.naming import Condition as Type
from keda_py.naming import Reason

_ORDER: Final = (Type.READY, Type.ACTIVE, Type.FALLBACK, Type.PAUSED)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `status` is True, False or Unknown, as text."""

    type: str
    status: str
    reason: str = ""
    message: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as it stands in a status; what is empty is left out."""
        fields = {"type": self.type, "status": self.status, "reason": self.reason, "message": self.message}
        return {name: value for name, value in fields.items() if value}


def find(conditions: Iterable[dict[str, str]] | None, kind: str) -> Condition | None:
    """Return the condition of a type, None if a status has none."""
    for found in conditions or ():
        if found.get("type") == kind:
            return Condition(kind, found.get("status", ""), found.get("reason", ""), found.get("message", ""))
    return None


def conditions(previous: Sequence[dict[str, str]], changes: Iterable[Condition]) -> list[dict[str, str]]:
    """Return the conditions after some changed: KEDA's four first and always there, then all others as they were."""
    by_type = {kind: Condition(kind, "False" if kind == Type.PAUSED else "Unknown").as_json() for kind in _ORDER}
    by_type |= {found["type"]: found for found in previous}
    by_type |= {change.type: change.as_json() for change in changes}
    return list(by_type.values())


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON merge patch (RFC 7386) that makes `new` of `old`; None when they are equal."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if (inner := merge_patch(before, value)) is not None:
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch or None


def hpa_health(hpa: dict[str, Any] | None) -> Condition | None:
    """Return what an HPA says of itself as the HPAActive condition; None while it says nothing.

    At zero replicas the HPA switches itself off, which is as it should be (KEDA executor, checkHPAHealth).
    """
    said = find(((hpa or {}).get("status") or {}).get("conditions"), "ScalingActive")
    if said is None:
        return None
    if said.status == "True":
        return Condition(Type.HPA_ACTIVE, "True", Reason.HPA_ACTIVE, "HPA is actively scaling")
    if said.reason == Reason.HPA_SCALING_DISABLED:
        return Condition(Type.HPA_ACTIVE, "True", Reason.HPA_SCALING_DISABLED, said.message)
    reason = said.reason or Reason.HPA_METRICS_UNAVAILABLE
    return Condition(Type.HPA_ACTIVE, "False", reason, f"HPA is not actively scaling: {said.message}")


def triggers_activity(names: Iterable[str], active: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Return which external metrics are active, for the status."""
    awake = set(active)
    return {name: {"isActive": name in awake} for name in names}


def format_time(moment: datetime) -> str:
    """Return a time as Kubernetes writes it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Return the time that Kubernetes wrote, or took from a person, who may have written it in small letters."""
    return datetime.fromisoformat(text.upper())
