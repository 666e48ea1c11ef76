"""Trigger type `kubernetes-workload`: how many pods, or nodes with such pods, a label selector finds."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from keda_py.scaler import (
    ExternalSpec,
    KubernetesReader,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    Trigger,
    normalize,
    param,
)
from keda_py_scalers import selector

_TERMINATED: Final = frozenset({"Succeeded", "Failed"})


class KubernetesWorkloadMetadata(Metadata):
    """Parameters of a `kubernetes-workload` trigger."""

    pod_selector: str = param("podSelector")
    value: float = param("value", default=0.0)
    activation_value: float = param("activationValue", default=0.0)
    group_by_node: bool = param("groupByNode", default=False)


class KubernetesWorkloadScaler(Scaler[KubernetesWorkloadMetadata]):
    """Counts pods that have not terminated (KEDA pkg/scalers/kubernetes_workload_scaler.go)."""

    metadata = KubernetesWorkloadMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the value, and with the selector."""
        yield from super().check()
        if self.meta.value <= 0 and not self.trigger.in_formula:
            yield "value: give a number greater than 0"
        if (wrong := selector.problem(self.meta.pod_selector)) is not None:
            yield f"podSelector: {wrong}"

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after the namespace."""
        return [ExternalSpec(normalize(f"workload-{self.trigger.namespace}"), self.target(self.meta.value))]

    async def get_metrics(self) -> list[Reading]:
        """Return the number of pods, or of nodes they run on."""
        pods = await self.source.ask((self.trigger.namespace, self.meta.pod_selector))
        count = float(len({node for node in pods if node}) if self.meta.group_by_node else len(pods))
        return [self.reading(count, active=count > self.meta.activation_value)]

    @classmethod
    def source_key(cls, meta: KubernetesWorkloadMetadata, trigger: Trigger) -> tuple[str]:
        """Return the cluster itself: equal selectors are listed once, whoever asks."""
        return ("kubernetes",)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, meta: KubernetesWorkloadMetadata, trigger: Trigger, platform: Platform
    ) -> AsyncIterator[KubernetesReader]:
        """Yield the daemon's own access to the cluster."""
        yield platform.kubernetes

    @classmethod
    async def answer(cls, connection: KubernetesReader, question: tuple[str, str]) -> Sequence[str]:
        """Return the node of each living pod, empty for one that is not scheduled yet."""
        namespace, pod_selector = question
        pods = await connection.list("v1", "pods", namespace, label_selector=pod_selector)
        return [_node(pod) for pod in pods if (pod.get("status") or {}).get("phase") not in _TERMINATED]


def _node(pod: Any) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")
