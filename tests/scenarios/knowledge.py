"""What a daemon may have known when it decided on what it writes now."""

from typing import Any, Final

from .source import Heard
from .world import INSTANT, World

IN_FLIGHT_SECONDS: Final = 20.0
"""So long a pass may still act on what was just replaced: its own waiting, and the watch's."""
_JUST_BEFORE: Final = INSTANT / 2


def moments(world: World, name: str, writer: int, *, seconds: float = IN_FLIGHT_SECONDS) -> list[float]:
    """Return the moments between which a daemon knew the same: now, and before each thing that it was told lately."""
    told_at = {
        h.told for (number, owner, _), all_ in world.heard.items() if (number, owner) == (writer, name) for h in all_
    }
    lately = (moment for moment in told_at if world.time - moment < seconds)
    return [world.moment, *(moment - _JUST_BEFORE for moment in sorted(lately, reverse=True))]


def specs(world: World, name: str, writer: int, *, seconds: float = IN_FLIGHT_SECONDS) -> list[dict[str, Any]]:
    """Return the specs that a daemon may have in mind: the one that it has heard of last, and those of just before."""
    history = world.specs.get((writer, name), [])
    replaced = [since for since, _ in history[1:]]
    recent = [spec for (_, spec), end in zip(history, replaced, strict=False) if world.time - end < seconds]
    return [spec for spec in [*recent, *(spec for _, spec in history[-1:])] if spec is not None]


def told(world: World, writer: int, found: dict[str, Any], spec: dict[str, Any], *, at: float) -> list[Heard | None]:
    """Return what a daemon had been told of each trigger of a spec."""
    return [world.heard_of(writer, found["metadata"]["name"], trigger, at=at) for trigger in spec["triggers"]]
