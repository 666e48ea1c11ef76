"""Durations as kubectl shows them (apimachinery pkg/util/duration HumanDuration)."""

from typing import Final

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_YEAR: Final = 365 * 86400
_AGES: Final = ((120, "s"), (600, "ms"), (10800, "m"), (28800, "hm"), (172800, "h"), (691200, "dh"), (2 * _YEAR, "d"))
"""Below so many seconds an age is shown in these units."""
_WHOLE_YEARS: Final = 8 * _YEAR


def human(seconds: float) -> str:
    """Return a duration in one or two units; a clock that is a little late is forgiven."""
    left = int(seconds)
    if left < 0:
        return "<invalid>" if left < -1 else "0s"
    units = next((units for limit, units in _AGES if left < limit), None)
    if units is None:
        years, left = divmod(left, _YEAR)
        days = left // 86400
        return f"{years}y" if years >= _WHOLE_YEARS // _YEAR or not days else f"{years}y{days}d"
    shown = ""
    for unit in units:
        count, left = divmod(left, _UNITS[unit])
        shown += f"{count}{unit}" if count or not shown else ""
    return shown
