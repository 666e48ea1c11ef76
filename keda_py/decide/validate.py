"""What is wrong with a ScaledObject beyond the schema of its CRD and the parameters of its triggers.

The rules are KEDA's run-time ones (apis/keda/v1alpha1/scaledobject_types.go, CheckReplicaCountBoundsAreValid, and
ValidateTriggers).
"""

from collections import Counter
from typing import Final

from keda_py.api.scaled_object import ScaledObjectSpec

_NEVER_CACHED: Final = frozenset({"cpu", "memory", "cron"})


def problems(spec: ScaledObjectSpec) -> list[str]:
    """Return a sentence for each thing that is wrong, saying what to change; none for an object that makes sense."""
    return [*_replica_problems(spec), *_trigger_problems(spec)]


def _replica_problems(spec: ScaledObjectSpec) -> list[str]:
    minimum, maximum, idle = spec.min_replicas, spec.max_replicas, spec.idle_replica_count
    found = []
    if minimum > maximum:
        found.append(f"spec.minReplicaCount ({minimum}) must not be above spec.maxReplicaCount ({maximum})")
    if idle is not None and idle >= minimum:
        found.append(f"spec.idleReplicaCount ({idle}) must be below spec.minReplicaCount ({minimum})")
    return found


def _trigger_problems(spec: ScaledObjectSpec) -> list[str]:
    found = []
    if not spec.triggers:
        found.append("spec.triggers is empty; name at least one trigger")
    names = Counter(trigger.name for trigger in spec.triggers if trigger.name)
    found += [f"spec.triggers: the name {name} is used {count} times" for name, count in names.items() if count > 1]
    found += [
        f"spec.triggers[{index}]: useCachedMetrics has no meaning for type {trigger.type}; remove it"
        for index, trigger in enumerate(spec.triggers)
        if trigger.use_cached_metrics and trigger.type in _NEVER_CACHED
    ]
    return found
