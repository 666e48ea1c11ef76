"""Calls to the API server: raw JSON in and out, every status checked, every call with a deadline.

An error of the API server keeps its own message, because that is what a person needs. A server that says when to come
back (429 and 503 with Retry-After) is asked again then, if the deadline allows it and asking twice does no harm.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from keda_py.kube.transport import Response, Transport
from keda_py.naming import FIELD_MANAGER

SECONDS: Final = 10.0
PAGE: Final = 100
"""A page is in memory whole, with all that nobody needs of it."""
_JSON: Final = "application/json"
_MERGE: Final = "application/merge-patch+json"
_RETRIED: Final = frozenset({429, 503})
_LIST_RESTARTS: Final = 3
_NO_SEGMENT: Final = re.compile(r"[/%?#\s]")
"""What no segment of a path may have (apimachinery pkg/api/validation/path IsValidPathSegmentName)."""


class ApiError(Exception):
    """The API server refused; the message is its own."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFound(ApiError):
    """There is no such object, or no such kind."""


class Conflict(ApiError):
    """The object has changed since, or is there already."""

    @property
    def exists(self) -> bool:
        """Whether an object of that name is there already; webhooks and quotas may say 409 for other reasons."""
        return self.reason == "AlreadyExists"


class Gone(ApiError):
    """A resource version is too old to go on from."""


class Unreachable(ApiError):
    """There was no answer at all, or not in time."""


Listing = tuple[list[dict[str, Any]], str]
"""Objects, and the resource version to watch from."""

Trim = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns what is kept of an object."""

_KINDS: Final[dict[int, type[ApiError]]] = {404: NotFound, 409: Conflict, 410: Gone}


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as the API addresses it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of one object, or of a list of them; without a namespace over all of them.

        Raises `NotFound` for what cannot be a name: a manifest must not lead to another place than its own.
        """
        for part in (self.group, self.version, self.plural, namespace, name):
            if part in (".", "..") or _NO_SEGMENT.search(part):
                raise NotFound(404, "NotFound", f"there is no {self.kind or self.plural} {part!r}: that is no name")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural]
        return "/".join(filter(None, [*parts, name, subresource]))


class Client:
    """The API server's calls that we use."""

    def __init__(self, transport: Transport, *, host: str = "") -> None:
        """`host`: whom `transport` leads to, for `/metrics`."""
        self.transport = transport
        self.host = host
        self.requests: Counter[tuple[str, str]] = Counter()
        """How many were sent: by the status of the answer, ``<error>`` for none, and by method."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = _JSON,
        seconds: float = SECONDS,
    ) -> dict[str, Any]:
        """Return the decoded answer; raise `ApiError` for any status that is not a success."""
        data = None if body is None else orjson.dumps(body)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            try:
                answer = await self.transport.request(
                    method,
                    path,
                    params=params or {},
                    body=data,
                    content_type=content_type,
                    seconds=max(0.1, until - loop.time()),
                )
            except (OSError, TimeoutError) as error:
                self.requests["<error>", method] += 1
                reason = str(error) or type(error).__name__
                raise Unreachable(0, "Unreachable", f"the API server did not answer: {reason}") from error
            self.requests[str(answer.status), method] += 1
            pause = answer.retry_after
            # A refusal with Retry-After was not carried out, so that even a create may be sent again.
            if answer.status in _RETRIED and pause is not None and loop.time() + pause < until:
                await asyncio.sleep(pause)
                continue
            return decoded(answer)

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return one object."""
        return await self.call("GET", resource.path(namespace, name))

    async def _pages(self, resource: Resource, namespace: str, selectors: Mapping[str, str], trim: Trim) -> Listing:
        items: list[dict[str, Any]] = []
        params = {"limit": str(PAGE), **selectors}
        while True:
            page = await self.call("GET", resource.path(namespace), params=params, seconds=3 * SECONDS)
            items += map(trim, page.get("items") or [])
            if not (following := page["metadata"].get("continue")):
                return items, page["metadata"]["resourceVersion"]
            params["continue"] = following

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        trim: Trim = dict,
    ) -> Listing:
        """Return all objects, read in pages and trimmed as they come, and the resource version to watch from."""
        selectors = selecting(label_selector, field_selector)
        for attempt in range(_LIST_RESTARTS):
            try:
                return await self._pages(resource, namespace, selectors, trim)
            except Gone:
                # The pages' snapshot was compacted away under way.
                if attempt == _LIST_RESTARTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def create(
        self, resource: Resource, namespace: str, body: dict[str, Any], *, name: str = "", subresource: str = ""
    ) -> dict[str, Any]:
        """Create an object, `Conflict` if it is there already; or what a subresource of the named one makes."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self.call("POST", resource.path(namespace, name, subresource), params=params, body=body)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", propagation: str = "Background"
    ) -> dict[str, Any]:
        """Delete an object, and what it owns after it, or with ``Foreground`` before it.

        With a `uid` only that one: `Conflict` if another has its name by now. Return the object as it is on its way
        out, or a Status when it is gone already.
        """
        only = {"preconditions": {"uid": uid}} if uid else {}
        return await self.call(
            "DELETE", resource.path(namespace, name), body={"propagationPolicy": propagation, **only}
        )

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: dict[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        """Change an object; with ``metadata.resourceVersion`` in the patch only if it is still that version."""
        return await self.call(
            "PATCH",
            resource.path(namespace, name, subresource),
            params={"fieldManager": FIELD_MANAGER},
            body=patch,
            content_type=_MERGE,
        )

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        """Change an object's status."""
        return await self.merge_patch(resource, namespace, name, {"status": status}, subresource="status")

    async def get_scale(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the Scale of an object."""
        return await self.call("GET", resource.path(namespace, name, "scale"))

    async def patch_scale(
        self, resource: Resource, namespace: str, name: str, replicas: int, *, resource_version: str
    ) -> dict[str, Any]:
        """Set the replicas of an object that still is the given version; return its Scale."""
        patch = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
        return await self.merge_patch(resource, namespace, name, patch, subresource="scale")


def selecting(label_selector: str, field_selector: str) -> dict[str, str]:
    """Return the query parameters that narrow down a list or watch."""
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: selector for name, selector in given.items() if selector}


def decoded(answer: Response) -> dict[str, Any]:
    """Return a successful answer's JSON; raise the `ApiError` that stands for any other."""
    try:
        body = orjson.loads(answer.body or b"{}")
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if answer.status < 400 and body:  # noqa: PLR2004  HTTP's own number
        return body
    text = str(body.get("message") or answer.body[:200].decode(errors="replace").strip() or f"HTTP {answer.status}")
    kind = _KINDS.get(answer.status, ApiError)
    raise kind(answer.status, str(body.get("reason") or ""), text)
