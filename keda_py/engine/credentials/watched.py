"""Copies of single objects, each watched by its name for as long as somebody needs it.

Secrets are the reason: listing all of them would read, and keep in memory, what is none of our business. Of an object
only the entries that are used are kept. However many use it, it is one watch; the last one to leave closes it.

What was read once stays known while the API server cannot be reached. A refusal is an answer and ends that, if it
lasts: an API server that has just started refuses for a moment what it allows.
"""

import asyncio
import base64
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from keda_py.engine.credentials.lookup import Missing, Named, Unread
from keda_py.kube.client import ApiError, Client, Resource
from keda_py.kube.reflector import REFUSALS, Reflector, Store
from keda_py.scaler import ScalerError

Key = tuple[str, str]
Entries = dict[str, str | None]
"""Texts by name, None where the object has no such entry.

Bytes that are no text, such as a keytab's, are in it as `surrogateescape` writes them.
"""

REFUSED_SECONDS: Final = 30.0


class Watched:
    """The watched objects, and who uses which of their entries."""

    def __init__(
        self,
        client: Client,
        *,
        chance: random.Random,
        tasks: asyncio.TaskGroup,
        wake: Callable[[Key], None],
    ) -> None:
        """`wake`: told who wants another look, because something that they use is known or has changed."""
        self._client = client
        self._chance = chance
        self._tasks = tasks
        self._wake = wake
        self._copies: dict[tuple[str, str, str], _Copy] = {}
        self._uses: dict[Key, set[Named]] = {}

    @contextmanager
    def renewing(self, owner: Key) -> Iterator[Callable[[Named], str | None]]:
        """Yield how `owner` looks entries up; what it used before and did not look up this time it has given up."""
        before, now = self._uses.get(owner, set()), set[Named]()

        def value(named: Named) -> str | None:
            if named not in now:
                now.add(named)
                self._copy(named).use(owner, named.key)
            return self._copy(named).value(named.key)

        try:
            yield value
        finally:
            self._uses[owner] = now
            for named in before - now:
                self._leave(owner, named)
            if not now:
                del self._uses[owner]

    def close(self) -> None:
        """Stop everything."""
        for known in self._copies.values():
            known.close()

    def forget(self, owner: Key) -> None:
        """Give up all that `owner` uses."""
        for named in self._uses.pop(owner, set()):
            self._leave(owner, named)

    def _copy(self, named: Named) -> "_Copy":
        place = (named.kind, named.namespace, named.name)
        if place not in self._copies:
            self._copies[place] = _Copy(place, self._watch, self._wake)
        return self._copies[place]

    def _leave(self, owner: Key, named: Named) -> None:
        place = (named.kind, named.namespace, named.name)
        copy = self._copies[place]
        if not copy.leave(owner, named.key):
            del self._copies[place]
            copy.close()

    def _watch(self, place: tuple[str, str, str], store: Store, heard: Callable[[ApiError | None], None]) -> Any:
        kind, namespace, name = place
        reflector = Reflector(
            self._client,
            _KINDS[kind].resource,
            store,
            chance=self._chance,
            namespace=namespace,
            field_selector=f"metadata.name={name}",
            heard=heard,
        )
        return self._tasks.create_task(reflector.run(), name="watch")


class _Copy:
    """What is known of one object."""

    def __init__(
        self, place: tuple[str, str, str], watch: Callable[..., asyncio.Task[None]], wake: Callable[[Key], None]
    ) -> None:
        self._place = place
        self._watch = watch
        self._wake = wake
        self._users: dict[str, set[Key]] = {}
        """By entry."""
        self._task: asyncio.Task[None] | None = None
        self._read = False
        self._entries: Entries | None = None
        """Of what came last; the very dictionary that the watch's store has."""
        self._asked: frozenset[str] = frozenset()
        """Entries that are kept from what comes next."""
        self._refusal: str | None = None
        self._refused_at: float | None = None

    def use(self, owner: Key, key: str) -> None:
        """Note that `owner` needs an entry, and read the object (again) if that entry was not kept."""
        users = self._users.setdefault(key, set())
        users.add(owner)
        if len(users) == 1 and key not in self._asked:
            self._restart()

    def leave(self, owner: Key, key: str) -> bool:
        """Note that `owner` no longer needs an entry, and forget one nobody needs; return whether anybody needs any."""
        self._users[key].discard(owner)
        if not self._users[key]:
            del self._users[key]
            # Who needs it again reads it again.
            self._asked -= {key}
            if self._entries is not None:
                self._entries.pop(key, None)
        return bool(self._users)

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()

    def value(self, key: str) -> str | None:
        """Return an entry as last seen (`Lookups.value`)."""
        kind, namespace, name = self._place
        if not self._read and self._refusal is not None:
            raise ScalerError(f"{kind} {namespace}/{name} cannot be read: {self._refusal}")
        if not self._read or (self._entries is not None and key not in self._entries):
            raise Unread
        if self._entries is None:
            raise Missing(f"{kind} {namespace}/{name} does not exist; create it, or correct the name")
        return self._entries[key]

    def _restart(self) -> None:
        self.close()
        self._asked = frozenset(self._users)
        store = Store(self._trim)
        key = self._place[1:]
        self._task = self._watch(self._place, store, lambda error: self._heard(error, store.get(key)))
        store.on_change(lambda _key, _old, new: self._take(new))

    def _trim(self, found: dict[str, Any]) -> dict[str, Any]:
        self._asked = wanted = frozenset(self._users)
        kind = _KINDS[self._place[0]]
        entries = kind.entries(found)
        metadata = {key: found["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
        kept: Entries = {key: kind.decode(entries[key]) if key in entries else None for key in wanted}
        return {"metadata": metadata, "entries": kept}

    def _heard(self, error: ApiError | None, copy: dict[str, Any] | None) -> None:
        """Take in how a list went; one that found nothing changes nothing in the store and is known only from here."""
        if error is None:
            self._refused_at = None
            self._take(copy)
            return
        now = asyncio.get_running_loop().time()
        if error.status not in REFUSALS:
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = now
        if self._read and (self._refused_at is None or now - self._refused_at < REFUSED_SECONDS):
            return
        hint = "; allow the daemon's ServiceAccount to list and watch it" if error.status in REFUSALS else ""
        before, self._refusal = (self._read, self._refusal), f"{error}{hint}"
        self._read = False
        if before != (False, self._refusal):
            self._wake_users()

    def _take(self, copy: dict[str, Any] | None) -> None:
        before = (self._read, self._entries)
        self._read, self._refusal = True, None
        self._entries = None if copy is None else copy["entries"]
        if before != (self._read, self._entries):
            self._wake_users()

    def _wake_users(self) -> None:
        for owner in sorted(set[Key]().union(*self._users.values())):
            self._wake(owner)


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="surrogateescape")


def _data(found: dict[str, Any]) -> Mapping[str, str]:
    return found.get("data") or {}


def _annotations(found: dict[str, Any]) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


@dataclass(frozen=True, slots=True)
class _Kind:
    resource: Resource
    entries: Callable[[dict[str, Any]], Mapping[str, str]]
    decode: Callable[[str], str] = str


_KINDS: Final = {
    "Secret": _Kind(Resource("", "v1", "secrets", "Secret"), _data, _text),
    "ConfigMap": _Kind(Resource("", "v1", "configmaps", "ConfigMap"), _data),
    "ServiceAccount": _Kind(Resource("", "v1", "serviceaccounts", "ServiceAccount"), _annotations),
}
