"""What ``kubectl get`` shows: objects as rows of a Table (meta.k8s.io/v1)."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import parse_time
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.store import Object

_STEP: Final = re.compile(r'\.([A-Za-z0-9_-]+)|\[\?\(@\.(\w+)==["\']([^"\']*)["\']\)\]|\[(\*|\d+)\]')
_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_AGES: Final = ((120, "s"), (600, "ms"), (10800, "m"), (28800, "hm"), (172800, "h"), (691200, "dh"), (63072000, "d"))
"""Below so many seconds an age is shown in these units."""


def table(kind: Kind, items: Iterable[Object], *, version: str, now: datetime) -> Object:
    """Return objects as a Table."""
    columns = [("Name", "string", "", 0), *kind.columns]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {
                "name": name,
                "type": "string" if type_ == "date" else type_,
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": priority,
            }
            for name, type_, _, priority in columns
        ],
        "rows": [_row(kind, item, now) for item in items],
    }


def _row(kind: Kind, found: Object, now: datetime) -> Object:
    cells = [found["metadata"]["name"], *(_cell(kind, column, found, now) for column in kind.columns)]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}
    return {"cells": cells, "object": partial}


def _cell(kind: Kind, column: tuple[str, str, str, int], found: Object, now: datetime) -> Any:
    name, type_, path, _ = column
    if not path:
        return _MADE[kind.resource.kind, name](found)
    values = path_values(found, path)
    if "*" in path:
        return ",".join(map(str, values)) or None
    if not values:
        return _EMPTY.get((kind.resource.kind, name)) if not kind.custom else None
    if type_ == "date":
        return human((now - parse_time(values[0])).total_seconds())
    return values[0]


def path_values(found: Any, path: str) -> list[Any]:
    """Return what a JSONPath of a column finds: names, ``[0]``, ``[*]`` and ``[?(@.x=="y")]``."""
    values = [found]
    for name, key, wanted, index in _STEP.findall(path):
        if name:
            values = [v[name] for v in values if isinstance(v, dict) and v.get(name) is not None]
        else:
            lists = [v for v in values if isinstance(v, list)]
            if key:
                values = [i for v in lists for i in v if isinstance(i, dict) and i.get(key) == wanted]
            elif index == "*":
                values = [item for v in lists for item in v]
            else:
                values = [v[int(index)] for v in lists if len(v) > int(index)]
    return values


def human(seconds: float) -> str:
    """Return a duration as kubectl shows ages (apimachinery pkg/util/duration HumanDuration)."""
    left = int(seconds)
    if left < 0:
        return "<invalid>" if left < -1 else "0s"
    units = next((units for limit, units in _AGES if left < limit), None)
    if units is None:
        return f"{left // 31536000}y"
    shown = ""
    for unit in units:
        count, left = divmod(left, _UNITS[unit])
        shown += f"{count}{unit}" if count or not shown else ""
    return shown


def _ready(found: Object) -> str:
    return f"{(found.get('status') or {}).get('readyReplicas', 0)}/{found['spec'].get('replicas', 1)}"


def _pod_ready(found: Object) -> str:
    statuses = (found.get("status") or {}).get("containerStatuses") or []
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(found['spec'].get('containers') or [])}"


def _event_object(found: Object) -> str:
    about = found.get("involvedObject") or found.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _reference(found: Object) -> str:
    target = found["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _targets(found: Object) -> str:
    current = (found.get("status") or {}).get("currentMetrics") or []
    shown = []
    for index, metric in enumerate(found["spec"].get("metrics") or []):
        kind = metric["type"][0].lower() + metric["type"][1:]
        wanted = metric[kind]["target"]
        now = (current[index].get(kind) or {}).get("current", {}) if index < len(current) else {}
        for key, suffix in (("value", ""), ("averageValue", " (avg)"), ("averageUtilization", "%")):
            if key in wanted:
                prefix = f"{metric[kind].get('name')}: " if kind == "resource" else ""
                mark = "%" if suffix == "%" else ""
                average = suffix if suffix != "%" else ""
                shown.append(
                    f"{prefix}{now.get(key, '<unknown>')}{mark if key in now else ''}/{wanted[key]}{mark}{average}"
                )
    return ", ".join(shown) or "<none>"


def _job_status(found: Object) -> str:
    said = {c["type"] for c in (found.get("status") or {}).get("conditions") or [] if c["status"] == "True"}
    return next((state for state in ("Complete", "Failed", "Suspended") if state in said), "Running")


_MADE: Final[dict[tuple[str, str], Callable[[Object], str]]] = {
    ("Deployment", "Ready"): _ready,
    ("StatefulSet", "Ready"): _ready,
    ("Pod", "Ready"): _pod_ready,
    ("Event", "Object"): _event_object,
    ("HorizontalPodAutoscaler", "Reference"): _reference,
    ("HorizontalPodAutoscaler", "Targets"): _targets,
    ("Job", "Status"): _job_status,
    ("Job", "Completions"): lambda found: (
        f"{(found.get('status') or {}).get('succeeded', 0)}/{found['spec'].get('completions', 1)}"
    ),
}
_EMPTY: Final = {
    ("Deployment", "Up-to-date"): 0,
    ("Deployment", "Available"): 0,
    ("ReplicaSet", "Current"): 0,
    ("ReplicaSet", "Ready"): 0,
    ("Pod", "Restarts"): 0,
    ("HorizontalPodAutoscaler", "Replicas"): 0,
}
