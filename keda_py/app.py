"""Wires the daemon: every part in one task group, so that if one dies the process exits and is started anew."""

import asyncio
import logging
import random
import signal
import socket
import sys
from typing import Any, Final

import structlog

from keda_py.engine.cluster import HPAS, SCALED_OBJECTS, Cluster, trim_scaled_object
from keda_py.engine.hpa import HpaKeeper, trim_hpa
from keda_py.engine.live import Builder, Key
from keda_py.engine.registry import Registry, RegistryError
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import DEPLOYMENTS, STATEFUL_SETS, Targets, trim_workload
from keda_py.kube.client import ApiError, Client, Resource
from keda_py.kube.discovery import Discovery
from keda_py.kube.reader import ClusterReader
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Reflector, Store
from keda_py.kube.transport import ConfigError, connect
from keda_py.runtime.clock import wall_clock
from keda_py.runtime.queue import WorkQueue, work
from keda_py.runtime.source import Sources
from keda_py.scaler import Platform
from keda_py.settings import Settings

log = structlog.get_logger("daemon")

UNUSABLE: Final = 2
"""Exit code for what only a person can mend: flags, cluster, installation."""


def run(settings: Settings) -> int:
    """Run the daemon until a signal stops it; return the exit code."""
    configure_logging(settings)
    try:
        asyncio.run(_until_stopped(settings))
    except (ConfigError, RegistryError) as error:
        print(f"keda-py: {error}", file=sys.stderr)  # noqa: T201  one clear line for a person
        return UNUSABLE
    return 0


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as JSON or for the console."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_encoder == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _until_stopped(settings: Settings) -> None:
    registry = Registry.installed()
    transport = await connect(settings.kubeconfig)
    try:
        client = Client(transport)
        await _reach(client)
        daemon = asyncio.create_task(_run_parts(settings, registry, client))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, daemon.cancel)
        await asyncio.wait({daemon})
        if not daemon.cancelled():
            daemon.result()
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


async def _run_parts(settings: Settings, registry: Registry, client: Client) -> None:
    chance = random.SystemRandom()
    queue: WorkQueue[Key] = WorkQueue(chance=chance)
    kept = {
        SCALED_OBJECTS: Store(trim_scaled_object),
        HPAS: Store(trim_hpa),
        DEPLOYMENTS: Store(trim_workload),
        STATEFUL_SETS: Store(trim_workload),
    }
    workloads = {resource: kept[resource] for resource in (DEPLOYMENTS, STATEFUL_SETS)}
    cluster = Cluster(
        client,
        scaled_objects=kept[SCALED_OBJECTS],
        hpas=kept[HPAS],
        workloads=workloads,
        wake=queue.add,
    )
    recorder = Recorder(client, now=wall_clock, instance=socket.gethostname())
    platform = Platform(now=wall_clock, kubernetes=ClusterReader(client), http_timeout=settings.http_timeout)
    reflectors = list(_reflectors(settings, client, kept, chance))
    async with Sources(platform, chance=chance) as sources, asyncio.TaskGroup() as parts:
        objects = ScaledObjects(
            cluster,
            targets=Targets(client, Discovery(client), workloads),
            hpas=HpaKeeper(cluster),
            builder=Builder(registry, sources, platform),
            queue=queue,
            recorder=recorder,
            now=wall_clock,
            owns=lambda _: True,
        )
        parts.create_task(recorder.run(), name="events")
        for reflector in reflectors:
            parts.create_task(reflector.run(), name="watch")
        # Nothing is decided on half a picture.
        for reflector in reflectors:
            await reflector.listed.wait()
        log.info("started", scaledobjects=len(kept[SCALED_OBJECTS]), triggers=registry.types)
        for _ in range(settings.reconciles):
            parts.create_task(work(queue, objects.reconcile, on_error=_tell_of_retry), name="worker")


def _reflectors(
    settings: Settings, client: Client, kept: dict[Resource, Store], chance: random.Random
) -> list[Reflector]:
    return [
        Reflector(
            client,
            resource,
            store,
            chance=chance,
            namespace=namespace,
            label_selector=settings.watch_label_selector if resource == SCALED_OBJECTS else "",
        )
        for resource, store in kept.items()
        for namespace in settings.watch_namespaces or ("",)
    ]


def _tell_of_retry(key: Key, error: Exception, seconds: float) -> None:
    if isinstance(error, ApiError):
        log.warning("will retry", object="/".join(key), message=str(error), seconds=round(seconds, 1))
    else:
        log.error("will retry", object="/".join(key), seconds=round(seconds, 1), exc_info=error)
