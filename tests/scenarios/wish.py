"""What else a spec may ask for: fallback, and a formula over all triggers."""

import random
from typing import Any, Final

NAMES: Final = ("a", "b")
FORMULA: Final = "sum(values($env))"
"""It makes sense whatever triggers an edit leaves."""
_BEHAVIORS: Final = ("static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower")


def wishes(chance: random.Random, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec with more in it that people may ask for."""
    for name, trigger in zip(NAMES, spec["triggers"], strict=False):
        trigger["name"] = name
    if chance.random() < 0.6:
        spec["fallback"] = {
            "failureThreshold": chance.choice([0, 1, 3]),
            "replicas": chance.choice([0, 1, 2, 5]),
            "behavior": chance.choice(_BEHAVIORS),
        }
    if chance.random() < 0.4:
        spec.setdefault("advanced", {})["scalingModifiers"] = {"formula": FORMULA, "target": "5"}
    return spec


def patched(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec as a merge patch: what is not in it is taken away."""
    advanced = {"scalingModifiers": None, "horizontalPodAutoscalerConfig": None, "restoreToOriginalReplicaCount": None}
    return {"fallback": None, **spec, "advanced": advanced | spec.get("advanced", {})}
