"""What is wrong with a ScaledObject or ScaledJob beyond the schema of its CRD and the parameters of its triggers.

The rules are KEDA's run-time ones (apis/keda/v1alpha1/scaledobject_types.go, CheckReplicaCountBoundsAreValid, and
ValidateTriggers).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from keda_py.api.scaled_job import ScaledJobSpec
from keda_py.api.scaled_object import ScaledObjectSpec
from keda_py.api.trigger import ScaleTrigger
from keda_py.decide import modifiers

_NEVER_CACHED: Final = frozenset({"cpu", "memory", "cron"})


def problems(spec: ScaledObjectSpec) -> list[str]:
    """Return a sentence for each thing that is wrong, saying what to change; none for an object that makes sense."""
    return [
        *replica_problems(spec),
        *trigger_problems(spec.triggers),
        *modifiers.problems(spec),
    ]


def job_problems(spec: ScaledJobSpec) -> list[str]:
    """Return a sentence for each thing that is wrong with a ScaledJob (controllers/keda/scaledjob_controller.go)."""
    metric_types = [
        f"spec.triggers[{index}].metricType has no meaning in a ScaledJob; remove it"
        for index, trigger in enumerate(spec.triggers)
        if trigger.metric_type
    ]
    return [*trigger_problems(spec.triggers), *metric_types]


def replica_problems(spec: ScaledObjectSpec) -> list[str]:
    """Return what is wrong with the bounds; as in KEDA a minimum of 0 that is written down is the HPA's, which is 1."""
    minimum = 0 if spec.min_replica_count is None else max(1, spec.min_replica_count)
    maximum, idle = spec.max_replicas, spec.idle_replica_count
    found = []
    if minimum > maximum:
        found.append(f"spec.minReplicaCount ({minimum}) must not be above spec.maxReplicaCount ({maximum})")
    if idle is not None and idle >= minimum:
        found.append(f"spec.idleReplicaCount ({idle}) must be below spec.minReplicaCount ({minimum})")
    return found


def trigger_problems(triggers: Sequence[ScaleTrigger]) -> list[str]:
    """Return what is wrong with the triggers of an object, whatever their types (KEDA's ValidateTriggers)."""
    found = _cache_problems(triggers)
    if not triggers:
        found.append("spec.triggers is empty; name at least one trigger")
    names = Counter(trigger.name for trigger in triggers if trigger.name)
    return found + [
        f"spec.triggers: the name {name} is used {count} times" for name, count in names.items() if count > 1
    ]


def _cache_problems(triggers: Sequence[ScaleTrigger]) -> list[str]:
    return [
        f"spec.triggers[{index}]: useCachedMetrics has no meaning for type {trigger.type}; remove it"
        for index, trigger in enumerate(triggers)
        if trigger.use_cached_metrics and trigger.type in _NEVER_CACHED
    ]
