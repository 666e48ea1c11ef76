"""Each metric that KEDA has is there with its labels once the daemon did what it tells of, or is known to differ.

KEDA's are in pkg/metricscollector, and for webhooks below it; controller-runtime's and client-go's are its own, too.
"""

import os
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from keda_py.engine.admission import Asked
from keda_py.serve import otlp, telemetry
from keda_py.serve.listen import listening
from keda_py.serve.otel import INSTRUMENTS
from keda_py.settings import Address, Leadership
from tests.pages import DOCS, NAMESPACE, Manifest, Tried, trying
from tests.test_pages import Server, serving

from .collector import Collector, attributes, collecting, points

# The daemon runs in real time.
pytestmark = pytest.mark.e2e

L6: Final = "namespace metric scaledObject scaler triggerIndex type"
REQUEST: Final = "namespace scaled_resource scaler trigger_name metric_name status_code"
METRICS: Final = {
    "keda_build_info": "version git_commit goversion goos goarch",
    "keda_scaler_metrics_value": L6,
    "keda_scaler_metrics_latency_seconds": L6,
    "keda_scaler_active": L6,
    "keda_scaler_detail_errors_total": L6,
    "keda_scaled_object_paused": "namespace scaledObject",
    "keda_scaled_object_errors_total": "namespace scaledObject",
    "keda_scaled_job_errors_total": "namespace scaledJob",
    "keda_scaler_empty_upstream_responses_total": (
        "namespace scaledResource triggerName metricName resourceType ignoreNullValues"
    ),
    "keda_trigger_registered_total": "type",
    "keda_resource_registered_total": "type namespace",
    "keda_internal_scale_loop_latency_seconds": "namespace type resource",
    "keda_cloudeventsource_events_emitted_total": "namespace cloudeventsource eventsink state",
    "keda_cloudeventsource_events_queued": "namespace",
    "keda_scaler_http_requests_total": REQUEST,
    "keda_scaler_http_request_duration_seconds_bucket": "scaler status_code le",
    "keda_scaler_http_request_duration_seconds_count": "scaler status_code",
    "keda_scaler_http_request_duration_seconds_sum": "scaler status_code",
    "keda_internal_metricsservice_grpc_server_started_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_server_handled_total": "grpc_type grpc_service grpc_method grpc_code",
    "keda_internal_metricsservice_grpc_server_msg_received_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_server_msg_sent_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_server_handling_seconds_bucket": "grpc_type grpc_service grpc_method le",
    "keda_internal_metricsservice_grpc_client_started_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_client_handled_total": "grpc_type grpc_service grpc_method grpc_code",
    "keda_internal_metricsservice_grpc_client_msg_received_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_client_msg_sent_total": "grpc_type grpc_service grpc_method",
    "keda_internal_metricsservice_grpc_client_handling_seconds_bucket": "grpc_type grpc_service grpc_method le",
    "keda_webhook_scaled_object_validations_total": "namespace action",
    "keda_webhook_scaled_object_validation_errors_total": "namespace action reason",
    "apiserver_request_total": "code component dry_run group resource scope subresource verb version",
    "controller_runtime_active_workers": "controller",
    "controller_runtime_max_concurrent_reconciles": "controller",
    "controller_runtime_reconcile_errors_total": "controller",
    "controller_runtime_reconcile_panics_total": "controller",
    "controller_runtime_reconcile_time_seconds_bucket": "controller le",
    "controller_runtime_reconcile_total": "controller result",
    "controller_runtime_terminal_reconcile_errors_total": "controller",
    "leader_election_master_status": "name",
    "rest_client_rate_limiter_duration_seconds_bucket": "verb host path le",
    "rest_client_request_duration_seconds_bucket": "verb host path le",
    "rest_client_requests_total": "code method host",
    "workqueue_adds_total": "name controller",
    "workqueue_depth": "name controller priority",
    "workqueue_longest_running_processor_seconds": "name controller",
    "workqueue_queue_duration_seconds_bucket": "name controller le",
    "workqueue_retries_total": "name controller",
    "workqueue_unfinished_work_seconds": "name controller",
    "workqueue_work_duration_seconds_bucket": "name controller le",
    "process_cpu_seconds_total": "",
    "process_max_fds": "",
    "process_open_fds": "",
    "process_resident_memory_bytes": "",
    "process_start_time_seconds": "",
    "process_virtual_memory_bytes": "",
    "go_goroutines": "",
}
MISSING: Final = (
    "apiserver_",
    "controller_runtime_reconcile_panics",
    "controller_runtime_terminal_reconcile_errors",
    "go_",
    "keda_internal_metricsservice_grpc_",
    "rest_client_rate_limiter_duration",
    "rest_client_request_duration",
)
"""What is not here begins so; docs/compatibility.md says why."""

PER_TRIGGER: Final = (
    "namespace scaledObject scaler scalerIndex metric",
    "namespace scaledJob scaler triggerIndex metric",
)
ATTRIBUTES: Final = {
    "keda.scaler.errors": PER_TRIGGER,
    "keda.scaledobject.errors": ("namespace scaledObject",),
    "keda.scaledjob.errors": ("namespace scaledJob",),
    "keda.trigger.totals": ("type",),
    "keda.trigger.registered.count": ("type",),
    "keda.resource.totals": ("namespace type",),
    "keda.resource.registered.count": ("namespace type",),
    "keda.scaler.empty.upstream.responses": (
        "namespace scaledResource triggerName metricName isScaledObject ignoreNullValues",
    ),
    "keda.scaler.metrics.value": PER_TRIGGER,
    "keda.scaler.metrics.latency": PER_TRIGGER,
    "keda.scaler.metrics.latency.seconds": PER_TRIGGER,
    "keda.internal.scale.loop.latency": ("namespace type name",),
    "keda.internal.scale.loop.latency.seconds": ("namespace type name",),
    "keda.scaler.active": PER_TRIGGER,
    "keda.build.info": ("version git_commit goversion goos goarch",),
    "keda.cloudeventsource.events.emitted.count": ("namespace cloudEventSource eventsink state",),
    "keda.cloudeventsource.events.queued": ("namespace",),
    "keda.scaled.object.paused": ("namespace scaledObject",),
    "keda.scaler.http.requests.count": (REQUEST,),
    "keda.scaler.http.request.duration.seconds": ("scaler status_code",),
}
"""KEDA's pkg/metricscollector/opentelemetry.go."""

EMPTY: Final = {"status": "success", "data": {"resultType": "vector", "result": []}}
SEVEN: Final = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "7"]}]}}


def _scaled(kind: str, name: str, server: Server, **metadata: str) -> Manifest:
    given = {"serverAddress": server.address, "query": "up", "threshold": "5"} | metadata
    trigger = {"type": "prometheus", "name": "orders", "metadata": given}
    where: dict[str, Any] = {"scaleTargetRef": {"name": name}}
    if kind == "ScaledJob":
        pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c"}]}}
        where = {"jobTargetRef": {"template": pod}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**where, "triggers": [trigger]},
    }


def _authentication(kind: str) -> Manifest:
    spec = {"env": [{"parameter": "p", "name": "P"}]}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}


def _event_source(server: Server) -> Manifest:
    return {
        "apiVersion": "eventing.keda.sh/v1alpha1",
        "kind": "CloudEventSource",
        "metadata": {"name": "events"},
        "spec": {"destination": {"http": {"uri": server.address}}},
    }


Samples = dict[str, list[dict[str, str]]]


async def _scraped(cluster: Tried) -> Samples:
    """Return the labels of all series, by name; a scrape that Prometheus would not take fails."""
    served = listening(telemetry.application(cluster.daemon.telemetry), Address("127.0.0.1", 0), flag="--x")
    async with served as port, aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels not in found.setdefault(sample.name, []), f"{sample.name} is there twice"
            found[sample.name].append(sample.labels)
    return found


def _named(samples: Iterable[dict[str, str]], name: str) -> bool:
    fields = ("scaledObject", "scaledJob", "scaledResource", "scaled_resource", "resource")
    return any(labels.get(field) == name for labels in samples for field in fields)


async def _worked(cluster: Tried, full: Server, empty: Server, broken: Server) -> None:
    """Let the daemon do all that there are metrics of."""
    cluster.apply(
        _authentication("TriggerAuthentication"),
        _authentication("ClusterTriggerAuthentication"),
        _event_source(full),
        _scaled("ScaledObject", "full", full),
        _scaled("ScaledObject", "broken", broken),
        _scaled("ScaledObject", "ignoring", empty),
        _scaled("ScaledObject", "heeding", empty, ignoreNullValues="false"),
        _scaled("ScaledJob", "job", full, query="sum(up)"),
        _scaled("ScaledJob", "lost", broken, query="sum(up)"),
    )
    wrong = _scaled("ScaledObject", "x" * 70, full)
    wrong["metadata"]["namespace"] = NAMESPACE
    await cluster.daemon.admission.review(Asked("ScaledObject", NAMESPACE, wrong))
    await cluster.until(lambda: len(cluster.daemon.live) == 4 and len(cluster.daemon.live_jobs) == 2)
    at_work = [*cluster.daemon.live.values(), *cluster.daemon.live_jobs.values()]
    await cluster.until(lambda: all(one.outcome for live in at_work for one in live.working()))
    await cluster.until(lambda: all(cluster.ready(name)[0] for name in ("full", "broken", "ignoring", "heeding")))


def _sent(collector: Collector) -> None:
    found = {
        name: {frozenset(attributes(point)) for point in points(metric)} for name, metric in collector.metrics().items()
    }
    assert {instrument.name for instrument in INSTRUMENTS} == set(ATTRIBUTES)
    expected = {name: {frozenset(one.split()) for one in sets} for name, sets in ATTRIBUTES.items()}
    assert found == expected
    empty = [attributes(point) for point in points(collector.metrics()["keda.scaler.empty.upstream.responses"])]
    assert {(one["scaledResource"], one["isScaledObject"], one["ignoreNullValues"]) for one in empty} == {
        ("ignoring", True, True),
        ("heeding", True, False),
    }


async def test_each_metric_of_keda_is_there_and_goes_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "300")
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        sources = serving(SEVEN), serving(EMPTY), serving(None, "nobody is welcome")
        with sources[0] as full, sources[1] as empty, sources[2] as broken:
            async with trying(exporter=otlp.connect(os.environ), leadership=Leadership(elect=True)) as cluster:
                await _worked(cluster, full, empty, broken)
                samples = await _scraped(cluster)
                there = {name: labels for name, labels in METRICS.items() if not name.startswith(MISSING)}
                found = {name: {" ".join(sorted(one)) for one in samples.get(name, [])} for name in there}
                assert found == {name: {" ".join(sorted(labels.split()))} for name, labels in there.items()}
                assert not [name for name in samples if name.startswith(MISSING)]
                _counted(samples)
                exports = len(collector.requests)
                await cluster.until(lambda: len(collector.requests) >= exports + 2)
                _sent(collector)

                cluster.delete("keda.sh/v1alpha1", "ScaledObject", "broken")
                cluster.delete("keda.sh/v1alpha1", "ScaledJob", "job")
                await cluster.until(lambda: len(cluster.daemon.live) == 3 and len(cluster.daemon.live_jobs) == 1)
                samples = await _scraped(cluster)
                assert [name for name, series in samples.items() if _named(series, "broken")] == []
                assert [name for name, series in samples.items() if _named(series, "job")] == []
                assert _named(samples["keda_scaler_http_requests_total"], "full")
                await _renamed(cluster, full)
                exports = len(collector.requests)
                await cluster.until(lambda: len(collector.requests) >= exports + 2)
                assert "broken" not in str(collector.requests[-1])
                assert "full" in str(collector.requests[-1])


async def _renamed(cluster: Tried, full: Server) -> None:
    """Put a trigger in the place of another, whose series go."""
    edited = _scaled("ScaledObject", "full", full)
    edited["spec"]["triggers"][0]["name"] = "invoices"
    cluster.apply(edited)
    (live,) = [live for (_, name), live in cluster.daemon.live.items() if name == "full"]
    await cluster.until(lambda: [one.scaler_name for one in live.working() if one.outcome] == ["invoices"])
    for samples in (await _scraped(cluster)).values():
        of_full = [
            labels for labels in samples if "full" in (labels.get("scaledObject"), labels.get("scaled_resource"))
        ]
        assert "orders" not in {labels.get("trigger_name") or labels.get("scaler") for labels in of_full}


def _counted(samples: Samples) -> None:
    objects = {one["scaledObject"] for one in samples["keda_scaled_object_errors_total"]}
    assert objects == {"full", "broken", "ignoring", "heeding"}
    assert {one["scaledJob"] for one in samples["keda_scaled_job_errors_total"]} == {"job", "lost"}
    kinds = {(one["type"], one["namespace"]) for one in samples["keda_resource_registered_total"]}
    usual = ("scaled_object", "scaled_job", "trigger_authentication", "cluster_trigger_authentication")
    assert kinds == {(kind, NAMESPACE) for kind in (*usual, "cloudevent_source")}
    requests = samples["keda_scaler_http_requests_total"]
    full = next(one for one in requests if one["scaled_resource"] == "full")
    assert full == {
        "namespace": NAMESPACE,
        "scaled_resource": "full",
        "scaler": "prometheus",
        "trigger_name": "orders",
        "metric_name": "s0-prometheus",
        "status_code": "200",
    }
    assert {one["status_code"] for one in requests if one["scaled_resource"] == "broken"} == {"401"}
    assert {one["reason"] for one in samples["keda_webhook_scaled_object_validation_errors_total"]} >= {"name-too-long"}


def test_what_is_missing_is_documented() -> None:
    text = (DOCS / "compatibility.md").read_text()
    assert [name for name in MISSING if f"`{name}" not in text] == []
    assert [name for name in MISSING if not any(metric.startswith(name) for metric in METRICS)] == []
