"""What the API server fills in of each built-in kind, beside what `builtin` declares, and what it refuses.

The sources are the kinds' defaults.go, strategies and validation (kubernetes pkg/apis and pkg/registry); of what can be
wrong in a pod, only what it cannot run without is looked at.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from keda_py.devcluster.selector import by_labels, from_object
from keda_py.devcluster.store import Object
from keda_py.quantity import parse

Cause = tuple[str, str]

_IMMUTABLE: Final = "field is immutable"
_KEPT: Final = "field is immutable when `immutable` is set"
_JOB_LABELS: Final = ("job-name", "batch.kubernetes.io/job-name")
_UID_LABELS: Final = ("controller-uid", "batch.kubernetes.io/controller-uid")


# --- what is filled in ----------------------------------------------------------------------------------------------


def _over(defaults: Object, given: Any) -> Object:
    """Return defaults with what is given in their place; what is empty is not."""
    return {**defaults, **{name: value for name, value in (given or {}).items() if value not in (None, "", {})}}


_QUARTER: Final = {"maxSurge": "25%", "maxUnavailable": "25%"}
_DEFAULTS: Final[dict[str, Object]] = {
    "Deployment": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600},
    "ReplicaSet": {"replicas": 1},
    "StatefulSet": {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"},
    "Job": {"parallelism": 1, "backoffLimit": 6, "suspend": False, "completionMode": "NonIndexed",
            "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False},
    "HorizontalPodAutoscaler": {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]},
}  # fmt: skip


def filled(kind: str, found: Object) -> Object:
    """Return an object with its defaults."""
    if kind == "Secret" and "stringData" in found:
        return _with_string_data(found)
    if kind not in _DEFAULTS:
        return found
    spec = _over(_DEFAULTS[kind], found.get("spec"))
    if kind == "Deployment":
        spec["strategy"] = _rolling(spec.get("strategy"), _QUARTER)
    elif kind == "StatefulSet":
        spec["updateStrategy"] = _rolling(spec.get("updateStrategy"), {"partition": 0})
        retain = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec["persistentVolumeClaimRetentionPolicy"] = _over(retain, spec.get("persistentVolumeClaimRetentionPolicy"))
    elif kind == "Job" and "parallelism" not in (found.get("spec") or {}):
        spec.setdefault("completions", 1)
    elif kind == "HorizontalPodAutoscaler" and "behavior" in (found.get("spec") or {}):
        given = found["spec"]["behavior"] or {}
        spec["behavior"] = {way: _rules(given.get(way), policies) for way, policies in _POLICIES.items()}
        spec["behavior"]["scaleUp"].setdefault("stabilizationWindowSeconds", 0)
    return {**found, "spec": spec}


def _rolling(given: Object | None, defaults: Object) -> Object:
    strategy = _over({"type": "RollingUpdate"}, given)
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = _over(defaults, strategy.get("rollingUpdate"))
    return strategy


def _policies(*of: tuple[str, int]) -> list[Object]:
    return [{"type": type_, "value": value, "periodSeconds": 15} for type_, value in of]


_POLICIES: Final = {"scaleUp": _policies(("Pods", 4), ("Percent", 100)), "scaleDown": _policies(("Percent", 100))}


def _rules(given: Object | None, policies: list[Object]) -> Object:
    return {"selectPolicy": "Max", "policies": policies, **(given or {})}


def _with_string_data(found: Object) -> Object:
    """Return a Secret with its texts among its data, as they are stored."""
    texts = {name: b64encode(text.encode()).decode() for name, text in (found["stringData"] or {}).items()}
    kept = {name: value for name, value in found.items() if name != "stringData"}
    return {**kept, "data": {**(found.get("data") or {}), **texts}}


def begun(kind: str, found: Object) -> Object:
    """Return a new object with what is made for it once: the selector of a Job, the label of a namespace."""
    name, uid = found["metadata"]["name"], found["metadata"]["uid"]
    if kind == "Namespace":
        labels = {**(found["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": name}
        return {**found, "metadata": {**found["metadata"], "labels": labels}}
    if kind != "Job" or found["spec"].get("manualSelector"):
        return found
    spec, template = found["spec"], found["spec"]["template"]
    own = (template.get("metadata") or {}).get("labels") or {}
    labels = {**own, **dict.fromkeys(_JOB_LABELS, name), **dict.fromkeys(_UID_LABELS, uid)}
    template = {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}}
    # A Job without labels of its own gets those of its pods.
    metadata = found["metadata"] if found["metadata"].get("labels") else {**found["metadata"], "labels": labels}
    selector = {"matchLabels": {_UID_LABELS[1]: uid}}
    return {**found, "metadata": metadata, "spec": {**spec, "selector": selector, "template": template}}


# --- what is refused ------------------------------------------------------------------------------------------------


def problems(kind: str, found: Object) -> list[Cause]:
    """Return what is not allowed in an object."""
    check = _CHECKS.get(kind)
    return list(check(found)) if check is not None else []


def immutable(kind: str, old: Object, new: Object) -> list[Cause]:
    """Return what may not be changed."""
    if kind in ("ConfigMap", "Secret"):
        return list(_data_kept(kind, old, new))
    before, after = old.get("spec") or {}, new.get("spec") or {}
    return [
        (f"spec.{name}", f"Invalid value: {_shown(after.get(name))}: {_IMMUTABLE}")
        for name in _FIXED.get(kind, ())
        if before.get(name) != after.get(name)
    ]


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


_FIXED: Final = {
    "Deployment": ("selector",),
    "ReplicaSet": ("selector",),
    "Job": ("completions", "selector", "template", "completionMode"),
}


def _data_kept(kind: str, old: Object, new: Object) -> Iterator[Cause]:
    if kind == "Secret" and old.get("type") != new.get("type"):
        yield "type", f'Invalid value: "{new.get("type")}": {_IMMUTABLE}'
    if not old.get("immutable"):
        return
    for name in ("immutable", "data", "binaryData"):
        if (old.get(name) or None) != (new.get(name) or None):
            yield name, f"Forbidden: {_KEPT}"


_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_DATA_WORDS: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _data(found: Object) -> Iterator[Cause]:
    for part in ("data", "binaryData"):
        for key in found.get(part) or {}:
            if not _DATA_KEY.fullmatch(key) or key in (".", ".."):
                yield f"{part}[{key}]", f'Invalid value: "{key}": {_DATA_WORDS}'


def _pod(spec: Object, path: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield f"{path}.containers", "Required value"
    for index, container in enumerate(spec.get("containers") or []):
        for name in ("name", "image"):
            if not container.get(name):
                yield f"{path}.containers[{index}].{name}", "Required value"


def _workload(found: Object) -> Iterator[Cause]:
    spec = found["spec"]
    if spec["replicas"] < 0:
        yield "spec.replicas", f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
    if not spec.get("selector"):
        yield "spec.selector", "Required value"
    else:
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if not by_labels(from_object(spec["selector"]))({"metadata": {"labels": labels}}):
            said = f"Invalid value: {_shown(labels)}: `selector` does not match template `labels`"
            yield "spec.template.metadata.labels", said
    yield from _pod((spec.get("template") or {}).get("spec") or {}, "spec.template.spec")
    given = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if given != "Always":
        yield "spec.template.spec.restartPolicy", f'Unsupported value: "{given}": supported values: "Always"'


def _job(found: Object) -> Iterator[Cause]:
    spec = found["spec"]
    for name in ("parallelism", "completions", "backoffLimit"):
        if spec.get(name, 0) < 0:
            yield f"spec.{name}", f"Invalid value: {spec[name]}: must be greater than or equal to 0"
    template = (spec.get("template") or {}).get("spec") or {}
    yield from _pod(template, "spec.template.spec")
    given, path, usable = template.get("restartPolicy"), "spec.template.spec.restartPolicy", '"OnFailure", "Never"'
    if given == "Always":
        yield path, f"Required value: valid values: {usable}"
    elif f'"{given}"' not in usable:
        yield path, f'Unsupported value: "{given}": supported values: {usable}'


def _hpa(found: Object) -> Iterator[Cause]:
    spec = found["spec"]
    most, least = spec.get("maxReplicas") or 0, spec["minReplicas"]
    if least < 1:
        yield "spec.minReplicas", f"Invalid value: {least}: must be greater than or equal to 1"
    if not most:
        yield "spec.maxReplicas", "Required value: must be set and greater than 0"
    elif most < 0:
        yield "spec.maxReplicas", f"Invalid value: {most}: must be greater than or equal to 1"
    if most < least:
        yield "spec.maxReplicas", f"Invalid value: {most}: must be greater than or equal to `minReplicas`"
    for name in ("kind", "name"):
        if not (spec.get("scaleTargetRef") or {}).get(name):
            yield f"spec.scaleTargetRef.{name}", "Required value"
    for index, metric in enumerate(spec.get("metrics") or []):
        yield from _metric(metric, f"spec.metrics[{index}]")
    for way, rules in (spec.get("behavior") or {}).items():
        yield from _scaling(rules, f"spec.behavior.{way}")


def _event(found: Object) -> Iterator[Cause]:
    own, about = found["metadata"]["namespace"], (found.get("regarding") or {}).get("namespace") or ""
    new = bool(found.get("eventTime"))
    # What has no namespace is told of in the default one; whatever has one, new events may tell of elsewhere.
    if (own not in ("default", "kube-system")) if not about else (about != own and not new):
        yield "involvedObject.namespace", f'Invalid value: "{about}": does not match event.namespace'
    for name in ("reportingController", "reportingInstance", "action", "reason") if new else ():
        if not found.get(name):
            yield name, "Required value"


_SOURCES: Final = ("ContainerResource", "External", "Object", "Pods", "Resource")


def _metric(metric: Object, path: str) -> Iterator[Cause]:
    type_ = metric.get("type")
    if not type_:
        yield f"{path}.type", "Required value: must specify a metric source type"
    if type_ not in _SOURCES:
        listed = ", ".join(f'"{source}"' for source in _SOURCES)
        yield f"{path}.type", f'Unsupported value: "{type_ or ""}": supported values: {listed}'
        return
    part = type_[0].lower() + type_[1:]
    source = metric.get(part)
    if source is None:
        yield f"{path}.{part}", "Required value: must populate information for the given metric source"
        return
    if part == "external" and not (source.get("metric") or {}).get("name"):
        yield f"{path}.{part}.metric.name", "Required value: must specify a metric name"
    target = source.get("target") or {}
    yield from _target(target, f"{path}.{part}.target")
    if part == "external" and "value" not in target and "averageValue" not in target:
        said = "Required value: must set either a target value for metric or a per-pod target"
        yield f"{path}.{part}.target.averageValue", said
    if part == "external" and "value" in target and "averageValue" in target:
        said = "Forbidden: may not set both a target value for metric and a per-pod target"
        yield f"{path}.{part}.target.value", said


def _target(target: Object, path: str) -> Iterator[Cause]:
    if not target.get("type"):
        yield f"{path}.type", "Required value: must specify a metric target type"
    if target.get("type") not in ("Utilization", "Value", "AverageValue"):
        said = "must be either Utilization, Value, or AverageValue"
        yield f"{path}.type", f'Invalid value: "{target.get("type") or ""}": {said}'
    for name in ("value", "averageValue"):
        if name in target and parse(target[name]).value <= 0:
            yield f"{path}.{name}", f'Invalid value: "{target[name]}": must be positive'
    if target.get("averageUtilization", 1) < 1:
        yield f"{path}.averageUtilization", f"Invalid value: {target['averageUtilization']}: must be greater than 0"


_LONGEST_WINDOW: Final = 3600
_LONGEST_PERIOD: Final = 1800


def _scaling(rules: Object, path: str) -> Iterator[Cause]:
    window = rules.get("stabilizationWindowSeconds") or 0
    if window < 0:
        yield f"{path}.stabilizationWindowSeconds", f"Invalid value: {window}: must be greater than or equal to zero"
    if window > _LONGEST_WINDOW:
        said = f"must be less than or equal to {_LONGEST_WINDOW}"
        yield f"{path}.stabilizationWindowSeconds", f"Invalid value: {window}: {said}"
    select = rules.get("selectPolicy")
    if select not in ("Max", "Min", "Disabled"):
        yield f"{path}.selectPolicy", f'Unsupported value: "{select}": supported values: "Disabled", "Max", "Min"'
    if not rules.get("policies"):
        yield f"{path}.policies", "Required value: must specify at least one Policy"
    for index, policy in enumerate(rules.get("policies") or []):
        yield from _policy(policy, f"{path}.policies[{index}]")
    if "tolerance" in rules and parse(rules["tolerance"]).value < 0:
        yield f"{path}.tolerance", f'Invalid value: "{rules["tolerance"]}": must be greater than or equal to 0'


def _policy(policy: Object, path: str) -> Iterator[Cause]:
    if policy["type"] not in ("Pods", "Percent"):
        yield f"{path}.type", f'Unsupported value: "{policy["type"]}": supported values: "Percent", "Pods"'
    for name in ("value", "periodSeconds"):
        if policy[name] <= 0:
            yield f"{path}.{name}", f"Invalid value: {policy[name]}: must be greater than zero"
    if policy["periodSeconds"] > _LONGEST_PERIOD:
        said = f"must be less than or equal to {_LONGEST_PERIOD}"
        yield f"{path}.periodSeconds", f"Invalid value: {policy['periodSeconds']}: {said}"


_CHECKS: Final[Mapping[str, Callable[[Object], Iterator[Cause]]]] = {
    "ConfigMap": _data,
    "Secret": _data,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "Job": _job,
    "Pod": lambda found: _pod(found.get("spec") or {}, "spec"),
    "HorizontalPodAutoscaler": _hpa,
    "Event": _event,
    "events.Event": _event,
}
