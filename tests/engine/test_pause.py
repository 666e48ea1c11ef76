"""Pausing in virtual time: as a whole, at a count, in one direction; and the way back from each to each."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from keda_py.engine.metrics import MetricUnknownError, read_metric
from keda_py.serve.telemetry import Telemetry
from tests.engine.object_world import HPA, SO, World

pytestmark = pytest.mark.looptime

PREFIX = "autoscaling.keda.sh/"
OURS = f"{HPA}/keda-hpa-app"


@pytest.fixture
def world() -> World:
    return World()


def annotate(world: World, name: str = "app", **annotations: str) -> None:
    """Replace all annotations of an object, as a person would."""
    found = deepcopy(world.api.objects[f"{SO}/{name}"])
    found["metadata"]["annotations"] = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    world.api.put(f"{SO}/{name}", found)


def behavior(world: World) -> dict[str, Any]:
    """Return what the HPA says of each direction."""
    found: dict[str, Any] = world.api.objects[OURS]["spec"].get("behavior") or {}
    return {direction: rules["selectPolicy"] for direction, rules in found.items() if "selectPolicy" in rules}


def told(world: World, reason: str) -> int:
    return world.events().count(("Normal", reason))


def gauge(world: World) -> float:
    seen = Telemetry({"scaledobject": world.live, "scaledjob": {}})
    family = next(family for family in seen.collect() if family.name == "keda_scaled_object_paused")
    return float(family.samples[0].value)


async def test_paused_it_neither_reads_nor_scales_and_has_no_hpa(world: World) -> None:
    world.deploy(0)
    world.pods.count = 3
    world.apply(cooldownPeriod=30)
    async with world.daemon():
        await asyncio.sleep(1)
        assert (world.replicas, OURS in world.api.objects, gauge(world)) == (1, True, 0)
        annotate(world, paused="true")
        await asyncio.sleep(1)
        assert OURS not in world.api.objects
        assert world.condition("Paused") == ("True", "ScaledObjectPaused")
        assert world.condition("Ready") == ("True", "ScaledObjectReady")
        assert "pausedReplicaCount" not in world.status()
        assert gauge(world) == 1
        with pytest.raises(MetricUnknownError):
            await read_metric(world.live, "ns", "app", "s0-workload-ns")
        world.pods.count = 0
        world.api.writes.clear()
        await asyncio.sleep(3600)
        world.deploy(7)
        await asyncio.sleep(3600)
        assert (world.replicas, world.api.writes) == (7, [])
        assert (told(world, "ScaledObjectPaused"), told(world, "ScaledObjectReady")) == (1, 1)


async def test_afterwards_it_goes_on_and_the_cooldown_begins_anew(world: World) -> None:
    world.deploy(0)
    world.pods.count = 3
    world.apply(cooldownPeriod=300)
    async with world.daemon():
        await asyncio.sleep(1)
        annotate(world, paused="true")
        await asyncio.sleep(3600)
        world.pods.count = 0
        annotate(world)
        await asyncio.sleep(1)
        assert OURS in world.api.objects
        assert world.condition("Paused") == ("False", "ScaledObjectUnpaused")
        assert world.condition("Active") == ("False", "ScalerCooldown")
        assert told(world, "ScaledObjectUnpaused") == 1
        await asyncio.sleep(290)
        assert world.replicas == 1
        await asyncio.sleep(20)
        assert world.replicas == 0


async def test_paused_at_a_count_it_is_set_once(world: World) -> None:
    world.deploy(0)
    world.pods.count = 3
    world.apply(advanced={"restoreToOriginalReplicaCount": True})
    annotate(world, paused_replicas="4", paused="false")
    async with world.daemon():
        await asyncio.sleep(1)
        assert (world.replicas, world.status()["pausedReplicaCount"]) == (4, 4)
        assert world.status()["originalReplicaCount"] == 0
        world.deploy(2)
        await asyncio.sleep(3600)
        assert world.replicas == 2, "what others make of it is left alone"
    async with world.daemon():
        await asyncio.sleep(60)
        assert world.replicas == 2, "by the next process too"
        annotate(world, paused_replicas="0")
        await asyncio.sleep(1)
        assert (world.replicas, world.status()["pausedReplicaCount"]) == (0, 0)
        annotate(world, paused="true")
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Paused")[0]) == (0, "True")
        assert "pausedReplicaCount" not in world.status()
        annotate(world)
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Paused")[0]) == (1, "False")
        for replicas, annotations in [(0, {"paused_replicas": "0"}), (1, {}), (0, {"paused_replicas": "0"})]:
            annotate(world, **annotations)
            await asyncio.sleep(1)
            assert world.replicas == replicas
        world.api.delete(f"{SO}/app")
        await asyncio.sleep(1)
        assert f"{SO}/app" not in world.api.objects


async def test_a_count_that_is_none_pauses_and_says_what_to_change(world: World) -> None:
    world.deploy(2)
    world.pods.count = 3
    world.apply()
    async with world.daemon():
        await asyncio.sleep(1)
        annotate(world, paused_replicas="many")
        await asyncio.sleep(1)
        assert (OURS in world.api.objects, world.replicas) == (False, 2)
        assert world.condition("Paused") == ("True", "ScaledObjectPaused")
        assert world.condition("Ready") == ("False", "ScaledObjectCheckFailed")
        assert "paused-replicas has to be a whole number" in world.message()
        world.api.writes.clear()
        await asyncio.sleep(600)
        assert world.api.writes == []
        annotate(world, paused_replicas="5")
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Ready")[0]) == (5, "True")


async def test_what_makes_no_sense_can_be_paused_and_a_missing_target_is_named(world: World) -> None:
    world.apply(minReplicaCount=9, maxReplicaCount=3)
    annotate(world, paused="true")
    async with world.daemon():
        await asyncio.sleep(1)
        assert (world.condition("Paused")[0], world.condition("Ready")[0]) == ("True", "True")
        annotate(world, paused_replicas="1")
        await asyncio.sleep(1)
        assert (world.condition("Paused")[0], world.condition("Ready")[0]) == ("True", "False")
        assert "Deployment ns/web does not exist" in world.message()
        annotate(world)
        await asyncio.sleep(1)
        assert (world.condition("Paused")[0], world.condition("Ready")[0]) == ("False", "False")


async def test_only_the_older_of_two_objects_sets_the_count(world: World) -> None:
    world.deploy(2)
    world.apply("a")
    world.apply("b")
    annotate(world, "b", paused_replicas="9")
    async with world.daemon():
        await asyncio.sleep(1)
        assert "already scaled by the older ScaledObject a" in world.message(name="b")
        assert world.replicas != 9


async def test_scaling_in_is_paused_and_scaling_out_is_not(world: World) -> None:
    world.deploy(3)
    world.apply(cooldownPeriod=0)
    annotate(world, paused_scale_in="true")
    async with world.daemon():
        await asyncio.sleep(120)
        assert (world.replicas, behavior(world)) == (3, {"scaleDown": "Disabled"})
        assert world.condition("Paused") == ("True", "ScaledObjectPaused")
        assert world.condition("Active") == ("False", "ScalerNotActive")
        assert gauge(world) == 1
        world.deploy(0)
        world.pods.count = 1
        await asyncio.sleep(31)
        assert world.replicas == 1
        world.pods.count = 0
        world.api.writes.clear()
        await asyncio.sleep(31)
        world.api.writes.clear()
        await asyncio.sleep(3600)
        assert (world.replicas, world.api.writes) == (1, [])
        annotate(world)
        await asyncio.sleep(1)
        assert (world.replicas, behavior(world)) == (0, {})


async def test_scaling_out_is_paused_and_scaling_in_is_not(world: World) -> None:
    world.deploy(0)
    world.pods.count = 3
    world.apply(cooldownPeriod=0, advanced={"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {}}}})
    annotate(world, paused_scale_out="true")
    async with world.daemon():
        await asyncio.sleep(120)
        assert (world.replicas, behavior(world)) == (0, {"scaleUp": "Disabled"})
        assert world.condition("Active") == ("True", "ScalerActive")
        world.deploy(2)
        world.pods.count = 0
        await asyncio.sleep(31)
        assert world.replicas == 0
        annotate(world, paused_scale_in="true")
        world.pods.count = 3
        await asyncio.sleep(31)
        assert (world.replicas, behavior(world)) == (1, {"scaleDown": "Disabled"})
        assert told(world, "ScaledObjectPaused") == 1
        assert told(world, "ScaledObjectUnpaused") == 0


async def test_both_directions_paused_is_read_on_and_not_moved(world: World) -> None:
    world.deploy(2)
    world.apply(cooldownPeriod=0)
    annotate(world, paused_scale_in="true", paused_scale_out="true")
    async with world.daemon():
        await asyncio.sleep(120)
        assert (world.replicas, behavior(world)) == (2, {"scaleDown": "Disabled", "scaleUp": "Disabled"})
        assert (await read_metric(world.live, "ns", "app", "s0-workload-ns")).value == "0"
        annotate(world, paused_scale_in="true", paused="true")
        await asyncio.sleep(1)
        assert OURS not in world.api.objects
        annotate(world, paused_scale_in="true")
        await asyncio.sleep(1)
        assert (world.replicas, behavior(world)) == (2, {"scaleDown": "Disabled"})


async def test_forced_activation_wakes_and_keeps_awake_and_then_cools_down(world: World) -> None:
    world.deploy(0)
    world.apply(cooldownPeriod=60)
    async with world.daemon():
        await asyncio.sleep(1)
        annotate(world, force_activation="true")
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Active")) == (1, ("True", "ScalerActive"))
        assert world.message("Active") == "activation is forced by annotation"
        assert world.condition("Paused") == ("False", "ScaledObjectUnpaused")
        note = next(e["message"] for p, e in world.api.objects.items() if "Activated" in e.get("reason", ""))
        assert note.endswith("from 0 to 1, caused by forced activation annotation")
        world.api.writes.clear()
        await asyncio.sleep(3600)
        assert (world.replicas, world.api.writes) == (1, [])
        annotate(world)
        await asyncio.sleep(50)
        assert (world.replicas, world.condition("Active")) == (1, ("False", "ScalerCooldown"))
        await asyncio.sleep(20)
        assert world.replicas == 0


async def test_forced_activation_does_not_wait_for_a_source_and_yields_to_a_pause(world: World) -> None:
    world.deploy(0)
    broken = {"type": "corn", "metadata": {}}
    world.apply(triggers=[broken])
    annotate(world, force_activation="true", paused_scale_out="true")
    async with world.daemon():
        await asyncio.sleep(31)
        assert world.replicas == 0
        annotate(world, force_activation="true")
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Ready")[0]) == (1, "False")
        annotate(world, force_activation="true", paused_replicas="0")
        await asyncio.sleep(1)
        assert world.replicas == 0
