"""A collector of OpenTelemetry, over HTTP or gRPC: decodes what it receives, and refuses it where a test wants that."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)


@dataclass
class Collector(MetricsServiceServicer):
    """What was received."""

    url: str = ""
    status: int = 200
    refused: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)

    async def over_http(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.headers["Content-Type"] == "application/x-protobuf"
        if self.status != 200:
            self.refused += 1
            return web.Response(status=self.status)
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(ExportMetricsServiceRequest.FromString(body))
        return web.Response(body=ExportMetricsServiceResponse().SerializeToString())

    def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:  # noqa: N802
        self.headers = dict(context.invocation_metadata())
        self.requests.append(request)
        return ExportMetricsServiceResponse()

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of the last export, by name."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        assert scope.scope.name == "keda-open-telemetry-metrics"
        return {metric.name: metric for metric in scope.metrics}

    def service(self) -> str:
        """Return who says that these are his."""
        return str(attributes(self.requests[-1].resource_metrics[0].resource)["service.name"])


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector over HTTP."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/metrics", collector.over_http)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


@contextmanager
def collecting_over_grpc() -> Iterator[Collector]:
    """Run a collector over gRPC."""
    collector = Collector()
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        add_MetricsServiceServicer_to_server(collector, server)
        collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield collector
        finally:
            server.stop(None).wait()


def attributes(found: Any) -> dict[str, Any]:
    """Return the attributes of a point or resource, each as what it is."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in found.attributes}


def points(metric: Any) -> list[Any]:
    """Return the points of a metric, of whatever kind."""
    return list(getattr(metric, metric.WhichOneof("data")).data_points)
