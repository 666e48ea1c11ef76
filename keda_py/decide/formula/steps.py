"""What one evaluation may cost. A formula is somebody else's text, evaluated in the loop that everything runs in.

Without predicates and arrays the cost is bounded by the length of the text. Those spend steps: one for each element
made or looked at, and for each pass through a predicate as many as it has parts.
"""

from typing import Final

from keda_py.decide.formula.error import FormulaError

MOST: Final = 20_000
"""Some ten milliseconds; a formula over a hundred triggers takes a thousand."""


class Steps:
    """The steps that are left to one evaluation."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST

    def spend(self, steps: int) -> None:
        """Take some away; raise `FormulaError` if there are not as many."""
        self.left -= steps
        if self.left < 0:
            raise FormulaError(f"the formula takes more than {MOST} steps; make its ranges and arrays smaller")
