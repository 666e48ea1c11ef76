"""The controllers of the embedded cluster: Deployments, ReplicaSets, StatefulSets and Jobs get their pods.

One queue for all of them, fed by what changes in the store. Like the real ones they are level-triggered: each looks at
how things are and takes one step. They write through the API, so that its rules hold for them too.
"""

import hashlib
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson

from keda_py.decide.status import format_time
from keda_py.devcluster.api import MERGE, Api, Request
from keda_py.devcluster.job import is_ready, phase, step
from keda_py.devcluster.store import Change, Name, Object, Place
from keda_py.runtime.queue import WorkQueue

Key = tuple[Place, Name]

DEPLOYMENTS: Final = ("apps", "deployments")
REPLICA_SETS: Final = ("apps", "replicasets")
STATEFUL_SETS: Final = ("apps", "statefulsets")
JOBS: Final = ("batch", "jobs")
PODS: Final = ("", "pods")
NAMESPACES: Final = ("", "namespaces")
REVISION: Final = "deployment.kubernetes.io/revision"
JOB_CONTROLLER: Final = "kubernetes.io/job-controller"
_PATHS: Final = {
    DEPLOYMENTS: ("apps/v1", "Deployment"),
    REPLICA_SETS: ("apps/v1", "ReplicaSet"),
    STATEFUL_SETS: ("apps/v1", "StatefulSet"),
    JOBS: ("batch/v1", "Job"),
    PODS: ("v1", "Pod"),
}


class RefusedError(Exception):
    """The API server refused what a controller wanted; it will try again."""


class Writer:
    """Writes as controllers do: through the API, and with a reference to the owner."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def create(self, place: Place, owner: Object, found: Object) -> None:
        """Create an object that belongs to another one."""
        metadata = owner["metadata"]
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        namespace = metadata["namespace"]
        body = found | {"metadata": found["metadata"] | {"namespace": namespace, "ownerReferences": [reference]}}
        self._send("POST", path_of(place, namespace), body)

    def status(self, place: Place, found: Object, status: Object) -> None:
        """Write an object's status, if it is another one."""
        if found.get("status") != status:
            # A put, because fields that are no longer there are to go.
            name = (found["metadata"]["namespace"], found["metadata"]["name"])
            self._send("PUT", f"{path_of(place, *name)}/status", found | {"status": status})

    def patch(self, place: Place, found: Object, patch: Object) -> None:
        """Change an object."""
        metadata = found["metadata"]
        self._send("PATCH", path_of(place, metadata["namespace"], metadata["name"]), patch, MERGE)

    def delete(self, place: Place, found: Object, **options: str) -> None:
        """Delete an object."""
        metadata = found["metadata"]
        self._send("DELETE", path_of(place, metadata["namespace"], metadata["name"]), options)

    def _send(self, method: str, path: str, body: Object, content_type: str = "application/json") -> None:
        answer = self.api.answer(Request(method, path, {}, body, content_type))
        if answer.status >= 400 and answer.status != 404:  # noqa: PLR2004  what is gone needs nothing more
            raise RefusedError(answer.body["message"])


def path_of(place: Place, namespace: str, name: str = "") -> str:
    """Return the path of a built-in object of these controllers, or of its collection."""
    version, _ = _PATHS[place]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{place[1]}" + (f"/{name}" if name else "")


class Workloads:
    """Makes pods of workloads, and keeps the workloads' status."""

    def __init__(self, api: Api, *, chance: random.Random) -> None:
        self._api = api
        self._store = api.store
        self._writer = Writer(api)
        self._chance = chance
        self._steps: dict[Place, Callable[[Object], float | None]] = {
            DEPLOYMENTS: self._deployment,
            REPLICA_SETS: partial(self._replicas, REPLICA_SETS),
            STATEFUL_SETS: partial(self._replicas, STATEFUL_SETS),
            JOBS: self._job,
        }
        self._owned: dict[str, dict[Name, Place]] = {}
        self.queue: WorkQueue[Key] = WorkQueue(chance=chance)
        for place, name, item in api.store.everything():
            self._notice(Change(0, place, name, None, item))
        api.store.listen(self._notice)

    def _notice(self, change: Change) -> None:
        if change.place in self._steps:
            self.queue.add((change.place, change.name))
        if change.place not in (PODS, REPLICA_SETS):
            return
        for uid, place, name in _owners(change.after or change.before or {}):
            owned = self._owned.setdefault(uid, {})
            if change.after is None:
                owned.pop(change.name, None)
                if not owned:
                    del self._owned[uid]
            else:
                owned[change.name] = change.place
            self.queue.add((place, name))

    async def reconcile(self, key: Key) -> float | None:
        """Take one step for a workload."""
        place, name = key
        found = self._store.get(place, name)
        if found is not None and "deletionTimestamp" not in found["metadata"]:
            return self._steps[place](found)
        return None

    def _of(self, owner: Object, place: Place) -> list[Object]:
        owned = self._owned.get(owner["metadata"]["uid"], {})
        found = (self._store.get(place, name) for name, kept in sorted(owned.items()) if kept == place)
        return [item for item in found if item is not None and "deletionTimestamp" not in item["metadata"]]

    # --- Deployments ------------------------------------------------------------------------------------------------

    def _deployment(self, found: Object) -> None:
        spec, metadata = found["spec"], found["metadata"]
        digest = hashlib.blake2b(orjson.dumps(spec["template"], option=orjson.OPT_SORT_KEYS), digest_size=5).hexdigest()
        current = f"{metadata['name']}-{digest}"
        sets = self._of(found, REPLICA_SETS)
        ours = next((item for item in sets if item["metadata"]["name"] == current), None)
        newest = max(map(_revision, sets), default=0)
        # A template that comes back is the newest again: kubectl rolls back and forth by these numbers.
        revision = newest if ours is not None and _revision(ours) == newest else newest + 1
        numbered = {"metadata": {"annotations": {REVISION: str(revision)}}}
        if ours is None:
            template = _labelled(spec["template"], "pod-template-hash", digest)
            labels = template["metadata"]["labels"]
            made = {"replicas": spec["replicas"], "selector": {"matchLabels": labels}, "template": template}
            about = {"name": current, "labels": labels, **numbered["metadata"]}
            self._writer.create(REPLICA_SETS, found, {"metadata": about, "spec": made})
        elif _revision(ours) != revision:
            self._writer.patch(REPLICA_SETS, ours, numbered)
        if _revision(found) != revision:
            self._writer.patch(DEPLOYMENTS, found, numbered)
        for item in sets:
            wanted = spec["replicas"] if item is ours else 0
            if item["spec"]["replicas"] != wanted:
                self._writer.patch(REPLICA_SETS, item, {"spec": {"replicas": wanted}})
        latest = self._store.get(DEPLOYMENTS, (metadata["namespace"], metadata["name"])) or found
        self._writer.status(DEPLOYMENTS, latest, self._deployment_status(found, sets, ours))

    def _deployment_status(self, found: Object, sets: list[Object], ours: Object | None) -> Object:
        def total(name: str, items: list[Object]) -> int:
            return sum((item.get("status") or {}).get(name, 0) for item in items)

        ready, wanted = total("readyReplicas", sets), found["spec"]["replicas"]
        updated = total("replicas", [ours] if ours else [])
        counts = {
            "replicas": total("replicas", sets),
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        available = ready + _most_unavailable(found["spec"]) >= wanted
        reason = "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable"
        said = f"Deployment {'has' if available else 'does not have'} minimum availability."
        conditions = [
            _condition(found, "Available", reason, self._now(), holds=available, message=said),
            _condition(found, "Progressing", "NewReplicaSetAvailable", self._now()),
        ]
        status = {name: count for name, count in counts.items() if count}
        return {"observedGeneration": found["metadata"]["generation"], **status, "conditions": conditions}

    # --- pods of ReplicaSets, StatefulSets and Jobs -----------------------------------------------------------------

    def _replicas(self, place: Place, found: Object) -> None:
        pods, wanted = self._of(found, PODS), found["spec"]["replicas"]
        ended = [pod for pod in pods if phase(pod) in ("Succeeded", "Failed")]
        for pod in ended:
            # What was to run for ever and ended, is started anew.
            self._writer.delete(PODS, pod)
        pods = [pod for pod in pods if pod not in ended]
        names = self._names(place, found, wanted)
        if place == STATEFUL_SETS:
            surplus = [pod for pod in pods if pod["metadata"]["name"] not in names]
            missing = [name for name in names if name not in {pod["metadata"]["name"] for pod in pods}]
            if found["spec"]["podManagementPolicy"] == "OrderedReady":
                # One after the other: each comes when those before it are ready, and the last one goes first.
                missing, surplus = missing[:1] if all(map(is_ready, pods)) else [], surplus[-1:]
        else:
            # Pods that do not work yet go first, then the youngest.
            order = sorted(pods, key=lambda pod: (is_ready(pod), -int(pod["metadata"]["resourceVersion"])))
            surplus, missing = order[: max(0, len(pods) - wanted)], names[: max(0, wanted - len(pods))]
        for pod in surplus:
            self._writer.delete(PODS, pod)
        for name in missing:
            self._create_pod(found, name)
        pods = self._of(found, PODS)
        ready = sum(map(is_ready, pods))
        counts = {"readyReplicas": ready, "availableReplicas": ready}
        status = {"replicas": len(pods), **{name: count for name, count in counts.items() if count}}
        self._writer.status(place, found, status | {"observedGeneration": found["metadata"]["generation"]})

    def _names(self, place: Place, found: Object, wanted: int) -> list[str]:
        name = found["metadata"]["name"]
        if place == STATEFUL_SETS:
            return [f"{name}-{ordinal}" for ordinal in range(wanted)]
        return [f"{name}-{self._chance.getrandbits(32):08x}"[:63] for _ in range(wanted)]

    def _create_pod(self, owner: Object, name: str) -> None:
        template = owner["spec"]["template"]
        metadata = {**(template.get("metadata") or {}), "name": name}
        self._writer.create(PODS, owner, {"metadata": metadata, "spec": template["spec"]})

    def _job(self, found: Object) -> float | None:
        if found["spec"].get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER:
            return None
        due = step(found, self._of(found, PODS), self._api.now())
        if due.expired:
            self._writer.delete(JOBS, found, propagationPolicy="Background")
            return None
        # Before the pods, which say by themselves that they are there.
        self._writer.status(JOBS, found, due.status)
        for pod in due.delete:
            self._writer.delete(PODS, pod)
        for name in self._names(JOBS, found, due.create):
            self._create_pod(found, name)
        return due.again

    def _now(self) -> str:
        return format_time(self._api.now())


def _revision(found: Object) -> int:
    return int((found["metadata"].get("annotations") or {}).get(REVISION) or 0)


def _most_unavailable(spec: Object) -> int:
    """Return how many pods of a Deployment may be missing while it counts as available."""
    strategy = spec["strategy"]
    if strategy.get("type") != "RollingUpdate":
        return 0
    given = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    # A share is rounded down: the one pod of one is never missing.
    return given if isinstance(given, int) else spec["replicas"] * int(given.removesuffix("%")) // 100


def _owners(found: Object) -> list[tuple[str, Place, Name]]:
    namespace = found.get("metadata", {}).get("namespace", "")
    kinds = {kind: place for place, (_, kind) in _PATHS.items()}
    references = found.get("metadata", {}).get("ownerReferences") or []
    return [(r["uid"], kinds[r["kind"]], (namespace, r["name"])) for r in references if r["kind"] in kinds]


def _labelled(template: Object, name: str, value: str) -> Object:
    metadata = template.get("metadata") or {}
    return {**template, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), name: value}}}


def _condition(
    found: Object, type_: str, reason: str, now: str, *, holds: bool = True, message: str = ""
) -> dict[str, Any]:
    status = "True" if holds else "False"
    for old in (found.get("status") or {}).get("conditions") or []:
        if (old["type"], old["status"]) == (type_, status):
            return dict(old)
    said = {name: words for name, words in (("reason", reason), ("message", message)) if words}
    return {"type": type_, "status": status, **said, "lastUpdateTime": now, "lastTransitionTime": now}
