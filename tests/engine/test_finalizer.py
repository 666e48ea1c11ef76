"""A deletion that gives a target its replicas back, in virtual time."""

import asyncio

import pytest

from .dials import World
from .world import SPACE

pytestmark = pytest.mark.looptime

SCALE = f"PATCH /apis/apps/v1/namespaces/{SPACE}/deployments/app/scale"


async def test_replicas_are_given_back_once() -> None:
    async with World().running() as world:
        world.dials.says["a"] = 1
        world.make("ScaledObject", advanced={"restoreToOriginalReplicaCount": True})
        await asyncio.sleep(5)
        world.wire.calls.clear()
        # The watch tells of the HPA's end, which is a reason to look again, before it tells of the object's.
        world.do("DELETE", world.path("ScaledObject"))
        await asyncio.sleep(5)
        assert world.wire.calls.count(SCALE) == 1
        assert world.wire.calls.count(f"PATCH {world.path('ScaledObject')}") == 1
