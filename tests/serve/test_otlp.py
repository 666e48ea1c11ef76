"""Metrics sent to a collector: a real one of each protocol, one that is not there, and libraries that are not."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.core import Metric
from structlog.testing import capture_logs

from keda_py.runtime.meter import Histogram
from keda_py.serve import otlp
from keda_py.serve.family import counter, gauge, histogram
from keda_py.serve.otel import POINTS
from keda_py.serve.otlp import Exporter, ExportError
from tests.servers import free_port

from .collector import attributes, collecting, collecting_over_grpc, points

# They start servers.
pytestmark = pytest.mark.e2e

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TRIGGER = ("namespace", "metric", "scaledObject", "scaler", "triggerIndex", "type")
REQUESTS = ("scaler", "status_code")


def families() -> Iterator[Metric]:
    of_both = [
        (("ns", "s0-queue", "app", "queueScaler", "0", "scaledobject"), 7.5),
        (("ns", "s1-queue", "job", "queueScaler", "1", "scaledjob"), 0.25),
    ]
    yield gauge("keda_scaler_metrics_value", "", TRIGGER, of_both)
    yield gauge("keda_scaler_metrics_latency_seconds", "", TRIGGER, of_both)
    yield counter("keda_scaled_object_errors", "", ("namespace", "scaledObject"), [(("ns", "app"), 3.0)])
    yield gauge("keda_trigger_registered_total", "", ("type",), [(("cron",), 2.0)])
    times = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.5, 0.5, 3.0):
        times.observe(seconds)
    yield histogram("keda_scaler_http_request_duration_seconds", "", REQUESTS, [(("prometheus", "200"), times)])
    yield gauge("workqueue_depth", "Not one of KEDA's instruments.", ("name",), [(("scaledobject",), 1.0)])


class Clock:
    """Each look at it is a minute later."""

    def __init__(self) -> None:
        self.moment = BEGAN - timedelta(minutes=1)

    def __call__(self) -> datetime:
        self.moment += timedelta(minutes=1)
        return self.moment


@asynccontextmanager
async def exporting(exporter: Exporter) -> Any:
    task = asyncio.create_task(exporter.run(families, Clock()))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    return monkeypatch


def seen(found: dict[str, Any]) -> None:
    """Assert that metrics are those of `families`."""
    assert set(found) == {
        "keda.scaler.metrics.value",
        "keda.scaler.metrics.latency",
        "keda.scaler.metrics.latency.seconds",
        "keda.scaledobject.errors",
        "keda.trigger.totals",
        "keda.trigger.registered.count",
        "keda.scaler.http.request.duration.seconds",
    }
    app, job = points(found["keda.scaler.metrics.value"])
    about = {"namespace": "ns", "scaler": "queueScaler"}
    assert attributes(app) == about | {"metric": "s0-queue", "scaledObject": "app", "scalerIndex": "0"}
    assert attributes(job) == about | {"metric": "s1-queue", "scaledJob": "job", "triggerIndex": "1"}
    assert [app.as_double, job.as_double] == [7.5, 0.25]
    assert [one.as_double for one in points(found["keda.scaler.metrics.latency"])] == [7500.0, 250.0]
    assert found["keda.scaler.metrics.latency.seconds"].unit == "s"
    errors = found["keda.scaledobject.errors"].sum
    assert (errors.is_monotonic, errors.aggregation_temporality, errors.data_points[0].as_int) == (True, 2, 3)
    assert errors.data_points[0].start_time_unix_nano == BEGAN.timestamp() * 1e9
    assert errors.data_points[0].time_unix_nano >= (BEGAN + timedelta(minutes=1)).timestamp() * 1e9
    assert found["keda.trigger.registered.count"].sum.is_monotonic is False
    (lasted,) = found["keda.scaler.http.request.duration.seconds"].histogram.data_points
    assert attributes(lasted) == {"scaler": "prometheus", "status_code": "200"}
    assert (list(lasted.bucket_counts), list(lasted.explicit_bounds)) == ([1, 2, 1], [0.1, 1.0])
    assert (lasted.count, lasted.sum, lasted.HasField("min")) == (4, pytest.approx(4.05), False)


async def test_over_http(environment: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t,x-tenant=shop")
        async with exporting(otlp.connect(os.environ)):
            await until(lambda: len(collector.requests) >= 2)
    seen(collector.metrics())
    assert collector.service() == "unknown_service:keda"
    assert (collector.headers["authorization"], collector.headers["x-tenant"]) == ("Bearer t", "shop")


async def test_over_grpc(environment: pytest.MonkeyPatch) -> None:
    with collecting_over_grpc() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
        environment.setenv("OTEL_SERVICE_NAME", "scaling")
        async with exporting(otlp.connect(os.environ)):
            await until(lambda: collector.requests)
    seen(collector.metrics())
    assert (collector.service(), collector.headers["x-tenant"]) == ("scaling", "shop")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_what_is_much_is_sent_in_parts(environment: pytest.MonkeyPatch, protocol: str) -> None:
    objects = [f"so{number}" for number in range(POINTS + 10)]
    names = ("namespace", "scaledObject")

    def many() -> Iterator[Metric]:
        yield gauge("keda_scaled_object_paused", "", names, [(("ns", name), 1.0) for name in objects])
        yield counter("keda_scaled_object_errors", "", names, [(("ns", name), 2.0) for name in objects[:5]])

    with collecting_over_grpc() as over_grpc:
        async with collecting() as over_http:
            collector = over_grpc if protocol == "grpc" else over_http
            environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            task = asyncio.create_task(otlp.connect(os.environ).run(many, Clock()))
            await until(lambda: len(collector.requests) >= 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    first, second = ([*part.resource_metrics[0].scope_metrics[0].metrics] for part in collector.requests[:2])
    told = [attributes(point)["scaledObject"] for metric in first + second for point in points(metric)]
    assert sorted(told) == sorted(objects + objects[:5])
    assert sum(len(points(metric)) for metric in first) == POINTS


async def test_a_collector_that_refuses_is_told_of_once_and_when_it_takes_metrics_again(
    environment: pytest.MonkeyPatch,
) -> None:
    async with collecting() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        collector.status = 401
        with capture_logs() as logs:
            async with exporting(otlp.connect(os.environ)):
                await until(lambda: collector.refused >= 4)
                collector.status = 200
                await until(lambda: len(logs) == 2 and len(collector.requests) >= 2)
        place = collector.url.removeprefix("http://")
    assert logs == [
        {
            "event": "cannot export metrics, will go on trying",
            "log_level": "warning",
            "collector": place,
            "message": "it answered 401",
        },
        {"event": "metrics are exported again", "log_level": "info", "collector": place},
    ]


@pytest.mark.parametrize(("protocol", "why"), [("http/protobuf", "it does not answer"), ("grpc", "UNAVAILABLE")])
async def test_a_collector_that_is_not_there_is_told_of_once(
    environment: pytest.MonkeyPatch, protocol: str, why: str
) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://hush:c4nary@127.0.0.1:{free_port()}")
    environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    exporter = otlp.connect(os.environ)
    attempts = []
    send = exporter._send

    def counted(*given: Any) -> bool:
        attempts.append(given)
        return send(*given)

    exporter._send = counted
    with capture_logs() as logs:
        async with exporting(exporter):
            await until(lambda: len(attempts) >= 4)
    assert [line["message"] for line in logs] == [why]
    assert "c4nary" not in str(logs)


async def test_who_ends_does_not_wait_for_an_export() -> None:
    begun, ended = threading.Event(), threading.Event()

    def send(*_: Any) -> bool:
        begun.set()
        return ended.wait(60)

    try:
        async with exporting(Exporter(send, lambda: None, place="there", period=0.01)):
            await until(begun.is_set)
        assert not ended.is_set()
    finally:
        ended.set()


async def test_what_goes_wrong_in_an_export_costs_no_more_than_that() -> None:
    calls: list[int] = []

    def send(*_: Any) -> bool:
        calls.append(1)
        raise ValueError("c4nary")

    with capture_logs() as logs:
        async with exporting(Exporter(send, lambda: None, place="there", period=0.01)):
            await until(lambda: len(calls) >= 3)
    assert [line["message"] for line in logs] == ["ValueError"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "not an address such as http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://"}, "not an address such as http://collector:4318"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1m"}, "OTEL_METRIC_EXPORT_INTERVAL is not a number of milliseconds"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "-1"}, "OTEL_METRIC_EXPORT_INTERVAL is not a number of milliseconds"),
    ],
)
def test_what_cannot_be_right_is_told_at_once(given: dict[str, str], says: str) -> None:
    with pytest.raises(ExportError, match=says):
        otlp.connect(given)


def test_nothing_of_it_is_loaded_where_it_is_off() -> None:
    command = (
        "import sys, keda_py.app; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'grpc', 'google.protobuf'))])"
    )
    shown = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "[]"
