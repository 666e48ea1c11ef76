"""Which objects refer to which authentications, so that who uses one is known, and hears of its changes."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from keda_py import naming
from keda_py.kube.client import Resource
from keda_py.kube.reflector import Store

Key = tuple[str, str]


class AuthenticationKey(NamedTuple):
    """Which TriggerAuthentication or ClusterTriggerAuthentication; the latter has no namespace."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


TRIGGER_AUTHENTICATIONS: Final = Resource(
    naming.GROUP, naming.VERSION, "triggerauthentications", "TriggerAuthentication"
)
CLUSTER_TRIGGER_AUTHENTICATIONS: Final = Resource(
    naming.GROUP, naming.VERSION, "clustertriggerauthentications", "ClusterTriggerAuthentication"
)


class References:
    """What the objects of one kind refer to."""

    def __init__(
        self,
        objects: Store,
        authentications: dict[str, Store],
        *,
        wake: Callable[[Key], None],
        wake_authentication: Callable[[AuthenticationKey], None],
    ) -> None:
        """`authentications`: the watched ones by kind. `wake`: told of objects whose authentication changed.

        `wake_authentication`: told of authentications that changed, or that are used by others than before.
        """
        self._wake = wake
        self._wake_authentication = wake_authentication
        self._users: dict[AuthenticationKey, set[Key]] = defaultdict(set)
        objects.on_change(self._object_changed)
        for kind, store in authentications.items():
            store.on_change(partial(self._authentication_changed, kind))

    def users_of(self, authentication: AuthenticationKey) -> set[Key]:
        """Return the objects with a trigger that refers to an authentication."""
        return self._users.get(authentication, set())

    def _object_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        before, after = authentications_of(old), authentications_of(new)
        for authentication in before - after:
            self._users[authentication].discard(key)
            if not self._users[authentication]:
                del self._users[authentication]
        for authentication in after - before:
            self._users[authentication].add(key)
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


USERS: Final = ("scaledobjects", "scaledjobs")
"""The fields of an authentication's status that name its users, by the kind of those."""


def trim_authentication(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of an authentication: its spec, its users as in its status, whether it is to go."""
    metadata = found["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "finalizers")
    kept = {key: metadata[key] for key in names if key in metadata}
    status = found.get("status") or {}
    return {
        "metadata": kept,
        "spec": found.get("spec") or {},
        "status": {field: status.get(field) or "" for field in USERS},
    }
