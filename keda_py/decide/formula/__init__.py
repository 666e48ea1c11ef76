"""The formula of `advanced.scalingModifiers`: one number made of the values of all triggers.

KEDA's formulas are written in expr-lang, of which this is the part that makes sense of numbers: arithmetic,
comparisons, ``?:``, ``if``, ``and``/``or``/``not``, ``??``, ``let``, pipes, arrays, maps, predicates, and the
functions of `function` and `predicate`. What a formula means is expr-lang's and Go's to the bit: ints of 64 bits that
wrap, floats, ``/`` that always makes a float. What does not is said where it is: texts, dates and regular expressions
are left out, and a result that is no finite number is an error, because unknown is never a number.

`compile` is slow (a millisecond) and done once; `Formula.value` takes microseconds. Nothing here can hang or run out
of memory or stack, whatever the text: its length, its depth and the steps of an evaluation are limited.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from keda_py.decide.formula.code import Code
from keda_py.decide.formula.error import FormulaError, Mismatch
from keda_py.decide.formula.function import FUNCTIONS
from keda_py.decide.formula.kind import NIL
from keda_py.decide.formula.numeric import to_float
from keda_py.decide.formula.parser import Parser
from keda_py.decide.formula.steps import Steps

__all__ = ["Formula", "FormulaError", "compile"]

LONGEST: Final = 10_000
"""Characters that a formula may have."""


class Formula:
    """A compiled formula. May be used again and again, and by several at once."""

    __slots__ = ("_empty", "_nil", "_run", "_slots")

    def __init__(self, code: Code, slots: Mapping[str, int], places: int, *, nil: bool) -> None:
        self._run, self._slots, self._nil = code.run, tuple(slots.items()), nil
        self._empty = (None,) * (places - 1)

    @property
    def names(self) -> frozenset[str]:
        """The triggers of which the formula has to know the value."""
        return frozenset(name for name, _ in self._slots)

    def value(self, values: Mapping[str, float | None]) -> float | None:
        """Return what the formula makes of the triggers' values.

        None for a trigger stands for nil, which ``??`` takes up; None comes out where the result is nil, which only a
        formula with ``??`` can have. Raise `FormulaError` if there is no finite number: for a trigger without a value,
        an element that is not there, a division by zero, or more steps than an evaluation may take.
        """
        result = self.attempt(values)
        if result is not None and not math.isfinite(result):
            raise FormulaError("the result is no finite number, as a metric is; does the formula divide by zero?")
        return result

    def attempt(self, values: Mapping[str, float | None]) -> float | None:
        """Return the same, be it infinite or no number at all; raise `FormulaError` if there is not even that."""
        frame: list[Any] = [Steps(), *self._empty]
        for name, slot in self._slots:
            if name not in values:
                raise FormulaError(f"the trigger {name} has no value yet")
            value = values[name]
            frame[slot] = None if value is None else float(value)
        result = self._run(frame)
        if type(result) is float or (result is None and self._nil):
            return result
        try:
            return to_float(frame[0], result)
        except Mismatch as problem:
            raise FormulaError(f"the result {problem}") from None


def compile(formula: str, names: Collection[str]) -> Formula:  # noqa: A001  as re.compile
    """Return a formula over triggers of such names; raise `FormulaError` saying what is wrong in which column.

    As in KEDA the result is made a float: a whole number, and a text that stands for a number, count as one; true and
    false do not. Only in a formula that has a ``??`` somewhere may the result be nil
    (apis/keda/v1alpha1/scaledobject_webhook.go, castToFloatIfNecessary).
    """
    if len(formula) > LONGEST:
        raise FormulaError(f"the formula has {len(formula)} characters; {LONGEST} are the most")
    parser = Parser(formula, names)
    code = parser.formula()
    if code.kind is NIL:
        raise FormulaError("the result is always nil, and a number is needed")
    try:
        FUNCTIONS["float"].check([code.kind])
    except Mismatch:
        raise FormulaError(f"the result is {code.kind}, and a number is needed") from None
    return Formula(code, parser.slots, parser.places, nil="??" in formula)
