"""Sending metrics to an OpenTelemetry collector, every minute or as OTEL_METRIC_EXPORT_INTERVAL says.

OpenTelemetry's own exporters do it: they know the variables OTEL_EXPORTER_OTLP_*. They block, so they work in a thread,
one at a time. The libraries are imported only if metrics are to be exported. What a collector does is told when it
changes, and costs nobody anything: what could not be sent is left out, as each export has all there is.
"""

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from prometheus_client.core import Metric

from keda_py.runtime.clock import Now

log = structlog.get_logger("telemetry")

FLAG: Final = "--enable-opentelemetry-metrics"
_USUAL_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 30.0
"""How long an export is waited for; the exporters themselves give up after OTEL_EXPORTER_OTLP_TIMEOUT, usually 10 s."""
_SILENT: Final = "it does not answer"


Send = Callable[[Iterable[Metric], datetime, datetime], bool]
"""Sends families, with what they counted between two moments; returns whether they were taken."""


class ExportError(Exception):
    """Metrics cannot be exported; the message says what to change."""


class Exporter:
    """What sends metrics to one collector."""

    def __init__(self, send: Send, close: Callable[[], None], *, place: str, period: float) -> None:
        """`send` may block. `place`: how the collector is called, in the log. `period`: in seconds."""
        self._send = send
        self._close = close
        self._place = place
        self._period = period
        self._reasons = _Reasons()
        self._sending: asyncio.Future[str | None] | None = None
        self._fails = False

    async def run(self, families: Callable[[], Iterable[Metric]], now: Now) -> None:
        """Export until cancelled."""
        began = now()
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self._reasons)
        try:
            while True:
                await asyncio.sleep(self._period)
                # All at this moment, and by this thread: what it is read from belongs to the event loop.
                self._tell(await self._export(list(families()), began, now()))
        finally:
            logger.removeHandler(self._reasons)
            self._close()

    async def _export(self, found: list[Metric], began: datetime, at: datetime) -> str | None:
        """Return why an export failed, None for one that did not."""
        if self._sending is None or self._sending.done():
            self._sending = _in_thread(lambda: self._attempt(found, began, at))
        done, _ = await asyncio.wait({self._sending}, timeout=_PATIENCE_SECONDS)
        return self._sending.result() if done else _SILENT

    def _attempt(self, found: list[Metric], began: datetime, at: datetime) -> str | None:
        self._reasons.last = _SILENT
        try:
            return None if self._send(found, began, at) else self._reasons.last
        except Exception as error:  # noqa: BLE001  whatever a library does, the daemon goes on
            return type(error).__name__

    def _tell(self, failure: str | None) -> None:
        if failure is not None and not self._fails:
            log.warning("cannot export metrics, will go on trying", collector=self._place, message=failure)
        elif failure is None and self._fails:
            log.info("metrics are exported again", collector=self._place)
        self._fails = failure is not None


class _Reasons(logging.Handler):
    """Listens to the exporters, which say why they fail in their log only.

    Of that only what holds no text of others is kept: endpoints, headers and answers may hold secrets.
    """

    last = _SILENT

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a status, or the kind of an error, if the record has one."""
        for said in record.args if isinstance(record.args, tuple) else ():
            if isinstance(said, Enum):
                self.last = said.name
            elif isinstance(said, int):
                self.last = f"it answered {said}"
            elif isinstance(said, Exception):
                self.last = type(said).__name__


def connect(environment: Mapping[str, str]) -> Exporter:
    """Return what exports, as the environment says; raise `ExportError` in one line if that cannot be."""
    protocol = _variable(environment, "PROTOCOL")
    grpc = protocol == "grpc"
    endpoint = _variable(environment, "ENDPOINT") or f"http://localhost:{4317 if grpc else 4318}"
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    place = parts.netloc.rpartition("@")[2]
    if not place or not (grpc or parts.scheme in ("http", "https")):
        raise ExportError(f"{FLAG}: OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as http://collector:4318")
    period = _period(environment)
    try:
        from keda_py.serve import otel  # noqa: PLC0415  10 to 17 MiB that nobody needs who has no collector

        sender = otel.Sender(grpc=grpc)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{FLAG} needs the Python module {error.name}; "
            "install it where keda-py runs (in a clone: pip install '.[otlp]')"
        ) from error
    except Exception as error:
        raise ExportError(
            f"{FLAG}: a variable OTEL_EXPORTER_OTLP_* cannot be right ({type(error).__name__})"
        ) from error
    return Exporter(sender.send, sender.close, place=place, period=period)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(f"OTEL_EXPORTER_OTLP_METRICS_{name}") or environment.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _period(environment: Mapping[str, str]) -> float:
    text = environment.get("OTEL_METRIC_EXPORT_INTERVAL") or str(_USUAL_SECONDS * 1000)
    try:
        seconds = float(text) / 1000
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ExportError(f"{FLAG}: OTEL_METRIC_EXPORT_INTERVAL is not a number of milliseconds such as 60000")
    return seconds


def _in_thread(work: Callable[[], Any]) -> asyncio.Future[Any]:
    """Return what comes of work that blocks; unlike those of the loop's own threads, nobody waits for it at the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = work()
        # The loop may be gone.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=run, name="export", daemon=True).start()
    return done
