"""Keeps in the status of each authentication which ScaledObjects use it.

Names without their namespaces, sorted and joined by commas, as ``kubectl get -o wide`` shows them for KEDA.

And lets go of those that are deleted: KEDA puts its finalizer on each of them (controllers/keda/util/finalizer.go).
Where KEDA has been nobody else takes it off; ours is put on none, as nothing is to be done before one goes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from keda_py.engine.cluster import AuthenticationKey, Cluster
from keda_py.kube.client import NotFound, Resource
from keda_py.kube.reflector import Store
from keda_py.naming import FINALIZER


class AuthenticationUsers:
    """Works on the authentications by key."""

    def __init__(
        self,
        cluster: Cluster,
        stores: Mapping[str, tuple[Resource, Store]],
        *,
        sees_all: bool,
        acts: Callable[[], bool],
    ) -> None:
        """`stores`: the watched authentications by kind. `sees_all`: whether no other daemon has objects to name.

        Where another may, names that this one never had to do with are left to it.
        """
        self._cluster = cluster
        self._stores = stores
        self._sees_all = sees_all
        self._acts = acts
        self._named: dict[AuthenticationKey, set[str]] = {}

    def known(self) -> Iterator[AuthenticationKey]:
        """Yield all authentications."""
        for kind, (_, store) in self._stores.items():
            keys = store.keys()
            yield from (AuthenticationKey(kind, *key) for key in keys)

    async def reconcile(self, authentication: AuthenticationKey) -> None:
        """Make the status of an authentication name its users, or let it go, with one patch if it takes one."""
        if authentication.kind not in self._stores:
            return
        resource, store = self._stores[authentication.kind]
        found = store.get((authentication.namespace, authentication.name))
        if found is None:
            self._named.pop(authentication, None)
            return
        if not self._acts():
            return
        if "deletionTimestamp" in found["metadata"]:
            await self._let_go(resource, found)
            return
        ours = {user for _, user in self._cluster.users_of(authentication)}
        before = str(found["status"]["scaledobjects"])
        others = set() if self._sees_all else set(before.split(",")) - self._named.get(authentication, set())
        wanted = ",".join(sorted((ours | others) - {""}))
        if wanted != before:
            # Of the version that was looked at: names that another daemon added since are not to be lost.
            version = found["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "status": {"scaledobjects": wanted or None}}
            with suppress(NotFound):
                store.put(
                    await self._cluster.client.merge_patch(
                        resource, authentication.namespace, authentication.name, patch, subresource="status"
                    )
                )
        self._named[authentication] = ours

    async def _let_go(self, resource: Resource, found: dict[str, Any]) -> None:
        """Take KEDA's finalizer, and no other, off an authentication that is being deleted."""
        metadata = found["metadata"]
        finalizers = metadata.get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        # Of the version that was looked at: a finalizer that somebody removed since is not to come back.
        patch = {"metadata": {"finalizers": rest, "resourceVersion": metadata["resourceVersion"]}}
        # The answer is not taken in: the watch may have told already that the object is gone, and it would be back.
        with suppress(NotFound):
            await self._cluster.client.merge_patch(resource, metadata.get("namespace", ""), metadata["name"], patch)
