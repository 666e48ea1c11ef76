"""What kubectl asks before it asks for anything: API groups, their versions and resources, the version, OpenAPI."""

from typing import Any, Final

from keda_py import __version__
from keda_py.devcluster import openapi
from keda_py.devcluster.kind import Kind

KUBERNETES: Final = ("1", "36")
VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def is_about(path: str) -> bool:
    """Return whether a path may be about the API itself: cheaper than finding out what stands there."""
    return path.startswith(("/openapi", "/version")) or path.count("/") <= (3 if path.startswith("/apis") else 2)


def answer(path: str, kinds: list[Kind]) -> dict[str, Any] | None:
    """Return what stands at a path that is about the API itself; None for any other."""
    path = path.rstrip("/")
    if path.startswith("/openapi/v3"):
        return openapi.answer(path.removeprefix("/openapi/v3"), kinds)
    match path:
        case "/version":
            return _version()
        case "/api":
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case "/apis":
            names = sorted({kind.resource.group for kind in kinds if kind.resource.group})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, kinds) for name in names]}
        case _:
            return _group_or_version(path, kinds)


def _group_or_version(path: str, kinds: list[Kind]) -> dict[str, Any] | None:
    served = {kind.resource.api_version for kind in kinds}
    root, _, version = path.removeprefix("/").partition("/")
    if root in ("api", "apis") and version in served and (root == "api") == ("/" not in version):
        return _resources(version, [kind for kind in kinds if kind.resource.api_version == version])
    if root == "apis" and version in {kind.resource.group for kind in kinds} - {""}:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(version, kinds)}
    return None


def _version() -> dict[str, Any]:
    major, minor = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+keda-py-{__version__}",
        "platform": "keda-py/embedded",
    }


def _group(name: str, kinds: list[Kind]) -> dict[str, Any]:
    found = dict.fromkeys(kind.resource.version for kind in kinds if kind.resource.group == name)
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in found]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(group_version: str, kinds: list[Kind]) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for kind in kinds:
        api = kind.resource
        singular = kind.singular or api.kind.lower()
        entry = {"name": api.plural, "singularName": singular, "namespaced": kind.namespaced, "kind": api.kind}
        verbs = ["create"] if kind.review else list(VERBS)
        entry |= {"verbs": verbs, "shortNames": list(kind.short_names), "categories": list(kind.categories)}
        listed.append(entry)
        part = {"singularName": "", "namespaced": kind.namespaced, "verbs": ["get", "patch", "update"]}
        if kind.status:
            listed.append(part | {"name": f"{api.plural}/status", "kind": api.kind})
        if kind.scale is not None:
            named = {"name": f"{api.plural}/scale", "kind": "Scale", "group": "autoscaling", "version": "v1"}
            listed.append(part | named)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}
