"""What a formula is compiled to: a closure for each part, with what is known of the part before it runs.

A closure takes the frame, a list: the steps that are left in place 0, then the values of triggers and of ``let``, and
what a predicate stands at. Types are checked here, where closures are put together, so that a formula that compiles
can only fail for its values.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from keda_py.decide.formula.collection import element
from keda_py.decide.formula.error import FormulaError, Mismatch
from keda_py.decide.formula.kind import (
    ANY,
    ARRAY,
    BOOL,
    DURATION,
    FLOAT,
    INT,
    MAP,
    NIL,
    NUMBERS,
    OPEN,
    STRING,
    UNKNOWN,
    Kind,
    array_of,
    assignable,
    is_array,
    joined,
    may_be,
)
from keda_py.decide.formula.operator import BINARY, is_number, name_of
from keda_py.decide.formula.steps import MOST, Steps
from keda_py.decide.number import int64, wrapped

Frame = list[Any]
Run = Callable[[Frame], Any]

DEEPEST: Final = 100
"""Each level takes a few of Python's stack frames, of which there are a thousand."""


@dataclass(frozen=True, slots=True)
class Code:
    """A part of a formula. `size`: how many parts it has. `constant`: it is always the same; `text`: this text.

    `written`: an array whose elements stand there, two or more, and are not all known.
    """

    kind: Kind
    run: Run
    size: int = 1
    depth: int = 1
    constant: bool = False
    text: str | None = None
    written: bool = False


def made(column: int, kind: Kind, run: Run, parts: Sequence[Code]) -> Code:
    """Return the code of something that has parts."""
    depth = 1 + max((part.depth for part in parts), default=0)
    size = 1 + sum(part.size for part in parts)
    if depth > DEEPEST:
        raise FormulaError.at(column, f"the formula is more than {DEEPEST} levels deep; sum([a, b]) is one")
    if size > MOST:  # what stands in the middle of ``a < b < c``, or before ``?:``, is computed twice
        raise FormulaError.at(column, f"the formula takes more than {MOST} steps; name parts of it with let")
    return Code(kind, run, size, depth)


def placed(column: int, compute: Run) -> Run:
    """Return the closure that says where it was when it could not go on."""

    def run(frame: Frame) -> Any:
        try:
            return compute(frame)
        except Mismatch as problem:
            raise FormulaError.at(column, str(problem)) from None

    return run


def constant(kind: Kind, value: Any) -> Code:
    """Return the code of a value."""
    return Code(kind, lambda _: value, constant=True, text=value if isinstance(value, str) else None)


def held(kind: Kind, slot: int) -> Code:
    """Return the code of what a place of the frame holds."""
    return Code(kind, operator.itemgetter(slot))


def _folded(code: Code, parts: Sequence[Code]) -> Code:
    """Return the code of something that is computed once, here, if all of it is known; or raise what it raises."""
    if not all(part.constant for part in parts):
        return code
    value = code.run([Steps()])
    return replace(code, run=lambda _: value, size=1, depth=1, constant=True)


# --- operators --------------------------------------------------------------------------------------------------------


def unary(symbol: str, column: int, part: Code) -> Code:
    """Return the code of ``-x``, ``+x``, ``!x`` and ``not x``."""
    inner = part.run
    if symbol in {"!", "not"}:
        if not may_be(part.kind, BOOL):
            raise FormulaError.at(column, f"{symbol} takes true or false, not {part.kind}")

        def compute(frame: Frame) -> Any:
            return not truth(inner(frame))

        kind = BOOL
    else:
        if part.kind not in NUMBERS | OPEN:
            raise FormulaError.at(column, f"{symbol} takes a number, not {part.kind}")
        sign = -1 if symbol == "-" else 1

        def compute(frame: Frame) -> Any:
            return _signed(sign, inner(frame))

        kind = part.kind if part.kind in NUMBERS else UNKNOWN
    return _folded(made(column, kind, placed(column, compute), [part]), [part])


def _signed(sign: int, value: Any) -> Any:
    if not is_number(value):
        raise Mismatch(f"{name_of(value)} has no sign")
    return wrapped(sign * value) if type(value) is int else sign * value


def binary(symbol: str, column: int, left: Code, right: Code) -> Code:
    """Return the code of two values with one of the `BINARY` operators between."""
    kind = BINARY[symbol].check(left.kind, right.kind)
    if kind is None:
        raise FormulaError.at(column, f"{symbol} cannot take {left.kind} and {right.kind}")
    one, other, apply = left.run, right.run, BINARY[symbol].apply

    def run(frame: Frame) -> Any:
        try:
            return apply(one(frame), other(frame), frame[0])
        except Mismatch as problem:
            raise FormulaError.at(column, str(problem)) from None

    code = made(column, kind, run, [left, right])
    return code if symbol == ".." else _folded(code, [left, right])  # a range may be large, and would stay for good


def truth(value: Any) -> bool:
    """Return a value that must be true or false."""
    if value is True or value is False:
        return value
    raise Mismatch(f"true or false is needed here, and this is {name_of(value)}")


def logical(symbol: str, column: int, left: Code, right: Code) -> Code:
    """Return the code of ``and`` and ``or``, whose right side is only looked at if it matters."""
    if not may_be(left.kind, BOOL) or not may_be(right.kind, BOOL):
        raise FormulaError.at(column, f"{symbol} cannot take {left.kind} and {right.kind}")
    one, other, decided = left.run, right.run, symbol in {"or", "||"}

    def compute(frame: Frame) -> Any:
        return decided if truth(one(frame)) is decided else other(frame)

    return made(column, BOOL, placed(column, compute), [left, right])


def coalesced(column: int, left: Code, right: Code) -> Code:
    """Return the code of ``left ?? right``: the right side where the left one is nil."""
    one, other = left.run, right.run

    def run(frame: Frame) -> Any:
        value = one(frame)
        return other(frame) if value is None else value

    if NIL in (left.kind, right.kind):
        kind = right.kind if left.kind is NIL else left.kind
    else:
        kind = left.kind if assignable(right.kind, left.kind) else UNKNOWN
    return made(column, kind, run, [left, right])


def conditional(column: int, condition: Code, yes: Code, no: Code) -> Code:
    """Return the code of ``condition ? yes : no``."""
    if not may_be(condition.kind, BOOL):
        raise FormulaError.at(column, f"a condition is true or false, not {condition.kind}")
    test, one, other = condition.run, yes.run, no.run

    def compute(frame: Frame) -> Any:
        return one(frame) if truth(test(frame)) else other(frame)

    return made(column, joined(yes.kind, no.kind), placed(column, compute), [condition, yes, no])


# --- names ------------------------------------------------------------------------------------------------------------


def bound(column: int, slot: int, value: Code, body: Code) -> Code:
    """Return the code of ``let x = value; body``."""
    first, then = value.run, body.run

    def run(frame: Frame) -> Any:
        frame[slot] = first(frame)
        return then(frame)

    return made(column, body.kind, run, [value, body])


def sequence(column: int, parts: Sequence[Code]) -> Code:
    """Return the code of ``a; b``: all are computed, the last one counts."""
    runs = [part.run for part in parts]
    return made(column, parts[-1].kind, lambda frame: [run(frame) for run in runs][-1], parts)


def environment(slots: Mapping[str, int]) -> Code:
    """Return the code of ``$env``, all triggers by their names."""
    return Code(UNKNOWN, lambda frame: {name: frame[slot] for name, slot in slots.items()}, size=1 + len(slots))


# --- arrays and maps --------------------------------------------------------------------------------------------------


def array(column: int, parts: Sequence[Code]) -> Code:
    """Return the code of ``[a, b]``."""
    runs = [part.run for part in parts]
    kinds = {"unknown" if part.kind is NIL else part.kind.name for part in parts}
    kind = array_of(parts[-1].kind if parts else UNKNOWN) if len(kinds) <= 1 else ARRAY
    known = all(part.constant and part.kind is not NIL for part in parts)
    found = made(column, kind, lambda frame: [run(frame) for run in runs], parts)
    return replace(found, written=len(parts) > 1 and not known)


def mapping(column: int, keys: Sequence[Code], values: Sequence[Code]) -> Code:
    """Return the code of ``{"x": a}``."""
    pairs = [(key.run, value.run) for key, value in zip(keys, values, strict=True)]

    def compute(frame: Frame) -> Any:
        return {_key(key(frame)): value(frame) for key, value in pairs}

    return made(column, MAP, placed(column, compute), [*keys, *values])


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Mismatch(f"a key is a text, not {name_of(value)}")


def member(column: int, whole: Code, key: Code, *, optional: bool) -> Code:
    """Return the code of ``whole[key]`` and ``whole.key``; nil of nil if optional."""
    one, other = whole.run, key.run

    def compute(frame: Frame) -> Any:
        value = one(frame)
        return None if optional and value is None else element(value, other(frame))

    return made(column, member_kind(column, whole.kind, key), placed(column, compute), [whole, key])


def member_kind(column: int, whole: Kind, key: Code) -> Kind:
    """Return what a member of something is; raise `FormulaError` if there cannot be one."""
    if whole in OPEN:
        return UNKNOWN
    if is_array(whole):
        if not may_be(key.kind, INT):
            raise FormulaError.at(column, f"an element of an array has a whole number, not {key.kind}")
        return whole.elements
    if whole == MAP:
        if not may_be(key.kind, STRING):
            raise FormulaError.at(column, f"an element of a map has a text for a key, not {key.kind}")
        return ANY
    raise FormulaError.at(column, f"{whole} has no field {key.text or 'or element'}")


METHODS: Final[Mapping[str, tuple[Kind, timedelta]]] = MappingProxyType(
    {
        "Hours": (FLOAT, timedelta(hours=1)),
        "Minutes": (FLOAT, timedelta(minutes=1)),
        "Seconds": (FLOAT, timedelta(seconds=1)),
        "Milliseconds": (INT, timedelta(milliseconds=1)),
        "Microseconds": (INT, timedelta(microseconds=1)),
    }
)
"""What a duration can be asked for; one that comes out as an int is cut off."""


def asked(column: int, whole: Code, name: str) -> Code:
    """Return the code of ``whole.name()``; only durations have any such."""
    if not may_be(whole.kind, DURATION) or name not in METHODS:
        raise FormulaError.at(column, f"{whole.kind} has no {name}()")
    kind, unit = METHODS[name]
    one = whole.run

    def compute(frame: Frame) -> Any:
        value = one(frame)
        if not isinstance(value, timedelta):
            raise Mismatch(f"{name_of(value)} has no {name}()")
        return value / unit if kind is FLOAT else int(value / unit)

    return made(column, kind if whole.kind is DURATION else UNKNOWN, placed(column, compute), [whole])


def sliced(column: int, whole: Code, first: Code | None, last: Code | None) -> Code:
    """Return the code of ``whole[first:last]``."""
    if not (is_array(whole.kind) or may_be(whole.kind, STRING)):
        raise FormulaError.at(column, f"{whole.kind} has no parts")
    bounds = [part for part in (first, last) if part is not None]
    if not all(may_be(part.kind, INT) for part in bounds):
        raise FormulaError.at(column, "the bounds of a part are whole numbers")
    one = whole.run
    start, end = (None if part is None else part.run for part in (first, last))

    def compute(frame: Frame) -> Any:
        value = one(frame)
        limits = [None if limit is None else limit(frame) for limit in (start, end)]
        if not isinstance(value, (list, str)) or not all(limit is None or is_number(limit) for limit in limits):
            raise Mismatch(f"{name_of(value)} has no such part")
        frame[0].spend(len(value))
        since, until = (None if limit is None else int64(limit) for limit in limits)
        return value[since:until]

    kind = UNKNOWN if whole.kind in OPEN else whole.kind
    return made(column, kind, placed(column, compute), [whole, *bounds])
