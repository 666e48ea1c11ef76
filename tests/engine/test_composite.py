"""Scaling modifiers at work, in virtual time: one metric of all triggers decides, for the loop and for the HPA."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import pytest
from keda_py_scalers.kubernetes_workload import KubernetesWorkloadScaler

from keda_py.engine.metrics import MetricUnavailableError, read_metric
from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, ScalerError, Target, param
from tests.engine.world import SPACE, Embedded

pytestmark = pytest.mark.looptime

COMPOSITE: Final = "composite-metric"


class Number(Metadata):
    of: str = param("of")


class NumberScaler(Scaler[Number]):
    """Reads a number that a test has set, after as long as it takes; a number is active above zero."""

    metadata = Number
    values: ClassVar[dict[str, float | Exception]] = {}
    seconds: ClassVar[dict[str, float]] = {}

    def metric_specs(self) -> list[MetricSpec]:
        return [ExternalSpec(self.meta.of, Target("AverageValue", "1"))]

    async def get_metrics(self) -> list[Reading]:
        # Read first, told later, as over a slow line.
        value = self.values[self.meta.of]
        await asyncio.sleep(self.seconds.get(self.meta.of, 0.01))
        if isinstance(value, Exception):
            raise value
        return [Reading(self.meta.of, value, value > 0)]


@pytest.fixture
def values() -> dict[str, float | Exception]:
    NumberScaler.values = {"a": 0.0, "b": 0.0}
    NumberScaler.seconds = {}
    return NumberScaler.values


def trigger(name: str) -> dict[str, Any]:
    return {"type": "number", "name": name, "metadata": {"of": name}}


def modified(formula: str, target: str = "2", **rest: str) -> dict[str, Any]:
    at_once = {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 0}}
    modifiers = {"formula": formula, "target": target, **rest}
    return {"scalingModifiers": modifiers, "horizontalPodAutoscalerConfig": {"behavior": at_once}}


def world(formula: str, **spec: Any) -> Embedded:
    made = Embedded({"number": NumberScaler})
    made.deploy("app")
    advanced = modified(formula, **spec.pop("modifiers", {}))
    made.scale("app", trigger("a"), trigger("b"), advanced=advanced, pollingInterval=10, cooldownPeriod=30, **spec)
    return made


@asynccontextmanager
async def after(seconds: float, formula: str, **spec: Any) -> AsyncIterator[Embedded]:
    """Run a daemon with an object that has this formula; go on after some seconds."""
    made = world(formula, **spec)
    async with made.running():
        await asyncio.sleep(seconds)
        yield made


async def asked(made: Embedded, metric: str = COMPOSITE) -> str:
    return (await read_metric(made.daemon.live, SPACE, "app", metric)).value


def condition(made: Embedded, kind: str) -> tuple[str, str]:
    found = next(c for c in made.status("app")["conditions"] if c["type"] == kind)
    return found["status"], found.get("message", "")


async def test_it_scales_by_what_the_formula_makes(values: dict[str, float | Exception]) -> None:
    async with after(30, "a + b") as made:
        assert made.replicas("app") == 0
        values |= {"a": 4.0, "b": 5.0}
        await asyncio.sleep(60)
        assert await asked(made) == "9"
        assert made.replicas("app") == 5, "9 of which each replica is to have 2"
        status = made.status("app")
        assert status["compositeScalerName"] == COMPOSITE
        assert status["externalMetricNames"] == ["s0-a", "s1-b"]
        hpa = made.do("GET", f"/apis/autoscaling/v2/namespaces/{SPACE}/horizontalpodautoscalers/keda-hpa-app")
        (metric,) = hpa["spec"]["metrics"]
        assert metric["external"]["metric"]["name"] == COMPOSITE
        values |= {"a": 0.0, "b": 0.0}
        await asyncio.sleep(60)
        assert made.replicas("app") == 0


async def test_the_formula_decides_of_activity_and_no_trigger_by_itself(values: dict[str, float | Exception]) -> None:
    values |= {"a": 4.0, "b": 5.0}
    async with after(30, "a - b") as made:
        assert (made.replicas("app"), condition(made, "Active")[0]) == (0, "False")
        assert {name: one["isActive"] for name, one in made.status("app")["triggersActivity"].items()} == {
            "s0-a": True,
            "s1-b": True,
        }
        values["a"] = 6.0
        await asyncio.sleep(11)
        assert (made.replicas("app"), condition(made, "Active")[0]) == (1, "True"), "both were active before"
        values["a"] = 4.0
        await asyncio.sleep(11)
        assert condition(made, "Active")[0] == "False"
        await asyncio.sleep(15)
        assert made.replicas("app") == 1, "it cools down"
        await asyncio.sleep(15)
        assert made.replicas("app") == 0


async def test_it_takes_more_than_the_activation_target(values: dict[str, float | Exception]) -> None:
    values["a"] = 5.0
    async with after(30, "a", modifiers={"activationTarget": "5"}) as made:
        assert made.replicas("app") == 0
        values["a"] = 5.5
        await asyncio.sleep(11)
        assert made.replicas("app") > 0


async def test_a_formula_is_given_what_kedas_scalers_hand_on(values: dict[str, float | Exception]) -> None:
    """Three decimals, and nothing below zero."""
    values |= {"a": 0.0004, "b": -5.0}
    async with after(30, "a * 100000 - b") as made:
        assert made.replicas("app") == 0
        values["a"] = 0.0005
        await asyncio.sleep(11)
        assert made.replicas("app") > 0


@pytest.mark.parametrize("pauses", [False, True])
async def test_what_was_made_of_other_triggers_says_nothing(
    values: dict[str, float | Exception], *, pauses: bool
) -> None:
    values["c"] = 5.0
    async with after(60, "a + b") as made:
        assert made.replicas("app") == 0
        if pauses:
            annotate(made, paused="true")
            await asyncio.sleep(60)
        NumberScaler.seconds = {"c": 2.0}
        made.scale("app", trigger("a"), {**trigger("c"), "name": "b"})
        made.put("apis/apps/v1", "deployments", "app", spec={"replicas": 4})
        if pauses:
            annotate(made, paused=None)
        await asyncio.sleep(1)
        assert made.replicas("app") == 4, "nobody knows yet what c says"
        await asyncio.sleep(600)
        assert made.replicas("app") == 3, "5 of which each replica is to have 2"


def annotate(made: Embedded, **annotations: str | None) -> None:
    found = {f"autoscaling.keda.sh/{name}": value for name, value in annotations.items()}
    made.put("apis/keda.sh/v1alpha1", "scaledobjects", "app", metadata={"annotations": found})


@pytest.mark.parametrize("formula", ["a + b", "a"])
async def test_a_trigger_that_fails_holds_replicas(values: dict[str, float | Exception], formula: str) -> None:
    values |= {"a": 4.0, "b": 4.0}
    async with after(60, formula) as made:
        before = made.replicas("app")
        assert before > 1
        values |= {"a": 0.0, "b": ScalerError("no answer")}
        await asyncio.sleep(600)
        assert made.replicas("app") == before
        assert condition(made, "Active")[0] == "Unknown"
        assert made.ready("app") == ("False", "triggers[1] (number): no answer (replicas are held as they are)")
        with pytest.raises(MetricUnavailableError, match=r"triggers\[1\] \(number\): no answer"):
            await asked(made)
        values["b"] = 0.0
        await asyncio.sleep(60)
        assert made.replicas("app") == 0


async def test_a_formula_that_has_no_value_holds_replicas(values: dict[str, float | Exception]) -> None:
    values |= {"a": 4.0, "b": 1.0}
    async with after(60, "b == 0 ? [a][1] : a") as made:
        assert made.replicas("app") == 2
        values["b"] = 0.0
        await asyncio.sleep(600)
        assert made.replicas("app") == 2
        status, message = made.ready("app")
        assert status == "False"
        assert "spec.advanced.scalingModifiers.formula: " in message
        with pytest.raises(MetricUnavailableError, match="formula"):
            await asked(made)


async def test_an_activation_target_that_is_no_number_holds_zero_and_lets_the_hpa_go_on(
    values: dict[str, float | Exception],
) -> None:
    values["a"] = 4.0
    async with after(30, "a", modifiers={"activationTarget": "some"}) as made:
        assert made.replicas("app") == 0
        assert 'activationTarget is to be a number, and is "some"' in made.ready("app")[1]
        assert await asked(made) == "4"


async def test_two_that_grow_together_are_looked_at_together(values: dict[str, float | Exception]) -> None:
    """Between one answer and the other, the difference of two equal numbers is none that there ever was."""
    NumberScaler.seconds = {"a": 0.1, "b": 2.0}
    async with after(25, "a - b") as made:
        seen = set()
        values |= {"a": 50.0, "b": 50.0}
        for _ in range(300):
            await asyncio.sleep(0.1)
            seen.add(made.replicas("app"))
        assert await asked(made) == "0"
        assert seen == {0}


@pytest.mark.parametrize(
    ("behavior", "formula", "value"),
    [
        ("static", "a + b", "6"),
        ("currentReplicasIfHigher", "a + b", "6"),
        ("scalingModifiers", "a + (b ?? 10)", "14"),
        ("scalingModifiers", "a > 100 ? a : (b ?? b)", "6"),
    ],
)
async def test_fallback(values: dict[str, float | Exception], behavior: str, formula: str, value: str) -> None:
    """As a whole, by a formula that takes nil, or for one that makes nil of it."""
    values |= {"a": 4.0, "b": ScalerError("no answer")}
    async with after(15, formula, fallback={"failureThreshold": 4, "replicas": 3, "behavior": behavior}) as made:
        assert made.replicas("app") == 0
        with pytest.raises(MetricUnavailableError):
            await asked(made)
        await asyncio.sleep(60)
        assert await asked(made) == value
        assert made.replicas("app") == int(value) // 2
        assert condition(made, "Fallback")[0] == "True"
        assert condition(made, "Active")[0] == "True"
        assert made.ready("app")[0] == "Unknown"
        values |= {"a": 0.0, "b": 0.0}
        await asyncio.sleep(60)
        assert made.replicas("app") == 0
        assert condition(made, "Fallback")[0] == "False"


@pytest.mark.parametrize(
    ("behavior", "replicas"), [("static", 0), ("currentReplicas", 3), ("currentReplicasIfLower", 0)]
)
@pytest.mark.parametrize("before", [0.0, 4.0])
async def test_what_stands_in_for_the_whole_keeps_awake_whatever_it_is(
    values: dict[str, float | Exception], before: float, behavior: str, replicas: int
) -> None:
    """Nobody knows that there is nothing to do: not from none to none, and not because none stand in."""
    values["a"] = before
    async with after(30, "a", fallback={"failureThreshold": 1, "replicas": replicas, "behavior": behavior}) as made:
        assert made.replicas("app") == before // 2
        values["a"] = ScalerError("no answer")
        await asyncio.sleep(1800)
        assert condition(made, "Fallback")[0] == condition(made, "Active")[0] == "True"
        assert made.replicas("app") >= 1
        values["a"] = 0.0
        await asyncio.sleep(600)
        assert made.replicas("app") == 0


async def test_a_formula_may_say_that_what_fails_is_no_reason_to_be_awake(
    values: dict[str, float | Exception],
) -> None:
    values["b"] = ScalerError("no answer")
    async with after(
        60, "a + (b ?? 0)", fallback={"failureThreshold": 1, "replicas": 3, "behavior": "scalingModifiers"}
    ) as made:
        assert (made.replicas("app"), condition(made, "Active")[0]) == (0, "False")
        assert made.ready("app") == ("Unknown", "triggers[1] (number): no answer (spec.fallback stands in)")


async def test_an_edit_does_not_shorten_the_cooldown(values: dict[str, float | Exception]) -> None:
    values["a"] = 1.0
    async with after(61, "a") as made:
        assert made.replicas("app") == 1
        values["a"] = 0.0
        made.scale("app", trigger("a"), trigger("b"), advanced=modified("a * 2"))
        await asyncio.sleep(20)
        assert made.replicas("app") == 1
        made.scale("app", trigger("a"), trigger("b"), advanced=modified("a * 2") | {"scalingModifiers": None})
        await asyncio.sleep(5)
        assert "compositeScalerName" not in made.status("app")
        await asyncio.sleep(30)
        assert made.replicas("app") == 0


async def test_a_steady_object_is_not_written(values: dict[str, float | Exception]) -> None:
    values |= {"a": 4.0, "b": 1.0}
    async with after(120, "a * b") as made:
        calls = len([call for call in made.wire.calls if not call.startswith("GET")])
        values |= {"a": 2.0, "b": 2.0}
        await asyncio.sleep(1200)
        later = [call for call in made.wire.calls if not call.startswith("GET")][calls:]
        assert not [call for call in later if "leases" not in call]


async def test_prometheus_is_told_of_it(values: dict[str, float | Exception]) -> None:
    values |= {"a": 4.0, "b": 1.5}
    async with after(30, "a + b") as made:
        found = {
            (family.name, sample.labels["metric"]): sample.value
            for family in made.daemon.telemetry.collect()
            for sample in family.samples
            if sample.labels.get("scaler") == COMPOSITE
        }
        assert found == {("keda_scaler_metrics_value", COMPOSITE): 5.5, ("keda_scaler_active", COMPOSITE): 1.0}


async def test_a_trigger_in_a_formula_needs_no_value_of_its_own(values: dict[str, float | Exception]) -> None:
    made = Embedded({"number": NumberScaler, "kubernetes-workload": KubernetesWorkloadScaler})
    made.deploy("plain")
    made.deploy("app")
    pods = {"type": "kubernetes-workload", "name": "pods", "metadata": {"podSelector": "app=none"}}
    made.scale("app", trigger("a"), pods, advanced=modified("a + pods"))
    made.scale("plain", trigger("a"), pods)
    async with made.running():
        await asyncio.sleep(5)
        assert made.ready("app")[0] == "True"
        assert "triggers[1] (kubernetes-workload)" in made.ready("plain")[1]
