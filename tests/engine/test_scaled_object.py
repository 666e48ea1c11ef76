"""The whole loop in virtual time: a ScaledObject scales its target, and says what it does and why."""

import asyncio
from typing import Any

import pytest

from keda_py.decide.status import format_time, parse_time
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.kube.transport import Response
from keda_py.scaler import ScalerError
from tests.engine.object_world import HPA, SO, World

pytestmark = pytest.mark.looptime


@pytest.fixture
def world() -> World:
    return World()


async def test_from_zero_to_one_and_after_the_cooldown_back(world: World) -> None:
    world.deploy(0)
    world.apply(cooldownPeriod=60)
    async with world.daemon():
        await asyncio.sleep(1)
        assert (world.replicas, world.condition("Active")) == (0, ("False", "ScalerNotActive"))
        world.pods.count = 3
        await asyncio.sleep(30)
        assert (world.replicas, world.condition("Active")) == (1, ("True", "ScalerActive"))
        world.pods.count = 0
        stopped = world.time()
        await asyncio.sleep(31)
        assert world.condition("Active") == ("False", "ScalerCooldown")
        assert world.replicas == 1
        seen = parse_time(world.status()["lastActiveTime"])
        assert seen <= stopped
        await asyncio.sleep((seen - world.time()).total_seconds() + 59.9)
        assert world.replicas == 1, "not a moment before the cooldown is over"
        await asyncio.sleep(2)
        assert world.replicas == 0
    assert ("Normal", "KEDAScaleTargetActivated") in world.events()
    assert ("Normal", "KEDAScaleTargetDeactivated") in world.events()
    assert world.condition("Ready") == ("True", "ScaledObjectReady")


async def test_an_edit_of_the_triggers_does_not_shorten_the_cooldown(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(cooldownPeriod=60)
    async with world.daemon():
        await asyncio.sleep(110)
        world.pods.count = 0
        trigger = {"type": "kubernetes-workload", "metadata": {"podSelector": "job=1", "value": "6"}}
        world.apply(cooldownPeriod=60, triggers=[trigger])
        await asyncio.sleep(5)
        assert (world.replicas, world.condition("Active")) == (2, ("False", "ScalerCooldown"))
        await asyncio.sleep(60)
        assert world.replicas == 0


async def test_a_new_object_is_looked_at_at_once(world: World) -> None:
    world.deploy(0)
    world.pods.count = 1
    async with world.daemon():
        world.apply()
        await asyncio.sleep(0.5)
        assert world.replicas == 1


async def test_the_hpa_is_made_and_followed(world: World) -> None:
    world.deploy(0)
    world.apply()
    async with world.daemon():
        await asyncio.sleep(1)
        hpa = world.api.objects[f"{HPA}/keda-hpa-app"]
        assert hpa["spec"]["maxReplicas"] == 100
        assert world.status()["hpaName"] == "keda-hpa-app"
        assert world.status()["externalMetricNames"] == ["s0-workload-ns"]
        world.apply(maxReplicaCount=7, advanced={"horizontalPodAutoscalerConfig": {"name": "mine"}})
        await asyncio.sleep(1)
        assert f"{HPA}/keda-hpa-app" not in world.api.objects
        assert world.api.objects[f"{HPA}/mine"]["spec"]["maxReplicas"] == 7
        spoilt = dict(world.api.objects[f"{HPA}/mine"])
        spoilt["spec"] = spoilt["spec"] | {"maxReplicas": 50}
        world.api.put(f"{HPA}/mine", spoilt)
        await asyncio.sleep(1)
        assert world.api.objects[f"{HPA}/mine"]["spec"]["maxReplicas"] == 7


async def test_a_source_that_fails_moves_nothing_and_says_so_once(world: World) -> None:
    world.deploy(4)
    world.apply(cooldownPeriod=10)
    world.pods.count = 9
    async with world.daemon():
        await asyncio.sleep(31)
        world.pods.count = ScalerError("pods is forbidden")
        await asyncio.sleep(3600)
        assert world.replicas == 4
        assert world.condition("Ready") == ("False", "TriggerError")
        assert "triggers[0] (kubernetes-workload): pods is forbidden" in world.message()
        assert world.condition("Active") == ("Unknown", "UnknownState")
        assert world.events().count(("Warning", "KEDAScalerFailed")) == 1
        with pytest.raises(MetricUnavailableError, match="forbidden"):
            await read_metric(world.live, "ns", "app", "s0-workload-ns")
        world.pods.count = 9
        await asyncio.sleep(31)
        assert world.condition("Ready") == ("True", "ScaledObjectReady")
        assert world.replicas == 4


async def test_a_steady_object_is_never_written(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply()
    async with world.daemon():
        await asyncio.sleep(60)
        world.api.writes.clear()
        await asyncio.sleep(24 * 3600)
    assert world.api.writes == []


async def test_after_a_crash_the_cooldown_never_ends_early(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(cooldownPeriod=300)
    async with world.daemon():
        await asyncio.sleep(3600)
    world.pods.count = 0
    async with world.daemon():
        await asyncio.sleep(299)
        assert world.replicas == 2
        await asyncio.sleep(40)
        assert world.replicas == 0


async def test_a_crash_during_the_cooldown_does_not_begin_it_again(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(cooldownPeriod=300)
    async with world.daemon():
        await asyncio.sleep(60)
        world.pods.count = 0
        await asyncio.sleep(200)
    async with world.daemon():
        await asyncio.sleep(140)
        assert world.replicas == 0


async def test_a_new_term_goes_by_what_other_leaders_saw(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(cooldownPeriod=300)
    async with world.daemon():
        await asyncio.sleep(10)
        world.pods.count = 0
        await asyncio.sleep(200)
        found = dict(world.api.objects[f"{SO}/app"])
        world.api.put(f"{SO}/app", found | {"status": found["status"] | {"lastActiveTime": format_time(world.time())}})
        await asyncio.sleep(1)
        world.objects.begin(("ns", "app"))
        await asyncio.sleep(290)
        assert world.replicas == 2
        await asyncio.sleep(20)
        assert world.replicas == 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"triggers": [{"type": "corn", "metadata": {}}]}, "triggers[0] (corn): there is no trigger type 'corn'"),
        ({"triggers": [{"type": "cron", "metadata": {"start": "x"}}]}, "start: expected 5 fields"),
        ({"scaleTargetRef": {"name": "gone"}}, "Deployment ns/gone does not exist; create it"),
        ({"scaleTargetRef": {"name": "x", "apiVersion": "example.com/v1", "kind": "Stone"}}, "no /scale subresource"),
        ({"scaleTargetRef": {"name": "x", "apiVersion": "nowhere/v1", "kind": "X"}}, "no API version nowhere/v1"),
        ({"minReplicaCount": 9, "maxReplicaCount": 3}, "must not be above spec.maxReplicaCount"),
        ({"triggers": [{"type": "cron", "metadata": {"desiredReplicas": 5}}]}, "put it in quotes"),
    ],
)
async def test_a_broken_manifest_says_what_to_change_and_disturbs_nobody(
    world: World, spec: dict[str, Any], says: str
) -> None:
    world.deploy(0)
    world.deploy(0, "other")
    world.pods.count = 1
    async with world.daemon():
        world.apply("broken", **({"scaleTargetRef": {"name": "other"}} | spec))
        world.apply()
        await asyncio.sleep(5)
        assert world.condition("Ready", "broken") == ("False", "ScaledObjectCheckFailed")
        assert says in world.message(name="broken")
        assert (world.replicas, world.condition("Ready")) == (1, ("True", "ScaledObjectReady"))
        world.api.writes.clear()
        await asyncio.sleep(3600)
        assert world.api.writes == []


async def test_of_two_objects_on_one_target_the_older_works_and_the_younger_is_next(world: World) -> None:
    world.deploy(0)
    world.pods.count = 1
    async with world.daemon():
        world.apply("a")
        world.apply("b")
        await asyncio.sleep(1)
        assert world.condition("Ready", "a")[0] == "True"
        assert "already scaled by the older ScaledObject a" in world.message(name="b")
        world.api.delete(f"{SO}/a")
        await asyncio.sleep(1)
        assert world.condition("Ready", "b")[0] == "True"


async def test_kinds_of_one_name_in_two_groups_are_two_targets(world: World) -> None:
    world.deploy(0)
    world.api.put("/apis/example.com/v1/namespaces/ns/lamps/web", {"spec": {"replicas": 0}})
    world.pods.count = 1
    async with world.daemon():
        world.apply("a")
        world.apply("b", scaleTargetRef={"name": "web", "apiVersion": "example.com/v1", "kind": "Lamp"})
        world.apply("c", scaleTargetRef={"name": "web", "apiVersion": "example.com/v1", "kind": "Deployment"})
        await asyncio.sleep(1)
        assert world.condition("Ready", "a")[0] == world.condition("Ready", "b")[0] == "True"
        assert "has no kind Deployment in example.com/v1" in world.message(name="c")


async def test_one_broken_trigger_leaves_the_others_at_work(world: World) -> None:
    world.deploy(0)
    world.pods.count = 1
    good = {"type": "kubernetes-workload", "metadata": {"podSelector": "job=1", "value": "5"}}
    world.apply(triggers=[{"type": "corn", "metadata": {}}, good])
    async with world.daemon():
        await asyncio.sleep(1)
        assert world.replicas == 1
        assert world.condition("Ready")[0] == "False"
        assert (await read_metric(world.live, "ns", "app", "s1-workload-ns")).value == "1"
        with pytest.raises(MetricUnavailableError, match="corn"):
            await read_metric(world.live, "ns", "app", "s0-anything")
        with pytest.raises(MetricUnknownError):
            await read_metric(world.live, "ns", "app", "s1-else")


async def test_conflicts_and_refusals_are_tried_again(world: World) -> None:
    world.deploy(0)
    world.pods.count = 1
    world.api.refuse = [Response(409, b'{"reason":"Conflict","message":"modified"}'), Response(500, b"oops")] * 3
    world.apply()
    async with world.daemon():
        await asyncio.sleep(60)
        assert (world.replicas, world.condition("Ready")) == (1, ("True", "ScaledObjectReady"))


async def test_any_kind_with_a_scale_subresource_can_be_scaled(world: World) -> None:
    lamp = "/apis/example.com/v1/namespaces/ns/lamps/web"
    world.api.put(lamp, {"spec": {"replicas": 0}})
    world.apply(scaleTargetRef={"name": "web", "apiVersion": "example.com/v1", "kind": "Lamp"})
    world.pods.count = 1
    async with world.daemon():
        await asyncio.sleep(1)
        assert world.api.objects[lamp]["spec"]["replicas"] == 1
        assert world.status()["scaleTargetKind"] == "example.com/v1.Lamp"


async def test_the_original_count_is_given_back_on_deletion(world: World) -> None:
    world.deploy(3)
    world.pods.count = 0
    world.apply(cooldownPeriod=0, advanced={"restoreToOriginalReplicaCount": True})
    async with world.daemon():
        await asyncio.sleep(60)
        assert world.replicas == 0
        world.api.writes.clear()
        world.api.delete(f"{SO}/app")
        await asyncio.sleep(1)
        assert world.replicas == 3
        done = [(method, path.rpartition("/")[2]) for method, path in world.api.writes]
        assert done.index(("DELETE", "keda-hpa-app")) < done.index(("PATCH", "scale")), "it would take them back"
        assert f"{SO}/app" not in world.api.objects


async def test_the_minimum_is_restored_when_someone_else_goes_below_it(world: World) -> None:
    world.deploy(5)
    world.apply(minReplicaCount=2)
    async with world.daemon():
        await asyncio.sleep(1)
        world.deploy(0)
        await asyncio.sleep(1)
        assert world.replicas == 2


async def test_idle_is_below_the_minimum(world: World) -> None:
    world.deploy(5)
    world.apply(minReplicaCount=2, idleReplicaCount=0, cooldownPeriod=30)
    async with world.daemon():
        await asyncio.sleep(1)
        assert world.replicas == 0
        world.pods.count = 1
        await asyncio.sleep(31)
        assert world.replicas == 2


async def test_cron_wakes_in_the_morning(world: World) -> None:
    world.deploy(0)
    window = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "UTC", "desiredReplicas": "3"}
    world.apply(triggers=[{"type": "cron", "metadata": window}])
    async with world.daemon():
        await asyncio.sleep(50)
        assert world.replicas == 0
        await asyncio.sleep(45)
        assert world.replicas == 1
        assert (await read_metric(world.live, "ns", "app", "s0-cron-UTC-08xxx-018xxx")).value == "3"
