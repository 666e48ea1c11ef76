"""A cluster in memory, a source in the test's hand, and the part of the daemon that keeps ScaledObjects."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from keda_py.decide.report import SCALED_OBJECT
from keda_py.engine.cluster import HPAS, SCALED_OBJECTS, Cluster, trim_scalable
from keda_py.engine.credentials.elsewhere import Opener
from keda_py.engine.credentials.resolver import Resolver, SecretPolicy
from keda_py.engine.credentials.stores import Stores
from keda_py.engine.hpa import HpaKeeper, trim_hpa
from keda_py.engine.live import Builder, Key, Live
from keda_py.engine.registry import Registry, StoreRegistry
from keda_py.engine.reporter import Reporter
from keda_py.engine.scaled_object import ScaledObjects
from keda_py.engine.target import DEPLOYMENTS, Targets, trim_workload
from keda_py.kube.client import Client
from keda_py.kube.discovery import Discovery
from keda_py.kube.recorder import Recorder
from keda_py.kube.reflector import Reflector, Store
from keda_py.runtime.clock import Now, loop_clock
from keda_py.runtime.queue import WorkQueue, work
from keda_py.runtime.source import Sources
from keda_py.scaler import Platform, ScalerError
from tests.memory import MemoryApi

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
