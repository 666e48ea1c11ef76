"""Which of the HPAs that are there a ScaledObject may have, and which are somebody else's.

Two HPAs on one target are worse than none: the HPA controller finds that both mean the same pods and heeds neither
(AmbiguousSelector). So what the webhook refuses is minded here too, for it may not have been asked: nothing is done
about a target that another HPA scales, until a person has said whose it is to be.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import ownership
from keda_py.naming import Annotation

_NAME: Final = "spec.advanced.horizontalPodAutoscalerConfig.name"

Hpa = Mapping[str, Any]


def is_own(scaled_object: ScaledObject, hpa: Hpa) -> bool:
    """Return whether an HPA is a ScaledObject's: also one of its name's former bearer, for which it would go."""
    own = scaled_object.metadata
    return any(
        owner["uid"] == own.uid or (owner["kind"], owner["name"]) == ("ScaledObject", own.name)
        for owner in hpa["metadata"].get("ownerReferences") or []
    )


def refusal_of_name(
    scaled_object: ScaledObject, target: ownership.Target, hpa: Hpa, *, recorded: str | None
) -> str | None:
    """Return why an HPA that has a ScaledObject's HPA's name, and is not its own, is not to be touched; None if it may.

    `recorded`: the HPA that its status names. That one has lost its owner, and is given it back.
    """
    name, metadata = hpa["metadata"]["name"], scaled_object.metadata
    for owner in hpa["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return f"the HPA {name} belongs to {owner['kind']} {owner['name']}; choose another {_NAME}"
    if recorded == name:
        return None
    asked = (metadata.annotations or {}).get(Annotation.TRANSFER_HPA) == "true"
    if not asked or scaled_object.spec.hpa_config.name != name:
        take = f'to take it over, set the annotation {Annotation.TRANSFER_HPA}: "true", and {_NAME}: {name}'
        return f"there is an HPA {name} that is not this ScaledObject's; choose another {_NAME}, or delete it; {take}"
    if (scales := ownership.Target.of(hpa)) != target:
        return f"the HPA {name}, which is to be taken over, scales {scales} and not {target}; choose another {_NAME}"
    return None


def refusal_of_target(scaled_object: ScaledObject, target: ownership.Target, on_target: Iterable[Hpa]) -> str | None:
    """Return why a ScaledObject is not to scale a target; None if no other HPA does.

    `on_target`: the HPAs that scale it. That of its own name is `refusal_of_name`'s, and those of other ScaledObjects
    are told of with them.
    """
    others = [hpa for hpa in on_target if hpa["metadata"]["name"] != scaled_object.hpa_name and not _is_kedas(hpa)]
    found = ownership.problems(scaled_object, target, ownership.Neighbours(hpas=others))
    return "; ".join(finding.message for finding in found) or None


def _is_kedas(hpa: Hpa) -> bool:
    return any(owner["kind"] == "ScaledObject" for owner in hpa["metadata"].get("ownerReferences") or [])
