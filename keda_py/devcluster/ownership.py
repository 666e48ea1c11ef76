"""Whose fields are whose, of every object: by who applied them, and who wrote them otherwise (``fieldManager``).

Kept beside the objects, by uid, and not over a restart. The rules are in `apply`.
"""

from collections.abc import Mapping
from typing import Final

from keda_py.devcluster import apply
from keda_py.devcluster.apply import Owners
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.store import Object

_NONE: Final[Owners] = {}
_OWNED: Final = ("labels", "annotations", "finalizers", "ownerReferences")
"""Metadata that somebody may own; the rest is the API server's."""


class Ownership:
    """Who owns what; a writer that gives no name owns nothing, but takes away what it changes."""

    def __init__(self) -> None:
        self._owners: dict[str, Owners] = {}

    def of(self, found: Object | None) -> Owners:
        """Return the owners of an object's fields."""
        return self._owners.get(found["metadata"]["uid"], _NONE) if found is not None else _NONE

    def forget(self, found: Object) -> None:
        """Forget an object that is gone."""
        self._owners.pop(found["metadata"]["uid"], None)

    def applied(self, found: Object, applier: str, given: Object, kind: Kind) -> None:
        """Take in what somebody applied."""
        self._owners[found["metadata"]["uid"]] = {**self.of(found), applier: apply.fields(given, kind.shape)}

    def written(self, before: Object | None, after: Object, writer: str, kind: Kind) -> None:
        """Take in a write: what it changed is no longer whose it was."""
        owners = dict(apply.kept(self.of(before), before, after)) if before is not None else {}
        if writer:
            shape = kind.shape
            changed = (
                path
                for path in apply.fields(_ownable(after), shape)
                if before is None or apply.at(before, path) != apply.at(after, path)
            )
            owners[writer] = frozenset(changed) | owners.get(writer, frozenset())
        if owners:
            self._owners[after["metadata"]["uid"]] = owners


def applier(params: Mapping[str, str], subresource: str) -> str:
    """Return who applies, in the words of a conflict: to the status, one is another than to the rest."""
    return f'"{params.get("fieldManager", "")}"' + (f' with subresource "{subresource}"' if subresource else "")


def writer(name: str, kind: Kind, subresource: str) -> str:
    """Return who writes otherwise, in the words of a conflict; empty for nobody."""
    # What kubectl applied on its own side it makes its own when it comes to apply it on the server's.
    if name in ("", "kubectl-client-side-apply"):
        return ""
    suffix = f' with subresource "{subresource}"' if subresource else ""
    return f'"{name}" using {kind.resource.api_version}{suffix}'


def _ownable(found: Object) -> Object:
    metadata = {name: value for name, value in found["metadata"].items() if name in _OWNED}
    return {**found, "metadata": metadata}
