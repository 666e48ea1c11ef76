"""One quiet day: objects that are polled all day long, of which nothing changes."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from keda_py.devcluster.virtual import VirtualLoop

from . import action
from .world import World

DAY_SECONDS: Final = 86_400.0
FIRST_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Day:
    """What a day took, its first minute excepted: questions to the sources, and writes of the daemon."""

    questions: int
    writes: int


def day(*, objects: int, busy: int, interval: int, seconds: float = DAY_SECONDS) -> Day:
    """Let a day pass, or `seconds` of it; `busy`: how many objects have work to do, so that the HPA looks at them."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_pass(objects, busy, interval, seconds))


async def _pass(objects: int, busy: int, interval: int, seconds: float) -> Day:
    world = World(0)
    world.truth.seconds = 0.0
    try:
        for number in range(objects):
            action.deploy(world, f"m{number}")
            action.create_object(world, f"m{number}", _spec(number, interval))
            world.truth.values[f"q{number}"] = 10.0 if number < busy else 0.0
        world.start()
        await asyncio.sleep(FIRST_SECONDS)
        questions, writes = world.questions, world.writes
        await asyncio.sleep(seconds)
        world.check()
        return Day(world.questions - questions, world.writes - writes)
    finally:
        await world.close()


def _spec(number: int, interval: int) -> dict[str, Any]:
    metadata = {"address": "one", "queue": f"q{number}", "length": "5"}
    return {
        "scaleTargetRef": {"name": f"m{number}"},
        "pollingInterval": interval,
        "maxReplicaCount": 5,
        "triggers": [{"type": "queue", "metadata": metadata}],
    }
