"""Durations as Go writes them (``1h30m``, ``.5s``), because flags and trigger parameters of KEDA are written so.

The grammar is that of Go's time.ParseDuration: an optional sign, then decimal numbers with a unit each, or just 0.
"""

import re
from datetime import timedelta
from fractions import Fraction
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"([+-]?)((?:{_PART.pattern})+|0)")
_LONGEST: Final = 2**63
_MAX_TEXT: Final = 200


class DurationError(ValueError):
    """A text that is not a duration."""


def parse_go_duration(text: str) -> timedelta:
    """Return the duration that a text stands for, to the microsecond; raise `DurationError` if it is none.

    As in Go a duration has 64 bits of nanoseconds: about 292 years at most.
    """
    whole = _WHOLE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if whole is None:
        raise DurationError("expected a duration such as 30s, 5m or 1h30m")
    # Go cuts each part to whole nanoseconds.
    parts = _PART.findall(whole[2])
    nanoseconds = sum(int(_fraction(number) * _NANOSECONDS[unit]) for number, unit in parts)
    negative = whole[1] == "-"
    if nanoseconds > _LONGEST - (not negative):
        raise DurationError("the duration is longer than 292 years")
    duration = timedelta(microseconds=nanoseconds / 1000)
    return -duration if negative else duration


def _fraction(number: str) -> Fraction:
    return Fraction(number.rstrip(".")) if not number.startswith(".") else Fraction("0" + number)
