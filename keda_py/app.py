"""Wires the daemon: every part in one task group, so that if one dies the process exits and is started anew."""

import asyncio
import gc
import random
import signal
import socket
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import structlog
import uvloop

from keda_py import log as logging
from keda_py.engine.authentication_users import AuthenticationUsers
from keda_py.engine.cluster import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    HPAS,
    SCALED_OBJECTS,
    TRIGGER_AUTHENTICATIONS,
    AuthenticationKey,
    Cluster,
    trim_authentication,
    trim_scaled_object,
)
from keda_py.engine.hpa import HpaKeeper, trim_hpa
from keda_py.engine.live import Builder, Key, Live
from keda_py.engine.metrics import read_metric
from keda_py.engine.registry import Registry, RegistryError
from keda_py.engine.resolver import Resolver, SecretPolicy
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import DEPLOYMENTS, STATEFUL_SETS, Targets, trim_workload
from keda_py.kube.client import ApiError, Client, Resource
from keda_py.kube.discovery import Discovery
from keda_py.kube.lease import Lease
from keda_py.kube.reader import ClusterReader
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Reflector, Store
from keda_py.kube.transport import ConfigError, connect
from keda_py.runtime.clock import Now, wall_clock
from keda_py.runtime.queue import WorkQueue, work
from keda_py.runtime.source import Sources
from keda_py.scaler import Platform
from keda_py.serve import external_metrics, front_proxy, health, telemetry
from keda_py.serve.front_proxy import FrontProxy
from keda_py.serve.listen import ListenError, listening
from keda_py.serve.rotation import CertificateKeeper, FileCertificates, Place, SecretCertificates
from keda_py.serve.tls import ServerTls
from keda_py.settings import Settings

log = structlog.get_logger("daemon")

UNUSABLE: Final = 2
"""Exit code for what only a person can mend: flags, cluster, installation."""

_BREATH: Final = 20
"""After so many objects at once, others get their turn."""

_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def run(settings: Settings, *, unused_flags: tuple[str, ...] = ()) -> int:
    """Run the daemon until a signal stops it; return the exit code."""
    logging.configure(settings)
    if unused_flags:
        log.info("without effect here", flags=list(unused_flags))
    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(settings))
    except* (ConfigError, RegistryError, ListenError) as errors:
        print(f"keda-py: {_first(errors)}", file=sys.stderr)  # noqa: T201  one clear line for a person
        code = UNUSABLE
    return code


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _until_stopped(settings: Settings) -> None:
    registry = Registry.installed()
    transport = await connect(settings.kubeconfig)
    try:
        client = Client(transport)
        await _reach(client)
        daemon = Daemon(settings, registry, client)
        running = asyncio.create_task(daemon.run())
        sparing = asyncio.create_task(_spare_the_collector(daemon.listed))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        await asyncio.wait({running})
        sparing.cancel()
        if not running.cancelled():
            running.result()
        log.info("stopped")
    finally:
        await transport.close()


async def _reach(client: Client) -> None:
    """Find out at once whether there is a cluster and KEDA's kinds in it."""
    try:
        await client.call("GET", "/version")
        await client.call("GET", f"/apis/{SCALED_OBJECTS.api_version}")
    except ApiError as error:
        reason = "the cluster does not know ScaledObjects; apply the CRDs first" if error.status == 404 else str(error)  # noqa: PLR2004
        raise ConfigError(reason) from error


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
    ) -> None:
        """`now` and `chance`: time and randomness, for who wants to hold them in hand."""
        self.live: dict[Key, Live] = {}
        self.listed = asyncio.Event()
        """Set once all that is watched has been read for the first time."""
        self._settings = settings
        self._registry = registry
        self._client = client
        self._now = now
        self._chance = chance or random.SystemRandom()
        self._queue: WorkQueue[Key] = WorkQueue(chance=self._chance)
        self._authentication_queue: WorkQueue[AuthenticationKey] = WorkQueue(chance=self._chance)
        self._stores = {
            SCALED_OBJECTS: Store(trim_scaled_object),
            HPAS: Store(trim_hpa),
            DEPLOYMENTS: Store(trim_workload),
            STATEFUL_SETS: Store(trim_workload),
            TRIGGER_AUTHENTICATIONS: Store(trim_authentication),
            CLUSTER_TRIGGER_AUTHENTICATIONS: Store(trim_authentication),
        }
        self._reflectors = [
            self._reflector(resource, store, namespace)
            for resource, store in self._stores.items()
            for namespace in self._namespaces_of(resource)
        ]
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

    async def run(self) -> None:
        """Run until cancelled, or until a part dies."""
        platform = self._platform()
        workloads = {resource: self._stores[resource] for resource in (DEPLOYMENTS, STATEFUL_SETS)}
        targets = Targets(self._client, Discovery(self._client), workloads)
        resolver = self._resolver(targets)
        async with Sources(platform, chance=self._chance) as sources, resolver:
            cluster = self._cluster(workloads)
            objects = ScaledObjects(
                cluster,
                self.live,
                targets=targets,
                hpas=HpaKeeper(cluster),
                builder=Builder(self._registry, resolver, sources, platform),
                queue=self._queue,
                recorder=self._recorder,
                now=self._now,
                owns=lambda _: self.acts,
            )
            try:
                async with asyncio.TaskGroup() as parts, self._serving(parts):
                    await self._work(objects, self._authentication_users(cluster), parts)
            finally:
                # Whoever asks a source that is closed waits for nothing.
                for live in self.live.values():
                    live.close()
                # Only now: nothing of ours acts any more.
                await self._lease.release()

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
        )

    def _resolver(self, targets: Targets) -> Resolver:
        settings = self._settings
        return Resolver(
            self._client,
            targets,
            authentications=self._authentications,
            policy=SecretPolicy(settings.cluster_object_namespace, restricted=settings.restrict_secret_access),
            chance=self._chance,
            wake=self._queue.add,
        )

    async def _work(self, objects: ScaledObjects, users: AuthenticationUsers, parts: asyncio.TaskGroup) -> None:
        parts.create_task(self._recorder.run(), name="events")
        for reflector in self._reflectors:
            parts.create_task(reflector.run(), name="watch")
        # Nothing is decided on half a picture.
        for reflector in self._reflectors:
            await reflector.listed.wait()
        self.listed.set()
        if self._settings.leadership.elect:
            parts.create_task(self._lease.run(), name="lease")
        log.info("started", scaledobjects=len(self._stores[SCALED_OBJECTS]), triggers=self._registry.types)
        while True:
            await self._term(objects, users)

    async def _term(self, objects: ScaledObjects, users: AuthenticationUsers) -> None:
        """Work until leadership changes hands: a pass does not outlive the term that it began in."""
        self._term_over.clear()
        for position, key in enumerate(self._stores[SCALED_OBJECTS].keys()):
            objects.begin(key)
            self._queue.add(key)
            if position % _BREATH == 0:
                await asyncio.sleep(0)
        workers = [
            asyncio.create_task(work(self._queue, objects.reconcile, on_error=_tell_of_retry), name="worker")
            for _ in range(self._settings.reconciles)
        ]
        for authentication in users.known():
            self._authentication_queue.add(authentication)
        statuses = work(self._authentication_queue, users.reconcile, on_error=_tell_of_retry)
        workers.append(asyncio.create_task(statuses, name="worker"))
        try:
            await self._term_over.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    @property
    def acts(self) -> bool:
        """Whether this process may write: it leads, or need not be elected."""
        return self._lease.held or not self._settings.leadership.elect

    @property
    def _authentications(self) -> dict[str, Store]:
        return {r.kind: self._stores[r] for r in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)}

    def _cluster(self, workloads: dict[Resource, Store]) -> Cluster:
        return Cluster(
            self._client,
            scaled_objects=self._stores[SCALED_OBJECTS],
            hpas=self._stores[HPAS],
            workloads=workloads,
            authentications=self._authentications,
            wake=self._queue.add,
            wake_authentication=self._authentication_queue.add,
        )

    def _authentication_users(self, cluster: Cluster) -> AuthenticationUsers:
        settings = self._settings
        return AuthenticationUsers(
            cluster,
            {r.kind: (r, self._stores[r]) for r in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)},
            sees_all=not settings.watch_label_selector and not settings.watch_namespaces,
            acts=lambda: self.acts,
        )

    def _namespaces_of(self, resource: Resource) -> Sequence[str]:
        return ("",) if resource == CLUSTER_TRIGGER_AUTHENTICATIONS else self._settings.watch_namespaces or ("",)

    def _reflector(
        self, resource: Resource, store: Store, namespace: str = "", *, field_selector: str = ""
    ) -> Reflector:
        selectors = {SCALED_OBJECTS: self._settings.watch_label_selector} | dict.fromkeys(
            (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS),
            self._settings.watch_label_selector_for_triggerauth,
        )
        return Reflector(
            self._client,
            resource,
            store,
            chance=self._chance,
            namespace=namespace,
            label_selector=selectors.get(resource, ""),
            field_selector=field_selector,
        )

    # --- servers ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _serving(self, parts: asyncio.TaskGroup) -> AsyncIterator[None]:
        settings = self._settings
        tls = ServerTls(minimum=_TLS_VERSIONS[settings.service_tls.minimum], ciphers=settings.service_tls.ciphers)
        proxy = FrontProxy(tls.set_client_authority)
        conditions: dict[str, Callable[[], bool]] = {
            "the cluster is not listed yet": lambda: all(reflector.listed.is_set() for reflector in self._reflectors)
        }
        if settings.external_metrics is not None:
            self._look_after(tls, proxy, parts)
            conditions["there is no serving certificate yet"] = lambda: tls.has_certificate
            conditions["the aggregation layer is not known yet"] = lambda: proxy.known
        seen = telemetry.Telemetry(
            self.live,
            lease=settings.leadership.name if settings.leadership.elect else None,
            leads=lambda: self.acts,
            queued=lambda: len(self._queue),
        )
        async with (
            listening(health.application(conditions), settings.health, flag="--health-probe-bind-address"),
            listening(telemetry.application(seen), settings.telemetry, flag="--metrics-bind-address"),
            listening(
                external_metrics.application(partial(read_metric, self.live), admits=proxy.admits),
                settings.external_metrics,
                flag="--secure-bind-address",
                tls=tls.context,
            ),
        ):
            yield

    def _look_after(self, tls: ServerTls, proxy: FrontProxy, parts: asyncio.TaskGroup) -> None:
        """Keep the server's certificate, and whom it trusts, up to date."""
        given, namespace = self._settings.certificates, self._settings.namespace
        place = Place(namespace, given.secret, given.metrics_service)
        own = SecretCertificates(self._client, place, given.names(namespace), self._now)
        rotates = not (given.folder / "tls.crt").exists() if given.rotates is None else given.rotates
        keeper = CertificateKeeper(
            own if rotates else FileCertificates(given.folder),
            tls,
            client=self._client,
            place=place,
            patches=given.patches_api_service,
        )
        parts.create_task(keeper.run(), name="certificate")
        store = Store(front_proxy.trim_config_map)
        store.on_change(proxy.changed)
        watch = self._reflector(
            front_proxy.CONFIG_MAPS,
            store,
            front_proxy.NAMESPACE,
            field_selector=f"metadata.name={front_proxy.NAME}",
        )
        parts.create_task(watch.run(), name="watch")


async def _spare_the_collector(listed: asyncio.Event) -> None:
    """Leave what is there to stay out of garbage collections, and have fewer of them.

    Thousands of watched objects are walked through in vain each time, while everything else waits.
    """
    await listed.wait()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _tell_of_retry(key: tuple[str, ...], error: Exception, seconds: float) -> None:
    if isinstance(error, ApiError):
        log.warning("will retry", object="/".join(key), message=str(error), seconds=round(seconds, 1))
    else:
        log.error("will retry", object="/".join(key), seconds=round(seconds, 1), exc_info=error)
