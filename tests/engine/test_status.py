"""Every condition that a status can have, as the whole daemon comes to write it; and that Ready is never wrongly True.

The pairs are those of KEDA (apis/keda/v1alpha1/condition_types.go, and where they are set).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keda_py.engine.live import OVERDUE
from keda_py.scaler import ScalerError

from .dials import INTERVAL, KINDS, World, dial
from .world import SPACE

pytestmark = pytest.mark.looptime

ROUND = INTERVAL + 1
DOWN = ScalerError("the dial is down")
MISTAKE = {"type": "dail", "metadata": {}}
HPA_LOOKS = 16
Course = Callable[[World, str], Awaitable[None]]


async def being_read(world: World, kind: str) -> None:
    world.dials.asleep.add("a")
    world.make(kind)
    await asyncio.sleep(2)


async def idle(world: World, kind: str) -> None:
    world.make(kind)
    await asyncio.sleep(HPA_LOOKS)


async def busy(world: World, kind: str) -> None:
    world.dials.says["a"] = 1
    await idle(world, kind)


async def cooling(world: World, kind: str) -> None:
    world.dials.says["a"] = 1
    world.make(kind, cooldownPeriod=300)
    await asyncio.sleep(ROUND)
    world.dials.says["a"] = 0
    await asyncio.sleep(ROUND)


async def failing(world: World, kind: str) -> None:
    await busy(world, kind)
    world.dials.says["a"] = DOWN
    await asyncio.sleep(2 * HPA_LOOKS)


async def partly_failing(world: World, kind: str) -> None:
    world.dials.says |= {"a": 1, "b": DOWN}
    world.make(kind, dial("a"), dial("b"))
    await asyncio.sleep(ROUND)


async def mistaken(world: World, kind: str) -> None:
    world.make(kind, MISTAKE)
    await asyncio.sleep(2)


async def without_a_target(world: World, kind: str) -> None:
    world.make(kind, scaleTargetRef={"name": "elsewhere"})
    await asyncio.sleep(2)


async def of_a_target_that_does_not_tell(world: World, kind: str) -> None:
    world.wire.refused = ("/replicasets/app/scale",)
    labels = {"app": "rs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    world.put("apis/apps/v1", "replicasets", "app", spec=spec)
    world.make(kind, scaleTargetRef={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app"})
    await asyncio.sleep(2)


async def of_a_target_that_tells_again(world: World, kind: str) -> None:
    await of_a_target_that_does_not_tell(world, kind)
    world.wire.refused = ()
    await asyncio.sleep(60)


async def replaced(world: World, kind: str) -> None:
    world.dials.says["a"] = DOWN
    world.make(kind, fallback={"failureThreshold": 1, "replicas": 2})
    await asyncio.sleep(3 * ROUND)


async def paused(world: World, kind: str) -> None:
    await idle(world, kind)
    world.annotate(kind, paused="true")
    await asyncio.sleep(2)


async def paused_in_one_direction(world: World, kind: str) -> None:
    await idle(world, kind)
    world.annotate(kind, paused_scale_in="true")
    await asyncio.sleep(2)


async def unpaused(world: World, kind: str) -> None:
    await paused(world, kind)
    world.annotate(kind, paused="false")
    await asyncio.sleep(ROUND)


OF_SCALED_OBJECTS: list[tuple[Course, dict[str, tuple[str, str]]]] = [
    (
        being_read,
        {
            "Ready": ("Unknown", ""),
            "Active": ("Unknown", ""),
            "Fallback": ("False", "NoFallbackFound"),
            "Paused": ("False", "ScaledObjectUnpaused"),
        },
    ),
    (
        idle,
        {
            "Ready": ("True", "ScaledObjectReady"),
            "Active": ("False", "ScalerNotActive"),
            "HPAActive": ("True", "ScalingDisabled"),
        },
    ),
    (busy, {"Active": ("True", "ScalerActive"), "HPAActive": ("True", "HPAActive")}),
    (cooling, {"Active": ("False", "ScalerCooldown"), "Ready": ("True", "ScaledObjectReady")}),
    (
        failing,
        {
            "Ready": ("False", "TriggerError"),
            "Active": ("Unknown", "UnknownState"),
            "HPAActive": ("False", "FailedGetExternalMetric"),
        },
    ),
    (partly_failing, {"Ready": ("Unknown", "PartialTriggerError"), "Active": ("True", "ScalerActive")}),
    (mistaken, {"Ready": ("False", "ScaledObjectCheckFailed"), "Active": ("Unknown", "UnknownState")}),
    (without_a_target, {"Ready": ("False", "ScaledObjectCheckFailed"), "Active": ("Unknown", "UnknownState")}),
    (of_a_target_that_does_not_tell, {"Ready": ("False", "ErrorGettingCurrentReplicas")}),
    (of_a_target_that_tells_again, {"Ready": ("True", "ScaledObjectReady")}),
    (
        replaced,
        {
            "Ready": ("Unknown", "PartialTriggerError"),
            "Active": ("True", "ScalerActive"),
            "Fallback": ("True", "FallbackExists"),
        },
    ),
    (paused, {"Paused": ("True", "ScaledObjectPaused"), "Ready": ("True", "ScaledObjectReady")}),
    (paused_in_one_direction, {"Paused": ("True", "ScaledObjectPaused"), "Ready": ("True", "ScaledObjectReady")}),
    (unpaused, {"Paused": ("False", "ScaledObjectUnpaused"), "Ready": ("True", "ScaledObjectReady")}),
]
OF_SCALED_JOBS: list[tuple[Course, dict[str, tuple[str, str]]]] = [
    (
        being_read,
        {
            "Ready": ("Unknown", ""),
            "Active": ("Unknown", ""),
            "Fallback": ("Unknown", ""),
            "Paused": ("False", "ScaledJobUnpaused"),
        },
    ),
    (
        idle,
        {
            "Ready": ("True", "ScaledJobReady"),
            "Active": ("False", "ScalerNotActive"),
            "Fallback": ("Unknown", ""),
            "Paused": ("False", "ScaledJobUnpaused"),
        },
    ),
    (busy, {"Ready": ("True", "ScaledJobReady"), "Active": ("True", "ScalerActive")}),
    (failing, {"Ready": ("False", "TriggerError"), "Active": ("Unknown", "UnknownState")}),
    (partly_failing, {"Ready": ("Unknown", "PartialTriggerError"), "Active": ("True", "ScalerActive")}),
    (mistaken, {"Ready": ("False", "ScaledJobCheckFailed"), "Active": ("Unknown", "UnknownState")}),
    (paused, {"Paused": ("True", "ScaledJobPaused"), "Ready": ("True", "ScaledJobReady")}),
    (unpaused, {"Paused": ("False", "ScaledJobUnpaused"), "Ready": ("True", "ScaledJobReady")}),
]
ALL = [
    pytest.param(kind, course, said, id=f"{kind} {course.__name__}")
    for kind, courses in (("ScaledObject", OF_SCALED_OBJECTS), ("ScaledJob", OF_SCALED_JOBS))
    for course, said in courses
]


@pytest.mark.parametrize(("kind", "course", "said"), ALL)
async def test_conditions(kind: str, course: Course, said: dict[str, tuple[str, str]]) -> None:
    async with World().running() as world:
        await course(world, kind)
        found = world.conditions("app", KINDS[kind])
        assert list(found)[:4] == ["Ready", "Active", "Fallback", "Paused"]
        assert {type_: found[type_][:2] for type_ in said} == said


async def test_a_status_has_every_field_that_kedas_has() -> None:
    world = World()
    world.dials.says |= {"a": 2, "b": 0}
    async with world.running():
        world.authentication("auth", env=[])
        triggers = [
            dial("a", name="a", authenticationRef={"name": "auth"}),
            dial("b", name="b", authenticationRef={"name": "auth"}),
        ]
        formula = {"scalingModifiers": {"formula": "a + b", "target": "1"}}
        fallback = {"failureThreshold": 3, "replicas": 2}
        world.make("ScaledObject", *triggers, advanced=formula, fallback=fallback)
        await asyncio.sleep(2 * HPA_LOOKS)
        found = world.status("app")
        assert found.pop("lastActiveTime").startswith("2026-01-05T00:00:")
        assert [condition["type"] for condition in found.pop("conditions")] == [
            *("Ready", "Active", "Fallback", "Paused"),
            "HPAActive",
        ]
        happy = {"numberOfFailures": 0, "status": "Happy"}
        assert found == {
            "scaleTargetKind": "apps/v1.Deployment",
            "scaleTargetGVKR": {"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments"},
            "originalReplicaCount": 0,
            "externalMetricNames": ["s0-dial-a", "s1-dial-b"],
            "compositeScalerName": "composite-metric",
            "hpaName": "keda-hpa-app",
            "triggersTypes": "dial",
            "authenticationsTypes": "auth",
            "health": {"s0-dial-a": happy, "s1-dial-b": happy},
            "triggersActivity": {"s0-dial-a": {"isActive": True}, "s1-dial-b": {"isActive": False}},
        }
        assert world.users("auth") == "app"
        world.annotate("ScaledObject", paused_replicas="3")
        await asyncio.sleep(2)
        assert world.status("app")["pausedReplicaCount"] == 3
        world.annotate("ScaledObject", paused_replicas=None)
        await asyncio.sleep(2)
        assert "pausedReplicaCount" not in world.status("app")


async def test_a_status_of_a_scaled_job_has_every_field_that_kedas_has() -> None:
    async with World().running() as world:
        world.authentication("auth", env=[])
        world.dials.says["a"] = 1
        world.make("ScaledJob", dial("a", authenticationRef={"name": "auth"}), dial("b"))
        await asyncio.sleep(2)
        found = world.status("app", "scaledjobs")
        assert found.pop("lastActiveTime").startswith("2026-01-05T00:00:")
        del found["conditions"]
        assert found == {
            "externalMetricNames": ["s0-dial-a", "s1-dial-b"],
            "triggersTypes": "dial",
            "authenticationsTypes": "auth",
            "triggersActivity": {"s0-dial-a": {"isActive": True}, "s1-dial-b": {"isActive": False}},
        }
        path = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/triggerauthentications/auth"
        assert world.do("GET", path)["status"] == {"scaledjobs": "app"}


# --- "Ready is True only if every trigger could be built and read lately" -------------------------------------------


async def not_built(world: World, kind: str) -> None:
    world.make(kind, dial("b"), {"type": "dial", "metadata": {}})
    await asyncio.sleep(2)


async def refused(world: World, kind: str) -> None:
    world.dials.says["a"] = ScalerError("the dial lets nobody in; give it a token")
    await asyncio.sleep(ROUND)


async def timed_out(world: World, kind: str) -> None:
    world.dials.asleep.add("a")
    # An interval until it is read, and another until it should have been.
    await asyncio.sleep(2 * INTERVAL + 5)


async def gone_stale(world: World, kind: str) -> None:
    """A read does not even end when it is told to."""
    world.dials.deaf = True
    world.dials.asleep.add("a")
    await asyncio.sleep(200)


FAILS: list[tuple[Course, str]] = [
    (not_built, "triggers[1] (dial): dial: required, set it in the trigger's metadata"),
    (refused, "triggers[1] (dial): the dial lets nobody in; give it a token"),
    (timed_out, "triggers[1] (dial): not read within 13 s"),
    (gone_stale, f"triggers[1] (dial): {OVERDUE}"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fails", "says"), FAILS, ids=[fails.__name__ for fails, _ in FAILS])
async def test_ready_is_true_only_if_every_trigger_could_be_built_and_read_lately(
    kind: str, fails: Course, says: str
) -> None:
    async with World().running() as world:
        world.make(kind, dial("b"), dial("a"))
        await asyncio.sleep(2)
        assert world.conditions("app", KINDS[kind])["Ready"][0] == "True"
        await fails(world, kind)
        status, _, message = world.conditions("app", KINDS[kind])["Ready"]
        assert status != "True"
        assert says in message
        # It is over when the cause is, and not before.
        await asyncio.sleep(HPA_LOOKS)
        world.wire.calls.clear()
        await asyncio.sleep(600)
        assert [call for call in writes(world) if "scaled" in call] == []
        world.dials.asleep.clear()
        world.dials.says["a"] = 0
        world.make(kind, dial("b"), dial("a"))
        await asyncio.sleep(3 * ROUND)
        assert world.conditions("app", KINDS[kind])["Ready"][0] == "True"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_never_was_read_does_not_stay_unknown_without_a_word(kind: str) -> None:
    async with World().running() as world:
        world.dials.deaf = True
        world.dials.asleep.add("a")
        world.make(kind)
        await asyncio.sleep(200)
        _, reason, message = world.conditions("app", KINDS[kind])["Ready"]
        assert reason == "TriggerError"
        assert message.startswith(f"triggers[0] (dial): {OVERDUE} (")
        world.dials.asleep.clear()


def writes(world: World) -> list[str]:
    return [call for call in world.wire.calls if not call.startswith("GET")]


async def test_a_steady_object_is_never_written_whatever_its_condition() -> None:
    world = World()
    world.dials.says |= {"a": 1, "b": DOWN}
    async with world.running():
        for kind in KINDS:
            world.make(kind, dial("a"), dial("b"), MISTAKE)
        await asyncio.sleep(60)
        before: Any = {kind: world.status("app", plural) for kind, plural in KINDS.items()}
        world.wire.calls.clear()
        await asyncio.sleep(200)
        assert writes(world) == []
        assert {kind: world.status("app", plural) for kind, plural in KINDS.items()} == before
