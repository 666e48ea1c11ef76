"""What is served: the kinds there are now, and what a path addresses."""

from dataclasses import dataclass
from typing import Final

from keda_py.devcluster import token
from keda_py.devcluster.kind import BUILT_IN, Kind, defined
from keda_py.devcluster.rule import Refusal
from keda_py.devcluster.store import Object

_READ: Final = frozenset({"GET"})
_WRITE: Final = frozenset({"GET", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Route:
    """What a path addresses."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    def check_method(self, method: str) -> None:
        """Raise `Refusal` for what cannot be done there."""
        if self.subresource == token.SUBRESOURCE or self.kind.review:
            allowed = frozenset({"POST"})
        elif self.name:
            allowed = _WRITE if self.subresource else _WRITE | {"DELETE"}
        else:
            # Of all namespaces one can only read.
            allowed = _READ | ({"POST", "DELETE"} if self.namespace or not self.kind.namespaced else set())
        if method not in allowed:
            raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


class Routes:
    """The kinds that are served, by their paths and by the words of manifests."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._by_words: dict[tuple[str, str], Kind] = {}
        for kind in BUILT_IN:
            self._know(kind)

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

    def define(self, definition: Object) -> None:
        """Serve what a CRD defines."""
        for kind in defined(definition):
            self._know(kind)

    def undefine(self, definition: Object) -> None:
        """Serve what a CRD defined no longer."""
        for kind in defined(definition):
            self._kinds.pop((kind.resource.group, kind.resource.version, kind.resource.plural), None)
            self._by_words.pop((kind.resource.api_version, kind.resource.kind), None)

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
