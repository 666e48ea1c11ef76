"""Formulas over three triggers whose values are known."""

import pytest

from keda_py.decide.formula import FormulaError
from keda_py.decide.formula import compile as compile_formula

NAMES = ("a", "b", "my-trigger")
VALUES = {"a": 2.0, "b": -3.5, "my-trigger": 100.0}


def value(formula: str, **values: float | None) -> float | None:
    return compile_formula(formula, NAMES).value(VALUES | values)


def refusal(formula: str) -> str:
    with pytest.raises(FormulaError) as refused:
        compile_formula(formula, NAMES)
    return str(refused.value)


def failure(formula: str, **values: float | None) -> str:
    compiled = compile_formula(formula, NAMES)
    with pytest.raises(FormulaError) as failed:
        compiled.value(VALUES | values)
    return str(failed.value)
