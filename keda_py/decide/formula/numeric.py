"""What the functions make of numbers (expr-lang's builtin/lib.go); each takes the steps first, may raise `Mismatch`."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from keda_py.decide.formula.error import Mismatch
from keda_py.decide.formula.operator import is_number, less, name_of
from keda_py.decide.formula.steps import Steps
from keda_py.decide.number import fits, go_float, int64, wrapped
from keda_py.duration import DurationError, parse_go_duration

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
_BITS: Final = 64
_SIZE: Final = 2**64


def absolute(_: Steps, value: Any) -> Any:
    """Return the number without its sign."""
    return wrapped(abs(value)) if type(_number(value)) is int else abs(value)


def whole(compute: Callable[[float], float]) -> Callable[[Steps, Any], float]:
    """Return the function that makes a float whole, and leaves what has no end as it is."""

    def apply(_: Steps, value: Any) -> float:
        number = float(_number(value))
        return float(compute(number)) if math.isfinite(number) else number

    return apply


def _number(value: Any) -> Any:
    if is_number(value):
        return value
    raise Mismatch(f"needs a number, and this is {name_of(value)}")


def to_int(_: Steps, value: Any) -> int:
    """Return the whole number that a number contains, or a text stands for."""
    if type(value) is str:
        if _WHOLE.fullmatch(value) and fits(int(value)):
            return int(value)
        raise Mismatch("needs a whole number, and this is a text that is none")
    return int64(value) if type(_number(value)) is float else int(value)


def to_float(_: Steps, value: Any) -> float:
    """Return the float that a number is, or a text stands for."""
    if type(value) is not str:
        return float(_number(value))
    if (number := go_float(value)) is None:
        raise Mismatch("needs a number, and this is a text that is none")
    return number


def duration(_: Steps, value: Any) -> timedelta:
    """Return the duration that a text such as ``1h30m`` stands for."""
    if type(value) is not str:
        raise Mismatch(f"needs a text, and this is {name_of(value)}")
    try:
        return parse_go_duration(value)
    except DurationError as problem:
        raise Mismatch(str(problem)) from None


# --- bits -------------------------------------------------------------------------------------------------------------


def bits(compute: Callable[..., int]) -> Callable[..., int]:
    """Return the function that computes with the 64 bits of whole numbers."""

    def apply(_: Steps, *values: Any) -> int:
        for value in values:
            if type(value) is not int:
                raise Mismatch(f"needs whole numbers, and this is {name_of(value)}")
        return wrapped(compute(*values))

    return apply


def left(number: int, places: int) -> int:
    """Return the number with its bits moved to the left."""
    return number << _places(places)


def right(number: int, places: int) -> int:
    """Return the number with its bits moved to the right, the sign moving in."""
    return number >> _places(places)


def right_unsigned(number: int, places: int) -> int:
    """Return the number with its bits moved to the right, zeros moving in."""
    return number % _SIZE >> _places(places)


def _places(places: int) -> int:
    if places < 0:
        raise Mismatch("cannot shift by a negative number of places")
    return min(places, _BITS)


# --- many numbers -----------------------------------------------------------------------------------------------------


def flat(steps: Steps, values: Sequence[Any]) -> Iterator[Any]:
    """Yield what is in arrays within arrays, however deep."""
    steps.spend(len(values))
    unfinished = [iter(values)]
    while unfinished:
        for value in unfinished[-1]:
            if isinstance(value, list):
                steps.spend(len(value) + 1)
                unfinished.append(iter(value))
                break
            yield value
        else:
            unfinished.pop()


def _numbers(steps: Steps, values: Sequence[Any]) -> Iterator[Any]:
    return (_number(value) for value in flat(steps, values))


def largest(steps: Steps, *values: Any) -> Any:
    """Return the largest of numbers and of numbers in arrays; nil if there are none."""
    return _extreme(steps, values, lambda found, number: less(found, number, steps))


def smallest(steps: Steps, *values: Any) -> Any:
    """Return the smallest of numbers and of numbers in arrays; nil if there are none."""
    return _extreme(steps, values, lambda found, number: less(number, found, steps))


def _extreme(steps: Steps, values: Sequence[Any], better: Callable[[Any, Any], bool]) -> Any:
    if len(values) == 1 and not isinstance(values[0], list):
        return values[0]
    found = None
    for number in _numbers(steps, values):
        if found is None or better(found, number):
            found = number
    return found


def mean(steps: Steps, *values: Any) -> float:
    """Return the mean of numbers and of numbers in arrays; 0 if there are none."""
    count, total = 0, 0.0
    for number in _numbers(steps, values):  # one by one as in Go, and not as sum() does it in newer Pythons
        count, total = count + 1, total + number
    return total / count if count else 0.0


def median(steps: Steps, *values: Any) -> float:
    """Return the median of numbers and of numbers in arrays; 0 if there are none."""
    numbers = sorted(map(float, _numbers(steps, values)), key=lambda number: (not math.isnan(number), number))
    middle, odd = divmod(len(numbers), 2)
    if not numbers:
        return 0.0
    return numbers[middle] if odd else (numbers[middle - 1] + numbers[middle]) / 2
