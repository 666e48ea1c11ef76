"""Keeps in the status of each authentication which ScaledObjects and ScaledJobs use it.

Names without their namespaces, sorted and joined by commas, as ``kubectl get -o wide`` shows them for KEDA.

And lets go of those that are deleted and that KEDA has put its finalizer on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from keda_py.engine.credentials.reference import AuthenticationKey, References
from keda_py.engine.release import release
from keda_py.kube.client import Client, NotFound, Resource
from keda_py.kube.reflector import Store


class AuthenticationUsers:
    """Works on the authentications by key."""

    def __init__(
        self,
        client: Client,
        stores: Mapping[str, tuple[Resource, Store]],
        *,
        users: Mapping[str, References],
        sees_all: bool,
        acts: Callable[[], bool],
    ) -> None:
        """`stores`: the watched authentications by kind. `users`: who refers to them, by the field that names those.

        `sees_all`: whether no other daemon has objects to name.
        Where another may, names that this one never had to do with are left to it.
        """
        self._client = client
        self._stores = stores
        self._users = users
        self._sees_all = sees_all
        self._acts = acts
        self._named: dict[tuple[AuthenticationKey, str], set[str]] = {}

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
            for field in self._users:
                self._named.pop((authentication, field), None)
            return
        if not self._acts():
            return
        if "deletionTimestamp" in found["metadata"]:
            await release(self._client, resource, found)
            return
        ours = {field: {user for _, user in refs.users_of(authentication)} for field, refs in self._users.items()}
        wanted = {field: self._wanted(authentication, field, ours[field], found) for field in ours}
        changes = {field: names or None for field, names in wanted.items() if names != found["status"][field]}
        if changes:
            # Of the version that was looked at: names that another daemon added since are not to be lost.
            version = found["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "status": changes}
            place = (authentication.namespace, authentication.name)
            with suppress(NotFound):
                store.put(await self._client.merge_patch(resource, *place, patch, subresource="status"))
        self._named |= {(authentication, field): names for field, names in ours.items()}

    def _wanted(self, authentication: AuthenticationKey, field: str, ours: set[str], found: dict[str, Any]) -> str:
        before = set(found["status"][field].split(","))
        others = set() if self._sees_all else before - self._named.get((authentication, field), set())
        return ",".join(sorted((ours | others) - {""}))
