"""Whether an object is paused, and what else its annotations ask for.

The rules are KEDA's (apis/keda/v1alpha1/scaledobject_types.go and scaledjob_types.go): an annotation that is there
means yes unless it says no, and a number of replicas pauses by being there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from keda_py.decide.status import Condition
from keda_py.naming import Annotation, Reason
from keda_py.naming import Condition as Type

_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_COUNT: Final = re.compile(r"\+?[0-9]{1,10}")
_MOST: Final = 2**31 - 1


def paused(annotations: Mapping[str, str] | None) -> bool:
    """Whether a ScaledJob is paused (scaledjob_types.go, NeedToBePausedByAnnotation)."""
    return _says(annotations, Annotation.PAUSED)


def _says(annotations: Mapping[str, str] | None, name: str) -> bool:
    said = (annotations or {}).get(name)
    return said is not None and said not in _FALSE


@dataclass(frozen=True, slots=True)
class Asked:
    """What a ScaledObject's annotations ask for.

    `stopped`: nothing is read, nothing is scaled, there is no HPA. `replicas`: what the target is to have meanwhile,
    None to leave it as it is. `scale_in` and `scale_out`: that direction alone is paused. `forced`: it counts as
    active, whatever its triggers say. `problem`: what to change of an annotation that cannot be understood.
    """

    stopped: bool = False
    replicas: int | None = None
    scale_in: bool = False
    scale_out: bool = False
    forced: bool = False
    problem: str | None = None

    @classmethod
    def of(cls, annotations: Mapping[str, str] | None) -> Self:
        """Return what annotations ask for; a number of replicas weighs more than ``paused: "false"``."""
        text = (annotations or {}).get(Annotation.PAUSED_REPLICAS)
        replicas = int(text) if text is not None and _COUNT.fullmatch(text) else None
        problem = None
        if text is not None and (replicas is None or replicas > _MOST):
            replicas, problem = None, f"the annotation {Annotation.PAUSED_REPLICAS} has to be a whole number from 0 on"
        return cls(
            stopped=text is not None or _says(annotations, Annotation.PAUSED),
            replicas=replicas,
            scale_in=_says(annotations, Annotation.PAUSED_SCALE_IN),
            scale_out=_says(annotations, Annotation.PAUSED_SCALE_OUT),
            forced=_says(annotations, Annotation.FORCE_ACTIVATION),
            problem=problem,
        )

    @property
    def paused(self) -> bool:
        """Whether anything is paused: what the Paused condition says."""
        return self.stopped or self.scale_in or self.scale_out


NOTHING: Final = Asked()


def condition(asked: Asked) -> Condition:
    """Return the Paused condition of a ScaledObject."""
    if not asked.paused:
        return Condition(Type.PAUSED, "False", Reason.UNPAUSED, "ScaledObject is not paused")
    if asked.stopped:
        at = "" if asked.replicas is None else f" at {asked.replicas} replicas"
        return Condition(Type.PAUSED, "True", Reason.PAUSED, f"ScaledObject is paused{at}")
    directions = " and ".join(name for name, on in (("in", asked.scale_in), ("out", asked.scale_out)) if on)
    return Condition(Type.PAUSED, "True", Reason.PAUSED, f"ScaledObject is paused: it does not scale {directions}")
