"""Trigger types `cpu` and `memory`: the HPA controller reads them itself; here they are only put into the HPA."""

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from keda_py.scaler import (
    Metadata,
    MetricSpec,
    QuantityError,
    Reading,
    ResourceSpec,
    Scaler,
    Target,
    param,
    parse_quantity,
)

_INT32_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,12}")
_INT32: Final = range(-(2**31), 2**31)


class ResourceMetadata(Metadata):
    """Parameters of a `cpu` or `memory` trigger."""

    type: str = param("type", default="", removed="use metricType of the trigger instead")
    value: str = param("value")
    container_name: str = param("containerName", default="")


class _ResourceScaler(Scaler[ResourceMetadata]):
    metadata = ResourceMetadata
    resource: ClassVar[str]

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the metric type, or with the value for it (pkg/scalers/cpu_memory_scaler.go)."""
        match self.trigger.metric_type:
            case "Utilization":
                if not _INT32_DIGITS.fullmatch(self.meta.value) or int(self.meta.value) not in _INT32:
                    yield "value: expected a whole percentage such as 60 for metricType Utilization"
            case "AverageValue":
                try:
                    parse_quantity(self.meta.value)
                except QuantityError as error:
                    yield f"value: {error}"
            case _:
                yield "metricType must be Utilization or AverageValue"

    def metric_specs(self) -> list[MetricSpec]:
        """Return the resource metric, of one container if the trigger names one."""
        kind = self.trigger.metric_type or ""
        amount = str(int(self.meta.value)) if kind == "Utilization" else self.meta.value
        return [ResourceSpec(self.resource, Target(kind, amount), self.meta.container_name or None)]

    async def get_metrics(self) -> list[Reading]:
        """Return nothing: there is no external metric to serve."""
        return []


class CpuScaler(_ResourceScaler):
    """The `cpu` trigger."""

    resource = "cpu"


class MemoryScaler(_ResourceScaler):
    """The `memory` trigger."""

    resource = "memory"
