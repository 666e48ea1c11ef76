"""The HPA of a ScaledObject: what it should be, and what to change of the one that is there.

The rules are those of KEDA's controllers/keda/hpa.go. The API server fills in defaults and other controllers add
labels and annotations; none of that is a difference, so that a steady HPA is never written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import modifiers, status
from keda_py.decide.pause import Asked
from keda_py.naming import API_VERSION, MANAGED_BY, Annotation, Label, indexed, label_value, normalize
from keda_py.quantity import parse
from keda_py.scaler import ExternalSpec, MetricSpec, ResourceSpec, Target

_QUANTITIES: Final = frozenset({"value", "averageValue", "tolerance"})
_RESOURCES: Final = frozenset({"cpu", "memory"})
_DISABLED: Final = "Disabled"


class HpaError(Exception):
    """An HPA that cannot be made; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """What the HPA scales."""

    api_version: str
    kind: str
    name: str


def build(
    scaled_object: ScaledObject,
    specs: Iterable[tuple[int, MetricSpec]],
    *,
    kept: Sequence[dict[str, Any]] = (),
    target: ScaleTarget,
    version: str,
) -> dict[str, Any]:
    """Return the HPA of a ScaledObject that `validate` finds nothing wrong with; raise `HpaError` if none makes sense.

    `specs`: what the triggers ask for, with the index of each. `kept`: metrics of the existing HPA that stay although
    their trigger cannot be built now.
    """
    metadata, spec = scaled_object.metadata, scaled_object.spec
    metrics = [_metric(indexed(index, ""), wanted, metadata.name) for index, wanted in specs] + list(kept)
    names = [metric["external"]["metric"]["name"] for metric in metrics if metric["type"] == "External"]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HpaError(f"the metric {twice[0]} is defined more than once")
    # Stable: within a type the order is that of the triggers.
    metrics.sort(key=lambda metric: str(metric["type"]))
    if spec.modifiers is not None:
        # As in KEDA, those of single containers go too (getScaledObjectMetricSpecs).
        resources = [metric for metric in metrics if metric["type"] == "Resource"]
        metrics = [*resources, _metric("", modifiers.metric(spec.modifiers), metadata.name)]
    if not metrics:
        raise HpaError("no trigger has a metric for the HPA")
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": scaled_object.hpa_name,
            "namespace": metadata.namespace,
            "labels": _labels(scaled_object, version),
            "annotations": dict(metadata.annotations or {}),
            "ownerReferences": [_owner(scaled_object)],
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": target.api_version, "kind": target.kind, "name": target.name},
            "minReplicas": max(1, spec.min_replicas),
            "maxReplicas": spec.max_replicas,
            "metrics": metrics,
            **({} if (behavior := _behavior(scaled_object)) is None else {"behavior": behavior}),
        },
    }


def _behavior(scaled_object: ScaledObject) -> dict[str, Any] | None:
    """Return how fast to scale: as the manifest says, and not at all in a direction that is paused."""
    given = scaled_object.spec.hpa_config.behavior
    asked = Asked.of(scaled_object.metadata.annotations)
    off = {name: paused for name, paused in (("scaleDown", asked.scale_in), ("scaleUp", asked.scale_out)) if paused}
    if not off:
        return given
    given = given or {}
    return given | {name: {**(given.get(name) or {}), "selectPolicy": _DISABLED} for name in off}


def _labels(scaled_object: ScaledObject, version: str) -> dict[str, str]:
    metadata = scaled_object.metadata
    excluded = (metadata.annotations or {}).get(Annotation.EXCLUDED_LABELS, "").split(",")
    own = {
        Label.NAME: label_value(scaled_object.hpa_name),
        Label.VERSION: version,
        Label.PART_OF: metadata.name,
        Label.MANAGED_BY: MANAGED_BY,
    }
    return own | {name: value for name, value in (metadata.labels or {}).items() if name not in excluded}


def _owner(scaled_object: ScaledObject) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "ScaledObject",
        "name": scaled_object.metadata.name,
        "uid": scaled_object.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _metric(prefix: str, spec: MetricSpec, owner: str) -> dict[str, Any]:
    if isinstance(spec, ExternalSpec):
        metric = {"name": f"{prefix}{spec.name}", "selector": {"matchLabels": {Label.OWNER: owner}}}
        return {"type": "External", "external": {"metric": metric, "target": _target(spec.target)}}
    body = {"name": spec.resource, "target": _target(spec.target)}
    if spec.container is None:
        return {"type": "Resource", "resource": body}
    return {"type": "ContainerResource", "containerResource": body | {"container": spec.container}}


def _target(target: Target) -> dict[str, Any]:
    match target.kind:
        case "Utilization":
            return {"type": target.kind, "averageUtilization": int(target.amount)}
        case "AverageValue":
            return {"type": target.kind, "averageValue": target.amount}
        case _:
            return {"type": target.kind, "value": target.amount}


def kept_metrics(found: dict[str, Any] | None, index: int) -> list[dict[str, Any]]:
    """Return the external metrics that an existing HPA has of the trigger at `index`.

    They stay while the trigger cannot be built. We answer for them with an error, and an HPA with a failing metric
    does not scale down; without them it would decide on the others alone.
    """
    metrics = ((found or {}).get("spec") or {}).get("metrics") or []
    prefix = indexed(index, "")
    return [
        metric
        for metric in metrics
        if metric["type"] == "External" and metric["external"]["metric"]["name"].startswith(prefix)
    ]


def can_stand_in(trigger_type: str) -> bool:
    """Whether something can stand in for a trigger that never could be built: not for what the HPA reads itself."""
    return trigger_type not in _RESOURCES


def stand_in(index: int, trigger_type: str, owner: str) -> dict[str, Any]:
    """Return a metric in place of those of a trigger that never could be built: so many replicas as its value says."""
    return _metric(indexed(index, ""), ExternalSpec(normalize(trigger_type), Target("AverageValue", "1")), owner)


def target_of_metric(metric: dict[str, Any]) -> tuple[str, Target]:
    """Return name and target of an external metric of an HPA."""
    external = metric["external"]
    kind, target = external["target"]["type"], external["target"]
    return external["metric"]["name"], Target(kind, str(target["averageValue" if kind == "AverageValue" else "value"]))


def resource_names(specs: Iterable[tuple[int, MetricSpec]]) -> list[str]:
    """Return the resources that the HPA watches itself, for the status."""
    return [spec.resource for _, spec in specs if isinstance(spec, ResourceSpec) and spec.container is None]


def differs(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the merge patch that makes of an HPA what is wanted; None when it is that already."""
    patch: dict[str, Any] = {}
    metadata = {
        part: missing
        for part in ("labels", "annotations")
        if (missing := _missing(wanted["metadata"][part], found["metadata"].get(part) or {}))
    }
    taken = not _covers(found["metadata"].get("ownerReferences") or [], wanted["metadata"]["ownerReferences"])
    if taken:
        metadata["ownerReferences"] = wanted["metadata"]["ownerReferences"]
    if metadata:
        patch["metadata"] = metadata
    spec = {name: value for name, value in wanted["spec"].items() if not _covers(found["spec"].get(name), value)}
    if "behavior" not in wanted["spec"]:
        if found["spec"].get("behavior"):
            spec["behavior"] = None
    elif taken and found["spec"].get("behavior"):
        # What somebody else wanted is not to stay in what a merge would leave alone.
        if (change := status.merge_patch(found["spec"]["behavior"], wanted["spec"]["behavior"])) is not None:
            spec["behavior"] = change
    elif enabled := _enabled(wanted["spec"]["behavior"], found["spec"].get("behavior") or {}):
        spec["behavior"] = spec.get("behavior", {}) | enabled
    if spec:
        patch["spec"] = spec
    return patch or None


def _enabled(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return the directions that are switched off and should not be: a merge leaves alone what it does not name."""
    return {
        name: (wanted.get(name) or {}) | {"selectPolicy": None}
        for name in ("scaleDown", "scaleUp")
        if (found.get(name) or {}).get("selectPolicy") == _DISABLED and "selectPolicy" not in (wanted.get(name) or {})
    }


def _missing(wanted: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if found.get(name) != value}


def _covers(found: Any, wanted: Any, name: str = "") -> bool:
    """Whether everything that is wanted is there. Lists must be of one length; quantities compare as numbers."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_covers(found.get(key), value, key) for key, value in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(_covers(one, other) for one, other in zip(found, wanted, strict=True))
    if name in _QUANTITIES and isinstance(found, str | int):
        return parse(str(found)) == parse(str(wanted))
    return bool(found == wanted)
