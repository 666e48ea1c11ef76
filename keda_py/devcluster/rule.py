"""What a write makes of an object: its metadata, its generation, what is written apart, and what is refused.

Pure: the source of each rule is apiserver's pkg/registry (rest.BeforeCreate, BeforeUpdate) and the kinds' strategies.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time
from keda_py.devcluster import structural
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.selector import by_labels, from_object
from keda_py.devcluster.store import Object

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_OURS: Final = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Metadata that no write changes."""


class Refusal(Exception):
    """A request that is not carried out, and the Status that says why."""

    def __init__(self, status: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": status,
        }
        if details:
            self.body["details"] = details


def not_found(kind: Kind, name: str) -> Refusal:
    """Return the refusal for an object that is not there."""
    return Refusal(404, "NotFound", f'{kind.title} "{name}" not found', name=name, kind=kind.resource.plural)


def conflict(kind: Kind, name: str) -> Refusal:
    """Return the refusal for a write on an old version."""
    said = "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.title} "{name}": {said}'
    return Refusal(409, "Conflict", message, name=name, kind=kind.resource.plural)


def invalid(kind: Kind, name: str, causes: list[tuple[str, str]]) -> Refusal:
    """Return the refusal for values that are not allowed, each given by path and words."""
    shown = [f"{path}: {words}" for path, words in causes]
    listed = shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
    title = f"{kind.resource.kind}.{kind.resource.group}".rstrip(".")
    fields = [{"message": words, "field": path} for path, words in causes]
    return Refusal(422, "Invalid", f'{title} "{name}" is invalid: {listed}', name=name, causes=fields)


def bad_request(message: str) -> Refusal:
    """Return the refusal for a request that makes no sense."""
    return Refusal(400, "BadRequest", message)


def created(kind: Kind, body: Object, *, namespace: str, uid: str, now: datetime) -> Object:
    """Return a new object as it is stored; raise `Refusal`."""
    metadata = {name: value for name, value in body.get("metadata", {}).items() if name not in _OURS}
    name = metadata.get("name") or ""
    if not name and metadata.get("generateName"):
        name = f"{metadata['generateName']}{uid[-5:]}"
    if not name:
        raise invalid(kind, "", [("metadata.name", "Required value: name or generateName is required")])
    if not _NAME.fullmatch(name):
        said = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        raise invalid(kind, name, [("metadata.name", f'Invalid value: "{name}": {said}')])
    if kind.namespaced and metadata.get("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata = {"name": name} | ({"namespace": namespace} if kind.namespaced else {}) | metadata
    metadata |= {"name": name, "uid": uid, "creationTimestamp": format_time(now), "generation": 1}
    metadata.pop("resourceVersion", None)
    if kind.plain or (not kind.custom and not kind.status):
        del metadata["generation"]
    made = {**_typed(kind, body), "metadata": metadata}
    if kind.status:
        made.pop("status", None)
    return checked(kind, _defaulted(kind, made))


def updated(kind: Kind, old: Object, new: Object, *, subresource: str) -> Object:
    """Return an object as it is after a write of it or of its status; the old one itself if nothing changed."""
    name = old["metadata"]["name"]
    given = new.get("metadata", {})
    if given.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
        raise conflict(kind, name)
    if given.get("uid") not in (None, "", old["metadata"]["uid"]):
        said = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {old['metadata']['uid']}"
        raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on {kind.title} "{name}": {said}')
    if subresource == "status":
        result = {key: value for key, value in old.items() if key != "status"}
        if "status" in new:
            result["status"] = new["status"]
    else:
        result = {**_typed(kind, new), "metadata": _metadata(kind, old, given)}
        if kind.status:
            result.pop("status", None)
            if "status" in old:
                result["status"] = old["status"]
    result = checked(kind, _defaulted(kind, result))
    if _content(result) != _content(old) and "generation" in old["metadata"]:
        result["metadata"] = result["metadata"] | {"generation": old["metadata"]["generation"] + 1}
    return old if result == old else result


def _metadata(kind: Kind, old: Object, given: Mapping[str, Any]) -> Object:
    kept = {name: old["metadata"][name] for name in (*_OURS, "resourceVersion") if name in old["metadata"]}
    merged = {**given, **kept, "name": old["metadata"]["name"]}
    if kind.namespaced:
        merged["namespace"] = old["metadata"]["namespace"]
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not merged.get(name):
            merged.pop(name, None)
    if "deletionTimestamp" not in kept:
        merged.pop("deletionTimestamp", None)
    elif added := set(merged.get("finalizers") or []) - set(old["metadata"].get("finalizers") or []):
        said = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added}"
        raise invalid(kind, old["metadata"]["name"], [("metadata.finalizers", said)])
    return merged


def _typed(kind: Kind, body: Object) -> Object:
    return {**body, "apiVersion": kind.resource.api_version, "kind": kind.resource.kind}


def _content(found: Object) -> Object:
    return {name: value for name, value in found.items() if name not in ("metadata", "status")}


def checked(kind: Kind, found: Object) -> Object:
    """Return an object with only what its schema knows; raise `Refusal` for what it does not allow."""
    name = found["metadata"]["name"]
    if kind.schema:
        found = structural.pruned(found, kind.schema)
        causes = list(structural.problems(found, kind.schema))
    else:
        causes = _CHECKS.get(kind.resource.kind, lambda _: [])(found.get("spec") or {})
    if causes:
        raise invalid(kind, name, causes)
    return found


def strictly_checked(kind: Kind, body: Object) -> None:
    """Raise `Refusal` for a field that the schema does not name: what kubectl asks for with --validate=strict."""
    if kind.schema and (unknown := list(structural.unknown_fields(body, kind.schema))):
        what = ", ".join(f'unknown field "{path}"' for path in unknown)
        api = kind.resource
        raise bad_request(
            f'{api.kind} in version "{api.version}" cannot be handled as a {api.kind}: strict decoding error: {what}'
        )


# --- built-in kinds -------------------------------------------------------------------------------------------------


def _defaulted(kind: Kind, found: Object) -> Object:
    if kind.resource.kind == "Secret" and "stringData" in found:
        return _with_string_data(found)
    defaults = _DEFAULTS.get(kind.resource.kind)
    if defaults is None or kind.custom:
        return found
    return {**found, "spec": {**defaults, **(found.get("spec") or {})}}


def _with_string_data(found: Object) -> Object:
    """Return a Secret with its texts among its data, as they are stored."""
    texts = {name: b64encode(str(text).encode()).decode() for name, text in (found["stringData"] or {}).items()}
    kept = {name: value for name, value in found.items() if name != "stringData"}
    return {**kept, "data": {**(found.get("data") or {}), **texts}}


_DEFAULTS: Final[dict[str, Object]] = {
    "Deployment": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                   "strategy": {"type": "RollingUpdate",
                                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}},
    "ReplicaSet": {"replicas": 1},
    "StatefulSet": {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"},
    "Job": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": False},
    "HorizontalPodAutoscaler": {"minReplicas": 1},
}  # fmt: skip


def _check_workload(spec: Object) -> list[tuple[str, str]]:
    if not spec.get("selector"):
        return [("spec.selector", "Required value")]
    if spec["replicas"] < 0:
        return [("spec.replicas", f"Invalid value: {spec['replicas']}: must be greater than or equal to 0")]
    if not by_labels(from_object(spec["selector"]))(spec.get("template") or {}):
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        return [
            ("spec.template.metadata.labels", f"Invalid value: {labels}: `selector` does not match template `labels`")
        ]
    return []


def _check_hpa(spec: Object) -> list[tuple[str, str]]:
    most, least = spec.get("maxReplicas"), spec["minReplicas"]
    if not isinstance(most, int) or most < 1:
        return [("spec.maxReplicas", f"Invalid value: {most}: must be greater than 0")]
    if least < 1:
        return [("spec.minReplicas", f"Invalid value: {least}: must be greater than or equal to 1")]
    if most < least:
        return [("spec.maxReplicas", f"Invalid value: {most}: must be greater than or equal to `minReplicas`")]
    return []


_CHECKS: Final = {
    "Deployment": _check_workload,
    "ReplicaSet": _check_workload,
    "StatefulSet": _check_workload,
    "HorizontalPodAutoscaler": _check_hpa,
}
