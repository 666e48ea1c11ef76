"""Keeping the HPA of a ScaledObject as the spec says, and reading from it how scaling goes.

What it should look like is decided purely, in `decide.hpa`, and whether it may be touched, in `decide.claim`. A trigger
that could not be built keeps the place that it has in the existing HPA: we answer for its metric with an error, and the
HPA controller does not scale down while a metric fails.
"""

from contextlib import suppress
from typing import Any

import structlog

from keda_py import __version__
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import claim, hpa, status
from keda_py.decide.hpa import HpaError
from keda_py.decide.ownership import Target
from keda_py.decide.status import Condition
from keda_py.engine.cluster import HPAS, SCALED_OBJECTS, Cluster
from keda_py.engine.index import Index
from keda_py.engine.live import Live
from keda_py.engine.target import TargetRef
from keda_py.kube.client import Conflict, NotFound
from keda_py.scaler import MetricSpec

log = structlog.get_logger("hpa")


class HpaKeeper:
    """Creates, patches, renames, deletes and reads the HPAs of ScaledObjects."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._on_target = Index(cluster.hpas, Target.of)

    def refusal(self, scaled_object: ScaledObject, raw: dict[str, Any], target: TargetRef) -> str | None:
        """Return why nothing is to be done for an object, because of an HPA that is somebody else's; None if it may.

        What has its HPA already goes on with it: `ensure` tells of another one.
        """
        found = self._cluster.hpas.get((scaled_object.metadata.namespace, scaled_object.hpa_name))
        if found is None:
            return self._rivals(scaled_object, target)
        if claim.is_own(scaled_object, found):
            return None
        recorded = (raw.get("status") or {}).get("hpaName")
        refused = claim.refusal_of_name(scaled_object, _of(target), found, recorded=recorded)
        return refused or self._rivals(scaled_object, target)

    def _rivals(self, scaled_object: ScaledObject, target: TargetRef) -> str | None:
        hpas = self._on_target.find(target.namespace, _of(target))
        return claim.refusal_of_target(scaled_object, _of(target), hpas)

    async def ensure(
        self, scaled_object: ScaledObject, raw: dict[str, Any], live: Live, target: TargetRef
    ) -> str | None:
        """Make the HPA as the spec says; return a sentence when that cannot be done."""
        namespace, name = scaled_object.metadata.namespace, scaled_object.hpa_name
        # Once more: it may have come since.
        if (refused := self.refusal(scaled_object, raw, target)) is not None:
            return refused
        found = self._cluster.hpas.get((namespace, name))
        try:
            wanted = hpa.build(
                scaled_object,
                specs_of(live),
                kept=[metric for trigger in live.broken() for metric in trigger.kept],
                target=hpa.ScaleTarget(target.api_version, target.kind, target.name),
                version=__version__,
            )
        except HpaError as error:
            # With nothing but broken triggers there is nothing to build; their own sentences say more.
            return None if any(True for _ in live.broken()) else str(error)
        await self._delete_renamed(raw, scaled_object, name)
        if found is None:
            await self._create(wanted, raw, live)
        elif (patch := hpa.differs(wanted, found)) is not None:
            self._cluster.hpas.put(await self._cluster.client.merge_patch(HPAS, namespace, name, patch))
            done = "updated" if claim.is_own(scaled_object, found) else "taken over"
            changed = ", ".join(f"{part}.{field}" for part, fields in patch.items() for field in fields)
            log.info(done, object=f"{namespace}/{scaled_object.metadata.name}", hpa=name, why=f"{changed} differed")
        return self._rivals(scaled_object, target)

    async def _create(self, wanted: dict[str, Any], raw: dict[str, Any], live: Live) -> None:
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        # The status may not have come to say so yet.
        if name in ((raw.get("status") or {}).get("hpaName"), live.hpa_made):
            await self._confirm(raw)
        live.hpa_made = name
        try:
            self._cluster.hpas.put(await self._cluster.client.create(HPAS, namespace, wanted))
            log.info("created", object=f"{namespace}/{raw['metadata']['name']}", hpa=name)
        except Conflict:
            # It is there and the watch has not shown it yet: the next pass compares with it.
            self._cluster.hpas.put(await self._cluster.client.get(HPAS, namespace, name))
            raise

    async def _confirm(self, raw: dict[str, Any]) -> None:
        """Raise `NotFound` or `Conflict` unless an object is still there.

        An HPA that was there and is not may have gone with its owner, before the watch has told of that. One made for
        a deleted object would be deleted at once, made again, and so on.
        """
        metadata = raw["metadata"]
        found = await self._cluster.client.get(SCALED_OBJECTS, metadata["namespace"], metadata["name"])
        self._cluster.scaled_objects.put(found)
        if found["metadata"]["uid"] != metadata["uid"]:
            raise Conflict(409, "Conflict", "the object was deleted, and made anew under its name")

    async def _delete_renamed(self, raw: dict[str, Any], scaled_object: ScaledObject, name: str) -> None:
        """Delete the HPA of an earlier name, if it still is ours."""
        before = (raw.get("status") or {}).get("hpaName")
        if before and before != name:
            await self._delete(scaled_object, before, why=f"renamed to {name}")

    async def delete(self, scaled_object: ScaledObject, raw: dict[str, Any], *, why: str = "paused") -> None:
        """Delete the HPA of an object that is not to be scaled any more, of an earlier name too."""
        before = (raw.get("status") or {}).get("hpaName")
        for name in dict.fromkeys(filter(None, (before, scaled_object.hpa_name))):
            await self._delete(scaled_object, name, why=why)

    async def _delete(self, scaled_object: ScaledObject, name: str, *, why: str) -> None:
        namespace = scaled_object.metadata.namespace
        found = self._cluster.hpas.get((namespace, name))
        if found is None or scaled_object.metadata.uid not in _owners(found):
            return
        with suppress(NotFound):
            await self._cluster.client.delete(HPAS, namespace, name)
            log.info("deleted", object=f"{namespace}/{scaled_object.metadata.name}", hpa=name, why=why)

    def name_in_use(self, scaled_object: ScaledObject) -> str | None:
        """Return the name of the HPA that an object has, None if it has none."""
        found = self._cluster.hpas.get((scaled_object.metadata.namespace, scaled_object.hpa_name))
        return scaled_object.hpa_name if found is not None and scaled_object.metadata.uid in _owners(found) else None

    def health(self, scaled_object: ScaledObject) -> Condition | None:
        """Return the HPAActive condition; None while the HPA has nothing to say."""
        return status.hpa_health(self._cluster.hpas.get((scaled_object.metadata.namespace, scaled_object.hpa_name)))


def specs_of(live: Live) -> list[tuple[int, MetricSpec]]:
    """Return the metric specs of all triggers that could be built, with the index of their trigger."""
    return [(trigger.index, spec) for trigger in live.working() for spec in trigger.specs]


def _owners(found: dict[str, Any]) -> set[str]:
    return {owner["uid"] for owner in found["metadata"].get("ownerReferences") or []}


def _of(target: TargetRef) -> Target:
    group, kind, _, name = target.identity
    return Target(group, kind, name)


def trim_hpa(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of an HPA: all of its spec, and of its status only whether it can scale."""
    metadata = found["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "ownerReferences")
    said = [c for c in (found.get("status") or {}).get("conditions") or [] if c["type"] == "ScalingActive"]
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": found["spec"],
        "status": {"conditions": [{k: c[k] for k in ("type", "status", "reason", "message") if k in c} for c in said]},
    }
