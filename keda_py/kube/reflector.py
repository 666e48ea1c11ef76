"""Watched copies of objects: a list, then a watch from there, for ever, whatever the API server does.

Peeled into three layers: `_events` is one HTTP stream, `_watch` is streams from one resource version to the next, and
`Reflector.run` lists anew whenever that chain breaks. What was missed meanwhile is found by comparing the list with
what is known, so that nobody ever has to be told twice or waits for a deletion that nobody saw.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
import structlog

from keda_py.kube.client import ApiError, Client, Gone, Resource, Trim, Unreachable, decoded, selecting

log = structlog.get_logger("watch")

Key = tuple[str, str]
Changed = Callable[[Key, dict[str, Any] | None, dict[str, Any] | None], None]

WATCH_SECONDS: Final = 290
SILENCE_SECONDS: Final = 330.0
"""Bookmarks come every minute; a stream that says nothing for so long is dead."""
FIRST_PAUSE: Final = 0.5
REFUSALS: Final = (401, 403)
"""Answers that say: not you."""
_GONE: Final = 410
LAST_PAUSE: Final = 30.0


def pause(failures: int, chance: random.Random) -> float:
    """Return for how many seconds to leave the API server alone after so many failures in a row."""
    return min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10)) * chance.uniform(0.5, 1.0)


class Store:
    """The trimmed copies of one kind of objects, by namespace and name."""

    def __init__(self, trim: Trim) -> None:
        self.trim = trim
        self._objects: dict[Key, dict[str, Any]] = {}
        self._listeners: list[Changed] = []
        self.synced = asyncio.Event()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return a copy as last seen; it is not to be changed."""
        return self._objects.get(key)

    def keys(self) -> list[Key]:
        """Return the keys of all objects."""
        return list(self._objects)

    def on_change(self, listener: Changed) -> None:
        """Tell `listener` of each change: key, the copy before and the copy after, None for "not there"."""
        self._listeners.append(listener)

    def put(self, found: dict[str, Any]) -> None:
        """Take in an object, unless a newer copy of it is known already."""
        self._keep(self.trim(found))

    def _keep(self, new: dict[str, Any]) -> None:
        key = _key(new)
        old = self._objects.get(key)
        if old is not None and _same(old, new) and _version(old) >= _version(new):
            return
        self._objects[key] = new
        self._tell(key, old, new)

    def remove(self, key: Key) -> None:
        """Forget an object."""
        if (old := self._objects.pop(key, None)) is not None:
            self._tell(key, old, None)

    def replace(self, trimmed: list[dict[str, Any]], *, namespace: str) -> None:
        """Take in a whole list, of one namespace or of all; what is not in it is gone."""
        listed = {_key(item) for item in trimmed}
        for item in trimmed:
            self._keep(item)
        for key in [key for key in self._objects if key not in listed and namespace in ("", key[0])]:
            self.remove(key)

    def _tell(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        for listener in self._listeners:
            listener(key, old, new)


def _key(found: dict[str, Any]) -> Key:
    return (found["metadata"].get("namespace", ""), found["metadata"]["name"])


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


def _version(found: dict[str, Any]) -> int:
    # Comparable since Kubernetes 1.35, and in practice since etcd 3 (KEP-5504).
    return int(found["metadata"].get("resourceVersion") or 0)


class Reflector:
    """Keeps a store as the API server has it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        store: Store,
        *,
        chance: random.Random,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        heard: Callable[[ApiError | None], None] | None = None,
    ) -> None:
        """`heard`: told of each list that went well, by None, and of what failed, instead of the log."""
        self._client = client
        self._resource = resource
        self._store = store
        self._chance = chance
        self._namespace = namespace
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._heard = heard or self._log
        self.listed = asyncio.Event()
        self.blind: str | None = "they are not listed yet"
        """Why what happens now is not heard of; None while a watch is open: then what is not known is on its way."""

    def _log(self, error: ApiError | None) -> None:
        if error is not None:
            log.warning("cannot list or watch", resource=self._resource.plural, message=str(error))

    def blind_in(self, namespace: str) -> str | None:
        """Return why what happens in a namespace is not heard of; None if it is, or for others to hear of."""
        return self.blind if self._namespace in ("", namespace) else None

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                items, version = await self._client.list(
                    self._resource, self._namespace, **self._selectors, trim=self._store.trim
                )
                self._store.replace(items, namespace=self._namespace)
                self.listed.set()
                self._heard(None)
                await self._watch(version)
            except Gone:
                log.debug("watch expired, listing anew", resource=self._resource.plural)
            except ApiError as error:
                self.blind = str(error)
                self._heard(error)
            # What held for a while was no failure, whatever ended it.
            lasted = asyncio.get_running_loop().time() - began > LAST_PAUSE
            failures = 0 if lasted else failures + 1
            await asyncio.sleep(pause(failures, self._chance))

    async def _watch(self, version: str) -> None:
        """Follow streams, each from where the last one ended; raises `Gone` when only a list helps."""
        failures = 0
        while True:
            seen = False
            try:
                async for event in self._events(version):
                    seen = True
                    version = self._take(event)
            except Gone:
                raise
            except ApiError as error:
                if error.status in REFUSALS:
                    # Said by a list too, which is told of.
                    raise
                log.info("watch broke", resource=self._resource.plural, message=str(error))
            finally:
                self.blind = "the watch ended"
            failures = 0 if seen else failures + 1
            # Also after a clean end: a server that closes at once must not be asked in a tight loop.
            await asyncio.sleep(pause(failures, self._chance))

    def _take(self, event: dict[str, Any]) -> str:
        found = event["object"]
        if event["type"] == "ERROR":
            kind = Gone if found.get("code") == _GONE else ApiError
            raise kind(found.get("code", 0), found.get("reason", ""), found.get("message", ""))
        if event["type"] == "DELETED":
            self._store.remove(_key(found))
        elif event["type"] in {"ADDED", "MODIFIED"}:
            self._store.put(found)
        return str(found["metadata"]["resourceVersion"])

    async def _events(self, version: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of one stream; it ends when the server closes it."""
        params = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS + self._chance.randrange(30)),
            **selecting(**self._selectors),
        }
        path = self._resource.path(self._namespace)
        try:
            async with self._client.transport.stream(path, params=params, silence=SILENCE_SECONDS) as (answer, lines):
                self._client.requests[str(answer.status), "GET"] += 1
                if answer.status != 200:  # noqa: PLR2004  HTTP's own number
                    decoded(answer)
                self.blind = None
                async for line in lines:
                    # A line without its end was cut off: half an event is none.
                    if line.endswith(b"\n") and line.strip():
                        yield orjson.loads(line)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unreachable(0, "Unreachable", str(error) or type(error).__name__) from error
