"""The whole loop in virtual time: a ScaledObject scales its target, and says what it does and why."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.decide.report import SCALED_OBJECT
from keda_py.decide.status import format_time, parse_time
from keda_py.engine.cluster import HPAS, SCALED_OBJECTS, Cluster, trim_scalable
from keda_py.engine.credentials.elsewhere import Opener
from keda_py.engine.credentials.resolver import Resolver, SecretPolicy
from keda_py.engine.credentials.stores import Stores
from keda_py.engine.hpa import HpaKeeper, trim_hpa
from keda_py.engine.live import Builder, Key, Live
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.engine.registry import Registry, StoreRegistry
from keda_py.engine.reporter import Reporter
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import DEPLOYMENTS, Targets, trim_workload
from keda_py.kube.client import Client
from keda_py.kube.discovery import Discovery
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Reflector, Store
from keda_py.kube.transport import Response
from keda_py.runtime.clock import Now, loop_clock
from keda_py.runtime.queue import WorkQueue, work
from keda_py.runtime.source import Sources
from keda_py.scaler import Platform, ScalerError
from tests.memory import MemoryApi

pytestmark = pytest.mark.looptime

SO = "/apis/keda.sh/v1alpha1/namespaces/ns/scaledobjects"
DEPLOYMENT = "/apis/apps/v1/namespaces/ns/deployments"
HPA = "/apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers"
EVENTS = "/api/v1/namespaces/ns/events"
NIGHT = datetime(2026, 1, 5, 7, 59, tzinfo=UTC)


class Pods:
    """The cluster as the kubernetes-workload trigger sees it: so many pods, or a refusal."""

    def __init__(self) -> None:
        self.count: int | ScalerError = 0

    async def get(self, *_: Any) -> Any:
        raise ScalerError("not here")

    async def list(self, *_: Any, label_selector: str = "") -> Any:
        if isinstance(self.count, ScalerError):
            raise self.count
        return [{"status": {"phase": "Running"}}] * self.count


class World:
    """A cluster, a source, and a daemon that can be killed and started again."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.pods = Pods()
        self.now: Now | None = None
        self.objects: ScaledObjects
        self.live: dict[Key, Live] = {}

    def time(self) -> datetime:
        """The wall clock: night, when the first daemon starts."""
        if self.now is None:
            self.now = loop_clock(NIGHT)
        return self.now()

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator["World"]:
        self.time()
        self.live = {}
        chance = random.Random(1)
        client = Client(self.api)
        queue: WorkQueue[Key] = WorkQueue(chance=chance)
        kept = {SCALED_OBJECTS: Store(trim_scalable), HPAS: Store(trim_hpa), DEPLOYMENTS: Store(trim_workload)}
        cluster = Cluster(
            client,
            scaled_objects=kept[SCALED_OBJECTS],
            hpas=kept[HPAS],
            workloads={DEPLOYMENTS: kept[DEPLOYMENTS]},
            wake=queue.add,
        )
        targets = Targets(client, Discovery(client), {DEPLOYMENTS: kept[DEPLOYMENTS]})
        policy = SecretPolicy("keda")
        recorder = Recorder(client, now=self.time, instance="test", chance=random.Random(0))
        platform = Platform(now=self.time, kubernetes=self.pods)
        stores = Stores(Opener(StoreRegistry(()), client, platform), chance=chance)
        resolver = Resolver(
            client, targets, authentications={}, policy=policy, stores=stores, chance=chance, wake=queue.add
        )
        reporter = Reporter(
            client,
            SCALED_OBJECTS,
            kept[SCALED_OBJECTS],
            recorder=recorder,
            wording=SCALED_OBJECT,
            ended=lambda _: True,
        )
        async with Sources(platform, chance=chance) as sources, stores, resolver:
            self.objects = ScaledObjects(
                cluster,
                targets=targets,
                hpas=HpaKeeper(cluster),
                builder=Builder(self.live, Registry.installed(), resolver, sources, platform),
                reporter=reporter,
                queue=queue,
                recorder=recorder,
                now=self.time,
                owns=lambda _: True,
            )
            reflectors = [Reflector(client, resource, store, chance=chance) for resource, store in kept.items()]
            tasks = [asyncio.create_task(part.run()) for part in (*reflectors, recorder)]
            for reflector in reflectors:
                await reflector.listed.wait()
            tasks += [asyncio.create_task(work(queue, self.objects.reconcile, on_error=self._failed)) for _ in range(4)]
            try:
                yield self
            finally:
                assert not any(task.done() for task in tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for live in self.live.values():
                    live.close()

    def _failed(self, key: Key, error: Exception, seconds: float) -> None:
        assert not isinstance(error, AttributeError | TypeError | KeyError | AssertionError), repr(error)

    def deploy(self, replicas: int = 0, name: str = "web") -> None:
        self.api.put(f"{DEPLOYMENT}/{name}", {"spec": {"replicas": replicas}})

    def apply(self, name: str = "app", **spec: Any) -> None:
        triggers = [{"type": "kubernetes-workload", "metadata": {"podSelector": "job=1", "value": "5"}}]
        made = {"scaleTargetRef": {"name": "web"}, "triggers": triggers} | spec
        self.api.put(f"{SO}/{name}", {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": made})

    @property
    def replicas(self) -> int:
        return int(self.api.objects[f"{DEPLOYMENT}/web"]["spec"]["replicas"])

    def status(self, name: str = "app") -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects[f"{SO}/{name}"].get("status") or {}
        return found

    def condition(self, kind: str, name: str = "app") -> tuple[str, str]:
        found = next(c for c in self.status(name)["conditions"] if c["type"] == kind)
        return found["status"], found.get("reason", "")

    def message(self, kind: str = "Ready", name: str = "app") -> str:
        return str(next(c for c in self.status(name)["conditions"] if c["type"] == kind)["message"])

    def events(self) -> list[tuple[str, str]]:
        return [(e["type"], e["reason"]) for path, e in self.api.objects.items() if path.startswith(EVENTS)]


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
