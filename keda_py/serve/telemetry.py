"""Metrics for Prometheus under KEDA's names, so that its dashboards and alerts go on working.

Nothing is recorded while the daemon works: a scrape reads what the engine holds at that moment. So no series outlives
its object, and an object that goes takes its series with it (KEDA pkg/metricscollector/prommetrics.go has the names).
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
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
from keda_py.naming import COMPOSITE

_L6: Final = ("namespace", "metric", "scaledObject", "scaler", "triggerIndex", "type")
_OBJECT: Final = ("namespace", "scaledObject")
_FAILED: Final = "Failed reads of its triggers."
_EMPTY: Final = ("namespace", "scaledResource", "triggerName", "metricName", "resourceType", "ignoreNullValues")
_OBJECTS: Final = "scaledobject"
_JOBS: Final = "scaledjob"
_KINDS: Final = {_OBJECTS: "scaled_object", _JOBS: "scaled_job"}
"""Kinds, as `keda_resource_registered_total` calls them."""


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry(Collector):
    """Reads off the engine what a scrape is told.

    `live`: all objects at work, by kind: scaledobject or scaledjob. `queued`: those of a kind that wait for a worker.
    `lease`: the name of the lease, None without leader election. `leads`: whether this daemon acts. `admission`: what
    the webhook was asked.
    """

    live: Mapping[str, Mapping[Key, Live]]
    lease: str | None
    leads: Callable[[], bool]
    queued: Mapping[str, Sized]
    admission: Counts = field(default_factory=Counts)
    events: Callable[[], Iterable[tuple[Key, EventSource]]] = tuple
    """The CloudEventSources at work."""

    def collect(self) -> Iterator[Metric]:
        """Yield every family, each with the series that there are right now."""
        yield from self._daemon()
        yield from self._objects()
        yield from self._triggers()
        yield from self._webhook()
        yield from self._events()

    def _webhook(self) -> Iterator[Metric]:
        labels = ("namespace", "action")
        asked = CounterMetricFamily(
            "keda_webhook_scaled_object_validations", "ScaledObjects that were validated.", labels=labels
        )
        wrong = CounterMetricFamily(
            "keda_webhook_scaled_object_validation_errors", "What was wrong with them.", labels=(*labels, "reason")
        )
        for family, counts in ((asked, self.admission.validations), (wrong, self.admission.errors)):
            for values, count in counts.items():
                family.add_metric(values, count)
            yield family

    def _daemon(self) -> Iterator[Metric]:
        build = ("version", "git_commit", "goversion", "goos", "goarch")
        python = f"python{platform.python_version()}"
        about = (__version__, "", python, platform.system().lower(), platform.machine())
        yield _gauge("keda_build_info", "What is running.", build, [(about, 1.0)])
        depth = [((kind,), float(len(queue))) for kind, queue in self.queued.items()]
        yield _gauge("workqueue_depth", "Objects waiting for a worker.", ("name",), depth)
        if self.lease is not None:
            leads = [((self.lease,), float(self.leads()))]
            yield _gauge("leader_election_master_status", "Whether this daemon acts.", ("name",), leads)

    def _objects(self) -> Iterator[Metric]:
        types = Counter(
            trigger.scaler.trigger.type if isinstance(trigger, LiveTrigger) else trigger.type
            for _, _, live in self._all()
            for trigger in live.triggers
        )
        found = [((name,), float(count)) for name, count in types.items()]
        yield _gauge("keda_trigger_registered_total", "Triggers by type.", ("type",), found)
        spaces = Counter((_KINDS[kind], namespace or "default") for kind, (namespace, _), _ in self._all())
        spaces.update(("cloudevent_source", namespace or "default") for (namespace, _), _ in self.events())
        kinds = [(place, float(count)) for place, count in spaces.items()]
        yield _gauge("keda_resource_registered_total", "Objects by kind and namespace.", ("type", "namespace"), kinds)
        paused = [(key, float(live.asked.paused)) for key, live in self.live[_OBJECTS].items()]
        yield _gauge("keda_scaled_object_paused", "Whether a ScaledObject is paused.", _OBJECT, paused)
        latency = [((namespace, kind, name), live.reconcile_seconds) for kind, (namespace, name), live in self._all()]
        yield _gauge(
            "keda_internal_scale_loop_latency_seconds",
            "How long the last pass over an object took.",
            ("namespace", "type", "resource"),
            latency,
        )
        families = {
            _OBJECTS: CounterMetricFamily("keda_scaled_object_errors", _FAILED, labels=_OBJECT),
            _JOBS: CounterMetricFamily("keda_scaled_job_errors", _FAILED, labels=("namespace", "scaledJob")),
        }
        for kind, key, live in self._all():
            failed = sum(trigger.counts.errors for trigger in live.working()) + live.errors
            families[kind].add_metric(key, failed)
        yield from families.values()

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
            _count_empty(empty, (namespace, name, kind), trigger)
        for (namespace, name), live in self.live[_OBJECTS].items():
            if live.composite is not None and live.composite.value is not None:
                labels = (namespace, COMPOSITE, name, COMPOSITE, "0", _OBJECTS)
                value.add_metric(labels, live.composite.value)
                active.add_metric(labels, float(live.composite.said.active or False))
        yield from (value, latency, active, errors, empty)

    def _events(self) -> Iterator[Metric]:
        labels = ("namespace", "cloudeventsource", "eventsink", "state")
        emitted = CounterMetricFamily(
            "keda_cloudeventsource_events_emitted", "CloudEvents, by their fate.", labels=labels
        )
        queued: Counter[str] = Counter()
        for (namespace, name), source in self.events():
            queued[namespace] += source.queued
            emitted.add_metric((namespace, name, source.kind, "emitted"), source.emitted)
            emitted.add_metric((namespace, name, source.kind, "failed"), source.failed)
        yield emitted
        waiting = [((namespace,), float(count)) for namespace, count in queued.items()]
        yield _gauge(
            "keda_cloudeventsource_events_queued", "CloudEvents that wait to be sent.", ("namespace",), waiting
        )

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


def _gauge(
    name: str, help_text: str, labels: tuple[str, ...], series: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, number in series:
        family.add_metric(values, number)
    return family


def _count_empty(family: CounterMetricFamily, place: tuple[str, str, str], trigger: LiveTrigger) -> None:
    namespace, name, kind = place
    counts = {"true": trigger.counts.empty, "false": trigger.counts.empty_refused}
    for ignored, count in counts.items():
        if count:
            metric = trigger.external_names[0]
            labels = (namespace, name, trigger.scaler.trigger.name or "", metric, kind, ignored)
            family.add_metric(labels, count)
