"""What can be wrong with a formula: said once, for the person who wrote it."""

from typing import Final

END: Final = "the end of the formula"


class FormulaError(ValueError):
    """A formula that makes no sense, or has no value; the text says what and where."""

    @classmethod
    def at(cls, column: int, problem: str) -> "FormulaError":
        """Return the error of a place in the formula; columns count from 1."""
        return cls(f"{problem} (column {column})")


class Mismatch(Exception):
    """Values that an operation cannot take; the operation does not know its place, who called it adds that."""
