"""Writes the status of objects of one kind, and tells of it: one patch, only of what changed, only when it changed.

What changed is told in events and in the log once, after the status says so. So is what ended.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog

from keda_py.decide import report, status
from keda_py.decide.pause import Asked
from keda_py.decide.report import Wording
from keda_py.decide.status import Condition
from keda_py.engine.live import Live
from keda_py.engine.trigger import BrokenTrigger, LiveTrigger
from keda_py.kube.client import ApiError, Client, Conflict, NotFound, Resource, Unreachable
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Store
from keda_py.naming import Condition as Type
from keda_py.naming import EventReason

Key = tuple[str, str]


class Reporter:
    """The one writer of the status of a kind's objects."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        store: Store,
        *,
        recorder: Recorder,
        wording: Wording,
        ended: Callable[[dict[str, Any]], bool],
    ) -> None:
        """`store`: the watched objects; what was written is taken in at once.

        `ended`: whether one that is not seen any more was deleted, and this process is who tells of it.
        """
        self._client = client
        self._resource = resource
        self._store = store
        self._recorder = recorder
        self._wording = wording
        self._ended = ended
        self._refused: set[Key] = set()
        """Objects whose status the API server did not take the last time."""
        self._log = structlog.get_logger(resource.kind.lower())
        store.on_change(self._tell_of_end)

    async def patch_status(self, raw: dict[str, Any], patch: dict[str, Any]) -> None:
        """Change an object's status."""
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        try:
            self._store.put(await self._client.patch_status(self._resource, *key, patch))
        except (Conflict, NotFound, Unreachable):
            raise
        except ApiError as error:
            # Once: it will be tried again and again.
            if key not in self._refused:
                self._refused.add(key)
                self._recorder.warning(raw, self._wording.update_failed, f"the status cannot be written: {error}")
            raise
        self._refused.discard(key)

    async def write(
        self, raw: dict[str, Any], wanted: dict[str, Any], changes: Iterable[Condition], *, last_active: datetime | None
    ) -> None:
        """Make the status as `wanted`, with the conditions that changed in it.

        `last_active` is written along with anything else: while an object stays active, a new process reads that off
        its Active condition.
        """
        old, changes = raw.get("status") or {}, list(changes)
        wanted["conditions"] = status.conditions(old.get("conditions") or [], changes)
        patch = status.merge_patch(old, wanted)
        if patch is None:
            return
        if last_active is not None:
            patch["lastActiveTime"] = status.format_time(last_active)
        await self.patch_status(raw, patch)
        self._tell_of_ready(raw, old.get("conditions"), changes, composed="compositeScalerName" in wanted)

    def _tell_of_ready(self, raw: dict[str, Any], old: Any, changes: Iterable[Condition], *, composed: bool) -> None:
        now = next((change for change in changes if change.type == Type.READY), None)
        before = status.find(old, Type.READY)
        if now is None or now == before:
            return
        name = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
        if now.status == "True":
            if before is not None and before.status == "True":
                return
            self._recorder.normal(raw, self._wording.ready, f"{self._resource.kind} is ready for scaling")
            self._log.info("ready", object=name)
            return
        reason = report.not_ready(now, self._wording, composed=composed)
        self._recorder.warning(raw, reason, now.message)
        self._log.warning("not ready", object=name, reason=now.reason, message=now.message)

    def _tell_of_end(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old is None or (new is not None and new["metadata"]["uid"] == old["metadata"]["uid"]):
            return
        self._refused.discard(key)
        if self._ended(old):
            if not Asked.of(old["metadata"].get("annotations")).stopped:
                self.tell_of_stop(old)
            self._recorder.warning(old, self._wording.deleted, f"{self._resource.kind} was deleted")

    def tell_of_stop(self, raw: dict[str, Any]) -> None:
        """Tell that an object's triggers are not read any more."""
        self._recorder.normal(raw, EventReason.SCALERS_STOPPED, "Stopped scalers watch")

    def tell_of_new_triggers(self, raw: dict[str, Any], live: Live) -> None:
        """Tell in events which triggers could be built; when they are new to the object, not only to this process.

        Of those that changed credentials have made anew, only what cannot be built is told.
        """
        fresh, live.untold = live.untold, []
        generation = raw["metadata"].get("generation", 0)
        known, live.told = live.told, generation
        if known is None and status.find((raw.get("status") or {}).get("conditions"), Type.READY) is not None:
            return
        for trigger in fresh:
            if isinstance(trigger, BrokenTrigger):
                self._recorder.warning(raw, EventReason.SCALER_FAILED, f"{trigger.label}: {trigger.error}")
            elif isinstance(trigger, LiveTrigger) and known != generation:
                self._recorder.normal(
                    raw, EventReason.SCALERS_STARTED, f"Scaler {trigger.scaler.trigger.type} is built"
                )
