"""Triggers whose source is the cluster, and those that the HPA controller reads itself."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from keda_py_scalers import selector
from keda_py_scalers.kubernetes_workload import KubernetesWorkloadScaler
from keda_py_scalers.resource import CpuScaler

from keda_py.scaler import Inputs, MetadataError, Platform, ResourceSpec, Scaler, ScalerError, Target, Trigger, build


class Pods:
    """A cluster with a few pods, or one that refuses."""

    def __init__(self, pods: Sequence[Mapping[str, Any]], error: ScalerError | None = None) -> None:
        self.pods, self.error = pods, error

    async def get(self, api_version: str, plural: str, namespace: str, name: str) -> Mapping[str, Any]:
        raise ScalerError("not here")

    async def list(
        self, api_version: str, plural: str, namespace: str, *, label_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        assert (api_version, plural, namespace, label_selector) == ("v1", "pods", "ns", "app=web")
        if self.error is not None:
            raise self.error
        return self.pods


class Direct:
    """A source that asks at once, for one scaler."""

    def __init__(self, scaler: type[Scaler[Any]], meta: Any, trigger: Trigger, platform: Platform) -> None:
        self.opening = scaler.connect(meta, trigger, platform)
        self.scaler = scaler

    async def ask(self, question: Any) -> Any:
        async with self.opening as connection:
            return await self.scaler.answer(connection, question)


def build_for(scaler: type[Scaler[Any]], pods: Pods, *, metric_type: str | None = None, **metadata: str) -> Scaler[Any]:
    trigger = Trigger("x", 0, Inputs(metadata), "ns", "app", metric_type=metric_type)
    platform = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=pods)
    return build(scaler, trigger, platform=platform, source=lambda meta: Direct(scaler, meta, trigger, platform))


def pod(phase: str, node: str = "") -> Mapping[str, Any]:
    return {"spec": {"nodeName": node}, "status": {"phase": phase}}


PODS = Pods([pod("Running", "a"), pod("Running", "a"), pod("Pending"), pod("Succeeded", "b"), pod("Failed", "c")])


@pytest.mark.parametrize(
    ("metadata", "value", "active"),
    [
        ({}, 3, True),
        ({"groupByNode": "true"}, 1, True),
        ({"activationValue": "3"}, 3, False),
    ],
)
async def test_pods_that_live_are_counted(metadata: dict[str, str], value: float, active: bool) -> None:
    scaler = build_for(KubernetesWorkloadScaler, PODS, podSelector="app=web", value="2", **metadata)
    (reading,) = await scaler.get_metrics()
    assert (reading.metric, reading.value, reading.active) == ("workload-ns", value, active)


async def test_a_cluster_that_refuses_is_no_zero() -> None:
    refuses = Pods([], ScalerError("pods is forbidden"))
    scaler = build_for(KubernetesWorkloadScaler, refuses, podSelector="app=web", value="2")
    with pytest.raises(ScalerError, match="forbidden"):
        await scaler.get_metrics()


@pytest.mark.parametrize(
    "text",
    ["a=b", "a==b", "a!=b", "a", "!a", "a in (b, c)", "a notin (b)", "a>1,b<2", "x.io/a=b", "a=", "a,b,!c", " a = b "],
)
def test_selectors_that_the_api_server_takes(text: str) -> None:
    assert selector.problem(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "=b", "a in b", "a in ()", "a in (b", "a=b,", "a=b c", "-a=b", "a=b!", "a>x", "X!/a=b", "a=" + "v" * 64],
)
def test_selectors_that_it_refuses(text: str) -> None:
    assert selector.problem(text) is not None


def test_cpu_goes_into_the_hpa_as_it_is() -> None:
    whole = build_for(CpuScaler, PODS, metric_type="Utilization", value="60")
    assert whole.metric_specs() == [ResourceSpec("cpu", Target("Utilization", "60"))]
    part = build_for(CpuScaler, PODS, metric_type="AverageValue", value="500m", containerName="app")
    assert part.metric_specs() == [ResourceSpec("cpu", Target("AverageValue", "500m"), "app")]


async def test_cpu_has_nothing_to_read() -> None:
    assert await build_for(CpuScaler, PODS, metric_type="Utilization", value="60").get_metrics() == []


@pytest.mark.parametrize(
    ("metric_type", "metadata", "says"),
    [
        (None, {"value": "60"}, "metricType must be Utilization or AverageValue"),
        ("Utilization", {"value": "60%"}, "value: expected a whole percentage"),
        ("AverageValue", {"value": "60%"}, "value: expected a quantity"),
        ("Utilization", {"value": "60", "type": "Utilization"}, "type: no longer supported; use metricType"),
    ],
)
def test_what_is_wrong_with_a_cpu_trigger(metric_type: str | None, metadata: dict[str, str], says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        build_for(CpuScaler, PODS, metric_type=metric_type, **metadata)
