"""Adopting a ScaledObject before its target is touched, and letting it go when it is deleted.

What its deletion will ask for is prepared before we or its HPA change anything: we may not live to do it later.
"""

from typing import Any, Final

import structlog

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject
from keda_py.engine.cluster import Cluster
from keda_py.engine.hpa import HpaKeeper
from keda_py.engine.live import Key
from keda_py.engine.reporter import Reporter
from keda_py.engine.target import Scale, TargetError, Targets, target_of
from keda_py.naming import FINALIZER, Label

log = structlog.get_logger("scaledobject")

WHY: Final = "the ScaledObject was deleted"


class Finalizer:
    """Adopts objects, and finalizes those that are to go.

    An HPA goes with its object, by the owner reference. That takes a moment, in which it may take back replicas that
    were restored: one whose target is given some goes before.
    """

    def __init__(self, cluster: Cluster, targets: Targets, hpas: HpaKeeper, reporter: Reporter) -> None:
        self._cluster = cluster
        self._targets = targets
        self._hpas = hpas
        self._reporter = reporter
        self._let_go: dict[Key, str] = {}
        """The uid of whom we have let go and still see: the API server's answer is no newer than what we know, and the
        watch may tell of the HPA's end first."""
        cluster.scaled_objects.on_change(self._forget)

    async def adopt(self, raw: dict[str, Any], scaled_object: ScaledObject, scale: Scale) -> dict[str, Any]:
        """Put our label on an object, and if its deletion needs work the finalizer; write down what that needs."""
        raw = await self._ensure_metadata(raw, scaled_object)
        return await self._record_original(raw, scaled_object, scale)

    async def _ensure_metadata(self, raw: dict[str, Any], scaled_object: ScaledObject) -> dict[str, Any]:
        metadata = raw["metadata"]
        patch: dict[str, Any] = {}
        if (metadata.get("labels") or {}).get(Label.OWNER) != metadata["name"]:
            patch["labels"] = {Label.OWNER: metadata["name"]}
        finalizers = metadata.get("finalizers") or []
        if scaled_object.spec.restores and FINALIZER not in finalizers:
            patch |= {"finalizers": [*finalizers, FINALIZER], "resourceVersion": metadata["resourceVersion"]}
        if not patch:
            return raw
        key = (metadata["namespace"], metadata["name"])
        return await self._cluster.patch_scaled_object(key, {"metadata": patch})

    async def _record_original(self, raw: dict[str, Any], scaled_object: ScaledObject, scale: Scale) -> dict[str, Any]:
        persisted = raw.get("status") or {}
        if not scaled_object.spec.restores or "originalReplicaCount" in persisted:
            return raw
        original = {"originalReplicaCount": scale.replicas}
        await self._reporter.patch_status(raw, original)
        return {**raw, "status": {**persisted, **original}}

    async def finalize(self, key: Key, raw: dict[str, Any]) -> bool:
        """Give the target its replicas back, and let the object go; return whether there was anything to do."""
        finalizers = raw["metadata"].get("finalizers") or []
        uid = raw["metadata"]["uid"]
        if FINALIZER not in finalizers or self._let_go.get(key) == uid:
            return False
        await self._restore(raw)
        rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        version = raw["metadata"]["resourceVersion"]
        await self._cluster.patch_scaled_object(key, {"metadata": {"finalizers": rest, "resourceVersion": version}})
        self._let_go[key] = uid
        return True

    def _forget(self, key: Key, _: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if new is None:
            self._let_go.pop(key, None)

    async def _restore(self, raw: dict[str, Any]) -> None:
        original = (raw.get("status") or {}).get("originalReplicaCount")
        name = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
        try:
            scaled_object = ScaledObject.parse(raw)
            if original is None or not scaled_object.spec.restores:
                return
            target = target_of(scaled_object)
            await self._hpas.delete(scaled_object, raw, why=WHY)
            await self._targets.set(target, await self._targets.read(target), original)
            log.info("restored", object=name, target=f"{target.kind}/{target.name}", replicas=original, why=WHY)
        except (ManifestError, TargetError) as error:
            # There is nothing left to restore; the deletion must not hang on it.
            log.warning("not restored", object=name, message=str(error))
