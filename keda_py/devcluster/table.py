"""What ``kubectl get`` shows: objects as rows of a Table (meta.k8s.io/v1)."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from keda_py.decide.status import parse_time
from keda_py.devcluster import negotiation
from keda_py.devcluster.age import human
from keda_py.devcluster.cell import MADE
from keda_py.devcluster.kind import Column, Kind
from keda_py.devcluster.negotiation import PARTIAL, PARTIALS
from keda_py.devcluster.rule import bad_request
from keda_py.devcluster.store import Object

_STEP: Final = re.compile(r'\.([A-Za-z0-9_-]+)|\[\?\(@\.(\w+)==["\']([^"\']*)["\']\)\]|\[(\*|\d+)\]')
_CREATED: Final = ".metadata.creationTimestamp"


class Included(StrEnum):
    """How much of its object a row carries beside the cells: kubectl sorts by what is in there."""

    NONE = "None"
    METADATA = "Metadata"
    OBJECT = "Object"


def included(params: Mapping[str, str]) -> Included:
    """Return what a request wants in its rows; raise `Refusal`."""
    wanted = params.get("includeObject") or Included.METADATA
    try:
        return Included(wanted)
    except ValueError:
        said = f"includeObject: Invalid value: \"{wanted}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: {said}") from None


def table(
    kind: Kind,
    items: Iterable[Object],
    *,
    version: str,
    now: datetime,
    include: Included = Included.METADATA,
    headed: bool = True,
) -> Object:
    """Return objects as a Table; `headed`: with what the columns are, which a watch tells only once."""
    columns = columns_of(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {
                "name": name,
                "type": type_,
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": priority,
            }
            for name, type_, _, priority in columns
        ]
        if headed
        else None,
        "rows": [_row(kind, item, now, include) for item in items],
    }


def columns_of(kind: Kind) -> list[Column]:
    """Return the columns of a kind; the name comes first unless the kind has another place for it."""
    named = any(column[0] == "Name" for column in kind.columns)
    return list(kind.columns) if named else [("Name", "string", ".metadata.name", 0), *kind.columns]


def _row(kind: Kind, found: Object, now: datetime, include: Included) -> Object:
    cells = [_cell(kind, column, found, now) for column in columns_of(kind)]
    return {"cells": cells, "object": _object(found, include)}


def _object(found: Object, include: Included) -> Object | None:
    match include:
        case Included.NONE:
            return None
        case Included.METADATA:
            return partial(found)
        case Included.OBJECT:
            return found


def partial(found: Object, wanted: str = PARTIAL) -> Object:
    """Return an object, or each of a list, with no more than its metadata; raise `Refusal` if it is the other one."""
    if found.get("kind") == "Status":
        return found
    if wanted != (PARTIALS if "items" in found else PARTIAL):
        raise negotiation.refused()
    about = {"kind": wanted, "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}
    return about if wanted == PARTIAL else {**about, "items": [partial(item) for item in found["items"]]}


def _cell(kind: Kind, column: tuple[str, str, str, int], found: Object, now: datetime) -> Any:
    name, type_, path, _ = column
    if not path:
        return MADE[kind.resource.kind][name](found, now)
    values = path_values(found, path)
    if "*" in path:
        return ",".join(map(str, values)) or None
    if not values:
        return None
    if path == _CREATED or (kind.custom and type_ == "date"):
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
