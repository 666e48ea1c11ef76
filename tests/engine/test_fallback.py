"""Fallback in virtual time: when it begins, what stands in, what the status remembers, and that it ends by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from keda_py.decide.status import parse_time
from keda_py.engine.metrics import MetricUnavailableError, read_metric
from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, ScalerError
from keda_py.settings import Leadership
from tests.engine.object_world import HPA, SO, World
from tests.engine.world import SPACE, Embedded, Wire

pytestmark = pytest.mark.looptime

METRIC = "s0-workload-ns"
DOWN = ScalerError("pods is forbidden")
GOOD = {"type": "kubernetes-workload", "metadata": {"podSelector": "job=1", "value": "5"}}
BROKEN = {"type": "kubernetes-workload", "metadata": {"podSelector": "job=1", "value": "many"}}


def policy(replicas: int = 4, threshold: int = 3, **rest: Any) -> dict[str, Any]:
    return {"failureThreshold": threshold, "replicas": replicas, **rest}


@pytest.fixture
def world() -> World:
    return World()


async def until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait until something has happened, looked at every second; that is for so long at most."""
    for _ in range(int(seconds)):
        if happened():
            return
        await asyncio.sleep(1)
    raise AssertionError(f"not within {seconds:g} s")


async def asked(world: World, metric: str = METRIC) -> str:
    """Return what the HPA is answered now."""
    return (await read_metric(world.live, "ns", "app", metric)).value


def health(world: World, metric: str = METRIC) -> tuple[int, str]:
    found = world.status()["health"][metric]
    return found["numberOfFailures"], found["status"]


def says(world: World, fallback: str) -> bool:
    """Whether the Fallback condition is there and says so."""
    return "conditions" in world.status() and world.condition("Fallback")[0] == fallback


def told(world: World) -> list[str]:
    return [reason for _, reason in world.events() if "Fallback" in reason]


async def test_after_enough_failures_it_wakes_and_the_hpa_is_answered(world: World) -> None:
    world.deploy(0)
    world.pods.count = DOWN
    world.apply(fallback=policy())
    async with world.daemon():
        await asyncio.sleep(1)
        for count in (1, 2, 3):
            await until(lambda count=count: health(world) == (count, "Failing"), 31)
            assert (world.replicas, world.condition("Fallback")) == (0, ("False", "NoFallbackFound"))
            assert world.condition("Ready") == ("False", "TriggerError")
        await until(lambda: world.replicas == 1, 31)
        assert health(world) == (4, "Failing")
        assert world.condition("Fallback") == ("True", "FallbackExists")
        assert world.message("Fallback").startswith("triggers[0] (kubernetes-workload): failed more than 3 times")
        assert world.condition("Active") == ("True", "ScalerActive")
        assert world.message("Active") == "spec.fallback stands in"
        assert world.condition("Ready") == ("Unknown", "PartialTriggerError")
        assert world.message().endswith("pods is forbidden (spec.fallback stands in)")
        assert world.status()["triggersActivity"] == {METRIC: {"isActive": True}}
        assert await asked(world) == "20"
        assert told(world) == ["ScaledObjectFallbackActivated"]


async def test_it_ends_by_itself_and_then_the_cooldown_begins(world: World) -> None:
    world.deploy(0)
    world.pods.count = DOWN
    world.apply(fallback=policy(), cooldownPeriod=60)
    async with world.daemon():
        await until(lambda: world.replicas == 1, 130)
        await asyncio.sleep(7200)
        assert world.replicas == 1
        world.pods.count = 0
        await until(lambda: says(world, "False"), 31)
        assert (health(world), world.replicas) == ((0, "Happy"), 1)
        assert world.condition("Active") == ("False", "ScalerCooldown")
        assert await asked(world) == "0"
        assert told(world) == ["ScaledObjectFallbackActivated", "ScaledObjectFallbackDeactivated"]
        await asyncio.sleep(20)
        assert world.replicas == 1
        await asyncio.sleep(45)
        assert (world.replicas, world.condition("Ready")[0]) == (0, "True")


@pytest.mark.parametrize("seconds", [600, 640, 680])
async def test_it_counts_as_active_up_to_the_last_failure(world: World, seconds: float) -> None:
    world.deploy(3)
    world.pods.count = DOWN
    world.apply(fallback=policy(threshold=0))
    async with world.daemon():
        await asyncio.sleep(seconds)
        world.pods.count = 0
        await until(lambda: says(world, "False"), 31)
        assert world.time() - parse_time(world.status()["lastActiveTime"]) < timedelta(seconds=32)


async def test_what_does_not_change_is_not_written(world: World) -> None:
    world.deploy(3)
    world.pods.count = 9
    world.apply(fallback=policy())
    async with world.daemon():
        await asyncio.sleep(61)
        assert health(world) == (0, "Happy")
        world.api.writes.clear()
        await asyncio.sleep(4 * 3600)
        assert world.api.writes == []
        world.pods.count = DOWN
        await until(lambda: says(world, "True"), 150)
        assert len([path for _, path in world.api.writes if path.startswith(SO)]) == 4, "one for each failure"
        await asyncio.sleep(60)
        world.api.writes.clear()
        await asyncio.sleep(4 * 3600)
        assert world.api.writes == []


async def test_one_success_begins_the_count_anew(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(fallback=policy(threshold=2))
    async with world.daemon():
        await asyncio.sleep(31)
        for _ in range(5):
            world.pods.count = DOWN
            await asyncio.sleep(59)
            assert world.condition("Fallback")[0] == "False"
            world.pods.count = 9
            await asyncio.sleep(31)
            assert health(world) == (0, "Happy")


async def test_reads_of_the_hpa_count_as_polls_do_and_each_once(world: World) -> None:
    world.deploy(2)
    world.pods.count = 9
    world.apply(fallback=policy(), pollingInterval=3600)
    async with world.daemon():
        await asyncio.sleep(10)
        world.pods.count = DOWN
        for _ in range(3):
            for _ in range(5):
                with pytest.raises(MetricUnavailableError, match="forbidden"):
                    await asked(world)
            await asyncio.sleep(6)
        assert health(world) == (3, "Failing")
        assert await asked(world) == "20", "by the read that fails itself"
        await asyncio.sleep(1)
        assert world.condition("Fallback")[0] == "True"


@pytest.mark.parametrize(
    ("behavior", "replicas", "value"),
    [
        ("static", 2, "20"),
        ("currentReplicas", 2, "10"),
        ("currentReplicasIfHigher", 2, "20"),
        ("currentReplicasIfHigher", 7, "35"),
        ("currentReplicasIfLower", 2, "10"),
        ("currentReplicasIfLower", 7, "20"),
    ],
)
async def test_what_stands_in(world: World, behavior: str, replicas: int, value: str) -> None:
    world.deploy(replicas)
    world.pods.count = DOWN
    world.apply(fallback=policy(threshold=0, behavior=behavior))
    async with world.daemon():
        await asyncio.sleep(1)
        assert await asked(world) == value
        assert world.replicas == replicas, "that is for the HPA"


async def test_to_a_formula_nothing_stands_in_and_replicas_are_held(world: World) -> None:
    world.deploy(2)
    world.pods.count = DOWN
    world.apply(fallback=policy(threshold=0, behavior="scalingModifiers"), cooldownPeriod=0)
    async with world.daemon():
        await asyncio.sleep(3600)
        assert (world.replicas, world.condition("Active")[0]) == (2, "Unknown")
        assert "needs spec.advanced.scalingModifiers.formula" in world.message()


async def test_a_fallback_to_nothing_holds_until_it_stands_in(world: World) -> None:
    world.deploy(2)
    world.pods.count = DOWN
    world.apply(fallback=policy(0), cooldownPeriod=0)
    async with world.daemon():
        await until(lambda: says(world, "True"), 130)
        assert world.replicas == 2
        assert await asked(world) == "0"


async def test_other_triggers_are_read_on(world: World) -> None:
    world.deploy(0)
    world.pods.count = 7
    metadata = {"resourceKind": "ConfigMap", "resourceName": "limits", "key": "n", "targetValue": "2"}
    missing = {"type": "kubernetes-resource", "metadata": metadata}
    world.apply(triggers=[GOOD, missing], fallback=policy())
    async with world.daemon():
        await until(lambda: says(world, "True"), 150)
        assert world.message("Fallback").startswith("triggers[1] (kubernetes-resource): ")
        assert (await asked(world), await asked(world, "s1-configmap-limits-n")) == ("7", "8")
        assert (health(world), health(world, "s1-configmap-limits-n")) == ((0, "Happy"), (4, "Failing"))
        world.pods.count = DOWN
        await until(lambda: "triggers[0]" in world.message("Fallback"), 150)
        assert told(world) == ["ScaledObjectFallbackActivated"]


async def test_memory_may_be_lost_at_any_instant(world: World) -> None:
    world.deploy(0)
    world.pods.count = DOWN
    world.apply(fallback=policy())
    for _ in range(2):
        async with world.daemon():
            await asyncio.sleep(1)
    assert health(world) == (2, "Failing")
    async with world.daemon():
        await until(lambda: world.replicas == 1, 33)
    world.api.writes.clear()
    async with world.daemon():
        assert world.condition("Fallback")[0] == "True"
        await until(lambda: bool(world.live), 5)
        assert await asked(world) == "20", "before any pass, by the status"
        await asyncio.sleep(3600)
        assert world.api.writes == []
        assert told(world) == ["ScaledObjectFallbackActivated"]


async def test_it_goes_on_where_keda_stopped(world: World) -> None:
    world.deploy(3)
    world.pods.count = DOWN
    world.apply(fallback=policy())
    found = world.api.objects[f"{SO}/app"]
    kedas = {METRIC: {"numberOfFailures": 57, "status": "Failing"}}
    world.api.put(f"{SO}/app", found | {"status": {"health": kedas}})
    async with world.daemon():
        await asyncio.sleep(1)
        assert await asked(world) == "20"
        await asyncio.sleep(600)
        assert (world.status()["health"], world.condition("Fallback")[0]) == (kedas, "True")


async def test_a_trigger_that_cannot_be_built_any_more_is_stood_in_for(world: World) -> None:
    world.deploy(0)
    world.pods.count = 9
    world.apply(fallback=policy(), triggers=[GOOD], cooldownPeriod=0)
    async with world.daemon():
        await asyncio.sleep(31)
        world.apply(fallback=policy(), triggers=[BROKEN], cooldownPeriod=0)
        await asyncio.sleep(1)
        assert health(world) == (1, "Failing")
        with pytest.raises(MetricUnavailableError, match="value"):
            await asked(world)
        await until(lambda: health(world) == (4, "Failing"), 100)
        assert (world.condition("Fallback")[0], await asked(world)) == ("True", "20")
        assert world.condition("Ready") == ("False", "ScaledObjectCheckFailed")
        await asyncio.sleep(10)
        world.api.writes.clear()
        await asyncio.sleep(3600)
        assert (world.replicas, world.api.writes) == (1, [])
    async with world.daemon():
        await asyncio.sleep(1)
        assert await asked(world) == "20", "another process goes on"
        world.apply(fallback=policy(), triggers=[GOOD], cooldownPeriod=0)
        await asyncio.sleep(1)
        assert (world.condition("Fallback")[0], health(world), await asked(world)) == ("False", (0, "Happy"), "9")


async def test_a_trigger_that_never_could_be_built_is_stood_in_for(world: World) -> None:
    world.deploy(0)
    corn = {"type": "corn", "metadata": {}}
    world.apply(fallback=policy(), triggers=[corn, {"type": "cpu", "metadata": {}}])
    async with world.daemon():
        await asyncio.sleep(1)
        (metric,) = world.api.objects[f"{HPA}/keda-hpa-app"]["spec"]["metrics"]
        assert metric["external"]["metric"]["name"] == "s0-corn"
        await until(lambda: world.replicas == 1, 100)
        assert await asked(world, "s0-corn") == "4"
        assert world.status()["health"] == {"s0-corn": {"numberOfFailures": 4, "status": "Failing"}}
        world.pods.count = 9
        world.apply(fallback=policy(), triggers=[GOOD])
        await asyncio.sleep(1)
        (metric,) = world.api.objects[f"{HPA}/keda-hpa-app"]["spec"]["metrics"]
        assert metric["external"]["metric"]["name"] == METRIC
        assert (world.condition("Fallback")[0], list(world.status()["health"])) == ("False", [METRIC])


async def test_without_a_fallback_nothing_is_counted(world: World) -> None:
    world.deploy(2)
    world.pods.count = DOWN
    world.apply()
    async with world.daemon():
        await asyncio.sleep(3600)
        assert "health" not in world.status()
        world.apply(fallback=policy(threshold=1))
        await until(lambda: says(world, "True"), 65)
        world.apply()
        await asyncio.sleep(1)
        assert (world.condition("Fallback")[0], "health" in world.status()) == ("False", False)
        with pytest.raises(MetricUnavailableError):
            await asked(world)


async def test_another_threshold_counts_from_where_it_is(world: World) -> None:
    world.deploy(2)
    world.pods.count = DOWN
    world.apply(fallback=policy(threshold=1))
    async with world.daemon():
        await until(lambda: says(world, "True"), 65)
        world.apply(fallback=policy(threshold=3))
        await asyncio.sleep(1)
        assert (world.condition("Fallback")[0], health(world)) == ("False", (2, "Failing"))
        await until(lambda: says(world, "True"), 65)
        world.apply(fallback=policy(threshold=0))
        await asyncio.sleep(1)
        assert world.condition("Fallback")[0] == "True"


# --- on the embedded cluster ----------------------------------------------------------------------------------------


class NoMetadata(Metadata):
    """Nothing to set."""


class Queue(Scaler[NoMetadata]):
    metadata = NoMetadata
    value: ClassVar[float | None] = None

    def metric_specs(self) -> list[MetricSpec]:
        return [ExternalSpec("queue", self.target(5))]

    async def get_metrics(self) -> list[Reading]:
        if (value := type(self).value) is None:
            raise ScalerError("the queue is away")
        return [self.reading(value, active=value > 0)]


class Daemons(Embedded):
    """Two daemons, one of which leads."""

    def __init__(self) -> None:
        Queue.value = None
        super().__init__({"queue": Queue}, leadership=Leadership(elect=True))

    @asynccontextmanager
    async def and_another(self) -> AsyncIterator[Any]:
        other = self.another(Wire(self.wire._local))
        task = asyncio.create_task(other.run())
        try:
            yield other
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_metric_compared_as_a_whole_is_divided_by_the_pods_that_are_ready() -> None:
    async with Daemons().running() as world:
        world.deploy("app")
        world.scale("app", {"type": "queue", "metadata": {}, "metricType": "Value"}, fallback=policy(6, 1))
        await until(lambda: world.replicas("app") == 6, 300)
        await asyncio.sleep(60)
        value = await read_metric(world.daemon.live, SPACE, "app", "s0-queue")
        assert value.value == "5", "6 replicas of 6: as many as there are to be"
        pods = f"/api/v1/namespaces/{SPACE}/pods"
        name = world.do("GET", pods)["items"][0]["metadata"]["name"]
        unready = {"conditions": [{"type": "Ready", "status": "False"}]}
        world.do("PATCH", f"{pods}/{name}/status", {"status": unready})
        value = await read_metric(world.daemon.live, SPACE, "app", "s0-queue")
        assert value.value == "6", "6 replicas of 5"
        Queue.value = 5.0 / 3
        await until(lambda: world.replicas("app") < 6, 900)


async def test_without_a_ready_pod_there_is_nothing_to_divide_by() -> None:
    async with Daemons().running() as world:
        world.deploy("app")
        world.scale("app", {"type": "queue", "metadata": {}, "metricType": "Value"}, fallback=policy(6, 1))
        world.wire.refused = ("/pods",)
        await until(lambda: world.replicas("app") == 1, 100)
        with pytest.raises(MetricUnavailableError, match=r"the queue is away .nothing stands in: .*/pods"):
            await read_metric(world.daemon.live, SPACE, "app", "s0-queue")


async def test_who_does_not_lead_answers_as_who_does() -> None:
    world = Daemons()
    async with world.running(), world.and_another() as standby:
        world.deploy("app")
        world.scale("app", {"type": "queue", "metadata": {}}, fallback=policy(6, 5))
        await until(lambda: "health" in world.status("app"), 60)
        await until(lambda: world.status("app")["health"]["s0-queue"]["numberOfFailures"] == 6, 200)
        assert world.daemon.acts is not standby.acts
        await asyncio.sleep(1)
        for daemon in (world.daemon, standby):
            assert (await read_metric(daemon.live, SPACE, "app", "s0-queue")).value == "30"
