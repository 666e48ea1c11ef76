"""What a write makes of an object: its metadata, its generation, what is written apart, and what is refused.

Pure: the source of each rule is apiserver's pkg/registry (rest.BeforeCreate, BeforeUpdate) and the kinds' strategies.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time
from keda_py.devcluster import metadata as words
from keda_py.devcluster import structural
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.selector import by_labels, from_object
from keda_py.devcluster.store import Object

_MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"
_DNS_LABELS: Final = frozenset({("", "namespaces"), ("", "services")})
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_GENERATED: Final = 58
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
    return _refused(404, "NotFound", kind, name, f'{kind.title} "{name}" not found')


def exists(kind: Kind, name: str) -> Refusal:
    """Return the refusal for a name that is taken."""
    return _refused(409, "AlreadyExists", kind, name, f'{kind.title} "{name}" already exists')


def conflict(kind: Kind, name: str, said: str = _MODIFIED) -> Refusal:
    """Return the refusal for a write on an old version, or on another object of that name."""
    return _refused(409, "Conflict", kind, name, f'Operation cannot be fulfilled on {kind.title} "{name}": {said}')


def terminating(kind: Kind, name: str, namespace: str) -> Refusal:
    """Return the refusal for a new object in a namespace that is going."""
    said = f"unable to create new content in namespace {namespace} because it is being terminated"
    return _refused(403, "Forbidden", kind, name, f'{kind.title} "{name}" is forbidden: {said}')


def _refused(status: int, reason: str, kind: Kind, name: str, message: str) -> Refusal:
    api = kind.resource
    group = {"group": api.group} if api.group else {}
    return Refusal(status, reason, message, **{"name": name, **group, "kind": api.plural})


def invalid(kind: Kind, name: str, causes: list[tuple[str, str]]) -> Refusal:
    """Return the refusal for values that are not allowed, each given by path and words."""
    return invalid_as(kind.resource.group, kind.resource.kind, name, causes)


def invalid_as(group: str, kind: str, name: str, causes: list[tuple[str, str]]) -> Refusal:
    """Return the refusal for values of something that need not be an object of its own, such as a Scale."""
    shown = [f"{path}: {words}" for path, words in causes]
    listed = shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
    details = {"name": name, "group": group, "kind": kind}
    fields = [{"reason": _cause(words), "message": words, "field": path} for path, words in causes]
    message = f'{f"{kind}.{group}".rstrip(".")} "{name}" is invalid: {listed}'
    return Refusal(422, "Invalid", message, **{key: v for key, v in details.items() if v}, causes=fields)


def _cause(words: str) -> str:
    if "in body must be of type" in words:
        return "FieldValueTypeInvalid"
    return next((reason for start, reason in _CAUSES if words.startswith(start)), "FieldValueInvalid")


_CAUSES: Final = (
    ("Required", "FieldValueRequired"),
    ("Unsupported", "FieldValueNotSupported"),
    ("Forbidden", "FieldValueForbidden"),
)


def bad_request(message: str) -> Refusal:
    """Return the refusal for a request that makes no sense."""
    return Refusal(400, "BadRequest", message)


def version_missing(kind: Kind, name: str) -> Refusal:
    """Return the refusal for a put of a custom resource that does not say which version it is to replace."""
    said = "Invalid value: 0: must be specified for an update"
    return invalid_as(kind.resource.group, kind.resource.plural, name, [("metadata.resourceVersion", said)])


def check_name(body: Object, name: str) -> None:
    """Raise `Refusal` if a body is about another object than the path."""
    given = (body.get("metadata") or {}).get("name")
    if given not in (None, "", name):
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def check_kind(kind: Kind, body: Object) -> None:
    """Raise `Refusal` if a body is of another kind than the path; of built-in kinds it need not say one."""
    api = kind.resource
    given = body.get("apiVersion"), body.get("kind")
    if given != (api.api_version, api.kind) and (kind.custom or given != (None, None)):
        said = f'{given[1]} in version "{given[0]}" cannot be handled as a {api.kind}'
        if None in given:
            said = f"the object provided is unrecognized (must be of type {api.kind}): it needs apiVersion and kind"
        raise bad_request(said)


def patched(kind: Kind, old: Object, new: Object) -> Object:
    """Return what a patch made; raise `Refusal` if it changed what nothing changes."""
    uid, given = old["metadata"]["uid"], (new.get("metadata") or {}).get("uid")
    if given not in (None, uid):
        said = f'Invalid value: "{given}": field is immutable'
        raise invalid(kind, old["metadata"]["name"], [("metadata.uid", said)])
    return new


def created(kind: Kind, body: Object, *, namespace: str, uid: str, now: datetime) -> Object:
    """Return a new object as it is stored; raise `Refusal`."""
    metadata = {name: value for name, value in (body.get("metadata") or {}).items() if name not in _OURS}
    name = metadata.get("name") or ""
    if not name and metadata.get("generateName"):
        name = metadata["generateName"][:_LONGEST_GENERATED] + _random(uid)
    if kind.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata = {"name": name} | ({"namespace": namespace} if kind.namespaced else {}) | metadata
    metadata |= {"name": name, "uid": uid, "creationTimestamp": format_time(now), "generation": 1}
    metadata.pop("resourceVersion", None)
    if kind.plain or (not kind.custom and not kind.status):
        del metadata["generation"]
    made = {**_typed(kind, body), "metadata": _without_empty(metadata)}
    if kind.status:
        made.pop("status", None)
    return checked(kind, _defaulted(kind, made), _problems(kind, made))


def _random(uid: str) -> str:
    """Return five characters as the API server appends to a generated name."""
    digits = int(uid.replace("-", ""), 16)
    return "".join(_ALPHABET[digits // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(5))


def updated(kind: Kind, old: Object, new: Object, *, subresource: str) -> Object:
    """Return an object as it is after a write of it or of its status; the old one itself if nothing changed."""
    name = old["metadata"]["name"]
    given = new.get("metadata") or {}
    check_name(new, name)
    if given.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
        raise conflict(kind, name)
    if given.get("uid") not in (None, "", old["metadata"]["uid"]):
        uids = f"UID in precondition: {given['uid']}, UID in object meta: {old['metadata']['uid']}"
        raise conflict(kind, name, f"Precondition failed: {uids}")
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
    # What stays as it is has been checked before.
    causes = _problems(kind, result) if result["metadata"] != old["metadata"] else []
    result = checked(kind, _defaulted(kind, result), causes)
    if _content(result) != _content(old) and "generation" in old["metadata"]:
        result["metadata"] = result["metadata"] | {"generation": old["metadata"]["generation"] + 1}
    return old if result == old else result


def _metadata(kind: Kind, old: Object, given: Mapping[str, Any]) -> Object:
    kept = {name: old["metadata"][name] for name in (*_OURS, "resourceVersion") if name in old["metadata"]}
    merged = {**given, **kept, "name": old["metadata"]["name"]}
    if kind.namespaced:
        merged["namespace"] = old["metadata"]["namespace"]
    merged = _without_empty(merged)
    if "deletionTimestamp" not in kept:
        merged.pop("deletionTimestamp", None)
    elif added := set(merged.get("finalizers") or []) - set(old["metadata"].get("finalizers") or []):
        said = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added}"
        raise invalid(kind, old["metadata"]["name"], [("metadata.finalizers", said)])
    return merged


def _without_empty(metadata: Mapping[str, Any]) -> Object:
    return {name: v for name, v in metadata.items() if v or name not in _LEFT_OUT_IF_EMPTY}


_LEFT_OUT_IF_EMPTY: Final = ("labels", "annotations", "finalizers", "ownerReferences", "managedFields")


def _typed(kind: Kind, body: Object) -> Object:
    return {**body, "apiVersion": kind.resource.api_version, "kind": kind.resource.kind}


def _content(found: Object) -> Object:
    return {name: value for name, value in found.items() if name not in ("metadata", "status")}


def _problems(kind: Kind, found: Object) -> list[tuple[str, str]]:
    return list(words.problems(found["metadata"], is_label=kind.place in _DNS_LABELS, custom=kind.custom))


def checked(kind: Kind, found: Object, causes: list[tuple[str, str]]) -> Object:
    """Return an object with only what its schema knows; raise `Refusal` for what that does not allow, and `causes`."""
    name = found["metadata"]["name"]
    if kind.schema:
        found = structural.pruned(found, kind.schema)
        causes += structural.problems(found, kind.schema)
    else:
        causes += _CHECKS.get(kind.resource.kind, lambda _: [])(found.get("spec") or {})
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
    spec = found.get("spec") or {}
    if kind.resource.kind == "Job" and "parallelism" in spec:
        # Then how many are to succeed is left open: the pods will know when the work is done.
        defaults = {name: value for name, value in defaults.items() if name != "completions"}
    return {**found, "spec": {**defaults, **spec}}


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
    "Job": {"parallelism": 1, "completions": 1, "completionMode": "NonIndexed", "backoffLimit": 6, "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed"},
    "HorizontalPodAutoscaler": {"minReplicas": 1},
    "Pod": {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30},
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


def _check_job(spec: Object) -> list[tuple[str, str]]:
    given = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy") or "Always"
    path, usable = "spec.template.spec.restartPolicy", '"OnFailure", "Never"'
    if given == "Always":
        return [(path, f"Required value: valid values: {usable}")]
    return [(path, f'Unsupported value: "{given}": supported values: {usable}')] if f'"{given}"' not in usable else []


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
    "Job": _check_job,
    "HorizontalPodAutoscaler": _check_hpa,
}
