"""Scaling modifiers: KEDA's answers as an oracle, what differs on purpose, and what is said of what makes no sense."""

import json
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from keda_py import quantity
from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject, ScaledObjectSpec, ScalingModifiers
from keda_py.decide import modifiers as scaling
from keda_py.decide import validate
from keda_py.decide.formula import FormulaError
from keda_py.decide.modifiers import activation, compiled, composite, problems
from keda_py.decide.number import go_float

ORACLE = Path(__file__).parents[1] / "oracle" / "formula.jsonl"
QUEUE = {"type": "kafka", "name": "queue", "metadata": {}}
RESOURCE = {"type": "cpu", "name": "cpu", "metadata": {}}


def spec_of(given: Mapping[str, Any]) -> ScaledObjectSpec:
    spec = {"scaleTargetRef": {"name": "app"}, "triggers": given["triggers"]}
    spec["advanced"] = {"scalingModifiers": given["scalingModifiers"]}
    if given.get("fallback"):
        spec["fallback"] = given["fallback"]
    return ScaledObject.parse({"metadata": {"name": "app", "namespace": "default", "uid": "1"}, "spec": spec}).spec


def cases() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for line in ORACLE.read_text().splitlines():
        case = json.loads(line)
        yield case["input"], case["result"]


# --- the oracle -------------------------------------------------------------------------------------------------------

# In each line KEDA's answer is one that the laws do not allow, and why.
OVERFLOW = "-9223372036854775808e-3"
DIFFERS = {
    "no-number": "a result that is infinite, no number or beyond 64 bits is an error: unknown is never a number",
    "no-target": "a target that no HPA can have is an error at once: the manifest says enough to tell",
    "no-clock": "dates are left out: without a clock they tell nothing, and deciding has none",
    "comment": "a comment at the end is no error",
    "float-first": "a whole number is one, also of a formula that begins with float(",
}


def excuse(given: Mapping[str, Any], run: Mapping[str, Any] | None = None) -> str | None:
    """Return why KEDA's answer, about the manifest or about one run, is not ours; None where it has to be."""
    formula, wanted = given["scalingModifiers"].get("formula", ""), given["scalingModifiers"].get("target", "")
    if run is not None:
        if run.get("value") == OVERFLOW:
            return "no-number"
        return "float-first" if "non-float result int" in run.get("error", "") else None
    number = go_float(wanted)
    if number is not None and not 0.001 <= number < math.inf:
        return "no-target"
    if "date(" in formula:
        return "no-clock"
    return "comment" if "//" in formula else None


def value_of(spec: ScaledObjectSpec, given: Mapping[str, Any], values: Mapping[str, str]) -> int | None:
    """Return the metric; None for an error."""
    assert spec.advanced is not None
    assert spec.advanced.scaling_modifiers is not None
    modifiers, fallback = spec.advanced.scaling_modifiers, spec.fallback
    left_to_formula = set()
    if fallback is not None and fallback.behavior == "scalingModifiers":
        left_to_formula = {
            name.removeprefix("m-")
            for name, health in given.get("health", {}).items()
            if (health.get("numberOfFailures") or 0) > fallback.failure_threshold
        }
    read = {name: None if name in left_to_formula else float(quantity.parse(text)) for name, text in values.items()}
    try:
        return composite(compiled(modifiers, spec.triggers), read, modifiers, fallback=fallback)
    except FormulaError:
        return None


def test_every_case_of_the_oracle() -> None:
    accepted, excused = 0, set()
    for given, wanted in cases():
        try:
            spec = spec_of(given)
        except ManifestError:
            assert not wanted["ok"], given
            continue
        ours = not problems(spec)
        if ours != wanted["ok"]:
            excused.add(excuse(given) or pytest.fail(f"{given} {wanted}"))
        if not (ours and wanted["ok"]):
            continue
        accepted += 1
        for values, run in zip(given["values"], wanted.get("runs", []), strict=True):
            got = value_of(spec, given, values)
            expected = quantity.parse(run["value"]).value if "value" in run else None
            if (None if got is None else Fraction(got, 1000)) != expected:
                excused.add(excuse(given, run) or pytest.fail(f"{given} {values} {run} {got}"))
    assert accepted > 200
    assert excused == set(DIFFERS)


# --- what makes no sense ----------------------------------------------------------------------------------------------


def told(triggers: list[dict[str, Any]], *, fallback: dict[str, Any] | None = None, **modifiers: str) -> list[str]:
    return problems(spec_of({"triggers": triggers, "scalingModifiers": modifiers, "fallback": fallback}))


@pytest.mark.parametrize(
    ("modifiers", "sentences"),
    [
        ({}, []),
        ({"formula": "queue", "target": "2"}, []),
        ({"formula": "queue", "target": "1e2", "metricType": "Value", "activationTarget": "1"}, []),
        ({"target": "2"}, ["scalingModifiers.formula is missing"]),
        ({"formula": "queue"}, ['scalingModifiers.target is to be a number such as "5" or "0.5", and is ""']),
        ({"formula": "queue", "target": "-1"}, ['and is "-1"']),
        ({"formula": "queue", "target": "0.0009"}, ['and is "0.0009"']),
        ({"formula": "queue", "target": "Inf"}, ['and is "Inf"']),
        ({"formula": "queue", "target": "NaN"}, ['and is "NaN"']),
        (
            {"formula": "kafka", "target": "2"},
            ["scalingModifiers.formula: no trigger is named kafka; there are: queue"],
        ),
        ({"formula": "cpu", "target": "2"}, ["no trigger is named cpu"]),
        (
            {"formula": "queue < 0 ? [1][5] : 1", "target": "2"},
            ["tried with all triggers at -1: there is no element 5"],
        ),
        ({"formula": "1 / (queue + 1)", "target": "2"}, []),
        ({"formula": "+", "target": "x"}, ["formula: expected", "scalingModifiers.target"]),
    ],
)
def test_what_is_said_of_modifiers(modifiers: dict[str, str], sentences: list[str]) -> None:
    found = told([QUEUE, RESOURCE], **modifiers)
    assert len(found) == len(sentences)
    for problem, sentence in zip(found, sentences, strict=True):
        assert sentence in problem


def test_triggers_without_a_name_are_left_out() -> None:
    assert told([QUEUE, {"type": "kafka", "metadata": {}}], formula="queue", target="1") == []
    assert "there are: none" in told([{"type": "kafka", "metadata": {}}], formula="queue", target="1")[0]


def test_fallback_to_the_formula_needs_one() -> None:
    fallback = {"failureThreshold": 3, "replicas": 2, "behavior": "scalingModifiers"}
    assert "needs spec.advanced.scalingModifiers.formula" in told([QUEUE], fallback=fallback)[0]
    assert told([QUEUE], fallback=fallback, formula="queue ?? 1", target="1") == []
    assert told([QUEUE], fallback=fallback | {"behavior": "static"}) == []
    whole = {"scaleTargetRef": {"name": "app"}, "triggers": [QUEUE], "fallback": fallback}
    assert len(validate.problems(ScaledObjectSpec.model_validate(whole))) == 1


# --- the metric -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "queue", "thousandths"),
    [
        ("queue", 1.9999, 1999),
        ("queue", -1.9999, -1999),
        ("queue ?? 4", None, 4000),
        ("queue ?? nil", None, 7500),
        ("queue", 9e15, 9 * 10**18),
    ],
)
def test_the_metric(formula: str, queue: float | None, thousandths: int) -> None:
    assert metric(formula, queue, {"failureThreshold": 3, "replicas": 3}) == thousandths


@pytest.mark.parametrize(
    ("formula", "queue", "message"),
    [
        ("queue", None, "nil"),
        ("queue ?? nil", None, "there is no spec.fallback"),
        ("1 / queue", 0.0, "divide by zero"),
        ("queue", 1e16, "more than a metric can be"),
        ("queue", 1e307, "more than a metric can be"),
    ],
)
def test_no_metric_is_no_number(formula: str, queue: float | None, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        metric(formula, queue, None)


def metric(formula: str, queue: float | None, fallback: dict[str, Any] | None) -> int:
    modifiers = ScalingModifiers(formula=formula, target="2.5")
    spec = spec_of({"triggers": [QUEUE], "scalingModifiers": {}, "fallback": fallback})
    return composite(compiled(modifiers, spec.triggers), {"queue": queue}, modifiers, fallback=spec.fallback)


@pytest.mark.parametrize(
    ("text", "number"), [("", 0.0), ("5", 5.0), ("-0.5", -0.5), ("1e3", 1000.0), ("inf", math.inf)]
)
def test_above_what_it_is_awake(text: str, number: float) -> None:
    assert activation(ScalingModifiers.model_validate({"activationTarget": text})) == number


@pytest.mark.parametrize("text", ["some", "nan", "1,5"])
def test_an_activation_target_that_is_no_number(text: str) -> None:
    with pytest.raises(FormulaError, match="activationTarget is to be a number, and is"):
        activation(ScalingModifiers.model_validate({"activationTarget": text}))


@pytest.mark.parametrize(
    ("given", "kind", "amount"),
    [({"target": "2"}, "AverageValue", "2000m"), ({"target": "1.23456", "metricType": "Value"}, "Value", "1234m")],
)
def test_what_the_hpa_compares_it_with(given: dict[str, str], kind: str, amount: str) -> None:
    made = scaling.metric(ScalingModifiers.model_validate(given))
    assert (made.name, made.target.kind, made.target.amount) == ("composite-metric", kind, amount)
