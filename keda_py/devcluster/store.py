"""The objects of the embedded cluster, and the history that watches are fed from.

An object is a dict that is never changed in place: a write stores a new one under the next version. So whoever holds
an object holds a snapshot, and a watch can be told of a change without copying.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Place = tuple[str, str]
"""Group and plural."""
Name = tuple[str, str]
"""Namespace, empty for a cluster-wide object, and name."""
Object = dict[str, Any]

HISTORY: Final = 4096


class ExpiredError(Exception):
    """A version is too old to go on from."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the object before and after it, None for "not there"."""

    version: int
    place: Place
    name: Name
    before: Object | None
    after: Object | None


Listener = Callable[[Change], None]


class Store:
    """Objects by place and name, under one counter of versions."""

    def __init__(self, *, history: int = HISTORY) -> None:
        self.version = 1
        self._objects: dict[Place, dict[Name, Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 0
        self._listeners: list[Listener] = []

    def get(self, place: Place, name: Name) -> Object | None:
        """Return an object; it is not to be changed."""
        return self._objects.get(place, {}).get(name)

    def items(self, place: Place, namespace: str = "", *, version: int | None = None) -> list[Object]:
        """Return the objects of a namespace, or of all, in the order of their names; now, or as of a version.

        Raise `ExpiredError` if that version is too old.
        """
        found = self._objects.get(place, {})
        missed = self.since(version) if version is not None else []
        if missed:
            found = dict(found)
            for change in reversed(missed):
                if change.place == place and change.before is not None:
                    found[change.name] = change.before
                elif change.place == place:
                    found.pop(change.name, None)
        return [found[name] for name in sorted(found) if namespace in ("", name[0])]

    def everything(self) -> Iterator[tuple[Place, Name, Object]]:
        """Yield all objects."""
        for place, found in list(self._objects.items()):
            for name, item in list(found.items()):
                yield place, name, item

    def put(self, place: Place, name: Name, found: Object) -> Object:
        """Store an object under the next version; return it with that."""
        self.version += 1
        stored = found | {"metadata": found["metadata"] | {"resourceVersion": str(self.version)}}
        before = self._objects.setdefault(place, {}).get(name)
        self._objects[place][name] = stored
        self._tell(Change(self.version, place, name, before, stored))
        return stored

    def remove(self, place: Place, name: Name) -> Object:
        """Remove an object; return it as it was, under the version of its removal."""
        self.version += 1
        before = self._objects[place].pop(name)
        self._tell(Change(self.version, place, name, before, None))
        return before | {"metadata": before["metadata"] | {"resourceVersion": str(self.version)}}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of each change from now on; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self, change: Change) -> None:
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].version
        self._history.append(change)
        for listener in list(self._listeners):
            listener(change)

    def since(self, version: int) -> list[Change]:
        """Return the changes after a version; raise `ExpiredError` if not all of them are known any more."""
        if version < self._forgotten:
            raise ExpiredError(f"too old resource version: {version} ({self._forgotten})")
        # From the newest backwards: who goes on mostly missed little.
        missed: list[Change] = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            missed.append(change)
        return missed[::-1]

    def forget(self) -> None:
        """Forget the history, as a compaction does: a watch from before must list anew."""
        self._forgotten = self.version
        self._history.clear()

    # --- keeping it across restarts ---------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        objects = [[*place, *name, item] for place, name, item in self.everything()]
        return {"version": self.version, "objects": objects}

    def load(self, dumped: dict[str, Any]) -> None:
        """Take in what `dump` returned; raise `ValueError`, `TypeError` or `KeyError` for anything else."""
        self.version = self._forgotten = int(dumped["version"])
        for group, plural, namespace, name, item in dumped["objects"]:
            if int(item["metadata"]["resourceVersion"]) > self.version:
                raise ValueError(f"{plural}/{name} is newer than all")
            self._objects.setdefault((group, plural), {})[namespace, name] = item
