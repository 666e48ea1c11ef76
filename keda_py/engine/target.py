"""Scale targets: anything with a /scale subresource, found, read and set.

Deployments and StatefulSets are read from a watch, so that a steady cluster is asked nothing; anything else is asked
for its /scale when it is needed.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from keda_py.api.meta import ManifestError
from keda_py.api.pod import PodSpec
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.requests import Container, requested
from keda_py.kube.client import Client, NotFound, Resource
from keda_py.kube.discovery import Discovery, DiscoveryError
from keda_py.kube.reflector import Store

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
PODS: Final = Resource("", "v1", "pods", "Pod")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
ENVIRONMENT: Final = "environment"
"""In the place of a workload's pod template: a digest of what credentials may come from."""
CONTAINERS: Final = "containers"
"""In its place too: the containers, and which of cpu and memory they request (`decide.requests`)."""


class TargetError(Exception):
    """There is nothing to scale, or it cannot be scaled; the message says what to change."""


@dataclass(frozen=True, slots=True)
class TargetRef:
    """What a ScaledObject points at, KEDA's defaults applied."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from any other target, in whatever version it is written: group, kind, namespace, name."""
        return (self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name)


def target_of(scaled_object: ScaledObject) -> TargetRef:
    """Return what a ScaledObject points at."""
    ref = scaled_object.spec.scale_target_ref
    return TargetRef(ref.api_version or "apps/v1", ref.kind or "Deployment", scaled_object.metadata.namespace, ref.name)


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a target is told to have, and the version of it that said so."""

    resource: Resource
    replicas: int
    resource_version: str


class Targets:
    """Reads and sets scale targets."""

    def __init__(self, client: Client, discovery: Discovery, watched: dict[Resource, Store]) -> None:
        self._client = client
        self._discovery = discovery
        self._watched = watched

    def watches(self, resource: Resource) -> bool:
        """Return whether changes of such targets are heard of."""
        return resource in self._watched

    async def read(self, ref: TargetRef) -> Scale:
        """Return the scale of a target; raise `TargetError` when it is not there or has no /scale."""
        try:
            resource = await self._discovery.scalable(ref.api_version, ref.kind)
        except DiscoveryError as error:
            raise TargetError(f"{ref}: {error}") from error
        store = self._watched.get(resource)
        if store is not None:
            return self._from_watch(ref, resource, store)
        try:
            found = await self._client.get_scale(resource, ref.namespace, ref.name)
        except NotFound as error:
            raise TargetError(f"{ref} does not exist; create it or correct spec.scaleTargetRef") from error
        return _scale(resource, found)

    def _from_watch(self, ref: TargetRef, resource: Resource, store: Store) -> Scale:
        found = store.get((ref.namespace, ref.name))
        if found is None:
            raise TargetError(f"{ref} does not exist; create it or correct spec.scaleTargetRef")
        return _scale(resource, found, default=1)

    def environment(self, ref: TargetRef) -> bytes | None:
        """Return a digest of a watched target's environment; None for one that is not watched or not there."""
        group = ref.api_version.rpartition("/")[0]
        for resource, store in self._watched.items():
            if (resource.group, resource.kind) == (group, ref.kind):
                found = store.get((ref.namespace, ref.name))
                return None if found is None else found["spec"][ENVIRONMENT]
        return None

    async def template(self, ref: TargetRef) -> PodSpec:
        """Return what a target makes its pods of; raise `ApiError`, or `TargetError` if that cannot be understood."""
        try:
            resource = await self._discovery.scalable(ref.api_version, ref.kind)
            found = await self._client.get(resource, ref.namespace, ref.name)
            return PodSpec.parse(found["spec"]["template"]["spec"], at="spec.template.spec")
        except DiscoveryError as error:
            raise TargetError(f"{ref}: {error}") from error
        except NotFound as error:
            raise TargetError(f"{ref} does not exist; create it or correct spec.scaleTargetRef") from error
        except (KeyError, TypeError):
            raise TargetError(f"{ref} has no spec.template.spec, so that there is no environment to look in") from None
        except ManifestError as error:
            raise TargetError(f"{ref}: {error}") from None

    async def ready(self, ref: TargetRef) -> int:
        """Return how many pods of a target run and are ready; raise `ApiError`, or `TargetError` if it names none."""
        try:
            resource = await self._discovery.scalable(ref.api_version, ref.kind)
        except DiscoveryError as error:
            raise TargetError(f"{ref}: {error}") from error
        scale = await self._client.get_scale(resource, ref.namespace, ref.name)
        selector = (scale.get("status") or {}).get("selector")
        if not selector:
            raise TargetError(f"{ref} does not say in the selector of its /scale which pods are its own")
        pods, _ = await self._client.list(PODS, ref.namespace, label_selector=selector)
        return sum(_is_ready(pod.get("status") or {}) for pod in pods)

    async def set(self, ref: TargetRef, scale: Scale, replicas: int) -> None:
        """Set the replicas of a target that still is as `scale` says; a conflict is for the caller to retry."""
        answer = await self._client.patch_scale(
            scale.resource, ref.namespace, ref.name, replicas, resource_version=scale.resource_version
        )
        store = self._watched.get(scale.resource)
        if store is not None and (known := store.get((ref.namespace, ref.name))) is not None:
            # The watch will say so too, a moment later; until then nobody may decide on the old count.
            version = answer["metadata"]["resourceVersion"]
            metadata, spec = known["metadata"] | {"resourceVersion": version}, known["spec"] | {"replicas": replicas}
            store.put({"metadata": metadata, "spec": spec})


def _is_ready(pod: dict[str, Any]) -> bool:
    said = {c["type"]: c["status"] for c in pod.get("conditions") or ()}
    return pod.get("phase") == "Running" and said.get("Ready") == "True"


def _scale(resource: Resource, found: dict[str, Any], *, default: int = 0) -> Scale:
    # A Deployment without spec.replicas has one; a Scale object leaves a zero out.
    replicas = found.get("spec", {}).get("replicas")
    return Scale(resource, default if replicas is None else replicas, found["metadata"]["resourceVersion"])


def trim_workload(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a Deployment or StatefulSet: of its pods only what `ENVIRONMENT` etc. say."""
    metadata, spec = found["metadata"], found.get("spec", {})
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in metadata}
    about = {key: spec[key] for key in (ENVIRONMENT, CONTAINERS) if key in spec}
    if not about:
        pod = (spec.get("template") or {}).get("spec") or {}
        containers = tuple(requested(container) for container in pod.get("containers") or ())
        about = {ENVIRONMENT: _digest(pod), CONTAINERS: _shared(containers)}
    return {"metadata": kept, "spec": {"replicas": spec.get("replicas"), **about}}


@lru_cache(maxsize=4096)
def _shared(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    """Return equal containers as one object: thousands of workloads have the same names for them."""
    return containers


def _digest(pod: dict[str, Any]) -> bytes:
    containers = [[c.get(name) for name in ("name", "env", "envFrom")] for c in pod.get("containers") or ()]
    content = orjson.dumps([pod.get("serviceAccountName"), containers])
    return hashlib.blake2b(content, digest_size=16).digest()
