"""The embedded API server: what each request does, without the wire.

`Api.answer` is one request and its answer, `Api.watch` a stream of events; `transport` brings both to the daemon in
this process, `http` to kubectl. Everything happens within one call without awaiting, so requests never interleave.
"""

import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.decide.admission import Verdict
from keda_py.devcluster import apply, definition, deletion, discovery, event, listing, rule, scale, token
from keda_py.devcluster.kind import BUILT_IN, CRDS, Kind, defined
from keda_py.devcluster.patch import PatchError, json_patch, merge, strategic
from keda_py.devcluster.rule import Refusal, bad_request, invalid_as, not_found
from keda_py.devcluster.selector import Matches, SelectorError, by_fields, by_labels
from keda_py.devcluster.store import Change, ExpiredError, Object, Store
from keda_py.devcluster.table import included, table
from keda_py.engine.admission import Asked
from keda_py.runtime.clock import Now

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_PATCHES: Final = {"application/json-patch+json": json_patch, MERGE: merge}
_STRATEGIC: Final = "application/strategic-merge-patch+json"
META: Final = "meta.k8s.io"
NAMESPACES: Final = ("", "namespaces")
_NAMESPACES: Final = ("default", "kube-system", "keda")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the API sees it; `body` is decoded."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    as_table: bool = False

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


@dataclass(frozen=True, slots=True)
class Route:
    """What a path addresses."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


Admit = Callable[[Asked], Awaitable[Verdict]]
"""Says whether an object may be written (see `admission`)."""


class Api:
    """An API server over a store; set `admit` to whoever is asked about objects of KEDA's kinds."""

    def __init__(self, store: Store, *, now: Now, chance: random.Random) -> None:
        self.store = store
        self.now = now
        self.admit: Admit | None = None
        self._chance = chance
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._by_words: dict[tuple[str, str], Kind] = {}
        self._owners: dict[str, apply.Owners] = {}
        for kind in BUILT_IN:
            self._know(kind)
        for item in store.items(CRDS.place):
            self._define(item)
        store.listen(self._notice)
        for name in _NAMESPACES:
            if store.get(NAMESPACES, ("", name)) is None:
                self.answer(Request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}}))

    # --- kinds ------------------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> list[Kind]:
        """All kinds there are now."""
        return list(self._kinds.values())

    def kind_of(self, api_version: str, kind: str) -> Kind | None:
        """Return a kind by the words of a manifest."""
        return self._by_words.get((api_version, kind))

    def _know(self, kind: Kind) -> None:
        self._kinds[kind.resource.group, kind.resource.version, kind.resource.plural] = kind
        self._by_words[kind.resource.api_version, kind.resource.kind] = kind

    def _define(self, definition: Object) -> None:
        for kind in defined(definition):
            self._know(kind)

    def _notice(self, change: Change) -> None:
        """Serve what a CRD defines, and no longer what it did."""
        if change.before is not None and change.after is None:
            self._owners.pop(change.before["metadata"]["uid"], None)
        if change.place != CRDS.place:
            return
        for kind in defined(change.before) if change.before else ():
            self._kinds.pop((kind.resource.group, kind.resource.version, kind.resource.plural), None)
            self._by_words.pop((kind.resource.api_version, kind.resource.kind), None)
        if change.before is not None and change.after is None:
            # Its objects go with it.
            place = (change.before["spec"]["group"], change.before["spec"]["names"]["plural"])
            for item in self.store.items(place):
                self.store.remove(place, (item["metadata"].get("namespace", ""), item["metadata"]["name"]))
        if change.after is not None:
            self._define(change.after)

    # --- requests ---------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Carry out a request that is no watch; a refusal is an answer too."""
        try:
            if request.method == "GET" and discovery.is_about(request.path):
                found = discovery.answer(request.path, self.kinds)
                if found is not None:
                    return Answer(200, found)
            _check_dry_run(request)
            return self._carry_out(request, self.route(request.path))
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)
        except SelectorError as error:
            return Answer(400, bad_request(str(error)).body)

    def route(self, path: str) -> Route:
        """Return what a path addresses; raise `Refusal` for nothing."""
        missing = Refusal(404, "NotFound", "the server could not find the requested resource")
        parts = path.strip("/").split("/")
        if parts[0] == "api" and len(parts) > 2:  # noqa: PLR2004  api, version, resource
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:  # noqa: PLR2004  apis, group, version, resource
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            raise missing
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":  # noqa: PLR2004  a resource in it
            namespace, rest = rest[1], rest[2:]
        kind = self._kinds.get((group, version, rest[0]))
        if kind is None or len(rest) > 3:  # noqa: PLR2004  resource, name, subresource
            raise missing
        name, subresource = [*rest[1:], "", ""][:2]
        if (
            subresource
            and not (subresource == "status" and kind.status)
            and not (subresource == "scale" and kind.scale)
            and not token.is_for(kind, subresource)
        ):
            raise missing
        return Route(kind, namespace, name, subresource)

    def _carry_out(self, request: Request, route: Route) -> Answer:
        match request.method, bool(route.name):
            case "GET", _:
                return Answer(200, self._get(request, route) if route.name else self._list(request, route))
            case "POST", False:
                return Answer(201, self._create(request, route))
            case "POST", _ if route.subresource == token.SUBRESOURCE:
                return Answer(201, token.made(self._existing(route), request.body, self.now()))
            case "PUT", True:
                return Answer(200, self._change(request, route, lambda _: self._whole(request, route)))
            case "PATCH", True:
                return self._patch(request, route)
            case "DELETE", _:
                return Answer(200, self._delete(request, route) if route.name else self._delete_all(request, route))
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _get(self, request: Request, route: Route) -> Object:
        found = self._shown(route, self._existing(route))
        return self._as_table(request, route, [found]) if request.as_table else found

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
        pages = listing.pages(request.params)
        try:
            selected = self._selected(request, route, pages.version)
        except ExpiredError:
            said = "The provided continue parameter is too old to display a consistent list result."
            raise Refusal(410, "Expired", said) from None
        items, metadata = pages.cut(selected, self.store.version)
        if request.as_table:
            return self._as_table(request, route, items, metadata)
        return listing.listing(route.kind, items, metadata)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _create(self, request: Request, route: Route, *, name: str = "") -> Object:
        kind, body = route.kind, self._body(request, route.kind)
        if name:
            rule.check_name(body, name)
        space = self.store.get(NAMESPACES, ("", route.namespace)) if kind.namespaced else None
        if kind.namespaced and space is None:
            raise not_found(self._kinds["", "v1", "namespaces"], route.namespace)
        uid = _uid(self._chance)
        made = rule.created(kind, body, namespace=route.namespace, uid=uid, now=self.now())
        if kind.place == NAMESPACES:
            made = made | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        elif kind.place == CRDS.place:
            made = definition.accepted(kind, made, self.now())
        named = (route.namespace, made["metadata"]["name"])
        if self.store.get(kind.place, named) is not None:
            raise rule.exists(kind, named[1])
        if space is not None and "deletionTimestamp" in space["metadata"]:
            raise rule.terminating(kind, named[1], route.namespace)
        return self.face(kind, made if request.dry else self.store.put(kind.place, named, made))

    def _body(self, request: Request, kind: Kind) -> Object:
        body = request.body
        if not isinstance(body, dict):
            raise bad_request("the body of the request was empty or not an object")
        rule.check_kind(kind, body)
        if request.params.get("fieldValidation") == "Strict":
            rule.strictly_checked(kind, body)
        return (
            event.from_core(body) | {"metadata": body.get("metadata", {})}
            if kind.resource.group == "" and kind.place[0]
            else body
        )

    def _change(self, request: Request, route: Route, make: Any) -> Object:
        """Store what `make` makes of an object, or of the part of it that the path addresses."""
        kind, old = route.kind, self._existing(route)
        if route.subresource == "scale":
            new = rule.updated(kind, old, scale.changed(kind, old, make(scale.shown(kind, old))), subresource="")
        else:
            given = make(self.face(kind, old))
            if kind.place[0] != kind.resource.group:
                given = event.from_core(given)
            given = given if route.subresource else self._body_of(request, kind, given)
            new = rule.updated(kind, old, given, subresource=route.subresource)
        if kind.place == CRDS.place and new is not old:
            new = definition.accepted(kind, new, self.now())
        if new is old or request.dry:
            return self._shown(route, new)
        if owners := self._owners.get(old["metadata"]["uid"]):
            self._owners[old["metadata"]["uid"]] = apply.kept(owners, old, new)
        place, name = kind.place, (route.namespace, route.name)
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers") and place != NAMESPACES:
            # Nothing holds it any more.
            return self._shown(route, self.store.remove(place, name))
        return self._shown(route, self.store.put(place, name, new))

    def _whole(self, request: Request, route: Route) -> Object:
        body = request.body
        if not isinstance(body, dict):
            raise bad_request("the body of the request was empty or not an object")
        if (
            route.kind.custom
            and route.subresource != "scale"
            and not (body.get("metadata") or {}).get("resourceVersion")
        ):
            raise rule.version_missing(route.kind, route.name)
        return body

    def _body_of(self, request: Request, kind: Kind, given: Object) -> Object:
        return self._body(Request(request.method, request.path, request.params, given), kind) if kind.custom else given

    def _patch(self, request: Request, route: Route) -> Answer:
        kind, patch = route.kind, request.body
        if request.content_type == APPLY:
            return self._apply(request, route)
        make = _PATCHES.get(request.content_type)
        if request.content_type == _STRATEGIC:
            # As for any custom resource: it has no Go type whose lists could be merged.
            make = None if kind.custom else strategic
        if make is None:
            accepted = ", ".join([*_PATCHES, APPLY])
            said = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            raise Refusal(415, "UnsupportedMediaType", said)
        try:
            return Answer(
                200, self._change(request, route, lambda found: rule.patched(kind, found, make(found, patch)))
            )
        except PatchError as error:
            raise Refusal(
                422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
            ) from None

    def _apply(self, request: Request, route: Route) -> Answer:
        given, manager = request.body, request.params.get("fieldManager", "")
        if not isinstance(given, dict):
            raise bad_request("the body of the request was empty or not an object")
        if not manager:
            raise invalid_as(
                META, "PatchOptions", "", [("fieldManager", "Required value: is required for apply patch")]
            )
        if "apiVersion" not in given or "kind" not in given:
            raise bad_request(f"invalid object type: {given.get('apiVersion', '/')}, Kind={given.get('kind', '')}")
        # What one applies to the status is apart from what the same one applies to the rest.
        manager = f"{manager} ({route.subresource})" if route.subresource else manager
        place, name = route.kind.place, (route.namespace, route.name)
        before = self.store.get(place, name)
        owners = self._owners.get(before["metadata"]["uid"], {}) if before is not None else {}
        if before is None:
            self._body_of(request, route.kind, given)
            answer = Answer(201, self._create(request, Route(route.kind, route.namespace, "", ""), name=route.name))
        else:
            if not request.flag("force"):
                apply.check_conflicts(before, given, owners, manager)
            make = functools.partial(apply.apply, applied=given, owners=owners, manager=manager)
            answer = Answer(200, self._change(request, route, make))
        after = self.store.get(place, name)
        if after is not None and not request.dry:
            uid = after["metadata"]["uid"]
            self._owners[uid] = {**self._owners.get(uid, {}), manager: apply.fields(given)}
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
        going = deletion.marked(route.kind, found, options, self.now())
        if options.dry:
            return deletion.told(route.kind, found) if going is None else going
        place, name = route.kind.place, (route.namespace, route.name)
        if going is None:
            self.store.remove(place, name)
            return deletion.told(route.kind, found)
        return self.face(route.kind, found if going is found else self.store.put(place, name, going))


def _check_dry_run(request: Request) -> None:
    if request.params.get("dryRun", "All") not in ("All", ""):
        options = {"POST": "CreateOptions", "PUT": "UpdateOptions", "DELETE": "DeleteOptions"}.get(request.method)
        said = f'Unsupported value: ["{request.params["dryRun"]}"]: supported values: "All"'
        raise invalid_as(META, options or "PatchOptions", "", [("dryRun", said)])


def _uid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
