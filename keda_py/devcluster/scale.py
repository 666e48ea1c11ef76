"""The `/scale` subresource: any scalable object as autoscaling/v1 Scale, and back."""

from typing import Any

from keda_py.devcluster.kind import Kind, ScalePaths
from keda_py.devcluster.rule import Refusal, conflict, invalid, invalid_as
from keda_py.devcluster.selector import from_object
from keda_py.devcluster.store import Object


def shown(kind: Kind, found: Object) -> Object:
    """Return the Scale of an object."""
    paths = kind.scale or ScalePaths()
    replicas = _find(found, paths.spec)
    if replicas is None:
        # Built-in kinds default it; of a custom resource the server cannot make a Scale then.
        said = f'the spec replicas field ".{paths.spec}" does not exist'
        raise Refusal(500, "InternalError", f"Internal error occurred: {said}")
    metadata = {
        name: found["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in found["metadata"]
    }
    status: Object = {"replicas": _find(found, paths.status) or 0}
    selector = _find(found, paths.selector) if paths.selector else None
    if selector:
        status["selector"] = selector if isinstance(selector, str) else from_object(selector)
    # Zero is left out, as Go's omitempty does.
    spec = {"replicas": replicas} if replicas else {}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status}


def changed(kind: Kind, found: Object, given: Object) -> Object:
    """Return an object with the replicas of a Scale; raise `Refusal`."""
    paths = kind.scale or ScalePaths()
    name, metadata = found["metadata"]["name"], given.get("metadata") or {}
    if metadata.get("resourceVersion") not in (None, "", found["metadata"]["resourceVersion"]):
        raise conflict(kind, name)
    replicas = (given.get("spec") or {}).get("replicas") or 0
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        said = "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32"
        raise invalid_as("", "", "", [("patch", f"Invalid value: {replicas!r}: {said}")])
    if replicas < 0 and kind.custom:
        said = f"Invalid value: {replicas}: should be a non-negative integer"
        raise invalid(kind, name, [(f".{paths.spec}", said)])
    if replicas < 0:
        said = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid_as("autoscaling", "Scale", name, [("spec.replicas", said)])
    return _replaced(found, paths.spec.split("."), replicas)


def _find(found: Any, path: str) -> Any:
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _replaced(found: Object, path: list[str], value: Any) -> Object:
    first, *rest = path
    return {**found, first: _replaced(found.get(first) or {}, rest, value) if rest else value}
