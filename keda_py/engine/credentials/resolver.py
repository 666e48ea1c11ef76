"""Describes triggers with their credentials, from what is known of the cluster now; whoever uses what is kept track of.

Nothing here waits. What is not known yet makes a trigger wait, and when it comes, or changes later, the object that
uses it is woken: its triggers are described anew, and those that read differently are rebuilt.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.api.meta import ManifestError
from keda_py.api.pod import PodSpec
from keda_py.api.trigger import AuthenticationRef, ScaleTrigger
from keda_py.engine.credentials.authentication import Resolved, resolve
from keda_py.engine.credentials.lookup import Authentication, Elsewhere, Missing, Named, Unread
from keda_py.engine.credentials.reference import authentication_key
from keda_py.engine.credentials.stores import Stores, StoreUsers
from keda_py.engine.credentials.template import Templates
from keda_py.engine.credentials.watched import Watched
from keda_py.engine.scalable import Scalable
from keda_py.engine.target import Targets
from keda_py.kube.client import Client
from keda_py.kube.reflector import Store
from keda_py.scaler import Inputs, ScalerError, Trigger

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Described:
    """A trigger as the spec and what was resolved for it describe it; equal ones need no rebuilding.

    `problem`: why it cannot be built. `waits`: something that it needs has not been read yet.
    """

    trigger: Trigger
    interval: float
    cached: bool
    problem: str | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class SecretPolicy:
    """Where Secrets may be read: `cluster_namespace` is that of cluster objects; if `restricted`, only there."""

    cluster_namespace: str
    restricted: bool = False

    def check(self, named: Named) -> None:
        """Raise `ScalerError` for a Secret that is not to be read."""
        if self.restricted and named.kind == "Secret" and named.namespace != self.cluster_namespace:
            raise ScalerError(
                f"{named} may not be read: KEDA_RESTRICT_SECRET_ACCESS allows only Secrets in "
                f"{self.cluster_namespace}; use a ClusterTriggerAuthentication"
            )


class Resolver:
    """Describes the triggers of objects. Use as an async context manager; leaving it ends all its watches."""

    def __init__(
        self,
        client: Client,
        targets: Targets,
        *,
        authentications: dict[str, Store],
        policy: SecretPolicy,
        stores: Stores,
        chance: random.Random,
        wake: Callable[[Key], None],
    ) -> None:
        """`authentications`: the watched ones by kind. `wake`: told of objects whose credentials may have changed.

        `stores`: open for as long as this is.
        """
        self._authentications = authentications
        self._policy = policy
        self._tasks = asyncio.TaskGroup()
        self._watched = Watched(client, chance=chance, tasks=self._tasks, wake=wake)
        self._stores = StoreUsers(stores, wake=wake)
        self._templates = Templates(targets, chance=chance, tasks=self._tasks, wake=wake)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._watched.close()
        self._templates.close()
        await self._tasks.__aexit__(None, None, None)

    def describe(self, scalable: Scalable) -> list[Described]:
        """Return an object's triggers, each with its credentials, its problem, or the word that it waits."""
        owner = scalable.key
        with self._watched.renewing(owner) as value, self._stores.renewing(owner) as elsewhere:
            known = _Known(
                owner,
                look=value,
                look_elsewhere=elsewhere,
                template=partial(self._pods, scalable),
                authentications=self._authentications,
                policy=self._policy,
            )
            described = [_described(scalable, index, spec, known) for index, spec in enumerate(scalable.triggers)]
        if not known.uses_pod:
            self._templates.forget(owner)
        return described

    def _pods(self, scalable: Scalable) -> PodSpec:
        pods = scalable.pods
        return pods if isinstance(pods, PodSpec) else self._templates.look(scalable.key, pods)

    def forget(self, owner: Key) -> None:
        """Forget an object, and what only it needed."""
        self._watched.forget(owner)
        self._stores.forget(owner)
        self._templates.forget(owner)


class _Known:
    """What is known on behalf of one object (`Lookups`)."""

    def __init__(
        self,
        owner: Key,
        *,
        look: Callable[[Named], str | None],
        look_elsewhere: Callable[[Elsewhere], Mapping[str, str]],
        template: Callable[[], PodSpec],
        authentications: dict[str, Store],
        policy: SecretPolicy,
    ) -> None:
        self._owner = owner
        self._look = look
        self.elsewhere = look_elsewhere
        self._template = template
        self._authentications = authentications
        self._policy = policy
        self.uses_pod = False

    def value(self, named: Named) -> str | None:
        self._policy.check(named)
        return self._look(named)

    def pod(self) -> PodSpec:
        self.uses_pod = True
        return self._template()

    def authentication(self, ref: AuthenticationRef) -> Authentication:
        key = authentication_key(ref.kind or "", self._owner[0], ref.name)
        found = self._authentications[key.kind].get((key.namespace, key.name))
        if found is None:
            raise Missing(f"{key} does not exist; create it, or correct authenticationRef")
        try:
            spec = TriggerAuthenticationSpec.parse(found["spec"], at="spec")
        except ManifestError as error:
            raise ScalerError(f"{key}: {error}") from None
        return Authentication(str(key), key.namespace or self._policy.cluster_namespace, spec, not key.namespace)


def _described(scalable: Scalable, index: int, spec: ScaleTrigger, known: _Known) -> Described:
    namespace, name = scalable.key
    resolved, problem, waits = Resolved(), None, False
    try:
        resolved = resolve(spec, namespace, container=scalable.container, lookups=known)
    except Unread:
        waits = True
    except ScalerError as error:
        problem = str(error)
    trigger = Trigger(
        type=spec.type,
        index=index,
        inputs=Inputs(spec.metadata, resolved.auth, resolved.env),
        namespace=namespace,
        owner=name,
        name=spec.name or None,
        metric_type=spec.metric_type or None,
        pod_identity=resolved.pod_identity,
        in_formula=scalable.in_formula,
    )
    return Described(trigger, scalable.interval, bool(spec.use_cached_metrics), problem, waits)
