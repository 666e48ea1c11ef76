"""The metrics API: for the API server's front proxy only, values as quantities, and errors that are never numbers."""

from datetime import UTC, datetime

import aiohttp
import pytest

from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, MetricValue
from keda_py.serve.external_metrics import ROOT, owner_of

from .conftest import Server, bundle

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VALUE = f"{ROOT}/namespaces/ns/s0-queue?labelSelector=scaledobject.keda.sh%2Fname%3Dso"


async def read(namespace: str, scaled_object: str, metric: str) -> MetricValue:
    if metric == "s0-queue":
        assert (namespace, scaled_object) == ("ns", "so")
        return MetricValue(metric, "1500m", AT)
    if metric == "s1-down":
        raise MetricUnavailableError("triggers[1] (rabbitmq): connection refused")
    raise MetricUnknownError(f"no trigger has the metric {metric}")


async def test_a_value_is_what_the_hpa_controller_expects() -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, ["front-proxy-client"])
        status, body = await server.get(VALUE, client=server.proxy)
    item = {"metricName": "s0-queue", "metricLabels": None, "timestamp": "2026-01-02T03:04:05Z", "value": "1500m"}
    assert (status, body["kind"], body["items"]) == (200, "ExternalMetricValueList", [item])
    assert body["apiVersion"] == "external.metrics.k8s.io/v1beta1"


async def test_discovery_names_the_one_resource() -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, [])
        status, body = await server.get(ROOT, client=server.proxy)
    assert (status, body["kind"], body["groupVersion"]) == (200, "APIResourceList", "external.metrics.k8s.io/v1beta1")


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        (f"{ROOT}/namespaces/ns/s1-down?labelSelector=scaledobject.keda.sh/name=so", 503, "connection refused"),
        (f"{ROOT}/namespaces/ns/s9-none?labelSelector=scaledobject.keda.sh/name=so", 404, "no trigger has the metric"),
        (f"{ROOT}/namespaces/ns/s0-queue", 400, "must name the ScaledObject"),
        (f"{ROOT}/namespaces/ns/s0-queue?labelSelector=app=so", 400, "must name the ScaledObject"),
    ],
)
async def test_an_error_is_a_status_with_its_reason(path: str, code: int, says: str) -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, ["front-proxy-client"])
        status, body = await server.get(path, client=server.proxy)
    assert (status, body["kind"], body["code"]) == (code, "Status", code)
    assert says in str(body["message"])


@pytest.mark.parametrize("path", [ROOT, VALUE])
async def test_a_caller_without_the_right_certificate_learns_nothing(path: str) -> None:
    async with Server(read).running() as server:
        # Before the ConfigMap is known, nobody is admitted, whatever is presented.
        status, _ = await server.get(path, client=None)
        assert status == 401
        with pytest.raises((aiohttp.ClientError, OSError)):
            await server.get(path, client=server.proxy)
        server.configure(server.proxy.authority, ["somebody-else"])
        assert (await server.get(path, client=server.proxy))[0] == 401
        assert (await server.get(path, client=None))[0] == 401
        with pytest.raises((aiohttp.ClientError, OSError)):
            await server.get(path, client=bundle("front-proxy-client"))


async def test_a_configmap_without_an_authority_admits_nobody() -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, ["front-proxy-client"])
        assert (await server.get(ROOT, client=server.proxy))[0] == 200
        for authority, names in ((b"", []), (b"no certificate", []), (server.proxy.authority, "no json")):
            server.configure(authority, names)
            assert (await server.get(ROOT, client=None))[0] == 401
            assert not server.front_proxy.known


async def test_certificate_and_authority_change_without_a_restart() -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, ["front-proxy-client"])
        own, proxy = bundle("localhost"), bundle("front-proxy-client")
        server.tls.set_certificate(own.certificate, own.key)
        server.configure(proxy.authority, ["front-proxy-client"])
        status, _ = await server.get(VALUE, client=proxy, authority=own.authority)
        assert status == 200
        with pytest.raises((aiohttp.ClientError, OSError)):
            await server.get(VALUE, client=server.proxy, authority=own.authority)


async def test_a_key_that_does_not_fit_leaves_the_old_certificate() -> None:
    async with Server(read).running() as server:
        server.configure(server.proxy.authority, [])
        with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
            server.tls.set_certificate(server.own.certificate, bundle("other").key)
        assert (await server.get(VALUE, client=server.proxy))[0] == 200


@pytest.mark.parametrize(
    ("selector", "owner"),
    [
        ("scaledobject.keda.sh/name=so", "so"),
        ("a=b, scaledobject.keda.sh/name == so ,c!=d", "so"),
        ("scaledobject.keda.sh/name", None),
        ("scaledobject.keda.sh/name=", None),
        ("scaledobject.keda.sh/name!=so", None),
        ("", None),
    ],
)
def test_the_owner_is_read_off_the_label_selector(selector: str, owner: str | None) -> None:
    assert owner_of(selector) == owner
