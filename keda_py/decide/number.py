"""Numbers as Go has them: int64 that wraps, float64 without exceptions, and the texts that stand for a float.

KEDA's arithmetic is Go's, down to what overflows; Python's int has no end and its math raises.
"""

import math
import re
from collections.abc import Iterable
from typing import Final

_INT64: Final = 2**63
_HEX: Final = "[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_HEXADECIMAL: Final = re.compile(rf"[+-]?0[xX](?:_?{_HEX}\.?(?:{_HEX})?|\.{_HEX})[pP][+-]?[0-9](?:_?[0-9])*")
_WORDS: Final = re.compile(r"[+-]?inf(inity)?|nan", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-+0-9._eE]+")


def go_float(text: str) -> float | None:
    """Return the number that Go's strconv.ParseFloat reads in a text, None where it reads none."""
    try:
        if _HEXADECIMAL.fullmatch(text):
            return float.fromhex(text.replace("_", ""))
        if _WORDS.fullmatch(text):
            return float(text)
        number = float(text) if _NUMBER.fullmatch(text) else math.inf
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def int64(number: float) -> int:
    """Return what a 64-bit processor makes of a float: whole, and the least number of all where it does not fit."""
    return int(number) if -_INT64 <= number < _INT64 else -_INT64


def fits(number: int) -> bool:
    """Whether a whole number has room in 64 bits."""
    return -_INT64 <= number < _INT64


def wrapped(number: int) -> int:
    """Return the 64 bits that are left of a whole number."""
    return (number + _INT64) % (2 * _INT64) - _INT64


def added(numbers: Iterable[float]) -> float:
    """Return the sum, rounded after each number as in Go; sum() of newer Pythons is more exact."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def quotient(dividend: float, divisor: float) -> float:
    """Return dividend / divisor as IEEE 754 has it: by zero it is infinite, or no number."""
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1, divisor)


def remainder(dividend: int, divisor: int) -> int:
    """Return what a division leaves, with the sign of the dividend; the divisor must not be 0."""
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def power(base: float, exponent: float) -> float:
    """Return base ** exponent as Go's math.Pow: infinite where it overflows, NaN for a root of a negative number.

    Squared and multiplied step by step: its last bit is not always the one that C's pow has.
    """
    if base in (0.0, 1.0) or exponent in (0.0, 1.0, 0.5, -0.5) or not (math.isfinite(base) and math.isfinite(exponent)):
        return _plain_power(base, exponent)
    fraction, whole = math.modf(abs(exponent))
    if fraction and base < 0:
        return math.nan
    if whole >= _INT64:
        return _plain_power(base, exponent)
    if fraction > 0.5:  # noqa: PLR2004  the nearer whole number
        fraction, whole = fraction - 1, whole + 1
    found, twos = (math.exp(fraction * math.log(base)) if fraction else 1.0), 0
    factor, factor_twos = math.frexp(base)
    left = int(whole)
    while left and abs(factor_twos) <= _FAR:
        if left & 1:
            found, twos = found * factor, twos + factor_twos
        factor, factor_twos, left = factor * factor, 2 * factor_twos, left >> 1
        if factor < 0.5:  # noqa: PLR2004  as frexp has it
            factor, factor_twos = 2 * factor, factor_twos - 1
    twos += factor_twos if left else 0
    return _scaled(found, twos) if exponent > 0 else _scaled(1 / found, -twos)


_FAR: Final = 2**12
"""So many powers of two are more than a float has."""


def _scaled(number: float, twos: int) -> float:
    try:
        return math.ldexp(number, twos)
    except OverflowError:
        return math.copysign(math.inf, number)


def _plain_power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except ValueError:  # a root of a negative number, or zero to a negative power
        if base:
            return math.nan
    except OverflowError:
        pass
    return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf


def rounded(number: float) -> float:
    """Return the nearest whole number, halves away from zero."""
    if not math.isfinite(number):
        return number
    fraction, whole = math.modf(number)
    return whole + math.copysign(abs(fraction) >= 0.5, number)  # noqa: PLR2004  a half
