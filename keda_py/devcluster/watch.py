"""Watches: what changed since a version, and what changes from now on, until the asker's time is over."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from keda_py.devcluster.api import Api
from keda_py.devcluster.negotiation import PARTIAL, TABLE
from keda_py.devcluster.route import Route
from keda_py.devcluster.rule import Refusal, bad_request
from keda_py.devcluster.selector import Matches, SelectorError
from keda_py.devcluster.store import Change, ExpiredError, Object, Place
from keda_py.devcluster.table import Included, included, partial, table

BOOKMARK_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 1800.0
_MOMENT: Final = 0.001


def events(
    api: Api, route: Route, params: Mapping[str, str], *, shown_as: str = ""
) -> AsyncGenerator[dict[str, Any], None]:
    """Return the events of a watch: ADDED, MODIFIED, DELETED, BOOKMARK, and ERROR for a version that is too old.

    Raise `Refusal`, before there is any event, for parameters that make no sense.
    """
    try:
        matches = api.selects(params, route)
    except SelectorError as error:
        raise bad_request(str(error)) from None
    for name in ("resourceVersion", "timeoutSeconds"):
        if not params.get(name, "").isdecimal() and params.get(name):
            raise bad_request(f"{name} is no number: {params[name]}")
    include = included(params) if shown_as == TABLE else None
    return _events(api, params, _View(api, route, matches, include, partial if shown_as == PARTIAL else None))


async def _events(api: Api, params: Mapping[str, str], view: "_View") -> AsyncGenerator[dict[str, Any], None]:
    bookmarks = params.get("allowWatchBookmarks") in ("1", "true") and view.include is None
    loop = asyncio.get_running_loop()
    until = loop.time() + float(params.get("timeoutSeconds") or LONGEST_SECONDS)
    changes: asyncio.Queue[Change] = asyncio.Queue()
    # From here on nothing is missed: what came before is in the history, what comes now in the queue.
    end = api.store.listen(functools.partial(_collect, changes, view.route.kind.place))
    try:
        for event in filter(None, map(view.of, _missed(api, view.route, params.get("resourceVersion", "")))):
            yield event
        if params.get("sendInitialEvents") == "true":
            yield view.bookmark(initial=True)
        # A timer may fire a hair early; what is left then is nothing to wait for.
        while (left := until - loop.time()) > _MOMENT:
            change: Change | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                    change = await changes.get()
            if change is None and bookmarks:
                yield view.bookmark()
            elif change is not None and (seen := view.of(change)) is not None:
                yield seen
    except ExpiredError as error:
        yield {"type": "ERROR", "object": Refusal(410, "Expired", str(error)).body}
    finally:
        end()


def _collect(changes: asyncio.Queue[Change], place: Place, change: Change) -> None:
    if change.place == place:
        changes.put_nowait(change)


class _View:
    """How one watch sees what happens."""

    def __init__(
        self,
        api: Api,
        route: Route,
        matches: Matches,
        include: Included | None,
        show: Callable[[Object], Object] | None,
    ) -> None:
        """`include`: what rows carry of their objects; None: not as a table. `show`: what else becomes of them."""
        self._api = api
        self.route = route
        self._matches = matches
        self.include = include
        self._show = show
        self._headed = True

    def of(self, change: Change) -> dict[str, Any] | None:
        """Return the event of a change; None if it is none here."""
        kind = self.route.kind
        named = _named(change, self.route, lambda found: self._matches(self._api.face(kind, found)))
        if named is None:
            return None
        type_, found = named
        face = self._api.face(kind, found)
        if self.include is None:
            return {"type": type_, "object": self._show(face) if self._show is not None else face}
        rows = table(
            kind,
            [face],
            version=_version(face),
            now=self._api.now(),
            include=self.include,
            headed=self._headed,
        )
        self._headed = False
        return {"type": type_, "object": rows}

    def bookmark(self, *, initial: bool = False) -> dict[str, Any]:
        """Return what only tells the version; `initial`: after what was there already."""
        api = self.route.kind.resource
        metadata: Object = {"resourceVersion": str(self._api.store.version)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        return {
            "type": "BOOKMARK",
            "object": {"kind": api.kind, "apiVersion": api.api_version, "metadata": metadata},
        }


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
    # As it was when it still matched, under the version that it left with.
    return "DELETED", before | {"metadata": before["metadata"] | {"resourceVersion": str(change.version)}}


def _version(found: Object) -> str:
    return str(found["metadata"]["resourceVersion"])


def _name(found: Object) -> tuple[str, str]:
    return (found["metadata"].get("namespace", ""), found["metadata"]["name"])
