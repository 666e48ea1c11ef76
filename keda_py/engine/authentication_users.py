"""Keeps in the status of each authentication which ScaledObjects use it.

Names without their namespaces, sorted and joined by commas, as ``kubectl get -o wide`` shows them for KEDA.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from keda_py.engine.cluster import AuthenticationKey, Cluster
from keda_py.kube.client import NotFound, Resource
from keda_py.kube.reflector import Store


class AuthenticationUsers:
    """Works on the authentications' statuses by key."""

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
        """Make the status of an authentication name its users, with one patch if it does not."""
        kind, namespace, name = authentication
        if kind not in self._stores:
            return
        resource, store = self._stores[kind]
        found = store.get((namespace, name))
        if found is None:
            self._named.pop(authentication, None)
            return
        if not self._acts():
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
                    await self._cluster.client.merge_patch(resource, namespace, name, patch, subresource="status")
                )
        self._named[authentication] = ours
