"""Whether an object is active by what a daemon was told of its triggers: by each, by a formula, or stood in for."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from .source import Heard
from .world import World, modified


@dataclass(frozen=True)
class Activity:
    """`known`: something can be said of each trigger. `active`: what they come to keeps the target awake."""

    known: bool
    active: bool


def activity(world: World, name: str, spec: dict[str, Any], heard: list[Heard | None], *, at: float) -> Activity:
    """Return what the answers to the triggers of an object come to, under a spec."""
    replaced = [
        (h is None or h.value is None) and stood_in(world, name, spec, trigger["metadata"]["queue"], at=at)
        for h, trigger in zip(heard, spec["triggers"], strict=True)
    ]
    known = all((h is not None and h.value is not None) or r for h, r in zip(heard, replaced, strict=True))
    if modified(spec):
        total = sum(h.value for h in heard if h is not None and h.value is not None)
        active = known and (any(replaced) or total > 0)
    else:
        active = any(replaced) or any(h is not None and h.active for h in heard)
    return Activity(known, active or spec["asked"].forced)


def stood_in(world: World, name: str, spec: dict[str, Any], queue: str, *, at: float) -> bool:
    """Whether a trigger of an object had failed so often at a moment that fallback may stand in for it.

    A count goes on over a restart, and over an edit that leaves the metric's name: all who asked for the queue count.
    """
    if not spec.get("fallback"):
        return False
    failures = 0
    for (_, owner, _), told in world.heard.items():
        if owner == name and told[-1].queue == queue:
            until = (heard for heard in reversed(told) if heard.told <= at)
            failures += sum(1 for _ in takewhile(lambda heard: heard.value is None, until))
    return failures > int(spec["fallback"]["failureThreshold"])
