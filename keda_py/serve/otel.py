"""Metrics as OpenTelemetry has them, made of the families that Prometheus is told: KEDA's names and attributes there.

They are made as data at each export, and not recorded with the SDK's instruments: those keep each series that they ever
saw, and have no way to take in a histogram that is there already. Imported only if there is a collector.

The names are those of KEDA's pkg/metricscollector/opentelemetry.go. Values add up from the start of the daemon; other
ways of counting (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE) are the collector's to make of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import pairwise
from typing import Any, Final

from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

METER: Final = "keda-open-telemetry-metrics"
POINTS: Final = 5000
"""So many points are one request at most: a collector takes 4 MiB over gRPC."""
_NAMELESS: Final = "unknown_service"
_SUMS: Final = AggregationTemporality.CUMULATIVE

Labels = Mapping[str, str]
Attributes = dict[str, str | bool]


class Kind(Enum):
    """What an instrument is."""

    COUNTER = auto()
    UP_DOWN_COUNTER = auto()
    GAUGE = auto()
    WHOLE_GAUGE = auto()
    HISTOGRAM = auto()


def _same(labels: Labels) -> Attributes:
    return dict(labels)


def _trigger(labels: Labels) -> Attributes:
    found: Attributes = {name: labels[name] for name in ("namespace", "scaler", "metric")}
    if labels["type"] == "scaledobject":
        return found | {"scaledObject": labels["scaledObject"], "scalerIndex": labels["triggerIndex"]}
    return found | {"scaledJob": labels["scaledObject"], "triggerIndex": labels["triggerIndex"]}


def _loop(labels: Labels) -> Attributes:
    return {"namespace": labels["namespace"], "type": labels["type"], "name": labels["resource"]}


def _empty(labels: Labels) -> Attributes:
    found: Attributes = dict(labels)
    found["isScaledObject"] = found.pop("resourceType") == "ScaledObject"
    found["ignoreNullValues"] = labels["ignoreNullValues"] == "true"
    return found


def _emitted(labels: Labels) -> Attributes:
    found: Attributes = dict(labels)
    found["cloudEventSource"] = found.pop("cloudeventsource")
    return found


@dataclass(frozen=True, slots=True)
class Instrument:
    """One of KEDA's instruments: `family` is that of Prometheus it is made of, `factor` what its values are times."""

    name: str
    family: str
    kind: Kind
    attributes: Callable[[Labels], Attributes] = _same
    unit: str = ""
    factor: float = 1.0


_TRIGGERS: Final = "keda_trigger_registered_total"
_RESOURCES: Final = "keda_resource_registered_total"
_LATENCY: Final = "keda_scaler_metrics_latency_seconds"
_LATE: Final = "keda_internal_scale_loop_latency_seconds"
_REQUESTS: Final = "keda_scaler_http"
INSTRUMENTS: Final = (
    Instrument("keda.scaler.errors", "keda_scaler_detail_errors", Kind.COUNTER, _trigger),
    Instrument("keda.scaledobject.errors", "keda_scaled_object_errors", Kind.COUNTER),
    Instrument("keda.scaledjob.errors", "keda_scaled_job_errors", Kind.COUNTER),
    Instrument("keda.trigger.totals", _TRIGGERS, Kind.UP_DOWN_COUNTER),
    Instrument("keda.trigger.registered.count", _TRIGGERS, Kind.UP_DOWN_COUNTER),
    Instrument("keda.resource.totals", _RESOURCES, Kind.UP_DOWN_COUNTER),
    Instrument("keda.resource.registered.count", _RESOURCES, Kind.UP_DOWN_COUNTER),
    Instrument("keda.scaler.empty.upstream.responses", "keda_scaler_empty_upstream_responses", Kind.COUNTER, _empty),
    Instrument("keda.scaler.metrics.value", "keda_scaler_metrics_value", Kind.GAUGE, _trigger),
    Instrument("keda.scaler.metrics.latency", _LATENCY, Kind.GAUGE, _trigger, factor=1000.0),
    Instrument("keda.scaler.metrics.latency.seconds", _LATENCY, Kind.GAUGE, _trigger, unit="s"),
    Instrument("keda.internal.scale.loop.latency", _LATE, Kind.GAUGE, _loop, factor=1000.0),
    Instrument("keda.internal.scale.loop.latency.seconds", _LATE, Kind.GAUGE, _loop, unit="s"),
    Instrument("keda.scaler.active", "keda_scaler_active", Kind.GAUGE, _trigger),
    Instrument("keda.build.info", "keda_build_info", Kind.WHOLE_GAUGE),
    Instrument(
        "keda.cloudeventsource.events.emitted.count", "keda_cloudeventsource_events_emitted", Kind.COUNTER, _emitted
    ),
    Instrument("keda.cloudeventsource.events.queued", "keda_cloudeventsource_events_queued", Kind.GAUGE),
    Instrument("keda.scaled.object.paused", "keda_scaled_object_paused", Kind.GAUGE),
    Instrument("keda.scaler.http.requests.count", f"{_REQUESTS}_requests", Kind.COUNTER),
    Instrument(
        "keda.scaler.http.request.duration.seconds", f"{_REQUESTS}_request_duration_seconds", Kind.HISTOGRAM, unit="s"
    ),
)
"""All of KEDA's instruments; one whose family is not there, or is empty, is not sent."""


class Sender:
    """An exporter of OpenTelemetry, and who its metrics are of."""

    def __init__(self, *, grpc: bool) -> None:
        """`grpc`: by that instead of HTTP."""
        self._exporter = _exporter(grpc=grpc)
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith(_NAMELESS):
            # As KEDA is called without OTEL_SERVICE_NAME: Prometheus makes the job of it.
            resource = resource.merge(Resource({SERVICE_NAME: f"{_NAMELESS}:keda"}))
        self._resource = resource

    def send(self, families: Iterable[Metric], began: datetime, at: datetime) -> bool:
        """Send what was counted between two moments; return whether it was taken."""
        metrics = list(metrics_of(families, _nanoseconds(began), _nanoseconds(at)))
        scope = export.ScopeMetrics(InstrumentationScope(METER), metrics, "")
        data = export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")])
        return self._exporter.export(data) is MetricExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()


def metrics_of(families: Iterable[Metric], began: int, at: int) -> Iterator[export.Metric]:
    """Yield a metric for each instrument that has something to tell; times are nanoseconds since 1970."""
    samples = {family.name: (family.documentation, family.samples) for family in families}
    for instrument in INSTRUMENTS:
        text, found = samples.get(instrument.family, ("", []))
        if found:
            yield export.Metric(instrument.name, text, instrument.unit, _data(instrument, found, began, at))


def _data(instrument: Instrument, samples: list[Sample], began: int, at: int) -> export.DataT:
    kind = instrument.kind
    if kind is Kind.HISTOGRAM:
        return export.Histogram(list(_histograms(instrument, samples, began, at)), _SUMS)
    whole = kind is not Kind.GAUGE
    points = [
        export.NumberDataPoint(
            instrument.attributes(sample.labels),
            began,
            at,
            int(sample.value) if whole else sample.value * instrument.factor,
        )
        for sample in samples
    ]
    if kind in (Kind.GAUGE, Kind.WHOLE_GAUGE):
        return export.Gauge(points)
    return export.Sum(points, _SUMS, is_monotonic=kind is Kind.COUNTER)


def _histograms(
    instrument: Instrument, samples: list[Sample], began: int, at: int
) -> Iterator[export.HistogramDataPoint]:
    """Yield a point for each run of buckets, which its count and sum follow."""
    bounds: list[float] = []
    so_far = [0]
    for sample in samples:
        if sample.name.endswith("_bucket"):
            bounds.append(float(sample.labels["le"]))
            so_far.append(int(sample.value))
        elif sample.name.endswith("_sum"):
            counts = [upper - lower for lower, upper in pairwise(so_far)]
            unknown: Any = None
            yield export.HistogramDataPoint(
                attributes=instrument.attributes(sample.labels),
                start_time_unix_nano=began,
                time_unix_nano=at,
                count=so_far[-1],
                sum=sample.value,
                bucket_counts=counts,
                explicit_bounds=bounds[:-1],
                min=unknown,
                max=unknown,
            )
            bounds, so_far = [], [0]


def _exporter(*, grpc: bool) -> MetricExporter:
    if grpc:
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as over_grpc  # noqa: PLC0415  one of two

        return over_grpc.OTLPMetricExporter(max_export_batch_size=POINTS)
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as over_http  # noqa: PLC0415  one of two

    return over_http.OTLPMetricExporter(max_export_batch_size=POINTS)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
