"""Watches: what changed since a version, and what changes from now on, until the asker's time is over."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from keda_py.devcluster.api import Api, Route
from keda_py.devcluster.rule import Refusal
from keda_py.devcluster.store import Change, ExpiredError, Object, Place
from keda_py.devcluster.table import table

BOOKMARK_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 1800.0


async def events(
    api: Api, route: Route, params: Mapping[str, str], *, as_table: bool = False
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events of a watch: ADDED, MODIFIED, DELETED, BOOKMARK, and ERROR for a version that is too old."""
    matches = api.selects(params, route)
    loop = asyncio.get_running_loop()
    until = loop.time() + float(params.get("timeoutSeconds") or LONGEST_SECONDS)
    changes: asyncio.Queue[Change] = asyncio.Queue()
    # From here on nothing is missed: what came before is in the history, what comes now in the queue.
    end = api.store.listen(partial(_collect, changes, route.kind.place))

    def shown(kind: str, found: Object) -> dict[str, Any]:
        face = api.face(route.kind, found)
        if as_table:
            return {"type": kind, "object": table(route.kind, [face], version=_version(face), now=api.now())}
        return {"type": kind, "object": face}

    try:
        for event in _missed(api, route, params.get("resourceVersion", "")):
            if (named := _named(event, route, lambda found: matches(api.face(route.kind, found)))) is not None:
                yield shown(*named)
        while (left := until - loop.time()) > 0:
            change: Change | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                    change = await changes.get()
            if change is not None:
                if (named := _named(change, route, lambda found: matches(api.face(route.kind, found)))) is not None:
                    yield shown(*named)
            elif params.get("allowWatchBookmarks") in ("1", "true") and not as_table:
                yield {"type": "BOOKMARK", "object": _bookmark(route, api.store.version)}
    except ExpiredError as error:
        yield {"type": "ERROR", "object": Refusal(410, "Expired", str(error)).body}
    finally:
        end()


def _collect(changes: asyncio.Queue[Change], place: Place, change: Change) -> None:
    if change.place == place:
        changes.put_nowait(change)


def _missed(api: Api, route: Route, version: str) -> list[Change]:
    if version in ("", "0"):
        present = api.store.items(route.kind.place, route.namespace)
        return [Change(int(_version(item)), route.kind.place, _name(item), None, item) for item in present]
    return api.store.since(int(version))


def _named(change: Change, route: Route, matches: Any) -> tuple[str, Object] | None:
    """Return what a change is to this watch: an object that comes to match is added, one that ceases to is deleted."""
    if change.place != route.kind.place or route.namespace not in ("", change.name[0]):
        return None
    before = change.before if change.before is not None and matches(change.before) else None
    after = change.after if change.after is not None and matches(change.after) else None
    if after is not None:
        return ("MODIFIED" if before is not None else "ADDED"), after
    if before is None:
        return None
    gone = change.after or change.before or before
    return "DELETED", gone | {"metadata": gone["metadata"] | {"resourceVersion": str(change.version)}}


def _bookmark(route: Route, version: int) -> Object:
    api = route.kind.resource
    return {"kind": api.kind, "apiVersion": api.api_version, "metadata": {"resourceVersion": str(version)}}


def _version(found: Object) -> str:
    return str(found["metadata"]["resourceVersion"])


def _name(found: Object) -> tuple[str, str]:
    return (found["metadata"].get("namespace", ""), found["metadata"]["name"])
