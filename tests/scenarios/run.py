"""One scenario from its seed: things happen, then all faults end, and everything must come right."""

import asyncio
import random
import traceback
from typing import Final

from keda_py.devcluster.virtual import VirtualLoop

from . import action, invariant, job_action, job_invariant, wish_action
from .world import Violation, World

STEPS: Final = 14
SETTLE_SECONDS: Final = 480.0
"""After the last fault everything is right within this time: the cooldown (90 s), the HPA's stabilisation (300 s), the
longest back-off (60 s) and a lease that has to run out (15 s) included."""
QUIET_SECONDS: Final = 130.0
"""So long everything must be right with nothing written: longer than the longest cooldown and the daemon's resync."""
JOBS_EVERY: Final = 5
"""In one of so many seeds ScaledJobs take part, in the place of most that happens to ScaledObjects."""
WISHES_AT: Final = 3
"""The remainder by `JOBS_EVERY` of the seeds in which people pause ScaledObjects, and want fallback and formulas."""
LOOK_SECONDS: Final = 10.0
FLICKER_SECONDS: Final = 2.5
SLOW_SECONDS: Final = 25.0
"""What two passes take when each request takes up to 3 s."""
PROMPT_SECONDS: Final = 35.0
"""So soon a daemon that nothing hinders acts on a value: the longest polling interval, and some time to do it."""


def run(seed: int) -> World:
    """Play a scenario; raise `Violation` with its story if something happened that must not."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_play(seed))


def again(seed: int, mutation: str = "") -> str:
    """Return the command that plays a scenario again."""
    return " ".join(filter(None, ["python -m tests.scenarios", str(seed), mutation and f"--mutation {mutation}"]))


async def _play(seed: int) -> World:
    chance = random.Random(seed)
    world = World(seed, batched=chance.random() < 0.5, elects=chance.random() < 0.4)
    world.wishes = seed % JOBS_EVERY == WISHES_AT
    invariant.watch(world)
    job_invariant.watch(world)
    try:
        await _happen(world, chance, has_jobs=seed % JOBS_EVERY == JOBS_EVERY - 1)
        await _settle(world, chance)
        world.lasted = world.time
    except Exception as error:  # noqa: BLE001  told with the story, and raised again
        # Whatever a daemon dies of by itself, it must not die of.
        said = str(error) if isinstance(error, Violation) else f"died: {''.join(traceback.format_exception(error))}"
        raise Violation(f"{said}\n" + "\n".join(world.story)) from None
    finally:
        await world.close()
    return world


async def _happen(world: World, chance: random.Random, *, has_jobs: bool) -> None:
    world.tell(f"sources answer {'many questions at once' if world.batched else 'one question at a time'}")
    if has_jobs:
        job_action.begin(world, chance)
    for name in action.NAMES[: chance.choice([0, 1] if has_jobs else [1, 2, 3])]:
        action.deploy(world, name)
        await action.create(world, chance)
    for _ in range(2 if world.elects else 1):
        world.start()
    if chance.random() < 0.25:
        # Then first readings are there before a first pass is through.
        world.tell("the API server is slow")
        for network in world.network.values():
            network.slow = 1.0
    particular = job_action.ACTIONS if has_jobs else wish_action.ACTIONS if world.wishes else action.TO_OBJECTS
    actions, weights = zip(*particular, *action.TO_ALL, strict=True)
    for _ in range(STEPS):
        await asyncio.sleep(chance.choice([0.05, 1.0, 8.0, 25.0, 70.0]))
        world.check()
        (happens,) = chance.choices(actions, weights)
        await happens(world, chance)


async def _settle(world: World, chance: random.Random) -> None:
    await action.mend_sources(world, chance)
    await action.mend_network(world, chance)
    for process in world.alive():
        process.transport.until_death = None
    if not world.alive():
        world.start()
    job_action.rest(world)
    wish_action.rest(world)
    world.tell("nothing more happens")
    await _calm(world)
    await _react(world)


async def _calm(world: World) -> None:
    """Return once everything is right, has been for a while, and nothing was written in it."""
    ended = since = world.time
    wrong = ""
    while world.time < since + QUIET_SECONDS:
        if since > ended + SETTLE_SECONDS:
            raise Violation(wrong)
        await asyncio.sleep(LOOK_SECONDS)
        world.check()
        written = "steady: still written though nothing changes any more" if world.wrote_at > since else ""
        wrong = invariant.unsettled(world) or job_invariant.unsettled(world) or written
        if wrong:
            since = world.time


async def _react(world: World) -> None:
    """Change what the sources say, and look whether it is acted on in time."""
    for network in world.network.values():
        network.slow = 1.0
    _all_queues(world, 60.0)
    # Long enough for some to have noticed, and to be in the middle of acting on it.
    await asyncio.sleep(FLICKER_SECONDS)
    await _told_by_all(world, 0.0, seconds=PROMPT_SECONDS + SLOW_SECONDS)
    await action.mend_network(world, random.Random(0))
    await _told_by_all(world, 60.0, seconds=PROMPT_SECONDS)
    await _told_by_all(world, 0.0, seconds=PROMPT_SECONDS)


def _all_queues(world: World, value: float) -> None:
    world.tell(f"all queues = {value:g}")
    world.truth.values |= dict.fromkeys(action.QUEUES, value)


async def _told_by_all(world: World, value: float, *, seconds: float) -> None:
    _all_queues(world, value)
    made = {name: backlog.made for name, backlog in world.backlogs.items()}
    if value:
        job_action.to_each(world, 2)
    await asyncio.sleep(seconds)
    world.check()
    invariant.awake(world, seconds=seconds, wanted=value > 0)
    if value:
        job_invariant.noticed(world, made, seconds=seconds)
