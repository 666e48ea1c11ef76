"""What else people may ask of ScaledObjects: pauses and forced activation; and sources that are away long enough."""

import asyncio
import random
from typing import Final

from keda_py.naming import Annotation

from . import action
from .world import SPACE, World

_OBJECTS: Final = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledobjects"
_ANNOTATIONS: Final[list[dict[str, str]]] = [
    {Annotation.PAUSED: "true"},
    {Annotation.PAUSED_REPLICAS: "0"},
    {Annotation.PAUSED_REPLICAS: "2"},
    {Annotation.PAUSED_REPLICAS: "7", Annotation.PAUSED: "true"},
    {Annotation.PAUSED_SCALE_IN: "true"},
    {Annotation.PAUSED_SCALE_OUT: "true"},
    {Annotation.PAUSED_SCALE_IN: "true", Annotation.PAUSED_SCALE_OUT: "true"},
    {Annotation.FORCE_ACTIVATION: "true"},
]
_ALL: Final = sorted({name for annotations in _ANNOTATIONS for name in annotations})


async def annotate(world: World, chance: random.Random) -> None:
    """Let somebody pause an object in some way, force it, or take back what was asked."""
    found = chance.choice([*_ANNOTATIONS, {}, {}, {}])
    _ask(world, chance.choice(action.NAMES), found)


async def pause_and_scale(world: World, chance: random.Random) -> None:
    """Let somebody pause an object at a count, and take its target in hand once it is there."""
    name = chance.choice(action.NAMES)
    _ask(world, name, chance.choice([{Annotation.PAUSED_REPLICAS: "2"}, {Annotation.PAUSED: "true"}]))
    await action.work_comes(world, chance)
    await asyncio.sleep(chance.choice([1.0, 30.0]))
    world.tell(f"scale {name} to 6 by hand")
    action.scale(world, name, 6)
    await asyncio.sleep(30.0)


async def source_gone(world: World, chance: random.Random) -> None:
    """Let all sources be away for as long as it takes fallback to begin, or nearly."""
    for address in action.ADDRESSES:
        world.truth.down[address] = "refuses"
    world.tell("all sources are gone")
    await asyncio.sleep(chance.choice([10.0, 40.0, 150.0]))


def _ask(world: World, name: str, annotations: dict[str, str]) -> None:
    patch = {"metadata": {"annotations": dict.fromkeys(_ALL) | annotations}}
    answer = world.person("PATCH", f"{_OBJECTS}/{name}", patch)
    world.tell(f"annotate {name}: {answer.status}, {annotations}")


def rest(world: World) -> None:
    """Take back whatever annotations ask for."""
    for found in world.scaled_objects():
        if world.wishes:
            _ask(world, found["metadata"]["name"], {})


ACTIONS: Final[list[tuple[action.Action, int]]] = [
    *action.TO_OBJECTS,
    (annotate, 8),
    (pause_and_scale, 2),
    (source_gone, 3),
]
