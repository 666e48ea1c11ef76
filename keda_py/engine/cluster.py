"""What the engine sees of the cluster: watched copies of the objects it works with, and who must hear of a change.

A copy that we just wrote is replaced at once with what the API server answered; the watch confirms it a moment later.
So a pass never decides on what we know to be old, and our own writes wake nobody.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from keda_py import naming
from keda_py.engine.target import TargetRef
from keda_py.kube.client import Client, Resource
from keda_py.kube.reflector import Store

Key = tuple[str, str]
Identity = tuple[str, str, str, str]


class AuthenticationKey(NamedTuple):
    """Which TriggerAuthentication or ClusterTriggerAuthentication; the latter has no namespace."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


SCALED_OBJECTS: Final = Resource(naming.GROUP, naming.VERSION, "scaledobjects", "ScaledObject")
TRIGGER_AUTHENTICATIONS: Final = Resource(
    naming.GROUP, naming.VERSION, "triggerauthentications", "TriggerAuthentication"
)
CLUSTER_TRIGGER_AUTHENTICATIONS: Final = Resource(
    naming.GROUP, naming.VERSION, "clustertriggerauthentications", "ClusterTriggerAuthentication"
)
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
        authentications: dict[str, Store],
        wake: Callable[[Key], None],
        wake_authentication: Callable[[AuthenticationKey], None],
    ) -> None:
        """`workloads`: the watched scale targets by their resource; `authentications`: the watched ones by kind.

        `wake`: told of ScaledObjects that want another look; `wake_authentication`: of authentications that do.
        """
        self.client = client
        self.scaled_objects = scaled_objects
        self.hpas = hpas
        self._wake = wake
        self._wake_authentication = wake_authentication
        # Keys in the order they came: that in which objects are woken must not depend on hashes.
        self._by_target: dict[Identity, dict[Key, None]] = defaultdict(dict)
        self._by_authentication: dict[AuthenticationKey, set[Key]] = defaultdict(set)
        scaled_objects.on_change(self._scaled_object_changed)
        hpas.on_change(self._hpa_changed)
        for resource, store in workloads.items():
            store.on_change(partial(self._workload_changed, resource))
        for kind, store in authentications.items():
            store.on_change(partial(self._authentication_changed, kind))

    def owner_of_target(self, target: TargetRef) -> Key | None:
        """Return the object that may scale a target: of several the oldest."""
        keys = self._by_target.get(target.identity, {})
        alive = [(key, raw) for key in keys if (raw := self.scaled_objects.get(key)) is not None]
        if not alive:
            return None
        return min(alive, key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0]))[0]

    def users_of(self, authentication: AuthenticationKey) -> set[Key]:
        """Return the objects with a trigger that refers to an authentication."""
        return self._by_authentication.get(authentication, set())

    async def patch_scaled_object(self, key: Key, patch: dict[str, Any]) -> dict[str, Any]:
        """Change an object's metadata; return it as it is then."""
        answer = await self.client.merge_patch(SCALED_OBJECTS, *key, patch)
        self.scaled_objects.put(answer)
        return self.scaled_objects.get(key) or answer

    async def patch_status(self, raw: dict[str, Any], patch: dict[str, Any]) -> None:
        """Change an object's status."""
        namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        answer = await self.client.patch_status(SCALED_OBJECTS, namespace, name, patch)
        self.scaled_objects.put(answer)

    # --- who must hear of what --------------------------------------------------------------------------------------

    def _scaled_object_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        before, after = _target_key(old), _target_key(new)
        if before != after:
            self._leave_target(before, key)
            if after is not None:
                self._by_target[after][key] = None
        self._refer(key, authentications_of(old), authentications_of(new))
        if old is None or new is None or _asked(old) != _asked(new):
            self._wake(key)

    def _refer(self, key: Key, before: set[AuthenticationKey], after: set[AuthenticationKey]) -> None:
        for authentication in before - after:
            self._by_authentication[authentication].discard(key)
            if not self._by_authentication[authentication]:
                del self._by_authentication[authentication]
        for authentication in after - before:
            self._by_authentication[authentication].add(key)
        for authentication in sorted(before ^ after):
            self._wake_authentication(authentication)

    def _authentication_changed(
        self, kind: str, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        authentication = AuthenticationKey(kind, *key)
        self._wake_authentication(authentication)
        if old is None or new is None or old["spec"] != new["spec"]:
            for user in sorted(self.users_of(authentication)):
                self._wake(user)

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

    def _workload_changed(
        self, resource: Resource, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return
        for watcher in self._by_target.get((resource.group, resource.kind, *key), ()):
            self._wake(watcher)


def trim_scaled_object(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a ScaledObject: all but who wrote which field."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return {**found, "metadata": metadata}


def _target_key(raw: dict[str, Any] | None) -> Identity | None:
    ref = ((raw or {}).get("spec") or {}).get("scaleTargetRef") or {}
    if raw is None or not isinstance(ref, dict) or "name" not in ref:
        return None
    version, kind = ref.get("apiVersion") or "apps/v1", ref.get("kind") or "Deployment"
    return TargetRef(version, kind, raw["metadata"]["namespace"], ref["name"]).identity


def authentications_of(raw: dict[str, Any] | None) -> set[AuthenticationKey]:
    """Return the authentications that an object's triggers refer to, whatever else may be wrong with it."""
    if raw is None:
        return set()
    triggers = (raw.get("spec") or {}).get("triggers")
    refs = [t.get("authenticationRef") for t in triggers if isinstance(t, dict)] if isinstance(triggers, list) else []
    return {
        authentication_key(str(ref.get("kind") or ""), raw["metadata"]["namespace"], str(ref.get("name")))
        for ref in refs
        if isinstance(ref, dict)
    }


def authentication_key(kind: str, namespace: str, name: str) -> AuthenticationKey:
    """Return which authentication an object of a namespace means."""
    of_cluster = kind == CLUSTER_TRIGGER_AUTHENTICATIONS.kind
    return AuthenticationKey(kind or TRIGGER_AUTHENTICATIONS.kind, "" if of_cluster else namespace, name)


def trim_authentication(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of an authentication: its spec, its users as in its status, whether it is to go."""
    metadata = found["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "finalizers")
    kept = {key: metadata[key] for key in names if key in metadata}
    users = (found.get("status") or {}).get("scaledobjects") or ""
    return {"metadata": kept, "spec": found.get("spec") or {}, "status": {"scaledobjects": users}}


def _asked(raw: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a person asks of an object, without what we and others report on it."""
    metadata = raw["metadata"]
    names = ("uid", "generation", "labels", "annotations", "deletionTimestamp", "finalizers")
    return tuple(metadata.get(name) for name in names)


def _without_version(raw: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in raw["metadata"].items() if name != "resourceVersion"}
    return {**raw, "metadata": metadata}
