"""Cells of ``kubectl get`` that are more than a field of the object (kubernetes pkg/printers/internalversion)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import parse_time
from keda_py.devcluster.age import human
from keda_py.devcluster.selector import from_object
from keda_py.devcluster.store import Object

NONE: Final = "<none>"
Cell = Callable[[Object, datetime], Any]


def _status(found: Object) -> Mapping[str, Any]:
    return found.get("status") or {}


def _count(name: str) -> Cell:
    return lambda found, _: _status(found).get(name, 0)


def _ready(found: Object, _: datetime) -> str:
    return f"{_status(found).get('readyReplicas', 0)}/{found['spec'].get('replicas', 1)}"


def _containers(found: Object, field: str) -> str:
    containers = found["spec"]["template"]["spec"].get("containers") or []
    return ",".join(str(container.get(field, "")) for container in containers)


def _selector(found: Object, _: datetime) -> str:
    return from_object(found["spec"].get("selector")) or NONE


_WORKLOAD: Final[dict[str, Cell]] = {
    "Containers": lambda found, _: _containers(found, "name"),
    "Images": lambda found, _: _containers(found, "image"),
    "Selector": _selector,
}

# --- pods -----------------------------------------------------------------------------------------------------------


def _pod_ready(found: Object, _: datetime) -> str:
    statuses = _status(found).get("containerStatuses") or []
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(found['spec'].get('containers') or [])}"


def _pod_status(found: Object, _: datetime) -> str:
    if "deletionTimestamp" in found["metadata"]:
        return "Terminating"
    for container in _status(found).get("containerStatuses") or []:
        for state in ("waiting", "terminated"):
            if reason := (container.get("state") or {}).get(state, {}).get("reason"):
                return str(reason)
    return str(_status(found).get("phase", "Unknown"))


def _restarts(found: Object, _: datetime) -> str:
    return str(sum(s.get("restartCount", 0) for s in _status(found).get("containerStatuses") or []))


# --- jobs -----------------------------------------------------------------------------------------------------------


def _job_status(found: Object, _: datetime) -> str:
    said = {c["type"] for c in _status(found).get("conditions") or [] if c["status"] == "True"}
    return next((state for state in ("Complete", "Failed", "Suspended") if state in said), "Running")


def _completions(found: Object, _: datetime) -> str:
    succeeded, spec = _status(found).get("succeeded", 0), found["spec"]
    if (wanted := spec.get("completions")) is None:
        parallelism = spec.get("parallelism", 1)
        wanted = f"1 of {parallelism}" if parallelism > 1 else 1
    return f"{succeeded}/{wanted}"


def _duration(found: Object, now: datetime) -> str:
    if (start := _status(found).get("startTime")) is None:
        return ""
    end = _status(found).get("completionTime")
    return human(((parse_time(end) if end else now) - parse_time(start)).total_seconds())


# --- HorizontalPodAutoscalers ---------------------------------------------------------------------------------------

_SHOWN_METRICS: Final = 2


def _reference(found: Object, _: datetime) -> str:
    target = found["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _targets(found: Object, _: datetime) -> str:
    metrics = found["spec"].get("metrics") or []
    current = _status(found).get("currentMetrics") or []
    shown = [
        _target(metric, current[index] if index < len(current) else {})
        for index, metric in enumerate(metrics[:_SHOWN_METRICS])
    ]
    more = f" + {len(metrics) - _SHOWN_METRICS} more..." if len(metrics) > _SHOWN_METRICS else ""
    return ", ".join(shown) + more or NONE


def _target(metric: Object, current: Object) -> str:
    part = metric["type"][0].lower() + metric["type"][1:]
    wanted, now = metric[part]["target"], (current.get(part) or {}).get("current") or {}
    prefix = f"{metric[part]['name']}: " if part == "resource" else ""
    if "averageUtilization" in wanted:
        known = f"{now['averageUtilization']}%" if "averageUtilization" in now else "<unknown>"
        return f"{prefix}{known}/{wanted['averageUtilization']}%"
    if "averageValue" in wanted:
        average = "" if part == "resource" else " (avg)"
        return f"{prefix}{now.get('averageValue', '<unknown>')}/{wanted['averageValue']}{average}"
    return f"{prefix}{now.get('value', '<unknown>')}/{wanted['value']}"


# --- events, in either of their faces -------------------------------------------------------------------------------


def _event(found: Object, *names: str) -> Any:
    return next((found[name] for name in names if found.get(name)), None)


def _object(found: Object, _: datetime) -> str:
    about = _event(found, "involvedObject", "regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _source(found: Object, _: datetime) -> str:
    source = _event(found, "source", "deprecatedSource") or {}
    component = source.get("component") or _event(found, "reportingComponent", "reportingController") or ""
    host = source.get("host") or found.get("reportingInstance")
    return f"{component}, {host}" if host else str(component)


def _first_seen(found: Object, now: datetime) -> str:
    return _ago(_event(found, "firstTimestamp", "deprecatedFirstTimestamp", "eventTime"), now)


def _last_seen(found: Object, now: datetime) -> str:
    series = (found.get("series") or {}).get("lastObservedTime")
    last = series or _event(found, "lastTimestamp", "deprecatedLastTimestamp")
    return _ago(last, now) if last else _first_seen(found, now)


def _ago(at: str | None, now: datetime) -> str:
    return human((now - parse_time(at)).total_seconds()) if at else "<unknown>"


def _times(found: Object, _: datetime) -> int:
    return int((found.get("series") or {}).get("count") or _event(found, "count", "deprecatedCount") or 1)


# --- services -------------------------------------------------------------------------------------------------------


def _ports(found: Object, _: datetime) -> str:
    ports = found["spec"].get("ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or NONE


MADE: Final[dict[str, dict[str, Cell]]] = {
    "ConfigMap": {"Data": lambda found, _: len(found.get("data") or {}) + len(found.get("binaryData") or {})},
    "Secret": {"Data": lambda found, _: len(found.get("data") or {})},
    "Service": {
        "Cluster-IP": lambda found, _: found["spec"].get("clusterIP") or NONE,
        "External-IP": lambda found, _: found["spec"].get("externalName") or NONE,
        "Port(s)": _ports,
        "Selector": lambda found, _: from_object({"matchLabels": found["spec"].get("selector")}) or NONE,
    },
    "Deployment": {
        "Ready": _ready,
        "Up-to-date": _count("updatedReplicas"),
        "Available": _count("availableReplicas"),
        **_WORKLOAD,
    },
    "ReplicaSet": {"Current": _count("replicas"), "Ready": _count("readyReplicas"), **_WORKLOAD},
    "StatefulSet": {"Ready": _ready, **_WORKLOAD},
    "Job": {"Status": _job_status, "Completions": _completions, "Duration": _duration, **_WORKLOAD},
    "Pod": {
        "Ready": _pod_ready,
        "Status": _pod_status,
        "Restarts": _restarts,
        "IP": lambda found, _: _status(found).get("podIP") or NONE,
        "Node": lambda found, _: found["spec"].get("nodeName") or NONE,
        "Nominated Node": lambda *_: NONE,
        "Readiness Gates": lambda *_: NONE,
    },
    "HorizontalPodAutoscaler": {
        "Reference": _reference,
        "Targets": _targets,
        "MinPods": lambda found, _: str(found["spec"].get("minReplicas", "<unset>")),
        "Replicas": _count("currentReplicas"),
    },
    "Event": {
        "Last Seen": _last_seen,
        "Object": _object,
        "Subobject": lambda found, _: (_event(found, "involvedObject", "regarding") or {}).get("fieldPath", ""),
        "Source": _source,
        "Message": lambda found, _: _event(found, "message", "note") or "",
        "First Seen": _first_seen,
        "Count": _times,
        "Name": lambda found, _: found["metadata"]["name"],
    },
}
"""By kind and column."""
