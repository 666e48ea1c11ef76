"""Which resource a kind is, and whether it can be scaled. Asked once for each group and version, then remembered."""

import asyncio
import re
from typing import Any, Final

from keda_py.kube.client import Client, NotFound, Resource

FRESH_SECONDS: Final = 600.0
_API_VERSION: Final = re.compile(r"([a-z0-9][a-z0-9.-]*/)?[a-z0-9]+")
RETRY_SECONDS: Final = 10.0
"""A kind that is missing is looked for again no more often than this: its CRD may come later."""


class DiscoveryError(Exception):
    """A kind that there is not, or that cannot be scaled; the message says which."""


class Discovery:
    """The resources of the cluster by API version and kind; bounded by the API versions that there are."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    async def scalable(self, api_version: str, kind: str) -> Resource:
        """Return the resource of a kind with a /scale subresource; raise `DiscoveryError` for any other."""
        resources = await self._resources(api_version, kind)
        names = {str(found["name"]) for found in resources}
        plural = _plural(resources, kind)
        if plural is None:
            raise DiscoveryError(f"the cluster has no kind {kind} in {api_version}")
        if f"{plural}/scale" not in names:
            raise DiscoveryError(f"the kind {kind} in {api_version} has no /scale subresource")
        group, _, version = api_version.rpartition("/")
        return Resource(group, version, plural, kind)

    async def _resources(self, api_version: str, kind: str) -> list[dict[str, Any]]:
        now = asyncio.get_running_loop().time()
        known = self._known.get(api_version)
        if known is not None:
            age = FRESH_SECONDS if _plural(known[1], kind) is not None else RETRY_SECONDS
            if now - known[0] < age:
                return known[1]
        if not _API_VERSION.fullmatch(api_version):
            raise DiscoveryError(f"{api_version!r} is no API version such as apps/v1")
        root = "/apis/" if "/" in api_version else "/api/"
        try:
            answer = await self._client.call("GET", root + api_version)
        except NotFound:
            # Not remembered: anyone can write any API version into a manifest.
            raise DiscoveryError(f"the cluster has no API version {api_version}") from None
        resources: list[dict[str, Any]] = answer.get("resources") or []
        self._known[api_version] = (now, resources)
        return resources


def _plural(resources: list[dict[str, Any]], kind: str) -> str | None:
    return next((str(r["name"]) for r in resources if r["kind"] == kind and "/" not in r["name"]), None)
