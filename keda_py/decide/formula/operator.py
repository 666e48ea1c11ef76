"""The binary operators: how they bind, which kinds they take, and what they make of values, as expr-lang has it.

A value is nil, a bool, an int of 64 bits, a float, a string, a duration, an array (list) or a map (dict with string
keys). Numbers
are Go's. Nil goes with nothing but ``==`` and ``!=``: a trigger that has no value must not pass for a number.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from keda_py.decide.formula.error import Mismatch
from keda_py.decide.formula.kind import (
    BOOL,
    FLOAT,
    INT,
    MAP,
    NUMBERS,
    OPEN,
    STRING,
    UNKNOWN,
    Kind,
    agree,
    array_of,
    comparable,
    is_array,
)
from keda_py.decide.formula.steps import Steps
from keda_py.decide.number import int64, power, quotient, remainder, wrapped

_DEEPEST: Final = 64
_NAMES: Final = MappingProxyType(
    {
        type(None): "nil",
        bool: "bool",
        int: "int",
        float: "float",
        str: "string",
        list: "array",
        dict: "map",
        timedelta: "duration",
    }
)

Check = Callable[[Kind, Kind], Kind | None]
Apply = Callable[[Any, Any, Steps], Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """`check` returns what comes out of two kinds, None where it cannot take them; `apply` raises `Mismatch`."""

    precedence: int
    check: Check
    apply: Apply
    to_the_right: bool = False


def name_of(value: object) -> str:
    """Return what expr-lang calls the type of a value."""
    return _NAMES[type(value)]


def is_number(value: object) -> bool:
    """Whether a value is an int or a float; a bool is none."""
    return type(value) is float or type(value) is int


# --- kinds ------------------------------------------------------------------------------------------------------------


def _arithmetic(*others: Kind) -> Check:
    """Return the check of operators on numbers, and on two values of each of the other kinds."""

    def check(left: Kind, right: Kind) -> Kind | None:
        if left in NUMBERS and right in NUMBERS:
            return FLOAT if FLOAT in (left, right) else INT
        if left == right and left in others:
            return left
        return UNKNOWN if agree(left, right, INT, FLOAT, *others) else None

    return check


def _fixed(result: Kind, *wanted: Kind) -> Check:
    """Return the check of operators that always make the same kind of any of those wanted."""

    def check(left: Kind, right: Kind) -> Kind | None:
        return result if (left in wanted and right in wanted) or agree(left, right, *wanted) else None

    return check


def _ordered(left: Kind, right: Kind) -> Kind | None:
    known = (left in NUMBERS and right in NUMBERS) or (left is STRING and right is STRING)
    return BOOL if known or agree(left, right, INT, FLOAT, STRING) else None


def _equality(left: Kind, right: Kind) -> Kind | None:
    return BOOL if comparable(left, right) else None


def _membership(left: Kind, right: Kind) -> Kind | None:
    if right == MAP:
        fine = left in OPEN or left == STRING
    elif is_array(right):
        fine = comparable(left, right.elements)
    else:
        fine = right in OPEN
    return BOOL if fine else None


# --- values -----------------------------------------------------------------------------------------------------------


def _on_numbers(symbol: str, native: Callable[[Any, Any], Any]) -> Apply:
    def apply(left: Any, right: Any, steps: Steps) -> Any:
        if type(left) is float and type(right) is float:
            return native(left, right)
        if type(left) is int and type(right) is int:
            return wrapped(native(left, right))
        if is_number(left) and is_number(right):
            return native(float(left), float(right))
        if symbol == "+" and type(left) is str and type(right) is str:
            steps.spend(len(left) + len(right))
            return left + right
        raise _refused(symbol, left, right)

    return apply


def _on_floats(symbol: str, native: Callable[[float, float], float]) -> Apply:
    def apply(left: Any, right: Any, _: Steps) -> float:
        if is_number(left) and is_number(right):
            return native(float(left), float(right))
        raise _refused(symbol, left, right)

    return apply


def _in_order(symbol: str, native: Callable[[Any, Any], bool]) -> Apply:
    def apply(left: Any, right: Any, _: Steps) -> bool:
        one, other = type(left), type(right)
        if one is other and (one is float or one is int or one is str):
            return native(left, right)
        if is_number(left) and is_number(right):
            return native(float(left), float(right))
        raise _refused(symbol, left, right)

    return apply


def _on_texts(symbol: str, native: Callable[[str, str], bool]) -> Apply:
    def apply(left: Any, right: Any, _: Steps) -> bool:
        if left is None or right is None:
            return False
        if type(left) is str and type(right) is str:
            return native(left, right)
        raise _refused(symbol, left, right)

    return apply


def _refused(symbol: str, left: object, right: object) -> Mismatch:
    return Mismatch(f"{name_of(left)} {symbol} {name_of(right)} has no value")


def equal(left: Any, right: Any, steps: Steps, depth: int = 0) -> bool:
    """Whether two values are the same; an int and a float are compared as floats, arrays element by element."""
    if is_number(left) and is_number(right):
        return left == right if type(left) is type(right) else float(left) == float(right)
    if type(left) is not type(right):
        return False
    if not isinstance(left, (list, dict)):
        return bool(left == right)
    if depth == _DEEPEST:
        raise Mismatch(f"arrays and maps may be {_DEEPEST} levels deep")
    steps.spend(len(left) + 1)
    if len(left) != len(right):
        return False
    if isinstance(left, list):
        return all(equal(one, other, steps, depth + 1) for one, other in zip(left, right, strict=True))
    return all(key in right and equal(value, right[key], steps, depth + 1) for key, value in left.items())


def less(left: Any, right: Any, steps: Steps) -> bool:
    """Whether one value comes before another; raise `Mismatch` for values without an order."""
    return bool(BINARY["<"].apply(left, right, steps))


def _contained(needle: Any, container: Any, steps: Steps) -> bool:
    if container is None:
        return False
    if isinstance(container, list):
        steps.spend(len(container))
        return any(equal(element, needle, steps) for element in container)
    if isinstance(container, dict) and (needle is None or isinstance(needle, str)):
        return needle in container
    raise _refused("in", needle, container)


def _remainder(left: Any, right: Any, _: Steps) -> int:
    if type(left) is not int or type(right) is not int:
        raise _refused("%", left, right)
    if right == 0:
        raise Mismatch("a whole number divided by zero has no remainder")
    return remainder(left, right)


def _range(first: Any, last: Any, steps: Steps) -> list[int]:
    if not (is_number(first) and is_number(last)):
        raise _refused("..", first, last)
    # A float gets here where its kind was not known before, and loses its fraction as in Go.
    begin, end = int64(first), int64(last)
    steps.spend(max(0, end - begin + 1))
    return list(range(begin, end + 1))


_NUMBERS: Final = _arithmetic()
_TEXTS: Final = _fixed(BOOL, STRING)
_FLOATS: Final = _fixed(FLOAT, INT, FLOAT)

BINARY: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "==": Operator(20, _equality, equal),
        "!=": Operator(20, _equality, lambda left, right, steps: not equal(left, right, steps)),
        "<": Operator(20, _ordered, _in_order("<", operator.lt)),
        ">": Operator(20, _ordered, _in_order(">", operator.gt)),
        "<=": Operator(20, _ordered, _in_order("<=", operator.le)),
        ">=": Operator(20, _ordered, _in_order(">=", operator.ge)),
        "in": Operator(20, _membership, _contained),
        "contains": Operator(20, _TEXTS, _on_texts("contains", operator.contains)),
        "startsWith": Operator(20, _TEXTS, _on_texts("startsWith", str.startswith)),
        "endsWith": Operator(20, _TEXTS, _on_texts("endsWith", str.endswith)),
        "..": Operator(25, _fixed(array_of(INT), INT), _range),
        "+": Operator(30, _arithmetic(STRING), _on_numbers("+", operator.add)),
        "-": Operator(30, _NUMBERS, _on_numbers("-", operator.sub)),
        "*": Operator(60, _NUMBERS, _on_numbers("*", operator.mul)),
        "/": Operator(60, _FLOATS, _on_floats("/", quotient)),
        "%": Operator(60, _fixed(INT, INT), _remainder),
        "**": Operator(100, _FLOATS, _on_floats("**", power), to_the_right=True),
        "^": Operator(100, _FLOATS, _on_floats("^", power), to_the_right=True),
    }
)
"""All but the lazy ones (``and``, ``or``, ``??``) and the pipe; precedence as in parser/operator/operator.go."""

PIPE: Final = 0
OR: Final = 10
AND: Final = 15
COALESCE: Final = 500
