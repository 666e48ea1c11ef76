"""All CloudEventSources and ClusterCloudEventSources: who hears of which events, and what their status says.

Nothing is asked of the cluster for this but the two watches: what is told is what `kube.recorder` is told of. Only who
acts tells of anything, so no event is sent by two daemons.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Self

from keda_py import naming
from keda_py.api.cloud_event_source import CloudEventSourceSpec
from keda_py.api.crd import EVENTING_GROUP
from keda_py.api.meta import ManifestError
from keda_py.api.pod import PodSpec
from keda_py.api.trigger import ScaleTrigger
from keda_py.decide import cloud_event, status
from keda_py.decide.status import Condition
from keda_py.engine.cluster import telling_of_edits
from keda_py.engine.credentials.resolver import Described, Resolver
from keda_py.engine.event_source import EventSource
from keda_py.engine.registry import SinkRegistry
from keda_py.engine.release import release
from keda_py.engine.scalable import Scalable
from keda_py.event_sink import CloudEvent, Destination, EventSink
from keda_py.kube.client import Client, NotFound, Resource
from keda_py.kube.reflector import Store
from keda_py.naming import Condition as Type
from keda_py.naming import Reason
from keda_py.runtime.queue import WorkQueue
from keda_py.runtime.source import as_scaler_error
from keda_py.scaler import Platform, ScalerError

Key = tuple[str, str]
"""Namespace and name; those of the cluster have no namespace."""

CLOUD_EVENT_SOURCES: Final = Resource(EVENTING_GROUP, naming.VERSION, "cloudeventsources", "CloudEventSource")
CLUSTER_CLOUD_EVENT_SOURCES: Final = Resource(
    EVENTING_GROUP, naming.VERSION, "clustercloudeventsources", "ClusterCloudEventSource"
)


class EventSources:
    """Works on the sources by key. Use as an async context manager; leaving it ends all sending."""

    def __init__(
        self,
        client: Client,
        stores: Mapping[Resource, Store],
        at_work: dict[Key, EventSource],
        *,
        authentications: Mapping[str, Store],
        sinks: SinkRegistry,
        resolver: Resolver,
        platform: Platform,
        queue: WorkQueue[Key],
        place: tuple[str, str],
        acts: Callable[[], bool],
        chance: random.Random,
    ) -> None:
        """`stores`: the watched sources. `at_work`: where those are kept that hear of events.

        `place`: how the cluster is called, and the daemon's namespace.
        """
        self._client = client
        self._stores = stores
        self._sinks = sinks
        self._resolver = resolver
        self._platform = platform
        self._queue = queue
        self._place = place
        self._acts = acts
        self._chance = chance
        self._at_work = at_work
        self._sending: dict[Key, asyncio.Task[None]] = {}
        self._made_of: dict[Key, tuple[CloudEventSourceSpec, Described] | str] = {}
        """What each was made to work by, or why it could not be."""
        self._tasks = asyncio.TaskGroup()
        for store in stores.values():
            store.on_change(telling_of_edits(queue.add))
        for store in authentications.values():
            store.on_change(self._authentication_changed)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for key in list(self._at_work):
            self._forget(key)
        await self._tasks.__aexit__(None, None, None)

    def known(self) -> Iterator[Key]:
        """Yield all sources."""
        for store in self._stores.values():
            yield from store.keys()

    def hear(self, regarding: dict[str, Any], reason: str, note: str) -> None:
        """Take in an event, for every source that wants it: those of its object's namespace and of the cluster."""
        event_type = cloud_event.TYPES.get(reason)
        if event_type is None:
            return
        namespace = regarding["metadata"].get("namespace", "")
        for key, source in self._at_work.items():
            if source.spec is None or key[0] not in ("", namespace):
                continue
            if cloud_event.wanted(source.spec.event_subscription, event_type):
                cluster = source.spec.cluster_name or self._place[0]
                source.put(
                    CloudEvent(
                        id=f"{self._chance.getrandbits(128):032x}",
                        source=cloud_event.source(cluster, self._place[1]),
                        type=event_type,
                        subject=cloud_event.subject(cluster, regarding),
                        time=self._platform.now(),
                        reason=reason,
                        message=note,
                    )
                )

    def begin(self, key: Key) -> None:
        """Have a source hear of events as its manifest says now; what hears already, and is the same, is left alone."""
        found = self._found(key)
        if found is None or "deletionTimestamp" in found["metadata"]:
            self._forget(key)
            return
        made_of = self._read(key, found)
        if self._made_of.get(key) == made_of:
            return
        self._made_of[key] = made_of
        source = self._at_work.get(key) or self._started(key)
        if isinstance(made_of, str):
            source.use(None, made_of)
            return
        source.spec, described = made_of
        if described.waits:
            source.use(None)
            return
        try:
            source.use(self._sink(source, described))
        except Exception as error:  # noqa: BLE001  whatever a sink does is this source's failure alone
            source.use(None, str(as_scaler_error(error)))

    async def reconcile(self, key: Key) -> None:
        """Have a source work as its manifest says, and its status say how it fares; or let it go."""
        self.begin(key)
        if not self._acts():
            return
        found = self._found(key)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            await release(self._client, _resource(key), found)
        elif found is not None:
            await self._report(key, found, self._at_work[key])

    def _read(self, key: Key, found: dict[str, Any]) -> tuple[CloudEventSourceSpec, Described] | str:
        try:
            spec = CloudEventSourceSpec.parse(found.get("spec") or {}, at="spec")
        except ManifestError as error:
            return str(error)
        # To what finds credentials it is an object with one trigger, and no target whose variables there could be.
        trigger = ScaleTrigger(type=_resource(key).kind, authentication_ref=spec.authentication_ref)
        return spec, self._resolver.describe(Scalable(key, [trigger], 0, PodSpec()))[0]

    def _started(self, key: Key) -> EventSource:
        source = EventSource(chance=self._chance, turned=lambda: self._queue.add(key))
        self._at_work[key] = source
        self._sending[key] = self._tasks.create_task(source.run(), name="sink")
        return source

    def _sink(self, source: EventSource, described: Described) -> EventSink:
        """Return where a source's events go; raise `ScalerError` for what makes no sense."""
        if described.problem is not None:
            raise ScalerError(described.problem)
        to = None if source.spec is None else source.spec.destination
        if to is not None and to.http is not None:
            source.kind, address = "http", to.http.uri
        elif to is not None and to.azure_event_grid_topic is not None:
            source.kind, address = "azureEventGridTopic", to.azure_event_grid_topic.endpoint
        else:
            raise ScalerError("spec.destination: expected http or azureEventGridTopic")
        trigger = described.trigger
        return self._sinks.load(source.kind)(
            Destination(address, self._platform, trigger.inputs.auth, trigger.pod_identity)
        )

    async def _report(self, key: Key, found: dict[str, Any], source: EventSource) -> None:
        """Write the status, if it does not say so already."""
        made_of = self._made_of[key]
        if not isinstance(made_of, str) and made_of[1].waits:
            return
        old = found.get("status") or {}
        active = _condition(source)
        others = [c for c in old.get("conditions") or [] if c.get("type") != active.type]
        patch = status.merge_patch(old, {**old, "conditions": [active.as_json(), *others]})
        if patch is not None:
            with suppress(NotFound):
                answer = await self._client.patch_status(_resource(key), *key, patch)
                self._stores[_resource(key)].put(answer)

    def _forget(self, key: Key) -> None:
        self._resolver.forget(key)
        self._made_of.pop(key, None)
        if self._at_work.pop(key, None) is not None:
            self._sending.pop(key).cancel()

    def _found(self, key: Key) -> dict[str, Any] | None:
        return self._stores[_resource(key)].get(key)

    def _authentication_changed(self, _: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return
        for key, source in self._at_work.items():
            if source.spec is not None and source.spec.authentication_ref is not None:
                self._queue.add(key)


def _resource(key: Key) -> Resource:
    return CLOUD_EVENT_SOURCES if key[0] else CLUSTER_CLOUD_EVENT_SOURCES


def _condition(source: EventSource) -> Condition:
    problem = source.problem or source.failure
    if problem is not None:
        return Condition(Type.ACTIVE, "False", Reason.SOURCE_FAILED, f"events are not sent: {problem}")
    return Condition(Type.ACTIVE, "True", Reason.SOURCE_ACTIVE, "events are sent to the destination")
