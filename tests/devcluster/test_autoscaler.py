"""The HPA controller: the same metrics lead to the same replicas on either side.

All HPAs run side by side, each through its own steps: a step sets metrics, and is over once the replicas stay where
they belong. What is compared is the way there, so that neither side's clock matters.
"""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from keda_py.devcluster.api import MERGE, Request
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.virtual import VirtualLoop
from keda_py.runtime.clock import loop_clock

from .course import NOW, Case, Course, Step, external, in_real_time, in_virtual_time, running
from .metrics import Served
from .side import Side, at, deployment


def at_once(**values: Any) -> dict[str, Any]:
    return {"stabilizationWindowSeconds": 0, **values}


def pods(value: int, seconds: int) -> dict[str, Any]:
    return {"type": "Pods", "value": value, "periodSeconds": seconds}


def percent(value: int, seconds: int) -> dict[str, Any]:
    return {"type": "Percent", "value": value, "periodSeconds": seconds}


ANY: Final = {"stabilizationWindowSeconds": 0, "policies": [percent(1000, 15)]}
WHOLE: Final = (external("a", value="10"),)
BOTH: Final = (external("a", averageValue="10"), external("b", averageValue="10"))


def only(*ways: int, value: str, **more: Any) -> Step:
    return Step({"a": value}, ways, **more)


CASES: Final = (
    Case("average", (only(1, 4, value="35"), only(4, 2, value="12"), only(2, 1, value="0"))),
    Case("maximum", (only(1, 3, value="1000", limited="TooManyReplicas"),), most=3),
    Case("minimum", (only(4, 2, value="0", limited="TooFewReplicas"),), start=4, least=2),
    Case("usual rate up", (only(1, 5, 10, 12, value="1000", seconds=17),), most=12),
    Case("no behavior", (only(1, 4, 8, 16, 20, value="1000"), only(20, value="0")), behavior=None),
    Case("held back without behavior",
         (only(3, value="65", limited="TooManyReplicas"), only(3, value="40", able="ScaleDownStabilized")), start=3,
         most=3, behavior=None),
    Case("two at a time", (only(1, 3, 5, 7, value="65"),), behavior={"scaleUp": at_once(policies=[pods(2, 4)])}),
    Case("doubling", (only(1, 2, 4, 8, value="75"),), behavior={"scaleUp": at_once(policies=[percent(100, 4)])}),
    Case("halves round up", (only(3, 5, 8, value="80"),), start=3,
         behavior={"scaleUp": at_once(policies=[percent(50, 4)])}),
    Case("the larger step", (only(1, 4, 8, value="80"),),
         behavior={"scaleUp": at_once(policies=[pods(3, 4), percent(100, 4)])}),
    Case("the smaller step", (only(1, 2, 4, 7, 8, value="80"),),
         behavior={"scaleUp": at_once(policies=[pods(3, 4), percent(100, 4)], selectPolicy="Min")}),
    Case("never up", (only(2, value="90", limited="ScaleUpLimit"),), start=2,
         behavior={"scaleUp": {"selectPolicy": "Disabled"}}),
    Case("never down", (only(4, value="0", limited="ScaleDownLimit"),), start=4,
         behavior={"scaleDown": {"selectPolicy": "Disabled", **NOW}}),
    Case("one less at a time", (only(5, 4, 3, 2, 1, value="5"),), start=5,
         behavior={"scaleDown": at_once(policies=[pods(1, 4)])}),
    Case("halving", (only(9, 4, 2, 1, value="5"),), start=9,
         behavior={"scaleDown": at_once(policies=[percent(50, 4)])}),
    Case("the smaller step down", (only(8, 6, 4, 2, 1, value="5"),), start=8,
         behavior={"scaleDown": at_once(policies=[pods(2, 4), percent(50, 4)], selectPolicy="Min")}),
    Case("the larger step down", (only(8, 4, 1, value="5"),), start=8,
         behavior={"scaleDown": at_once(policies=[pods(3, 4), percent(50, 4)])}),
    Case("a window down", (only(5, value="10", seconds=3), only(5, value="50"), only(5, 1, value="10", seconds=11)),
         start=5, behavior={"scaleDown": {"stabilizationWindowSeconds": 8}}),
    Case("a window up", (only(1, value="10"), only(1, value="50", seconds=3), only(1, value="10"),
                         only(1, 5, value="50", seconds=11)),
         behavior={"scaleUp": {"stabilizationWindowSeconds": 8}, "scaleDown": NOW}),
    Case("tolerance", (only(2, value="22"), only(2, 3, value="23"), only(3, value="28"), only(3, 2, value="19")),
         start=2),
    Case("tolerances of its own",
         (only(2, value="29"), only(2, 4, value="32"), only(4, value="22"), only(4, 2, value="18")), start=2,
         behavior={"scaleUp": {"tolerance": "0.5"}, "scaleDown": {"tolerance": "500m", **NOW}}),
    Case("as a whole", (only(2, value="10.5"),), start=2, metrics=WHOLE),
    Case("as a whole, too much", (Step({"a": "20"}, (2, 4)),), start=2, most=4, metrics=WHOLE),
    Case("as a whole, too little", (Step({"a": "5"}, (2, 1)),), start=2, metrics=WHOLE),
    Case("thousandths", (only(1, 11, value="1100m"),), metrics=(external("a", averageValue="100m"),),
         behavior={"scaleUp": ANY}),
    Case("finer than thousandths", (only(1, 2, value="1000500u"),), metrics=(external("a", averageValue="1"),),
         behavior={"scaleUp": {**ANY, "tolerance": "0"}}),
    Case("large numbers", (only(1, 7, value="7Gi"),), metrics=(external("a", averageValue="1Gi"),),
         behavior={"scaleUp": ANY}),
    Case("the highest of two", (Step({"a": "30", "b": "50"}, (1, 5)), Step({"a": "30", "b": "0"}, (5, 3))),
         metrics=BOTH),
    Case("one of two fails",
         (Step({"a": "20", "b": None}, (4,), active="FailedGetExternalMetric"),
          Step({"a": "60", "b": None}, (4, 6), active="ValidMetricFound"),
          Step({"a": None, "b": None}, (6,), active="FailedGetExternalMetric"),
          Step({"a": "20", "b": "10"}, (6, 2), active="ValidMetricFound")),
         start=4, metrics=BOTH),
    Case("nothing to go by", (Step({"a": None}, (3,), active="FailedGetExternalMetric"),), start=3),
    Case("asleep", (only(0, value="50", active="ScalingDisabled"), only(1, 5, value="50", replicas=1),
                    only(0, value="50", replicas=0, active="ScalingDisabled")), start=0),
    Case("set from outside",
         (only(3, value="30"), only(9, 4, 3, value="30", replicas=9), only(1, 3, value="30", replicas=1)),
         start=3, least=3, most=4, behavior=None),
    Case("both directions at once",
         (only(2, 4, 6, value="60"), only(6, 5, 4, value="40"), only(4, 6, value="60")), start=2,
         behavior={"scaleUp": at_once(policies=[pods(2, 4)]), "scaleDown": at_once(policies=[pods(1, 4)])}),
)  # fmt: skip


@pytest.fixture(scope="module")
def embedded_courses() -> dict[str, Course]:
    return in_virtual_time(CASES)


@pytest.fixture(scope="module")
def real_courses(real_side: Side, metrics: Served) -> dict[str, Course]:
    return in_real_time(CASES, real_side, metrics.table)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("side", ["embedded", pytest.param("real", marks=pytest.mark.e2e)])
def test_replicas_go_the_same_way(request: pytest.FixtureRequest, side: str, case: Case) -> None:
    course: Course = request.getfixturevalue(f"{side}_courses")[case.name]
    assert course.ways == [step.way for step in case.steps]
    for step, reasons in zip(case.steps, course.reasons, strict=True):
        if step.active:
            assert reasons.get("ScalingActive") == step.active
        if step.limited:
            assert reasons.get("ScalingLimited") == step.limited
        if step.able:
            assert reasons.get("AbleToScale") == step.able


def test_what_somebody_did_while_metrics_were_asked_for_is_not_undone() -> None:
    async def main() -> list[int]:
        now = loop_clock(datetime(2026, 3, 1, tzinfo=UTC))
        cluster = DevCluster(now=now, chance=random.Random(1), sync_seconds=20.0)
        ways: list[int] = []

        def ask(method: str, path: str, body: Any) -> None:
            assert cluster.api.answer(Request(method, path, {}, body, MERGE)).status < 300

        async def slow(*_: str) -> str:
            await asyncio.sleep(5.0)
            ask("PATCH", f"{at('apps/v1', 'default', 'deployments', 'web')}/scale", {"spec": {"replicas": 6}})
            return "30"

        cluster.read_metric = slow
        cluster.store.listen(
            lambda change: (
                ways.append((change.after or {})["spec"]["replicas"])
                if change.place == ("apps", "deployments")
                else None
            )
        )
        ask("POST", at("apps/v1", "default", "deployments"), deployment("web", 1))
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        metrics = [external("a", averageValue="10")]
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9, "metrics": metrics}
        hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
        ask("POST", at("autoscaling/v2", "default", "horizontalpodautoscalers"), hpa | {"spec": spec})
        async with running(cluster):
            await asyncio.sleep(30.0)
        status = cluster.store.get(("autoscaling", "horizontalpodautoscalers"), ("default", "web"))["status"]
        able = next(c for c in status["conditions"] if c["type"] == "AbleToScale")
        assert able["reason"] == "FailedUpdateScale"
        return list(dict.fromkeys(ways))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == [1, 6]
