"""The functions without a predicate: which kinds they take, what comes out, and what makes it.

They are those of expr-lang that make sense of numbers, with its checks (builtin/builtin.go). Left out are those on
texts and dates, and what asks the clock, because deciding is pure.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from keda_py.decide.formula import collection, numeric
from keda_py.decide.formula.code import Code, Frame, made
from keda_py.decide.formula.error import FormulaError, Mismatch
from keda_py.decide.formula.kind import (
    ANY,
    ARRAY,
    BOOL,
    DURATION,
    FLOAT,
    INT,
    MAP,
    NUMBERS,
    OPEN,
    STRING,
    UNKNOWN,
    Kind,
    is_array,
    may_be,
)
from keda_py.decide.formula.operator import name_of
from keda_py.decide.number import rounded

_MANY: Final = 1_000

Check = Callable[[Sequence[Kind]], Kind]


@dataclass(frozen=True, slots=True)
class Function:
    """`check` returns what comes out of arguments of these kinds; `apply` takes the steps first. Both may raise
    `Mismatch`."""

    check: Check
    apply: Callable[..., Any]


def _counted(kinds: Sequence[Kind], least: int, most: int) -> None:
    if not least <= len(kinds) <= most:
        wanted = f"{least}" if least == most else f"{least} or more" if most == _MANY else f"{least} to {most}"
        raise Mismatch(f"takes {wanted} arguments, not {len(kinds)}")


def _taking(result: Kind | None, *wanted: Callable[[Kind], bool], least: int | None = None) -> Check:
    """Return the check of a function with such arguments; without a result it is what the first argument is."""

    def check(kinds: Sequence[Kind]) -> Kind:
        _counted(kinds, len(wanted) if least is None else least, len(wanted))
        for kind, takes in zip(kinds, wanted, strict=False):
            if not takes(kind):
                raise Mismatch(f"cannot take {kind}")
        return result or (ANY if kinds[0] in OPEN else kinds[0])

    return check


def _one_of(*wanted: Kind) -> Callable[[Kind], bool]:
    return lambda kind: may_be(kind, *wanted)


def _array(kind: Kind) -> bool:
    return kind in OPEN or is_array(kind)


def _sized(kind: Kind) -> bool:
    return _array(kind) or kind in (MAP, STRING)


def _anything(_: Kind) -> bool:
    return True


def _aggregate(kinds: Sequence[Kind]) -> Kind:
    _counted(kinds, 1, _MANY)
    for kind in kinds:
        if _array(kind):  # what comes after is not looked at, as in KEDA
            return ANY
        if kind not in NUMBERS:
            raise Mismatch(f"cannot take {kind}")
    return kinds[0]


def _arrays(kinds: Sequence[Kind]) -> Kind:
    _counted(kinds, 1, _MANY)
    return _taking(ARRAY, *[_array] * len(kinds))(kinds)


def _some(kinds: Sequence[Kind]) -> Kind:
    return ANY if _taking(None, _array, _one_of(INT))(kinds) is ANY else ARRAY


def _element(kinds: Sequence[Kind]) -> Kind:
    _counted(kinds, 2, 2)
    whole, key = kinds
    if whole in OPEN:
        return UNKNOWN
    if is_array(whole) and may_be(key, INT):
        return whole.elements
    if whole == MAP and may_be(key, STRING):
        return ANY
    raise Mismatch(f"cannot take {key} of {whole}")


_NUMBER: Final = _one_of(INT, FLOAT)
_READABLE: Final = _one_of(INT, FLOAT, STRING)
_WHOLE: Final = _one_of(INT)
_TEXT: Final = _one_of(STRING)
_TWO_WHOLE: Final = _taking(INT, _WHOLE, _WHOLE)
_ROUND: Final = _taking(FLOAT, _NUMBER)
_ONE_ARRAY: Final = _taking(ARRAY, _array)

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "abs": Function(_taking(None, _NUMBER), numeric.absolute),
        "ceil": Function(_ROUND, numeric.whole(math.ceil)),
        "floor": Function(_ROUND, numeric.whole(math.floor)),
        "round": Function(_ROUND, numeric.whole(rounded)),
        "int": Function(_taking(INT, _READABLE), numeric.to_int),
        "float": Function(_taking(FLOAT, _READABLE), numeric.to_float),
        "duration": Function(_taking(DURATION, _TEXT), numeric.duration),
        "max": Function(_aggregate, numeric.largest),
        "min": Function(_aggregate, numeric.smallest),
        "mean": Function(_aggregate, numeric.mean),
        "median": Function(_aggregate, numeric.median),
        "bitand": Function(_TWO_WHOLE, numeric.bits(lambda x, y: x & y)),
        "bitor": Function(_TWO_WHOLE, numeric.bits(lambda x, y: x | y)),
        "bitxor": Function(_TWO_WHOLE, numeric.bits(lambda x, y: x ^ y)),
        "bitnand": Function(_TWO_WHOLE, numeric.bits(lambda x, y: x & ~y)),
        "bitnot": Function(_taking(INT, _WHOLE), numeric.bits(lambda x: ~x)),
        "bitshl": Function(_TWO_WHOLE, numeric.bits(numeric.left)),
        "bitshr": Function(_TWO_WHOLE, numeric.bits(numeric.right)),
        "bitushr": Function(_TWO_WHOLE, numeric.bits(numeric.right_unsigned)),
        "len": Function(_taking(INT, _sized), collection.length),
        "type": Function(_taking(STRING, _anything), lambda _, value: name_of(value)),
        "string": Function(_taking(STRING, _anything), collection.text),
        "toJSON": Function(_taking(STRING, _one_of(INT, FLOAT, BOOL)), collection.text),
        "first": Function(_taking(ANY, _array), collection.first),
        "last": Function(_taking(ANY, _array), collection.last),
        "get": Function(_element, collection.get),
        "take": Function(_some, collection.take),
        "keys": Function(_taking(ARRAY, _one_of(MAP)), collection.of_map(dict.keys)),
        "values": Function(_taking(ARRAY, _one_of(MAP)), collection.of_map(dict.values)),
        "reverse": Function(_ONE_ARRAY, collection.turned),
        "uniq": Function(_ONE_ARRAY, collection.unique),
        "concat": Function(_arrays, collection.concat),
        "flatten": Function(_ONE_ARRAY, collection.flattened),
        "sort": Function(_taking(ARRAY, _array, _TEXT, least=1), collection.in_order),
    }
)


def called(name: str, column: int, arguments: Sequence[Code]) -> Code:
    """Return the code of a call; raise `FormulaError` for arguments that the function does not take."""
    function = FUNCTIONS[name]
    try:
        kind = function.check([argument.kind for argument in arguments])
    except Mismatch as problem:
        raise FormulaError.at(column, f"{name} {problem}") from None
    runs, apply = [argument.run for argument in arguments], function.apply

    def run(frame: Frame) -> Any:
        try:
            return apply(frame[0], *[argument(frame) for argument in runs])
        except Mismatch as problem:
            raise FormulaError.at(column, f"{name} {problem}") from None

    return made(column, kind, run, arguments)
