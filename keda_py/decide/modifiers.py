"""Scaling modifiers: whether they make sense, and the one metric that they make of those of all triggers.

The rules are KEDA's (apis/keda/v1alpha1/scaledobject_webhook.go, ValidateAndCompileScalingModifiers;
pkg/scaling/modifiers/formula.go). What differs is named in docs/compatibility.md: a value that is no finite number is
an error, where KEDA hands a number of its own making to the HPA.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from keda_py.api.scaled_object import Fallback, ScaledObjectSpec, ScalingModifiers
from keda_py.api.trigger import ScaleTrigger
from keda_py.decide.formula import Formula, FormulaError
from keda_py.decide.formula import compile as compile_formula
from keda_py.decide.number import fits, go_float
from keda_py.naming import COMPOSITE
from keda_py.scaler import ExternalSpec, Target

_RESOURCES: Final = frozenset({"cpu", "memory"})
_WHERE: Final = "spec.advanced.scalingModifiers"
_LEAST: Final = 0.001
_TRIED_WITH: Final = -1.0


def problems(spec: ScaledObjectSpec) -> list[str]:
    """Return a sentence for each thing that is wrong with a spec's scaling modifiers; none where there are none."""
    modifiers = spec.modifiers
    if modifiers is None:
        if spec.fallback is not None and spec.fallback.behavior == "scalingModifiers":
            return [f"spec.fallback.behavior scalingModifiers needs {_WHERE}.formula"]
        return []
    found = []
    for check in (lambda: compiled(modifiers, spec.triggers), lambda: target(modifiers)):
        try:
            check()
        except FormulaError as problem:
            found.append(str(problem))
    return found


def compiled(modifiers: ScalingModifiers, triggers: Iterable[ScaleTrigger]) -> Formula:
    """Return the formula over all triggers that have a name, but for cpu and memory, which the HPA reads itself.

    As in KEDA it has to work with every trigger at -1. Raise `FormulaError` saying what is wrong.
    """
    if not modifiers.formula:
        raise FormulaError(f"{_WHERE}.formula is missing")
    names = frozenset(filter(None, names_of(triggers)))
    return _compiled(modifiers.formula, names)


def names_of(triggers: Iterable[ScaleTrigger]) -> tuple[str, ...]:
    """Return how a formula calls each trigger, by its index; empty for those that it cannot name."""
    return tuple("" if trigger.type in _RESOURCES else trigger.name or "" for trigger in triggers)


# An object is looked at again and again, and its formula stays as it is.
@lru_cache(maxsize=4096)
def _compiled(text: str, names: frozenset[str]) -> Formula:
    try:
        formula = compile_formula(text, names)
    except FormulaError as problem:
        raise FormulaError(f"{_WHERE}.formula: {problem}") from None
    try:
        formula.attempt(dict.fromkeys(names, _TRIED_WITH))
    except FormulaError as problem:
        raise FormulaError(f"{_WHERE}.formula, tried with all triggers at -1: {problem}") from None
    return formula


def metric(modifiers: ScalingModifiers) -> ExternalSpec:
    """Return the metric that stands for all external ones; its target is cut to thousandths."""
    return ExternalSpec(COMPOSITE, Target(modifiers.metric_type or "AverageValue", f"{int(target(modifiers) * 1000)}m"))


def activation(modifiers: ScalingModifiers) -> float:
    """Return the value above which the scale target is awake; raise `FormulaError` if it is no number.

    As in KEDA that is not asked before a decision: until it is mended, the HPA goes on between one and many.
    """
    number = go_float(modifiers.activation_target or "0")
    if number is None or math.isnan(number):
        raise FormulaError(f'{_WHERE}.activationTarget is to be a number, and is "{modifiers.activation_target}"')
    return number


def target(modifiers: ScalingModifiers) -> float:
    """Return what one replica is to have of the metric; raise `FormulaError` if it is no positive number.

    Less than a thousandth is cut to nothing, and no HPA takes that.
    """
    number = go_float(modifiers.target)
    if number is None or not math.isfinite(number) or number < _LEAST:
        raise FormulaError(f'{_WHERE}.target is to be a number such as "5" or "0.5", and is "{modifiers.target}"')
    return number


def composite(
    formula: Formula, values: Mapping[str, float | None], modifiers: ScalingModifiers, *, fallback: Fallback | None
) -> int:
    """Return the metric in thousandths, what is finer cut off.

    `values`: of each named trigger; None where the trigger has failed so often that fallback with the behavior
    scalingModifiers leaves it to the formula. If that makes nothing of it, fallback.replicas are wanted. Raise
    `FormulaError` if there is no value, which says nothing about how many replicas are needed.
    """
    value = formula.value(values)
    if value is None:
        if fallback is None:
            raise FormulaError("the result is nil, and there is no spec.fallback to say how many replicas to have then")
        value = fallback.replicas * target(modifiers)
    if not math.isfinite(value * 1000) or not fits(thousandths := int(value * 1000)):
        raise FormulaError("the result is more than a metric can be")
    return thousandths
