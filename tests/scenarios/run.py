"""One scenario from its seed: things happen, then all faults end, and everything must come right."""

import asyncio
import random
from typing import Final

from keda_py.devcluster.virtual import VirtualLoop

from . import action, invariant
from .world import Violation, World

STEPS: Final = 14
SETTLE_SECONDS: Final = 480.0
"""After the last fault everything is right within this time: the cooldown (90 s), the HPA's stabilisation (300 s), the
longest back-off (60 s) and a lease that has to run out (15 s) included."""
QUIET_SECONDS: Final = 60.0


def run(seed: int) -> World:
    """Play a scenario; raise `Violation` with its story if something happened that must not."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_play(seed))


async def _play(seed: int) -> World:
    chance = random.Random(seed)
    world = World(seed, batched=seed % 2 == 1, elects=seed % 3 == 0)
    invariant.watch(world)
    try:
        await _happen(world, chance)
        await _settle(world)
    except Violation as violation:
        raise Violation(f"{violation}\n" + "\n".join(world.story)) from None
    finally:
        await world.close()
    return world


async def _happen(world: World, chance: random.Random) -> None:
    for name in action.NAMES[: chance.choice([1, 2, 3])]:
        action.deploy(world, name)
        await action.create(world, chance)
    for _ in range(2 if world.elects else 1):
        world.start()
    actions, weights = zip(*action.ACTIONS, strict=True)
    for _ in range(STEPS):
        await asyncio.sleep(chance.choice([0.05, 1.0, 8.0, 25.0, 70.0]))
        world.check()
        (happens,) = chance.choices(actions, weights)
        await happens(world, chance)


async def _settle(world: World) -> None:
    chance = random.Random(0)
    await action.mend_sources(world, chance)
    await action.mend_network(world, chance)
    for process in world.alive():
        process.transport.until_death = None
    if not world.alive():
        world.start()
    world.tell("nothing more happens")
    await asyncio.sleep(SETTLE_SECONDS)
    world.check()
    invariant.converged(world)
    # What is right already is not written again.
    before = world.writes
    await asyncio.sleep(QUIET_SECONDS)
    world.check()
    if world.writes != before:
        raise Violation(f"steady: {world.writes - before} writes though nothing changed")
