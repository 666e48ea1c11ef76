"""What a deletion asks for, and what it makes of an object (apiserver pkg/registry/generic/registry store.Delete).

An object with finalizers stays, marked with the time, until the last of them is removed; a namespace until it is empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time
from keda_py.devcluster import event
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.rule import conflict
from keda_py.devcluster.store import Object

NAMESPACES: Final = ("", "namespaces")
_JOBS: Final = ("batch", "jobs")
_FINALIZERS: Final = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a request to delete says beside the name."""

    policy: str
    preconditions: Mapping[str, str]
    dry: bool

    def check(self, kind: Kind, found: Object) -> None:
        """Raise `Refusal` if the object is not the one that is meant."""
        metadata = found["metadata"]
        for field, words in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            wanted = self.preconditions.get(field)
            if wanted not in (None, metadata[field]):
                said = f"{words} in precondition: {wanted}, {words} in object meta: {metadata[field]}"
                raise conflict(kind, metadata["name"], f"Precondition failed: {said}")


def options(body: Any, params: Mapping[str, str]) -> Options:
    """Return the options of a request; what its body says goes first."""
    given = body if isinstance(body, dict) else {}
    policy = given.get("propagationPolicy") or params.get("propagationPolicy") or ""
    if given.get("orphanDependents", params.get("orphanDependents")) in (True, "true"):
        policy = "Orphan"
    return Options(policy, given.get("preconditions") or {}, bool(given.get("dryRun") or params.get("dryRun")))


def warnings(kind: Kind, wanted: Options) -> list[str]:
    """Return what whoever deletes is to be warned of."""
    if kind.place != _JOBS or wanted.policy:
        return []
    how = "set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
    return [f"child pods are preserved by default when jobs are deleted; {how}"]


def marked(kind: Kind, found: Object, wanted: Options, now: datetime) -> Object | None:
    """Return an object that is to go but stays for now, the same if it is going already; None if it can go at once."""
    metadata = found["metadata"]
    finalizers = list(metadata.get("finalizers") or [])
    # Nothing belongs to an event.
    policy = wanted.policy if kind.place != event.PLACE else ""
    if not policy and kind.place == _JOBS and not set(finalizers) & set(_FINALIZERS.values()):
        # As it was before there was a choice (apiserver's jobStrategy.DefaultGarbageCollectionPolicy).
        policy = "Orphan"
    extra = _FINALIZERS.get(policy)
    if policy:
        # Whoever asks anew may choose anew, whether the garbage collector is to come first.
        finalizers = [name for name in finalizers if name not in _FINALIZERS.values() or name == extra]
    if extra is not None and extra not in finalizers:
        finalizers.append(extra)
    if not finalizers and kind.place != NAMESPACES:
        return None
    if "deletionTimestamp" in metadata and finalizers == (metadata.get("finalizers") or []):
        return found
    changed = {**metadata, "finalizers": finalizers} if finalizers else dict(metadata)
    if "deletionTimestamp" not in metadata:
        changed |= {"deletionTimestamp": format_time(now), "deletionGracePeriodSeconds": 0}
        if "generation" in metadata:
            changed["generation"] += 1
    going = found | {"metadata": changed}
    return going | {"status": {"phase": "Terminating"}} if kind.place == NAMESPACES else going


def told(kind: Kind, found: Object) -> Object:
    """Return what is answered once an object is gone."""
    api, metadata = kind.resource, found["metadata"]
    group = {"group": api.group} if api.group else {}
    details = {"name": metadata["name"], **group, "kind": api.plural, "uid": metadata["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
