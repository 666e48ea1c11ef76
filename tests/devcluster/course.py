"""HPAs through their steps, on either side: the real HPA controller in real time, the embedded one in virtual time."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from keda_py.devcluster.api import MERGE, Request
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.store import Change
from keda_py.devcluster.virtual import VirtualLoop
from keda_py.runtime.clock import loop_clock

from .metrics import Table
from .side import Object, Side, at, deployment

SETTLE_SECONDS: Final = 5.0
"""Several looks of a controller that looks each second."""
DEADLINE: Final = 120.0
LOOK_SECONDS: Final = 0.1
NOW: Final = {"stabilizationWindowSeconds": 0}

Values = Mapping[str, str | None]
Ask = Callable[[str, str, Any], Awaitable[Object]]
"""Takes method, path and body; a patch is a merge patch."""


@dataclass(frozen=True)
class Step:
    """Metrics, and the replicas they lead to, in order; `replicas`: what somebody sets beforehand.

    `seconds`: so long the replicas must stay where they got to. `active`, `limited`, `able`: what conditions then say.
    """

    values: Values
    way: tuple[int, ...]
    replicas: int | None = None
    seconds: float = SETTLE_SECONDS
    active: str = ""
    limited: str = ""
    able: str = ""


def external(name: str, **target: str) -> Object:
    """Return a metric of an HPA, compared as a whole (`value`) or per pod (`averageValue`)."""
    type_ = "Value" if "value" in target else "AverageValue"
    return {"type": "External", "external": {"metric": {"name": name}, "target": {"type": type_, **target}}}


@dataclass(frozen=True)
class Case:
    """An HPA and its steps. By default one metric with 10 for each replica, and no window."""

    name: str
    steps: tuple[Step, ...]
    start: int = 1
    least: int = 1
    most: int = 20
    metrics: tuple[Object, ...] = (external("a", averageValue="10"),)
    behavior: Object | None = field(default_factory=lambda: {"scaleDown": NOW})


@dataclass
class Course:
    """What became of an HPA: of each step the way, and the reasons of its conditions at the end."""

    ways: list[tuple[int, ...]] = field(default_factory=list)
    reasons: list[dict[str, str]] = field(default_factory=list)


class Runner:
    """Takes all HPAs through their steps, side by side."""

    def __init__(self, ask: Ask, space: str, table: Table) -> None:
        self._ask = ask
        self._space = space
        self._table = table
        self.seen: dict[str, list[int]] = {}

    def notice(self, name: str, replicas: int) -> None:
        """Take in how many replicas a Deployment has now."""
        seen = self.seen.setdefault(name, [])
        if not seen or seen[-1] != replicas:
            seen.append(replicas)

    async def run(self, cases: Sequence[Case]) -> dict[str, Course]:
        """Return what became of each."""
        async with asyncio.TaskGroup() as running:
            tasks = {case.name: running.create_task(self._course(case)) for case in cases}
        return {name: task.result() for name, task in tasks.items()}

    def _path(self, version: str, plural: str, *rest: str) -> str:
        return at(version, self._space, plural, *rest)

    async def _course(self, case: Case) -> Course:
        name, course = case.name.replace(" ", "-").replace(",", ""), Course()
        path = self._path("apps/v1", "deployments", name)
        self._set(name, case.steps[0].values)
        await self._ask("POST", self._path("apps/v1", "deployments"), deployment(name, case.start))
        while ((await self._ask("GET", path, None)).get("status") or {}).get("readyReplicas", 0) != case.start:
            await asyncio.sleep(LOOK_SECONDS)
        await self._ask("POST", self._path("autoscaling/v2", "horizontalpodautoscalers"), self._hpa(name, case))
        for step in case.steps:
            begin = len(self.seen[name]) - 1
            self._set(name, step.values)
            if step.replicas is not None:
                await self._ask("PATCH", f"{path}/scale", {"spec": {"replicas": step.replicas}})
                begin += 1
            course.ways.append(await self._settled(self.seen[name], begin, step))
            course.reasons.append(await self._told(name, step))
        return course

    async def _told(self, name: str, step: Step) -> dict[str, str]:
        """Return the reasons of the conditions, once they are what is wanted: the status is written after the scale."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DEADLINE
        while True:
            reasons = await self._reasons(name)
            wanted = {"ScalingActive": step.active, "ScalingLimited": step.limited, "AbleToScale": step.able}
            as_wanted = all(not reason or reasons.get(type_) == reason for type_, reason in wanted.items())
            # Without any, the controller has not looked at it yet, and would take the next step for the first.
            if loop.time() > end or (reasons and as_wanted):
                return reasons
            await asyncio.sleep(LOOK_SECONDS)

    @staticmethod
    async def _settled(seen: list[int], begin: int, step: Step) -> tuple[int, ...]:
        """Return the way of a step, once it got to where it should, and nothing has changed for a while."""
        loop = asyncio.get_running_loop()
        end, quiet, known = loop.time() + DEADLINE, loop.time(), len(seen)
        while loop.time() < end:
            await asyncio.sleep(LOOK_SECONDS)
            if len(seen) != known:
                known, quiet = len(seen), loop.time()
            if seen[begin:][-1:] == [step.way[-1]] and loop.time() - quiet >= step.seconds:
                break
        return tuple(seen[begin:])

    async def _reasons(self, name: str) -> dict[str, str]:
        found = await self._ask("GET", self._path("autoscaling/v2", "horizontalpodautoscalers", name), None)
        return {c["type"]: c["reason"] for c in (found.get("status") or {}).get("conditions") or []}

    def _set(self, name: str, values: Values) -> None:
        for metric, value in values.items():
            self._table.values[self._space, f"{name}-{metric}"] = value

    def _hpa(self, name: str, case: Case) -> Object:
        spec: Object = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": case.least,
            "maxReplicas": case.most,
            "metrics": [_named(metric, name) for metric in case.metrics],
        }
        if case.behavior is not None:
            spec["behavior"] = case.behavior
        api = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        return {**api, "metadata": {"name": name}, "spec": spec}


def _named(metric: Object, name: str) -> Object:
    given = metric["external"]
    return {**metric, "external": {**given, "metric": {"name": f"{name}-{given['metric']['name']}"}}}


def in_virtual_time(cases: Sequence[Case]) -> dict[str, Course]:
    """Return the courses on an embedded cluster that nothing else uses."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_in_virtual_time(cases))


async def _in_virtual_time(cases: Sequence[Case]) -> dict[str, Course]:
    table = Table()
    cluster = DevCluster(now=loop_clock(datetime(2026, 3, 1, tzinfo=UTC)), chance=random.Random(1), sync_seconds=1.0)
    cluster.read_metric = table.read

    async def ask(method: str, path: str, body: Any) -> Object:
        type_ = MERGE if method == "PATCH" else "application/json"
        answer = cluster.api.answer(Request(method, path, {}, body, type_))
        assert answer.status < 300, answer
        return dict(answer.body)

    runner = Runner(ask, "default", table)

    def notice(change: Change) -> None:
        if change.place == ("apps", "deployments") and change.after is not None:
            runner.notice(change.name[1], change.after["spec"]["replicas"])

    cluster.store.listen(notice)
    async with running(cluster):
        return await runner.run(cases)


@asynccontextmanager
async def running(cluster: DevCluster) -> AsyncIterator[None]:
    """Run a cluster within the block."""
    task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def in_real_time(cases: Sequence[Case], side: Side, table: Table) -> dict[str, Course]:
    """Return the courses on a side, in a namespace of their own."""
    space = side.make("/api/v1/namespaces", {"metadata": {"generateName": "hpas-"}})["metadata"]["name"]

    async def ask(method: str, path: str, body: Any) -> Object:
        type_ = MERGE if method == "PATCH" else "application/json"
        said = await asyncio.to_thread(side.ask, method, path, body, type_=type_)
        assert said.code < 300, said
        return dict(said.body)

    runner = Runner(ask, space, table)
    path = at("apps/v1", space, "deployments")
    version = side.get(path)["metadata"]["resourceVersion"]

    def watch() -> None:
        with side.watch(path, resourceVersion=version, timeoutSeconds=600) as events:
            for event in events:
                found = event["object"]
                if found["metadata"]["name"] == "end":
                    return
                runner.notice(found["metadata"]["name"], found["spec"].get("replicas", 0))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        return asyncio.run(runner.run(cases))
    finally:
        side.make(path, deployment("end"))
        watching.join(DEADLINE)
        side.ask("DELETE", f"/api/v1/namespaces/{space}")
