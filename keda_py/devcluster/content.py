"""What the body of a write says: of what kind it is, which of its fields there are, and what is kept of them.

As the API server's decoders do it: of a field that does not exist whoever asks is warned, or refused if he wants that
(``fieldValidation``), and a value of another type is refused.
"""

import json
from typing import Any, Final

from keda_py.devcluster import builtin, structural
from keda_py.devcluster.builtin import UnreadableError
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.rule import Refusal, bad_request, invalid_as, wrong_kind
from keda_py.devcluster.store import Object

STRICT: Final = "Strict"
WARN: Final = "Warn"
_EMPTY: Final = "the body of the request was empty or not an object"


def read(kind: Kind, given: Any) -> Object:
    """Return what is kept of the body of a write; raise `Refusal` or `UnreadableError`."""
    if not isinstance(given, dict):
        raise bad_request(_EMPTY)
    if (said := wrong_kind(kind, given)) is not None:
        raise UnreadableError(said)
    about = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind}
    if kind.type:
        return {**about, **builtin.read(kind.type, given)}
    return {**given, **about, "metadata": builtin.read("ObjectMeta", given.get("metadata") or {})}


def unknown(kind: Kind, given: Object, validation: str, patched: Object | None) -> list[str]:
    """Return what to warn of; raise `Refusal` for what is not allowed. `patched`: as for `refusal`."""
    if validation not in (STRICT, WARN):
        return []
    found = [f'unknown field "{path}"' for path in structural.unknown_fields(given, kind.shape)]
    if found and validation == STRICT:
        raise refusal(kind, UnreadableError(f"strict decoding error: {', '.join(found)}"), patched)
    return found


def check_applied(kind: Kind, given: Any) -> None:
    """Raise `Refusal` for what cannot be applied; of a field that does not exist nobody could say whose it is."""
    if not isinstance(given, dict):
        raise bad_request(_EMPTY)
    version, name = given.get("apiVersion") or "", given.get("kind") or ""
    if not version or not name:
        raise bad_request(f"invalid object type: {version or '/'}, Kind={name}")
    metadata = given.get("metadata") or {}
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    if found := list(structural.unknown_fields(given, kind.shape)):
        listed = ", ".join(f".{path}: field not declared in schema" for path in found)
        about = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={name}"
        raise Refusal(500, "", f"failed to create typed patch object ({about}): {listed}")


def refusal(kind: Kind, error: UnreadableError, patched: Object | None) -> Refusal:
    """Return the refusal for a value of a wrong type; `patched`: what a patch had made."""
    if patched is None:
        return _unreadable(kind, str(error))
    return invalid_as("", "", "", [("patch", f"Invalid value: {json.dumps(json.dumps(patched))}: {error}")])


def _unreadable(kind: Kind, said: str) -> Refusal:
    api = kind.resource
    return bad_request(f'{api.kind} in version "{api.version}" cannot be handled as a {api.kind}: {said}')
