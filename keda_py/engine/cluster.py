"""What the engine sees of the cluster: watched copies of the objects it works with, and who must hear of a change.

A copy that we just wrote is replaced at once with what the API server answered; the watch confirms it a moment later.
So a pass never decides on what we know to be old, and our own writes wake nobody.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from keda_py import naming
from keda_py.engine.target import TargetRef
from keda_py.kube.client import Client, Resource
from keda_py.kube.reflector import Changed, Store

Key = tuple[str, str]
Identity = tuple[str, str, str, str]


SCALED_OBJECTS: Final = Resource(naming.GROUP, naming.VERSION, "scaledobjects", "ScaledObject")
SCALED_JOBS: Final = Resource(naming.GROUP, naming.VERSION, "scaledjobs", "ScaledJob")
HPAS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")


class Cluster:
    """The watched objects, their relations, and the client to write them with."""

    def __init__(
        self,
        client: Client,
        *,
        scaled_objects: Store,
        hpas: Store,
        workloads: dict[Resource, Store],
        wake: Callable[[Key], None],
    ) -> None:
        """`workloads`: the watched scale targets by their resource. `wake`: told of who wants another look."""
        self.client = client
        self.scaled_objects = scaled_objects
        self.hpas = hpas
        self._wake = wake
        # Keys in the order they came: that in which objects are woken must not depend on hashes.
        self._by_target: dict[Identity, dict[Key, None]] = defaultdict(dict)
        scaled_objects.on_change(self._scaled_object_changed)
        scaled_objects.on_change(telling_of_edits(wake))
        hpas.on_change(self._hpa_changed)
        for resource, store in workloads.items():
            store.on_change(partial(self._workload_changed, resource))

    def owner_of_target(self, target: TargetRef) -> Key | None:
        """Return the object that may scale a target: of several the oldest."""
        keys = self._by_target.get(target.identity, {})
        alive = [(key, raw) for key in keys if (raw := self.scaled_objects.get(key)) is not None]
        if not alive:
            return None
        return min(alive, key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0]))[0]

    async def patch_scaled_object(self, key: Key, patch: dict[str, Any]) -> dict[str, Any]:
        """Change an object's metadata; return it as it is then."""
        answer = await self.client.merge_patch(SCALED_OBJECTS, *key, patch)
        self.scaled_objects.put(answer)
        return self.scaled_objects.get(key) or answer

    # --- who must hear of what --------------------------------------------------------------------------------------

    def _scaled_object_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        before, after = _target_key(old), _target_key(new)
        if before != after:
            self._leave_target(before, key)
            if after is not None:
                self._by_target[after][key] = None

    def _leave_target(self, target: Identity | None, key: Key) -> None:
        """Forget that an object points at a target, and let the next in line take it."""
        if target is None:
            return
        rest = self._by_target[target]
        rest.pop(key, None)
        if not rest:
            del self._by_target[target]
        for other in list(rest):
            self._wake(other)

    def _hpa_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old is not None and new is not None and _without_version(old) == _without_version(new):
            return
        for owner in ((new or old or {})["metadata"].get("ownerReferences")) or []:
            if owner["kind"] == SCALED_OBJECTS.kind:
                self._wake((key[0], owner["name"]))
        # Who waits for somebody else's HPA to go, or has to tell that one came.
        for target in dict.fromkeys(_target_key(hpa) for hpa in (old, new)):
            for other in self._by_target.get(target, ()) if target is not None else ():
                self._wake(other)

    def _workload_changed(
        self, resource: Resource, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return
        for watcher in self._by_target.get((resource.group, resource.kind, *key), ()):
            self._wake(watcher)


def trim_scalable(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a ScaledObject or ScaledJob: all but who wrote which field."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return {**found, "metadata": metadata}


def _target_key(raw: dict[str, Any] | None) -> Identity | None:
    ref = ((raw or {}).get("spec") or {}).get("scaleTargetRef") or {}
    if raw is None or not isinstance(ref, dict) or "name" not in ref:
        return None
    version, kind = ref.get("apiVersion") or "apps/v1", ref.get("kind") or "Deployment"
    return TargetRef(version, kind, raw["metadata"]["namespace"], ref["name"]).identity


def telling_of_edits(wake: Callable[[Key], None]) -> Changed:
    """Return what wakes an object when a person asks something else of it; what is only reported on it wakes nobody."""

    def changed(key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old is None or new is None or _asked(old) != _asked(new):
            wake(key)

    return changed


def _asked(raw: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a person asks of an object, without what we and others report on it."""
    metadata = raw["metadata"]
    names = ("uid", "generation", "labels", "annotations", "deletionTimestamp", "finalizers")
    return tuple(metadata.get(name) for name in names)


def _without_version(raw: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in raw["metadata"].items() if name != "resourceVersion"}
    return {**raw, "metadata": metadata}
