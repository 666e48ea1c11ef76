"""Scaling modifiers: whether they make sense, and the one metric that they make of those of all triggers.

The rules are KEDA's (apis/keda/v1alpha1/scaledobject_webhook.go, ValidateAndCompileScalingModifiers;
pkg/scaling/modifiers/formula.go). What differs is named in docs/compatibility.md: a value that is no finite number is
an error, where KEDA hands a number of its own making to the HPA.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from keda_py.api.scaled_object import Fallback, ScaledObjectSpec, ScalingModifiers
from keda_py.api.trigger import ScaleTrigger
from keda_py.decide.formula import Formula, FormulaError
from keda_py.decide.formula import compile as compile_formula
from keda_py.decide.number import fits, go_float

_RESOURCES: Final = frozenset({"cpu", "memory"})
_WHERE: Final = "spec.advanced.scalingModifiers"
_LEAST: Final = 0.001
_TRIED_WITH: Final = -1.0


def problems(spec: ScaledObjectSpec) -> list[str]:
    """Return a sentence for each thing that is wrong with a spec's scaling modifiers; none where there are none."""
    modifiers = spec.advanced.scaling_modifiers if spec.advanced is not None else None
    if modifiers is None or modifiers == ScalingModifiers():
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
    names = {trigger.name for trigger in triggers if trigger.name and trigger.type not in _RESOURCES}
    try:
        formula = compile_formula(modifiers.formula, names)
    except FormulaError as problem:
        raise FormulaError(f"{_WHERE}.formula: {problem}") from None
    try:
        formula.attempt(dict.fromkeys(names, _TRIED_WITH))
    except FormulaError as problem:
        raise FormulaError(f"{_WHERE}.formula, tried with all triggers at -1: {problem}") from None
    return formula


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
        raise FormulaError(f"the result is {value}, which is more than a metric can be")
    return thousandths
