"""As much of an API server as the engine needs, in memory: for tests in virtual time.

Objects have versions and generations, a patch may insist on a version, and watches tell of every change. It counts
writes, and refuses what a test wants refused. It is no Kubernetes: what it says must be checked against a real one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import orjson

from keda_py.kube.transport import Response

KINDS = {
    "/apis/apps/v1": [("deployments", "Deployment"), ("deployments/scale", "Scale")],
    "/apis/example.com/v1": [("lamps", "Lamp"), ("lamps/scale", "Scale"), ("stones", "Stone")],
}


class MemoryApi:
    """An API server's objects, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.writes: list[tuple[str, str]] = []
        self.refuse: list[Response] = []
        self.watchers: list[tuple[str, asyncio.Queue[bytes]]] = []

    # --- what a test does -------------------------------------------------------------------------------------------

    def put(self, path: str, found: dict[str, Any]) -> None:
        """Make or replace an object, as a person with kubectl would."""
        old = self.objects.get(path)
        made = deepcopy(found)
        metadata = made.setdefault("metadata", {})
        before = (old or {}).get("metadata", {})
        metadata |= {
            "namespace": "ns",
            "name": path.rsplit("/", 1)[1],
            "uid": before.get("uid") or f"uid-{self.version}",
        }
        changed = old is None or old.get("spec") != made.get("spec")
        metadata["generation"] = before.get("generation", 0) + changed
        metadata.setdefault("creationTimestamp", before.get("creationTimestamp", "2026-01-01T00:00:00Z"))
        if old is not None and "status" not in made and "status" in old:
            made["status"] = old["status"]
        self._store(path, made)

    def delete(self, path: str) -> None:
        """Delete an object; one with finalizers stays until they are gone."""
        found = self.objects[path]
        if found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self._store(path, found)
            return
        del self.objects[path]
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self._tell(path, "DELETED", found)

    def _store(self, path: str, found: dict[str, Any]) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self.objects[path] = found
        self._tell(path, kind, found)

    def _tell(self, path: str, kind: str, found: dict[str, Any]) -> None:
        for watched, queue in self.watchers:
            if _collection(path) == watched:
                queue.put_nowait(orjson.dumps({"type": kind, "object": found}) + b"\n")

    # --- what the daemon sees ---------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,
    ) -> Response:
        await asyncio.sleep(0.001)
        path = urlsplit(path).path
        if method != "GET" and self.refuse:
            return self.refuse.pop(0)
        if method != "GET":
            self.writes.append((method, path))
        data = orjson.loads(body) if body else {}
        match method:
            case "GET":
                return self._get(path)
            case "POST":
                return self._create(path, data)
            case "PATCH":
                return self._patch(path, data)
            case _:
                self.delete(path)
                return _json({"status": "Success"})

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        since = int(params["resourceVersion"])
        for name, found in list(self.objects.items()):
            if _collection(name) == path and int(found["metadata"]["resourceVersion"]) > since:
                queue.put_nowait(orjson.dumps({"type": "MODIFIED", "object": found}) + b"\n")
        entry = (path, queue)
        self.watchers.append(entry)

        async def lines() -> AsyncIterator[bytes]:
            while True:
                yield await queue.get()

        try:
            yield Response(200, b""), lines()
        finally:
            self.watchers.remove(entry)

    def _get(self, path: str) -> Response:
        if path in KINDS:
            return _json({"resources": [{"name": name, "kind": kind} for name, kind in KINDS[path]]})
        if path.endswith("/scale"):
            found = self.objects.get(path.removesuffix("/scale"))
            return _scale(found) if found is not None else _refusal(404, "NotFound", "not found")
        if path in self.objects:
            return _json(self.objects[path])
        if path.startswith("/apis/") and path.count("/") == 4:
            items = [found for name, found in self.objects.items() if _collection(name) == path]
            return _json({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        return _refusal(404, "NotFound", f"{path} not found")

    def _create(self, path: str, data: dict[str, Any]) -> Response:
        name = f"{path}/{data['metadata']['name']}"
        if name in self.objects:
            return _refusal(409, "AlreadyExists", "already exists")
        self.put(name, data)
        return _json(self.objects[name])

    def _patch(self, path: str, data: dict[str, Any]) -> Response:
        for subresource in ("/scale", "/status"):
            path = path.removesuffix(subresource)
        found = self.objects.get(path)
        if found is None:
            return _refusal(404, "NotFound", "not found")
        wanted = (data.get("metadata") or {}).get("resourceVersion")
        if wanted not in (None, found["metadata"]["resourceVersion"]):
            return _refusal(409, "Conflict", "the object has been modified")
        merged = _merge(found, data)
        metadata = merged["metadata"]
        metadata["generation"] = found["metadata"]["generation"] + (merged.get("spec") != found.get("spec"))
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            metadata["finalizers"] = []
            self.objects[path] = merged
            self.delete(path)
        else:
            self._store(path, merged)
        return _json(merged)


def _collection(path: str) -> str:
    """Return the path of all namespaces' objects of a kind."""
    parts = path.split("/")
    return "/".join([*parts[:4], parts[6]])


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


def _json(body: Any) -> Response:
    return Response(200, orjson.dumps(body))


def _scale(found: dict[str, Any]) -> Response:
    metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
    return _json({"metadata": metadata, "spec": {"replicas": found["spec"].get("replicas", 1)}})


def _refusal(code: int, reason: str, message: str) -> Response:
    return Response(code, orjson.dumps({"reason": reason, "message": message}))
