"""Metrics under KEDA's names, so that its dashboards and alerts go on working.

Hardly anything is recorded while the daemon works: who asks is told what the engine holds at that moment. So no series
outlives its object, and an object that goes takes its series with it (KEDA pkg/metricscollector/prommetrics.go has the
names). Prometheus is told here; what OpenTelemetry is told is made of the same families (`keda_py.serve.otlp`).
"""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keda_py import __version__
from keda_py.engine.admission import Counts
from keda_py.engine.event_source import EventSource
from keda_py.engine.live import Key, Live
from keda_py.engine.trigger import LiveTrigger
from keda_py.kube.reflector import Store
from keda_py.naming import COMPOSITE
from keda_py.runtime.meter import REQUEST_SECONDS, Histogram, Meter
from keda_py.serve.family import Labels, counter, gauge, histogram
from keda_py.serve.machinery import Machinery

_L6: Final = ("namespace", "metric", "scaledObject", "scaler", "triggerIndex", "type")
_OBJECT: Final = ("namespace", "scaledObject")
_FAILED: Final = "Failed reads of its triggers."
_EMPTY: Final = ("namespace", "scaledResource", "triggerName", "metricName", "resourceType", "ignoreNullValues")
_REQUEST: Final = ("namespace", "scaled_resource", "scaler", "trigger_name", "metric_name")
_OBJECTS: Final = "scaledobject"
_JOBS: Final = "scaledjob"
_RESOURCES: Final = {_OBJECTS: "scaled_object", _JOBS: "scaled_job"}
"""Kinds, as `keda_resource_registered_total` calls them."""
_KINDS: Final = {_OBJECTS: "ScaledObject", _JOBS: "ScaledJob"}
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""Processors, by Go's names."""


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry(Collector):
    """Reads off the engine what a scrape is told.

    `live`: all objects at work, by kind: scaledobject or scaledjob. `resources`: further objects that are counted, by
    KEDA's name of their kind. `meter`: what counts requests of scalers. `admission`: what the webhook was asked.
    """

    live: Mapping[str, Mapping[Key, Live]]
    resources: Mapping[str, Store] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    machinery: Machinery | None = None
    admission: Counts = field(default_factory=Counts)
    events: Mapping[Key, EventSource] = field(default_factory=dict)
    """The CloudEventSources at work."""

    def collect(self) -> Iterator[Metric]:
        """Yield every family, each with the series that there are right now."""
        yield from self._daemon()
        yield from self._objects()
        yield from self._triggers()
        yield from self._requests()
        yield from self._webhook()
        yield from self._events()
        if self.machinery is not None:
            yield from self.machinery.collect()

    def _webhook(self) -> Iterator[Metric]:
        labels = ("namespace", "action")
        asked, wrong = self.admission.validations.items(), self.admission.errors.items()
        yield counter("keda_webhook_scaled_object_validations", "ScaledObjects that were validated.", labels, asked)
        yield counter(
            "keda_webhook_scaled_object_validation_errors", "What was wrong with them.", (*labels, "reason"), wrong
        )

    def _daemon(self) -> Iterator[Metric]:
        build = ("version", "git_commit", "goversion", "goos", "goarch")
        machine = platform.machine()
        python = f"python{platform.python_version()}"
        about = (__version__, "", python, platform.system().lower(), _MACHINES.get(machine, machine))
        yield gauge("keda_build_info", "What is running.", build, [(about, 1.0)])

    def _objects(self) -> Iterator[Metric]:
        types = Counter(
            trigger.scaler.trigger.type if isinstance(trigger, LiveTrigger) else trigger.type
            for _, _, live in self._all()
            for trigger in live.triggers
        )
        found = [((name,), float(count)) for name, count in types.items()]
        yield gauge("keda_trigger_registered_total", "Triggers by type.", ("type",), found)
        spaces = Counter((_RESOURCES[kind], namespace) for kind, (namespace, _), _ in self._all())
        for kind, store in self.resources.items():
            keys = store.keys()
            spaces.update((kind, namespace) for namespace, _ in keys)
        spaces.update(("cloudevent_source", namespace) for namespace, _ in self.events)
        kinds = [((kind, namespace or "default"), float(count)) for (kind, namespace), count in spaces.items()]
        yield gauge("keda_resource_registered_total", "Objects by kind and namespace.", ("type", "namespace"), kinds)
        paused = [(key, float(live.asked.paused)) for key, live in self.live[_OBJECTS].items()]
        yield gauge("keda_scaled_object_paused", "Whether a ScaledObject is paused.", _OBJECT, paused)
        yield gauge(
            "keda_internal_scale_loop_latency_seconds",
            "How late the last poll of its triggers began.",
            ("namespace", "type", "resource"),
            [((namespace, kind, name), live.late()) for kind, (namespace, name), live in self._all()],
        )
        failed = {_OBJECTS: "keda_scaled_object_errors", _JOBS: "keda_scaled_job_errors"}
        labels = {_OBJECTS: _OBJECT, _JOBS: ("namespace", "scaledJob")}
        for kind, objects in self.live.items():
            errors = [(key, float(live.failures)) for key, live in objects.items()]
            yield counter(failed[kind], _FAILED, labels[kind], errors)

    def _all(self) -> Iterator[tuple[str, Key, Live]]:
        return ((kind, key, live) for kind, objects in self.live.items() for key, live in objects.items())

    def _triggers(self) -> Iterator[Metric]:
        value, latency, active = (
            GaugeMetricFamily("keda_scaler_metrics_value", "The value last read.", labels=_L6),
            GaugeMetricFamily("keda_scaler_metrics_latency_seconds", "How long the last read took.", labels=_L6),
            GaugeMetricFamily("keda_scaler_active", "Whether a trigger keeps its target awake.", labels=_L6),
        )
        errors = CounterMetricFamily("keda_scaler_detail_errors", "Failed reads of a trigger.", labels=_L6)
        empty = CounterMetricFamily("keda_scaler_empty_upstream_responses", "Answers without content.", labels=_EMPTY)
        for kind, (namespace, name), trigger in self._working():
            for metric in trigger.external_names:
                labels = (namespace, metric, name, trigger.scaler_name, str(trigger.index), kind)
                errors.add_metric(labels, trigger.counts.errors)
                if (outcome := trigger.outcome) is None:
                    continue
                latency.add_metric(labels, outcome.latency)
                # A value that could not be read is not there, rather than 0 or old.
                if (reading := outcome.readings.get(metric)) is not None:
                    value.add_metric(labels, reading.value)
                    active.add_metric(labels, float(reading.active))
                elif trigger.tally.full:
                    active.add_metric(labels, 1.0)
            _count_empty(empty, (namespace, name, _KINDS[kind]), trigger)
        for (namespace, name), live in self.live[_OBJECTS].items():
            if live.composite is not None and live.composite.value is not None:
                labels = (namespace, COMPOSITE, name, COMPOSITE, "0", _OBJECTS)
                value.add_metric(labels, live.composite.value)
                active.add_metric(labels, float(live.composite.said.active or False))
        yield from (value, latency, active, errors, empty)

    def _requests(self) -> Iterator[Metric]:
        counts: Counter[Labels] = Counter()
        durations = {(kind, code): one for kind, codes in self.meter.durations.items() for code, one in codes.items()}
        detailed: dict[Labels, Histogram] = {}
        for _, (namespace, name), trigger in self._working():
            if (requests := trigger.requests) is None:
                continue
            metric = next(iter(trigger.external_names), "")
            about = (namespace, name, requests.type, trigger.scaler.trigger.name or "", metric)
            # A ScaledObject and a ScaledJob of one name are one series, as these labels do not tell them apart.
            for code, count in requests.counts.items():
                counts[*about, code] += count
            for code, one in (requests.durations or {}).items():
                detailed.setdefault((*about, code), Histogram(REQUEST_SECONDS)).add(one)
        labels = (*_REQUEST, "status_code")
        text = "HTTP requests of scalers."
        yield counter("keda_scaler_http_requests", text, labels, ((key, float(n)) for key, n in counts.items()))
        shown = (labels, detailed) if self.meter.by_trigger else (("scaler", "status_code"), durations)
        yield histogram("keda_scaler_http_request_duration_seconds", "How long they took.", shown[0], shown[1].items())

    def _events(self) -> Iterator[Metric]:
        labels = ("namespace", "cloudeventsource", "eventsink", "state")
        fates = [
            ((*key, source.kind, state), float(count))
            for key, source in self.events.items()
            for state, count in (("emitted", source.emitted), ("failed", source.failed))
        ]
        yield counter("keda_cloudeventsource_events_emitted", "CloudEvents, by what became of them.", labels, fates)
        queued: Counter[str] = Counter()
        for (namespace, _), source in self.events.items():
            queued[namespace] += source.queued
        waiting = [((namespace,), float(count)) for namespace, count in queued.items()]
        yield gauge("keda_cloudeventsource_events_queued", "CloudEvents that wait to be sent.", ("namespace",), waiting)

    def _working(self) -> Iterator[tuple[str, Key, LiveTrigger]]:
        return ((kind, key, trigger) for kind, key, live in self._all() for trigger in live.working())


def application(telemetry: Telemetry) -> web.Application:
    """Return /metrics."""
    registry = CollectorRegistry()
    registry.register(telemetry)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    return app


def _count_empty(family: CounterMetricFamily, place: tuple[str, str, str], trigger: LiveTrigger) -> None:
    namespace, name, kind = place
    counts = {"true": trigger.counts.empty, "false": trigger.counts.empty_refused}
    for ignored, count in counts.items():
        if count:
            metric = trigger.external_names[0]
            labels = (namespace, name, trigger.scaler.trigger.name or "", metric, kind, ignored)
            family.add_metric(labels, count)
