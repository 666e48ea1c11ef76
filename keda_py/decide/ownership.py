"""Whether a scale target, or the name of an HPA, belongs to somebody already.

Two that scale one target undo each other's work. The rules are KEDA's (apis/keda/v1alpha1/scaledobject_webhook.go,
verifyScaledObjects and verifyHpas); a target counts as the same whatever version it is written in.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.admission import Finding
from keda_py.naming import Annotation, Refusal, default_hpa_name

_HPA_NAME: Final = "spec.advanced.horizontalPodAutoscalerConfig.name"


@dataclass(frozen=True, slots=True)
class Target:
    """What is scaled, within a namespace."""

    group: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> "Target | None":
        """Return the target of a ScaledObject or HPA as the API server has it; None if there is none such."""
        spec = (raw or {}).get("spec")
        ref = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
        if not isinstance(ref, dict) or not isinstance(name := ref.get("name"), str):
            return None
        version = str(ref.get("apiVersion") or "apps/v1")
        return cls(version.rpartition("/")[0], str(ref.get("kind") or "Deployment"), name)


def hpa_name_of(raw: Mapping[str, Any] | None) -> str | None:
    """Return the name of the HPA that a ScaledObject as the API server has it owns; None without an object."""
    if raw is None:
        return None
    advanced = (raw.get("spec") or {}).get("advanced")
    config = advanced.get("horizontalPodAutoscalerConfig") if isinstance(advanced, dict) else None
    chosen = config.get("name") if isinstance(config, dict) else None
    return str(chosen or default_hpa_name(raw["metadata"]["name"]))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What else there is in the namespace: ScaledObjects and HPAs of the target, ScaledObjects that own the HPA's name.

    All as the API server has them; the object itself may be among them, as it was.
    """

    on_target: Iterable[Mapping[str, Any]] = ()
    on_hpa_name: Iterable[Mapping[str, Any]] = ()
    hpas: Iterable[Mapping[str, Any]] = ()


def problems(scaled_object: ScaledObject, target: Target, neighbours: Neighbours) -> Iterator[Finding]:
    """Yield what a ScaledObject would take from somebody else."""
    own = scaled_object.metadata.name
    rivals = sorted({name for raw in neighbours.on_target if (name := raw["metadata"]["name"]) != own})
    for rival in rivals:
        taken = f"spec.scaleTargetRef: {target} is already scaled by the ScaledObject {rival}"
        yield Finding(Refusal.OTHER_OBJECT, f"{taken}; point at another, or put the triggers of both into one of them")
    for rival in sorted({name for raw in neighbours.on_hpa_name if (name := raw["metadata"]["name"]) != own}):
        taken = f"{_HPA_NAME}: the HPA {scaled_object.hpa_name} already belongs to the ScaledObject {rival}"
        yield Finding(Refusal.OTHER_OBJECT_HPA, f"{taken}; choose another name")
    # The HPA of a rival has been told of with it.
    for hpa in sorted(neighbours.hpas, key=lambda raw: str(raw["metadata"]["name"])):
        if not _minds_nothing(hpa) and not _owners(hpa) & {own, *rivals}:
            yield from _of_hpa(scaled_object, target, hpa["metadata"]["name"])


def _of_hpa(scaled_object: ScaledObject, target: Target, hpa: str) -> Iterator[Finding]:
    asked = (scaled_object.metadata.annotations or {}).get(Annotation.TRANSFER_HPA) == "true"
    if not asked:
        take = f'to take it over, set the annotation {Annotation.TRANSFER_HPA}: "true", and {_HPA_NAME}: {hpa}'
        taken = f"spec.scaleTargetRef: {target} is already scaled by the HPA {hpa}"
        yield Finding(Refusal.OTHER_HPA, f"{taken}; delete that HPA, or point at another target; {take}")
    elif scaled_object.spec.hpa_config.name != hpa:
        why = f"to take over the HPA that scales {target}, as the annotation {Annotation.TRANSFER_HPA} asks"
        yield Finding(Refusal.TRANSFER, f"{_HPA_NAME} must be {hpa} {why}")


def _minds_nothing(hpa: Mapping[str, Any]) -> bool:
    return (hpa["metadata"].get("annotations") or {}).get(Annotation.HPA_VALIDATED) == "false"


def _owners(hpa: Mapping[str, Any]) -> set[str]:
    """Return the ScaledObjects that own an HPA."""
    owners = hpa["metadata"].get("ownerReferences") or []
    return {owner["name"] for owner in owners if owner["kind"] == "ScaledObject"}
