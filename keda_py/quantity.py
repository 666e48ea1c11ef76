"""Kubernetes quantities: numbers with suffixes, exact, as the API server reads and writes them.

The rules are those of k8s.io/apimachinery's resource.ParseQuantity, and of the helpers with which KEDA turns floats
into quantities (pkg/scalers/scaler.go).
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, total_ordering
from typing import Final

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF: Final = {power: suffix for suffix, power in _DECIMAL.items()}
_TEXT: Final = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+|)")
_NANO: Final = Fraction(1, 10**9)
_SMALLEST: Final = -9
_DIGITS: Final = 18
"""How many digits Kubernetes keeps as a 64-bit number; so many it takes for a number with a binary suffix:"""
_DIGITS_BINARY: Final = 15
_MAX_EXPONENT: Final = 2**31
_MAX_TEXT: Final = 500
_LARGEST_BINARY: Final = 2**63 - 1


class QuantityError(ValueError):
    """A text that is not a quantity."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """A quantity: its exact value, and the text it is sent on as. Compares as a number."""

    value: Fraction
    text: str

    def __str__(self) -> str:
        return self.text

    def __float__(self) -> float:
        """The number as Kubernetes hands it on, which is not always the nearest: 0.3 is 3 * 0.1 (`_approximate`)."""
        return _approximate(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.value == other.value

    def __lt__(self, other: "Quantity") -> bool:
        return self.value < other.value

    def __hash__(self) -> int:
        return hash(self.value)

    @property
    def milli(self) -> int:
        """The value in thousandths, rounded away from zero."""
        return _round_up(self.value * 1000)

    @property
    def whole(self) -> int:
        """The value in whole units, rounded away from zero."""
        return _round_up(self.value)


@lru_cache(maxsize=4096)
def parse(text: str) -> Quantity:
    """Return the quantity that a text stands for, keeping the text; raise `QuantityError` if it is none.

    What is finer than a billionth is rounded away from zero.
    """
    found = _TEXT.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise QuantityError("expected a quantity such as 500m, 2, 1.5k or 1Gi")
    sign, digits, suffix = found.groups()
    value = Fraction(digits.rstrip(".") if digits[0] != "." else f"0{digits}") * _scale(suffix, digits)
    value = Fraction(_round_up(value / _NANO)) * _NANO
    if value > _LARGEST_BINARY and suffix in _BINARY:
        value = Fraction(_LARGEST_BINARY)
    return Quantity(-value if sign == "-" else value, text)


def _approximate(quantity: Quantity) -> float:
    """Return a quantity's digits times its power of ten, each a float (AsApproximateFloat64).

    KEDA reckons with nothing else, and whether a quotient of two is a hair above a whole number makes one Job more.
    """
    found = _TEXT.fullmatch(quantity.text)
    if found is None or not quantity.value:
        return 0.0
    whole, _, decimals = found[2].partition(".")
    digits = (whole.lstrip("0") or "0") + decimals
    power = 0 if found[3] in _BINARY else _power(found[3]) - len(decimals)
    if found[3] in _BINARY:
        fits = len(digits) + 3 * _BINARY[found[3]] < _DIGITS_BINARY and not decimals
        number = int(quantity.value)
    else:
        fits = len(digits) <= _DIGITS and power >= _SMALLEST
        number = -int(digits) if found[1] == "-" else int(digits)
    if not fits:
        # What does not fit is kept in billionths.
        number, power = int(quantity.value / _NANO), _SMALLEST
    try:
        return float(number) * _power_of_ten(power)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _power_of_ten(exponent: int) -> float:
    return float(f"1e{exponent}") if exponent else 1.0


def _scale(suffix: str, digits: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(1024 ** _BINARY[suffix])
    exponent = _power(suffix)
    if not -_MAX_EXPONENT <= exponent < _MAX_EXPONENT:
        raise QuantityError("the exponent of the quantity is out of range")
    # Whatever lies beyond what any number here can mean is not computed digit by digit.
    if not any(digit in "123456789" for digit in digits):
        return Fraction(0)
    return Fraction(10) ** max(-600, min(600, exponent))


def _power(suffix: str) -> int:
    """Return the power of ten that a decimal suffix or an exponent stands for."""
    return _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])


def _round_up(value: Fraction) -> int:
    return math.ceil(value) if value >= 0 else math.floor(value)


def canonical(quantity: Quantity) -> str:
    """Return the text in the form the API server writes: no fraction, the largest suffix that keeps it exact."""
    found = _TEXT.fullmatch(quantity.text)
    suffix = found[3] if found else ""
    value = quantity.value
    if suffix in _BINARY and abs(value) >= 1024 and value.denominator == 1:  # noqa: PLR2004  below 1Ki it is decimal
        return _binary(int(value))
    return _decimal(value, exponent=suffix[:1] in {"e", "E"} and len(suffix) > 1)


def _binary(value: int) -> str:
    power = 0
    while value and value % 1024 == 0 and power < len(_BINARY):
        value, power = value // 1024, power + 1
    return f"{value}{('', *_BINARY)[power]}"


def _decimal(value: Fraction, *, exponent: bool) -> str:
    if value == 0:
        return "0"
    power = -9
    number = int(value / _NANO)
    while number % 1000 == 0 and power < max(_SUFFIX_OF):
        number, power = number // 1000, power + 3
    if exponent:
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_SUFFIX_OF[power]}"


def from_int(value: int) -> Quantity:
    """Return the quantity of a whole number."""
    return Quantity(Fraction(value), str(value))


def from_float(value: float) -> Quantity:
    """Return the quantity of a float to three decimals; what is negative or no number becomes 0, as in KEDA."""
    if not math.isfinite(value) or value < 0:
        return Quantity(Fraction(0), "0")
    exact = Fraction(f"{value:.3f}")
    return Quantity(exact, _decimal(exact, exponent=False))


def handed_on(value: float) -> float:
    """Return the number that KEDA reckons with when a scaler has found `value`: to three decimals, and not negative.

    Its scalers hand on a quantity (GenerateMetricInMili), and formulas and ScaledJobs take it from there.
    """
    if not math.isfinite(value) or value <= 0:
        return 0.0
    return float(parse(f"{value:.3f}"))


def format_metric(value: float) -> str:
    """Return a metric's value as quantity text, whole or in thousandths: quick, and read by every client."""
    if not math.isfinite(value) or value <= 0:
        return "0"
    if (whole := int(value)) == value:
        return str(whole)
    thousandths = round(Fraction(f"{value:.3f}") * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths}m" if rest else str(whole)
