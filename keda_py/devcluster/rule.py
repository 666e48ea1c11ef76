"""What a write makes of an object: its metadata, its generation, what is written apart, and what is refused.

Pure: the source of each rule is apiserver's pkg/registry (rest.BeforeCreate, BeforeUpdate) and the kinds' strategies.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time
from keda_py.devcluster import metadata as words
from keda_py.devcluster import strategy, structural
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.store import Object

_MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"
_DNS_LABELS: Final = frozenset({("", "namespaces"), ("", "services")})
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_GENERATED: Final = 58
_OURS: Final = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
"""Metadata that no write changes."""


_GENERIC: Final = (405, 406, 415)
"""Statuses that are told with details even if there are none."""


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
            **({"reason": reason} if reason else {}),
            "code": status,
        }
        if details or status in _GENERIC:
            self.body["details"] = details


def not_found(kind: Kind, name: str) -> Refusal:
    """Return the refusal for an object that is not there."""
    return _refused(404, "NotFound", kind, name, f'{kind.title} "{name}" not found')


def exists(kind: Kind, found: Object) -> Refusal:
    """Return the refusal for a name that is taken."""
    name = found["metadata"]["name"]
    going = "object is being deleted: " if "deletionTimestamp" in found["metadata"] else ""
    return _refused(409, "AlreadyExists", kind, name, f'{going}{kind.title} "{name}" already exists')


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
    ("Too long", "FieldValueTooLong"),
    ("Too many", "FieldValueTooMany"),
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
    if not given:
        said = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise bad_request(said)
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def wrong_kind(kind: Kind, body: Object) -> str | None:
    """Return what is wrong if a body is of another kind than the path; of built-in kinds it need not say one."""
    api = kind.resource
    given = body.get("apiVersion") or "", body.get("kind") or ""
    wanted = api.api_version, api.kind
    if given == wanted or (not kind.custom and all(one in ("", own) for one, own in zip(given, wanted, strict=True))):
        return None
    if "" in given:
        return f"the object provided is unrecognized (must be of type {api.kind}): it needs apiVersion and kind"
    return f"the object is a {given[1]} of {given[0]}"


def check_namespace(kind: Kind, body: Object, namespace: str) -> None:
    """Raise `Refusal` if a body is about an object in another namespace than the path."""
    given = (body.get("metadata") or {}).get("namespace")
    if kind.namespaced and given not in (None, "", namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


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
    check_namespace(kind, body, namespace)
    if metadata.get("resourceVersion"):
        raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
    metadata = {"name": name} | ({"namespace": namespace} if kind.namespaced else {}) | metadata
    metadata |= {"name": name, "uid": uid, "creationTimestamp": format_time(now), "generation": 1}
    if kind.plain or (not kind.custom and not kind.status):
        del metadata["generation"]
    made = {**body, "metadata": metadata}
    if kind.status:
        made.pop("status", None)
    made = strategy.begun(kind.type, strategy.filled(kind.type, made))
    return checked(kind, made, _problems(kind, made))


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
        result = {**new, "metadata": _metadata(kind, old, given)}
        if kind.status:
            result.pop("status", None)
            if "status" in old:
                result["status"] = old["status"]
    # What stays as it is has been checked before.
    causes = _problems(kind, result) if result["metadata"] != old["metadata"] else []
    result = strategy.filled(kind.type, result)
    result = checked(kind, result, [*causes, *strategy.immutable(kind.type, old, result)])
    if _content(result) != _content(old) and "generation" in old["metadata"]:
        result["metadata"] = result["metadata"] | {"generation": old["metadata"]["generation"] + 1}
    return old if result == old else result


def _metadata(kind: Kind, old: Object, given: Mapping[str, Any]) -> Object:
    kept = {name: old["metadata"][name] for name in (*_OURS, "resourceVersion") if name in old["metadata"]}
    merged = {**{name: value for name, value in given.items() if name not in _OURS}, **kept}
    merged["name"] = old["metadata"]["name"]
    if kind.namespaced:
        merged["namespace"] = old["metadata"]["namespace"]
    added = set(merged.get("finalizers") or []) - set(old["metadata"].get("finalizers") or [])
    if "deletionTimestamp" in kept and added:
        said = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added}"
        raise invalid(kind, old["metadata"]["name"], [("metadata.finalizers", said)])
    return merged


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
        causes += strategy.problems(kind.type, found)
    if causes:
        raise invalid(kind, name, causes)
    return found
