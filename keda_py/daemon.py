"""Wires the daemon: every part in one task group, so that if one dies the process exits and is started anew."""

import asyncio
import random
import socket
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from keda_py.decide import report
from keda_py.engine.admission import LIMIT_RANGES, Admission, Watched, trim_limit_range
from keda_py.engine.authentication_event import AuthenticationEvents
from keda_py.engine.authentication_users import AuthenticationUsers
from keda_py.engine.cluster import HPAS, SCALED_JOBS, SCALED_OBJECTS, Cluster, trim_scalable
from keda_py.engine.controller import Controller, work_term
from keda_py.engine.credentials.elsewhere import Opener
from keda_py.engine.credentials.reference import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    TRIGGER_AUTHENTICATIONS,
    AuthenticationKey,
    References,
    trim_authentication,
)
from keda_py.engine.credentials.resolver import Resolver, SecretPolicy
from keda_py.engine.credentials.stores import Stores
from keda_py.engine.event_source import EventSource
from keda_py.engine.event_sources import CLOUD_EVENT_SOURCES, CLUSTER_CLOUD_EVENT_SOURCES, EventSources
from keda_py.engine.hpa import HpaKeeper, trim_hpa
from keda_py.engine.job import JOBS, PODS, Jobs, trim_job, trim_pod
from keda_py.engine.live import Builder, Key, Live
from keda_py.engine.metrics import read_metric
from keda_py.engine.registry import Registry
from keda_py.engine.reporter import Reporter
from keda_py.engine.scaled_job import ScaledJobs
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import DEPLOYMENTS, STATEFUL_SETS, Targets, trim_workload
from keda_py.engine.trigger_check import TriggerCheck
from keda_py.kube.client import Client, Resource
from keda_py.kube.discovery import Discovery
from keda_py.kube.lease import Lease
from keda_py.kube.reader import ClusterReader
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Reflector, Store
from keda_py.naming import Label
from keda_py.runtime.clock import Now, wall_clock
from keda_py.runtime.meter import Meter
from keda_py.runtime.queue import WorkQueue
from keda_py.runtime.source import Sources
from keda_py.scaler import Platform
from keda_py.serve.machinery import Machinery
from keda_py.serve.otlp import Exporter
from keda_py.serve.server import Servers
from keda_py.serve.telemetry import Telemetry
from keda_py.settings import Settings

log = structlog.get_logger("daemon")


class Daemon:
    """All parts of the daemon, and how they hang together."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        client: Client,
        *,
        now: Now = wall_clock,
        chance: random.Random | None = None,
        exporter: Exporter | None = None,
    ) -> None:
        """`now`, `chance`: time and randomness, for who wants to hold them in hand. `exporter`: what sends metrics."""
        self.live: dict[Key, Live] = {}
        """The ScaledObjects at work."""
        self.live_jobs: dict[Key, Live] = {}
        """The ScaledJobs at work."""
        self.event_sources: dict[Key, EventSource] = {}
        """The CloudEventSources at work."""
        self.listed = asyncio.Event()
        """Set once all that is watched has been read for the first time."""
        self._settings = settings
        self._registry = registry
        self._client = client
        self._now = now
        self._chance = chance or random.SystemRandom()
        self._exporter = exporter
        self._meter = Meter(by_trigger=settings.telemetry_by_trigger)
        self._queue: WorkQueue[Key] = WorkQueue(chance=self._chance)
        self._job_queue: WorkQueue[Key] = WorkQueue(chance=self._chance)
        self._authentication_queue: WorkQueue[AuthenticationKey] = WorkQueue(chance=self._chance)
        self._event_queue: WorkQueue[Key] = WorkQueue(chance=self._chance)
        self._stores = {
            SCALED_OBJECTS: Store(trim_scalable),
            SCALED_JOBS: Store(trim_scalable),
            HPAS: Store(trim_hpa),
            DEPLOYMENTS: Store(trim_workload),
            STATEFUL_SETS: Store(trim_workload),
            TRIGGER_AUTHENTICATIONS: Store(trim_authentication),
            CLUSTER_TRIGGER_AUTHENTICATIONS: Store(trim_authentication),
        }
        self._reflectors = self._reflect(self._stores)
        # Apart from the rest: who may not see Jobs can have ScaledObjects all the same.
        self._job_stores = {JOBS: Store(trim_job), PODS: Store(trim_pod)}
        self._job_reflectors = self._reflect(self._job_stores)
        self._event_stores = {r: Store(trim_scalable) for r in (CLOUD_EVENT_SOURCES, CLUSTER_CLOUD_EVENT_SOURCES)}
        self._event_reflectors = self._reflect(self._event_stores)
        self._limit_ranges = Store(trim_limit_range)
        self._limit_reflectors = self._reflect({LIMIT_RANGES: self._limit_ranges}) if settings.webhook else []
        self._recorder = Recorder(client, now=now, instance=socket.gethostname(), chance=self._chance)
        self._term_over = asyncio.Event()
        self._lease = Lease(
            client,
            namespace=settings.namespace,
            identity=f"{socket.gethostname()}_{uuid.UUID(int=self._chance.getrandbits(128), version=4)}",
            now=now,
            leadership=settings.leadership,
            changed=lambda _: self._term_over.set(),
        )
        self.admission = self._admitting()
        self.telemetry = self._telling()
        """What `/metrics` shows."""

    @property
    def acts(self) -> bool:
        """Whether this process may write: it leads, or need not be elected."""
        return self._lease.held or not self._settings.leadership.elect

    async def run(self) -> None:
        """Run until cancelled, or until a part dies."""
        workloads = {resource: self._stores[resource] for resource in (DEPLOYMENTS, STATEFUL_SETS)}
        targets = Targets(self._client, Discovery(self._client), workloads)
        platform = self._platform()
        stores = self._elsewhere(platform)
        resolver = self._resolver(targets, self._queue, stores)
        job_resolver = self._resolver(targets, self._job_queue, stores)
        event_resolver = self._resolver(targets, self._event_queue, stores)
        events = self._event_sources(event_resolver, platform)
        async with (
            Sources(platform, chance=self._chance, meter=self._meter) as sources,
            stores,
            resolver,
            job_resolver,
            event_resolver,
            events,
        ):
            builder = Builder(self.live, self._registry, resolver, sources, platform)
            job_builder = Builder(self.live_jobs, self._registry, job_resolver, sources, platform)
            controllers = [
                # First: the others' events are for it to hear.
                Controller(self._event_queue, events.known, events.reconcile, begin=events.begin),
                self._scaled_objects(targets, workloads, builder),
                self._scaled_jobs(job_builder),
                self._authentication_users(),
            ]
            try:
                async with asyncio.TaskGroup() as parts, self._servers().serving(parts):
                    await self._work(controllers, parts)
            finally:
                # Whoever asks a source that is closed waits for nothing.
                for live in [*self.live.values(), *self.live_jobs.values()]:
                    live.close()
                # Only now: nothing of ours acts any more.
                await self._lease.release()

    async def _work(self, controllers: Sequence[Controller], parts: asyncio.TaskGroup) -> None:
        parts.create_task(self._recorder.run(), name="events")
        apart = [*self._job_reflectors, *self._event_reflectors, *self._limit_reflectors]
        for reflector in [*self._reflectors, *apart]:
            parts.create_task(reflector.run(), name="watch")
        if self._exporter is not None:
            parts.create_task(self._exporter.run(self.telemetry.collect, self._now), name="export")
        # Nothing is decided on half a picture.
        for reflector in self._reflectors:
            await reflector.listed.wait()
        self.listed.set()
        if self._settings.leadership.elect:
            parts.create_task(self._lease.run(), name="lease")
        counts = {resource.plural: len(self._stores[resource]) for resource in (SCALED_OBJECTS, SCALED_JOBS)}
        log.info("started", **counts, triggers=self._registry.types)
        while True:
            self._term_over.clear()
            await work_term(controllers, self._term_over)

    # --- loops ------------------------------------------------------------------------------------------------------

    def _scaled_objects(self, targets: Targets, workloads: dict[Resource, Store], builder: Builder) -> Controller:
        store = self._stores[SCALED_OBJECTS]
        cluster = Cluster(
            self._client, scaled_objects=store, hpas=self._stores[HPAS], workloads=workloads, wake=self._queue.add
        )
        objects = ScaledObjects(
            cluster,
            targets=targets,
            hpas=HpaKeeper(cluster),
            builder=builder,
            reporter=self._reporter(SCALED_OBJECTS, report.SCALED_OBJECT),
            queue=self._queue,
            recorder=self._recorder,
            now=self._now,
            owns=lambda _: self.acts,
        )
        return Controller(self._queue, store.keys, objects.reconcile, self._settings.reconciles, objects.begin)

    def _scaled_jobs(self, builder: Builder) -> Controller:
        store = self._stores[SCALED_JOBS]
        jobs = ScaledJobs(
            self._client,
            store,
            Jobs(self._job_stores[JOBS], self._job_stores[PODS], wake=self._job_queue.add),
            builder=builder,
            reporter=self._reporter(SCALED_JOBS, report.SCALED_JOB),
            recorder=self._recorder,
            queue=self._job_queue,
            now=self._now,
            owns=lambda _: self.acts,
            blind=lambda key: next(filter(None, (r.blind_in(key[0]) for r in self._job_reflectors)), None),
        )
        return Controller(self._job_queue, store.keys, jobs.reconcile, self._settings.job_reconciles, jobs.begin)

    def _reporter(self, resource: Resource, wording: report.Wording) -> Reporter:
        store = self._stores[resource]
        selector = self._settings.watch_label_selector
        return Reporter(
            self._client, resource, store, recorder=self._recorder, wording=wording, ended=self._ended(selector)
        )

    def _ended(self, label_selector: str) -> Callable[[dict[str, Any]], bool]:
        """Return what tells whether an object that is not seen any more was deleted, and that we are to tell of it.

        With a selector it may only have lost its label; what waited for a finalizer was deleted all the same.
        """
        return lambda old: self.acts and (not label_selector or "deletionTimestamp" in old["metadata"])

    def _authentication_users(self) -> Controller:
        settings = self._settings
        AuthenticationEvents(
            self._recorder,
            {r: self._stores[r] for r in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)},
            tells=lambda: self.listed.is_set() and self.acts,
            ended=self._ended(settings.watch_label_selector_for_triggerauth),
        )
        queues = {"scaledobjects": (SCALED_OBJECTS, self._queue), "scaledjobs": (SCALED_JOBS, self._job_queue)}
        users = AuthenticationUsers(
            self._client,
            {r.kind: (r, self._stores[r]) for r in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)},
            users={
                field: References(
                    self._stores[resource],
                    self._authentications,
                    wake=queue.add,
                    wake_authentication=self._authentication_queue.add,
                )
                for field, (resource, queue) in queues.items()
            },
            sees_all=not settings.watch_label_selector and not settings.watch_namespaces,
            acts=lambda: self.acts,
        )
        return Controller(self._authentication_queue, users.known, users.reconcile)

    def _event_sources(self, resolver: Resolver, platform: Platform) -> EventSources:
        sources = EventSources(
            self._client,
            self._event_stores,
            self.event_sources,
            authentications=self._authentications,
            sinks=self._registry.sinks,
            resolver=resolver,
            platform=platform,
            queue=self._event_queue,
            place=(self._settings.cluster_name, self._settings.cluster_object_namespace),
            acts=lambda: self.acts,
            chance=self._chance,
        )
        self._recorder.on_event(sources.hear)
        return sources

    # --- what they work with ----------------------------------------------------------------------------------------

    def _platform(self) -> Platform:
        settings = self._settings
        return Platform(
            now=self._now,
            kubernetes=ClusterReader(self._client),
            http_timeout=settings.http_timeout,
            ca_paths=settings.ca_folders,
            min_tls=settings.http_tls.minimum,
            ciphers=settings.http_tls.ciphers,
            keep_alive=settings.http_keep_alive,
            requested=self._meter.note,
        )

    def _elsewhere(self, platform: Platform) -> Stores:
        settings = self._settings
        opener = Opener(
            self._registry.stores, self._client, platform, settings.bound_token_life, settings.authentication_folder
        )
        return Stores(opener, chance=self._chance)

    def _resolver(self, targets: Targets, queue: WorkQueue[Key], stores: Stores) -> Resolver:
        settings = self._settings
        return Resolver(
            self._client,
            targets,
            authentications=self._authentications,
            policy=SecretPolicy(settings.cluster_object_namespace, restricted=settings.restrict_secret_access),
            stores=stores,
            chance=self._chance,
            wake=queue.add,
        )

    @property
    def _authentications(self) -> dict[str, Store]:
        return {r.kind: self._stores[r] for r in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)}

    def _reflect(self, stores: dict[Resource, Store]) -> list[Reflector]:
        return [
            self._reflector(resource, store, namespace)
            for resource, store in stores.items()
            for namespace in self._namespaces_of(resource)
        ]

    def _namespaces_of(self, resource: Resource) -> Sequence[str]:
        of_cluster = resource in (CLUSTER_TRIGGER_AUTHENTICATIONS, CLUSTER_CLOUD_EVENT_SOURCES)
        return ("",) if of_cluster else self._settings.watch_namespaces or ("",)

    def _reflector(
        self, resource: Resource, store: Store, namespace: str = "", *, field_selector: str = ""
    ) -> Reflector:
        settings = self._settings
        selectors = {
            **dict.fromkeys((SCALED_OBJECTS, SCALED_JOBS), settings.watch_label_selector),
            **dict.fromkeys(
                (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS),
                settings.watch_label_selector_for_triggerauth,
            ),
            **dict.fromkeys((JOBS, PODS), Label.JOB_OWNER),
        }
        return Reflector(
            self._client,
            resource,
            store,
            chance=self._chance,
            namespace=namespace,
            label_selector=selectors.get(resource, ""),
            field_selector=field_selector,
        )

    def _admitting(self) -> Admission:
        namespaces = self._settings.watch_namespaces
        watched = Watched(
            self._stores,
            authentications=self._authentications,
            limit_ranges=self._limit_ranges,
            limits_known=lambda: all(reflector.listed.is_set() for reflector in self._limit_reflectors),
            listed=self._is_listed,
            sees=lambda namespace: not namespaces or namespace in namespaces,
        )
        return Admission(watched, self._client, TriggerCheck(self._registry, self._platform()))

    def _is_listed(self) -> bool:
        return all(reflector.listed.is_set() for reflector in self._reflectors)

    def _telling(self) -> Telemetry:
        leadership = self._settings.leadership
        return Telemetry(
            {"scaledobject": self.live, "scaledjob": self.live_jobs},
            resources={
                "trigger_authentication": self._stores[TRIGGER_AUTHENTICATIONS],
                "cluster_trigger_authentication": self._stores[CLUSTER_TRIGGER_AUTHENTICATIONS],
            },
            meter=self._meter,
            machinery=Machinery(
                {
                    "scaledobject": self._queue,
                    "scaledjob": self._job_queue,
                    "triggerauthentication": self._authentication_queue,
                    "cloudeventsource": self._event_queue,
                },
                self._client,
                lease=leadership.name if leadership.elect else None,
                leads=lambda: self.acts,
            ),
            admission=self.admission.counts,
            events=self.event_sources,
        )

    def _servers(self) -> Servers:
        return Servers(
            self._settings,
            self._client,
            now=self._now,
            reflector=self._reflector,
            telemetry=self.telemetry,
            read=partial(read_metric, self.live),
            review=self.admission.review,
            listed=self._is_listed,
        )
