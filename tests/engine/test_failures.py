"""What is counted as a failure of an object, for alerts: never less than before, and of everything that is wrong."""

import asyncio

import pytest

from keda_py.engine.live import Live
from keda_py.scaler import ScalerError

from .dials import INTERVAL, KINDS, World, dial
from .world import SPACE

pytestmark = [pytest.mark.looptime, pytest.mark.parametrize("kind", KINDS)]
MISTAKE = {"type": "dail", "metadata": {}}


def of(world: World, kind: str) -> Live:
    live = world.daemon.live if kind == "ScaledObject" else world.daemon.live_jobs
    return live[SPACE, "app"]


async def test_a_trigger_that_cannot_be_built_fails_each_interval(kind: str) -> None:
    async with World().running() as world:
        world.make(kind, MISTAKE)
        await asyncio.sleep(2)
        assert of(world, kind).failures == 1
        await asyncio.sleep(3 * INTERVAL)
        assert of(world, kind).failures == 4


async def test_what_a_replaced_trigger_failed_of_stays_counted(kind: str) -> None:
    async with World().running() as world:
        world.dials.says["a"] = ScalerError("the dial is down")
        world.make(kind)
        await asyncio.sleep(2 * INTERVAL + 2)
        before = of(world, kind).failures
        assert before >= 2
        world.make(kind, dial("b"))
        await asyncio.sleep(2)
        assert of(world, kind).failures == before
        world.annotate(kind, paused="true")
        await asyncio.sleep(2)
        assert of(world, kind).failures == before


async def test_an_object_that_makes_no_sense_is_a_failure(kind: str) -> None:
    async with World().running() as world:
        world.make(kind, dial("a", name="x"), dial("b", name="x"))
        await asyncio.sleep(2)
        assert of(world, kind).failures == 1
