"""Whether an object is paused, by its annotations."""

from collections.abc import Mapping
from typing import Final

from keda_py.naming import Annotation

_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def paused(annotations: Mapping[str, str] | None) -> bool:
    """Whether the annotation is there and says anything but no (scaledjob_types.go, NeedToBePausedByAnnotation)."""
    said = (annotations or {}).get(Annotation.PAUSED)
    return said is not None and said not in _FALSE
