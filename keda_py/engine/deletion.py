"""What the deletion of a ScaledObject asks for, before it may go: its target gets the replicas of before back."""

from typing import Any

import structlog

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject
from keda_py.engine.cluster import Cluster
from keda_py.engine.live import Key
from keda_py.engine.target import TargetError, Targets, target_of
from keda_py.kube.recorder import Recorder
from keda_py.naming import FINALIZER, EventReason

log = structlog.get_logger("scaledobject")


class Deletion:
    """Does what is to be done for objects that are to go. An HPA goes with its object, by the owner reference."""

    def __init__(self, cluster: Cluster, targets: Targets, recorder: Recorder) -> None:
        self._cluster = cluster
        self._targets = targets
        self._recorder = recorder

    async def finish(self, key: Key, raw: dict[str, Any]) -> bool:
        """Do it, and let the object go; return whether there was anything to do."""
        finalizers = raw["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return False
        await self._restore(raw)
        rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        version = raw["metadata"]["resourceVersion"]
        await self._cluster.patch_scaled_object(key, {"metadata": {"finalizers": rest, "resourceVersion": version}})
        self._recorder.warning(raw, EventReason.DELETED, "ScaledObject was deleted")
        return True

    async def _restore(self, raw: dict[str, Any]) -> None:
        original = (raw.get("status") or {}).get("originalReplicaCount")
        try:
            scaled_object = ScaledObject.parse(raw)
            if original is None or not scaled_object.spec.restores:
                return
            target = target_of(scaled_object)
            await self._targets.set(target, await self._targets.read(target), original)
            log.info("restored", target=str(target), replicas=original, why="the ScaledObject was deleted")
        except (ManifestError, TargetError) as error:
            # There is nothing left to restore; the deletion must not hang on it.
            log.warning("not restored", object=raw["metadata"]["name"], message=str(error))
