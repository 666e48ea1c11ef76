"""Deletion of what belongs to something deleted, and of what is in a deleted namespace.

The rules are those of Kubernetes' garbage collector: an object goes when none of its owners is left; with Foreground
the owner waits for it, with Orphan it stays.
"""

import random
from typing import Final

from keda_py.devcluster.api import MERGE, Api, Request
from keda_py.devcluster.store import Change, Name, Object, Place
from keda_py.runtime.queue import WorkQueue

Key = tuple[Place, Name, str]
"""Place, name and uid of an owner that is gone or going."""

_NAMESPACES: Final = ("", "namespaces")


class Garbage:
    """Collects what nobody owns any more."""

    def __init__(self, api: Api, *, chance: random.Random) -> None:
        self._api = api
        self._dependents: dict[str, dict[tuple[Place, Name], None]] = {}
        self.queue: WorkQueue[Key] = WorkQueue(chance=chance)
        for place, name, item in api.store.everything():
            self._notice(Change(0, place, name, None, item))
        api.store.listen(self._notice)

    def _notice(self, change: Change) -> None:
        before, after = _owner_uids(change.before), _owner_uids(change.after)
        for uid in before - after:
            self._dependents.get(uid, {}).pop((change.place, change.name), None)
        for uid in sorted(after - before):
            self._dependents.setdefault(uid, {})[change.place, change.name] = None
        found = change.after or change.before or {}
        if change.after is None or "deletionTimestamp" in found["metadata"]:
            self.queue.add((change.place, change.name, found["metadata"]["uid"]))
        space = self._api.store.get(_NAMESPACES, ("", change.name[0])) if change.after is None else None
        if space is not None and "deletionTimestamp" in space["metadata"]:
            # It may have been the last one there.
            self.queue.add((_NAMESPACES, ("", change.name[0]), space["metadata"]["uid"]))
        for reference in found["metadata"].get("ownerReferences") or []:
            # An owner may wait for this one to go, or be gone itself already.
            owner = self._owner(reference, change.name[0])
            if owner is not None and (change.after is None or change.before is None):
                self.queue.add(owner)

    def _owner(self, reference: Object, namespace: str) -> Key | None:
        kind = self._api.kind_of(reference["apiVersion"], reference["kind"])
        if kind is None:
            return None
        return kind.place, (namespace if kind.namespaced else "", reference["name"]), reference["uid"]

    async def reconcile(self, key: Key) -> float | None:
        """Do what the end of an owner asks for."""
        place, name, uid = key
        owner = self._api.store.get(place, name)
        going = owner if owner is not None and owner["metadata"]["uid"] == uid else None
        finalizers = going["metadata"].get("finalizers", []) if going else []
        dependents = list(self._dependents.get(uid, {}))
        if "orphan" in finalizers:
            for dependent in dependents:
                self._disown(*dependent, uid)
            self._finish(place, name, "orphan")
        elif going is None or "foregroundDeletion" in finalizers:
            for dependent in dependents:
                self._collect(*dependent, uid)
            if going is None:
                self._dependents.pop(uid, None)
            elif not self._dependents.get(uid):
                self._finish(place, name, "foregroundDeletion")
        if place == _NAMESPACES and going is not None and "deletionTimestamp" in going["metadata"]:
            self._empty(name)
        return None

    def _collect(self, place: Place, name: Name, uid: str) -> None:
        found = self._api.store.get(place, name)
        if found is None:
            return
        others = [r for r in found["metadata"].get("ownerReferences") or [] if r["uid"] != uid]
        alive = [r for r in others if (o := self._owner(r, name[0])) and self._api.store.get(o[0], o[1]) is not None]
        if alive:
            self._send("PATCH", place, name, {"metadata": {"ownerReferences": alive}})
        else:
            self._send("DELETE", place, name, {"propagationPolicy": "Background"})

    def _disown(self, place: Place, name: Name, uid: str) -> None:
        found = self._api.store.get(place, name)
        if found is not None:
            left = [r for r in found["metadata"].get("ownerReferences") or [] if r["uid"] != uid]
            self._send("PATCH", place, name, {"metadata": {"ownerReferences": left or None}})

    def _finish(self, place: Place, name: Name, finalizer: str) -> None:
        found = self._api.store.get(place, name)
        if found is not None:
            left = [f for f in found["metadata"].get("finalizers") or [] if f != finalizer]
            self._send("PATCH", place, name, {"metadata": {"finalizers": left or None}})

    def _empty(self, namespace: Name) -> None:
        within = [(place, name) for place, name, _ in self._api.store.everything() if name[0] == namespace[1]]
        for place, name in within:
            self._send("DELETE", place, name, {})
        left = any(self._api.store.get(place, name) is not None for place, name in within)
        if not left and self._api.store.get(_NAMESPACES, namespace) is not None:
            self._api.store.remove(_NAMESPACES, namespace)

    def _send(self, method: str, place: Place, name: Name, body: Object) -> None:
        kind = next(k for k in self._api.kinds if k.place == place == (k.resource.group, k.resource.plural))
        path = kind.resource.path(name[0], name[1])
        self._api.answer(Request(method, path, {}, body, MERGE if method == "PATCH" else "application/json"))


def _owner_uids(found: Object | None) -> set[str]:
    return {r["uid"] for r in (found or {}).get("metadata", {}).get("ownerReferences") or []}
