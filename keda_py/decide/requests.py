"""Whether the HPA can do something with `cpu` and `memory`: it compares usage with what containers request.

The rules are KEDA's (apis/keda/v1alpha1/scaledobject_webhook.go, verifyCPUMemoryScalers): a container needs a request
or a limit of its own, or a LimitRange of the namespace that has a default for containers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from keda_py.api.scaled_object import ScaledObjectSpec
from keda_py.decide.admission import RESOURCES, Finding
from keda_py.naming import Refusal
from keda_py.quantity import QuantityError, parse

Container = tuple[str, tuple[str, ...]]
"""A container's name, and of which of cpu and memory it has a request or a limit."""
_COUNTED: Final = tuple(sorted(RESOURCES))


def requested(container: Mapping[str, Any]) -> Container:
    """Return what is to know of a container of a pod template."""
    resources = container.get("resources") or {}
    return str(container.get("name")), _positive(resources.get("requests"), resources.get("limits"))


def defaulted(limit_range: Mapping[str, Any]) -> tuple[str, ...]:
    """Return for which of cpu and memory a LimitRange gives every container a request or a limit."""
    limits = (limit_range.get("spec") or {}).get("limits") or ()
    found = [_positive(one.get("defaultRequest"), one.get("default")) for one in limits if one["type"] == "Container"]
    return tuple(name for name in _COUNTED if any(name in names for names in found))


def _positive(*amounts: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(name for name in _COUNTED if any(_is_positive((one or {}).get(name)) for one in amounts))


def _is_positive(amount: Any) -> bool:
    try:
        return amount is not None and parse(str(amount)).value > 0
    except QuantityError:
        return False


def cannot_sleep(spec: ScaledObjectSpec) -> Iterator[Finding]:
    """Yield that an object is to scale to zero by what nobody uses while there are no pods."""
    if not spec.min_replicas and spec.triggers and all(trigger.type in RESOURCES for trigger in spec.triggers):
        why = "with no triggers but cpu and memory nothing could wake the target from zero"
        yield Finding(Refusal.SCALE_TO_ZERO, f"spec.minReplicaCount: must be at least 1: {why}")


def problems(
    spec: ScaledObjectSpec, target: str, containers: Sequence[Container], *, defaults: Collection[str] | None
) -> tuple[list[Finding], list[str]]:
    """Return what is missing in a target's containers, and warnings.

    `defaults`: what LimitRanges of the namespace give every container, None if that is not known: then nothing is
    called missing.
    """
    found, warnings = [], []
    for index, trigger in enumerate(spec.triggers):
        if trigger.type not in RESOURCES:
            continue
        where, named = f"spec.triggers[{index}] ({trigger.type})", trigger.metadata.get("containerName")
        meant = [container for container in containers if not named or container[0] == named]
        if named and not meant:
            known = ", ".join(name for name, _ in containers)
            warnings.append(f"{where}: containerName: {target} has no container {named}; it has {known}")
        without = [name for name, resources in meant if trigger.type not in resources]
        if without and defaults is None:
            warnings.append(f"{where}: whether LimitRanges give container {without[0]} a request is not known")
        elif without and trigger.type not in (defaults or ()):
            what = f"needs resources.requests.{trigger.type}, for the HPA to compare its usage with"
            found += [Finding(Refusal.REQUESTS, f"{where}: container {name} of {target} {what}") for name in without]
    return found, warnings
