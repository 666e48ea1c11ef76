"""Runs the daemon as a process: logs, signals, the cluster at hand, and the exit code."""

import asyncio
import gc
import os
import signal
import sys
from typing import Final

import structlog
import uvloop

from keda_py import authority
from keda_py import log as logging
from keda_py.daemon import Daemon
from keda_py.engine.cluster import SCALED_OBJECTS
from keda_py.engine.registry import Registry, RegistryError
from keda_py.kube.client import ApiError, Client
from keda_py.kube.transport import ConfigError, connect
from keda_py.serve import otlp
from keda_py.serve.listen import ListenError
from keda_py.serve.otlp import ExportError
from keda_py.settings import Settings

log = structlog.get_logger("daemon")

UNUSABLE: Final = 2
"""Exit code for what only a person can mend: flags, cluster, installation."""


def run(settings: Settings, *, unused_flags: tuple[str, ...] = ()) -> int:
    """Run the daemon until a signal stops it; return the exit code."""
    logging.configure(settings)
    if unused_flags:
        log.info("without effect here", flags=list(unused_flags))
    for told in authority.check(settings.ca_folders):
        log.warning("passed over in --ca-dir", message=told)
    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(settings))
    except* (ConfigError, ExportError, RegistryError, ListenError) as errors:
        print(f"keda-py: {_first(errors)}", file=sys.stderr)  # noqa: T201  one clear line for a person
        code = UNUSABLE
    return code


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _until_stopped(settings: Settings) -> None:
    registry = Registry.installed()
    exporter = otlp.connect(os.environ) if settings.opentelemetry else None
    transport = await connect(settings.kubeconfig)
    try:
        client = Client(transport, host=transport.host)
        await _reach(client)
        daemon = Daemon(settings, registry, client, exporter=exporter)
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


async def _spare_the_collector(listed: asyncio.Event) -> None:
    """Leave what is there to stay out of garbage collections, and have fewer of them.

    Thousands of watched objects are walked through in vain each time, while everything else waits.
    """
    await listed.wait()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
