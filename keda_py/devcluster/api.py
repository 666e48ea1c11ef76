"""The embedded API server: what each request does, without the wire.

`Api.answer` is one request and its answer, `Api.watch` a stream of events; `transport` brings both to the daemon in
this process, `http` to kubectl. Everything happens within one call without awaiting, so requests never interleave.
"""

import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keda_py.decide.admission import Verdict
from keda_py.devcluster import (
    apply,
    content,
    definition,
    deletion,
    discovery,
    event,
    listing,
    option,
    ownership,
    review,
    rule,
    scale,
    token,
)
from keda_py.devcluster.builtin import UnreadableError
from keda_py.devcluster.kind import CRDS, Kind
from keda_py.devcluster.negotiation import PARTIAL, TABLE
from keda_py.devcluster.ownership import Ownership
from keda_py.devcluster.patch import PatchError, json_patch, merge, strategic
from keda_py.devcluster.route import Route, Routes
from keda_py.devcluster.rule import Refusal, bad_request, not_found
from keda_py.devcluster.selector import Matches, SelectorError, by_fields, by_labels
from keda_py.devcluster.store import Change, ExpiredError, Object, Store
from keda_py.devcluster.table import included, partial, table
from keda_py.engine.admission import Asked
from keda_py.runtime.clock import Now

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = option.APPLY
_PATCHES: Final = {"application/json-patch+json": json_patch, MERGE: merge}
_STRATEGIC: Final = "application/strategic-merge-patch+json"
NAMESPACES: Final = ("", "namespaces")
_NAMESPACES: Final = ("default", "kube-system", "keda")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the API sees it; `body` is decoded. `writer`: whose the fields become; empty for nobody's."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    shown_as: str = ""
    writer: str = ""

    @property
    def dry(self) -> bool:
        """Whether nothing is to be stored."""
        return bool(self.params.get("dryRun"))

    def flag(self, name: str) -> bool:
        """Return whether a switch such as ``watch`` is on."""
        return self.params.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code and a decoded body; `warnings` are for whoever asked."""

    status: int
    body: Any
    warnings: tuple[str, ...] = ()


Admit = Callable[[Asked], Awaitable[Verdict]]
"""Says whether an object may be written (see `admission`)."""


class Api:
    """An API server over a store; set `admit` to whoever is asked about objects of KEDA's kinds."""

    def __init__(self, store: Store, *, now: Now, chance: random.Random) -> None:
        self.store = store
        self.now = now
        self.admit: Admit | None = None
        self._chance = chance
        self._routes = Routes()
        self._ownership = Ownership()
        self._warnings: list[str] = []
        for item in store.items(CRDS.place):
            self._routes.define(item)
        store.listen(self._notice)
        for name in _NAMESPACES:
            if store.get(NAMESPACES, ("", name)) is None:
                self.answer(Request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}}))

    # --- kinds ------------------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> list[Kind]:
        """All kinds there are now."""
        return self._routes.kinds

    def kind_of(self, api_version: str, kind: str) -> Kind | None:
        """Return a kind by the words of a manifest."""
        return self._routes.kind_of(api_version, kind)

    def route(self, path: str) -> Route:
        """Return what a path addresses; raise `Refusal` for nothing."""
        return self._routes.route(path)

    def _notice(self, change: Change) -> None:
        """Serve what a CRD defines, and no longer what it did; give a new namespace what it has."""
        if change.before is not None and change.after is None:
            self._ownership.forget(change.before)
        if change.place == NAMESPACES and change.before is None and change.after is not None:
            # What pods run as that name no other.
            path = f"/api/v1/namespaces/{change.name[1]}/serviceaccounts"
            self.answer(Request("POST", path, body={"metadata": {"name": "default"}}))
        if change.place != CRDS.place:
            return
        if change.before is not None:
            self._routes.undefine(change.before)
        if change.before is not None and change.after is None:
            # Its objects go with it.
            place = (change.before["spec"]["group"], change.before["spec"]["names"]["plural"])
            for item in self.store.items(place):
                self.store.remove(place, (item["metadata"].get("namespace", ""), item["metadata"]["name"]))
        if change.after is not None:
            self._routes.define(change.after)

    # --- requests ---------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Carry out a request that is no watch; a refusal is an answer too."""
        try:
            if request.method == "GET" and discovery.is_about(request.path):
                found = discovery.answer(request.path, self.kinds)
                if found is not None:
                    return Answer(200, found)
            route = self.route(request.path)
            route.check_method(request.method)
            option.check(request.method, request.params, request.body, request.content_type)
            self._warnings = []
            answer = self._carry_out(request, route)
            body = partial(answer.body, request.shown_as) if request.shown_as.startswith(PARTIAL) else answer.body
            return replace(answer, body=body, warnings=tuple(self._warnings))
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)
        except SelectorError as error:
            return Answer(400, bad_request(str(error)).body)

    def _carry_out(self, request: Request, route: Route) -> Answer:
        match request.method, bool(route.name):
            case "GET", _:
                return Answer(200, self._get(request, route) if route.name else self._list(request, route))
            case "POST", False:
                return Answer(201, self._create(request, route))
            case "POST", _ if route.subresource == token.SUBRESOURCE:
                return Answer(201, token.made(self._existing(route), request.body, self.now()))
            case "PUT", True:
                return self._replace(request, route)
            case "PATCH", True:
                return self._patch(request, route)
            case "DELETE", _:
                return Answer(200, self._delete(request, route) if route.name else self._delete_all(request, route))
        raise AssertionError(request.method)

    def _get(self, request: Request, route: Route) -> Object:
        found = self._shown(route, self._existing(route))
        return self._as_table(request, route, [found]) if request.shown_as == TABLE else found

    def _existing(self, route: Route) -> Object:
        found = self.store.get(route.kind.place, (route.namespace, route.name))
        if found is None:
            raise not_found(route.kind, route.name)
        return found

    # --- reading ----------------------------------------------------------------------------------------------------

    def _shown(self, route: Route, found: Object) -> Object:
        if route.subresource == "scale":
            return scale.shown(route.kind, found)
        return self.face(route.kind, found)

    def face(self, kind: Kind, found: Object) -> Object:
        """Return an object as one of its kinds' versions shows it."""
        if kind.place != event.PLACE:
            return found
        return event.as_core(found) if kind.resource.group == "" else event.as_new(found)

    def _as_table(self, request: Request, route: Route, items: list[Object], metadata: Object | None = None) -> Object:
        include = included(request.params)
        shown = table(route.kind, items, version=str(self.store.version), now=self.now(), include=include)
        return shown | {"metadata": metadata} if metadata is not None else shown

    def _selected(self, request: Request, route: Route, version: int | None = None) -> list[Object]:
        matches = self.selects(request.params, route)
        found = [self.face(route.kind, i) for i in self.store.items(route.kind.place, route.namespace, version=version)]
        return [item for item in found if matches(item)]

    def selects(self, params: Mapping[str, str], route: Route) -> Matches:
        """Return what tells whether a list or watch wants an object; raise `SelectorError`."""
        labels = by_labels(params.get("labelSelector", ""))
        fields = by_fields(params.get("fieldSelector", ""), route.kind.selectable)
        name = route.name
        return lambda found: labels(found) and fields(found) and (not name or found["metadata"]["name"] == name)

    def _list(self, request: Request, route: Route) -> Object:
        self.selects(request.params, route)
        pages = listing.pages(request.params, self.store.version)
        try:
            selected = self._selected(request, route, pages.version)
        except ExpiredError:
            said = "The provided continue parameter is too old to display a consistent list result."
            raise Refusal(410, "Expired", said) from None
        items, metadata = pages.cut(selected, self.store.version)
        if request.shown_as == TABLE:
            return self._as_table(request, route, items, metadata)
        return listing.listing(route.kind, items, metadata)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _create(self, request: Request, route: Route) -> Object:
        """Make a new object; a path that names it makes it whatever version is said to be replaced."""
        if route.kind.review:
            return review.answered(route.kind, request.body)
        kind, body, name = route.kind, self._read(request, route, request.body), route.name
        if name:
            if body["metadata"].get("name"):
                rule.check_name(body, name)
            body = {**body, "metadata": {**body["metadata"], "name": name, "resourceVersion": ""}}
        space = self.store.get(NAMESPACES, ("", route.namespace)) if kind.namespaced else None
        if kind.namespaced and space is None:
            raise not_found(self.route("/api/v1/namespaces").kind, route.namespace)
        uid = _uid(self._chance)
        made = rule.created(kind, body, namespace=route.namespace, uid=uid, now=self.now())
        if kind.place == NAMESPACES:
            made = made | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        elif kind.place == CRDS.place:
            made = definition.accepted(kind, made, self.now())
        named = (route.namespace, made["metadata"]["name"])
        if (taken := self.store.get(kind.place, named)) is not None:
            raise rule.exists(kind, taken)
        if space is not None and "deletionTimestamp" in space["metadata"]:
            raise rule.terminating(kind, named[1], route.namespace)
        if not request.dry:
            self._ownership.written(None, made, self._writer(request, route), kind)
        made = made if request.dry else self.store.put(kind.place, named, made)
        return self.face(kind, made)

    @staticmethod
    def _writer(request: Request, route: Route) -> str:
        return ownership.writer(request.writer, route.kind, route.subresource) if request.content_type != APPLY else ""

    def _read(self, request: Request, route: Route, given: Any) -> Object:
        """Return what is kept of what somebody wrote, as the store has it."""
        kind = route.kind
        if route.subresource and isinstance(given, dict):
            # Of the rest nothing is taken.
            given = {name: value for name, value in given.items() if name != "spec"}
        patched = given if request.method == "PATCH" and request.content_type != APPLY else None
        try:
            found = content.read(kind, given)
        except UnreadableError as error:
            raise content.refusal(kind, error, patched) from None
        self._warnings = content.unknown(kind, given, request.params.get("fieldValidation", ""), patched)
        return event.from_core(found) if kind.place[0] != kind.resource.group else found

    def _change(self, request: Request, route: Route, make: Any, given: Object | None = None) -> Object:
        """Store what `make` makes of an object, or of the part that the path addresses; `given`: that, read already."""
        kind, old = route.kind, self._existing(route)
        if route.subresource == "scale":
            new = rule.updated(kind, old, scale.changed(kind, old, make(scale.shown(kind, old))), subresource="")
        else:
            given = given if given is not None else self._read(request, route, make(self.face(kind, old)))
            new = rule.updated(kind, old, given, subresource=route.subresource)
        if kind.place == CRDS.place and new is not old:
            new = definition.accepted(kind, new, self.now())
        if new is old or request.dry:
            return self._shown(route, new)
        self._ownership.written(old, new, self._writer(request, route), kind)
        place, name = kind.place, (route.namespace, route.name)
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers") and place != NAMESPACES:
            # Nothing holds it any more.
            return self._shown(route, self.store.remove(place, name))
        return self._shown(route, self.store.put(place, name, new))

    def _replace(self, request: Request, route: Route) -> Answer:
        kind, body = route.kind, request.body
        # Before it is looked whether there is anything to replace.
        given = self._read(request, route, body) if route.subresource != "scale" else None
        rule.check_name(body, route.name)
        rule.check_namespace(kind, body, route.namespace)
        named = (route.namespace, route.name)
        if kind.made_by_put and not route.subresource and self.store.get(kind.place, named) is None:
            return Answer(201, self._create(request, route))
        if route.subresource != "scale" and kind.guarded and not (body.get("metadata") or {}).get("resourceVersion"):
            self._existing(route)
            raise rule.version_missing(kind, route.name)
        return Answer(200, self._change(request, route, lambda _: body, given))

    def _patch(self, request: Request, route: Route) -> Answer:
        kind, patch = route.kind, request.body
        if request.content_type == APPLY:
            return self._apply(request, route)
        make = _PATCHES.get(request.content_type)
        if make is json_patch and not isinstance(patch, list):
            raise bad_request("error decoding patch: it is no list of operations")
        if request.content_type == _STRATEGIC:
            # As for any custom resource: it has no Go type whose lists could be merged.
            make = None if kind.custom else functools.partial(strategic, shape=kind.shape)
        if make is None:
            accepted = ", ".join([*_PATCHES, APPLY])
            said = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            raise Refusal(415, "UnsupportedMediaType", said)
        try:
            return Answer(
                200, self._change(request, route, lambda found: rule.patched(kind, found, make(found, patch)))
            )
        except PatchError as error:
            if request.content_type == _STRATEGIC:
                raise Refusal(500, "", str(error)) from None
            said = "the server rejected our request due to an error in our request"
            raise Refusal(422, "Invalid", f"{said}: {error}") from None

    def _apply(self, request: Request, route: Route) -> Answer:
        kind, place, name = route.kind, route.kind.place, (route.namespace, route.name)
        before = self.store.get(place, name)
        if before is None and route.subresource:
            raise not_found(kind, route.name)
        content.check_applied(kind, request.body)
        given = apply.keyed(request.body, kind.shape)
        applier = ownership.applier(request.params, route.subresource)
        if before is None:
            apply.check_uid(kind, given, route.name)
            answer = Answer(201, self._create(request, route))
        else:
            owners = self._ownership.of(before)
            if not request.flag("force"):
                apply.check_conflicts(before, given, owners, applier, shape=kind.shape)
            make = functools.partial(apply.apply, applied=given, owners=owners, manager=applier, shape=kind.shape)
            answer = Answer(200, self._change(request, route, make))
        after = self.store.get(place, name)
        if after is not None and not request.dry:
            self._ownership.applied(after, applier, given, kind)
        return answer

    def _delete_all(self, request: Request, route: Route) -> Object:
        found = self._selected(request, route)
        for item in found:
            metadata = item["metadata"]
            self._delete(request, Route(route.kind, metadata.get("namespace", ""), metadata["name"], ""))
        return listing.listing(route.kind, found, {"resourceVersion": str(self.store.version)})

    def _delete(self, request: Request, route: Route) -> Object:
        found = self._existing(route)
        options = deletion.options(request.body, request.params)
        options.check(route.kind, found)
        self._warnings = deletion.warnings(route.kind, options)
        going = deletion.marked(route.kind, found, options, self.now())
        if options.dry:
            return deletion.told(route.kind, found) if going is None else going
        place, name = route.kind.place, (route.namespace, route.name)
        if going is None:
            self.store.remove(place, name)
            return deletion.told(route.kind, found)
        return self.face(route.kind, found if going is found else self.store.put(place, name, going))


def _uid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
