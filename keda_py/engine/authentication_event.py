"""Tells in events which authentications came, changed and went; as it happens, and never of those that are there.

KEDA tells of each whenever it starts (controllers/keda/triggerauthentication_controller.go). What happened while nobody
acted is not told.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from keda_py.engine.credentials.reference import CLUSTER_TRIGGER_AUTHENTICATIONS, TRIGGER_AUTHENTICATIONS
from keda_py.kube.client import Resource
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Store
from keda_py.naming import EventReason

_REASONS: Final = {
    TRIGGER_AUTHENTICATIONS.kind: (
        EventReason.AUTHENTICATION_ADDED,
        EventReason.AUTHENTICATION_UPDATED,
        EventReason.AUTHENTICATION_DELETED,
    ),
    CLUSTER_TRIGGER_AUTHENTICATIONS.kind: (
        EventReason.CLUSTER_AUTHENTICATION_ADDED,
        EventReason.CLUSTER_AUTHENTICATION_UPDATED,
        EventReason.CLUSTER_AUTHENTICATION_DELETED,
    ),
}


class AuthenticationEvents:
    """Tells of the authentications in some stores."""

    def __init__(
        self,
        recorder: Recorder,
        stores: Mapping[Resource, Store],
        *,
        tells: Callable[[], bool],
        ended: Callable[[dict[str, Any]], bool],
    ) -> None:
        """`tells`: whether this process acts, and has seen all that there is. `ended`: as for `Reporter`."""
        self._recorder = recorder
        self._tells = tells
        self._ended = ended
        for resource, store in stores.items():
            store.on_change(partial(self._changed, resource))

    def _changed(
        self, resource: Resource, _: tuple[str, str], old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        if not self._tells():
            return
        added, updated, deleted = _REASONS[resource.kind]
        replaced = old is not None and new is not None and old["metadata"]["uid"] != new["metadata"]["uid"]
        if old is not None and (new is None or replaced) and self._ended(old):
            self._tell(resource, old, deleted, "was deleted")
        if new is not None and (old is None or replaced):
            self._tell(resource, new, added, "was added")
        elif old is not None and new is not None and old["spec"] != new["spec"]:
            self._tell(resource, new, updated, "was edited; the triggers that use it are given what it says now")

    def _tell(self, resource: Resource, found: dict[str, Any], reason: str, what: str) -> None:
        # The copy is trimmed: what a kind's objects have in common is not in each.
        regarding = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": found["metadata"]}
        self._recorder.normal(regarding, reason, f"{resource.kind} {what}")
