"""Cron schedules by the rules of robfig/cron v3, because KEDA's manifests mean what that library makes of them.

A schedule fires at every instant whose local minute, hour, day, month and weekday it names. So a local time that a
change of the clocks leaves out is skipped, and one that comes twice fires twice. No library of Python has these rules.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keda_py.duration import DurationError, parse_go_duration
from keda_py_scalers.schedule_walk import first_after

_MONTHS: Final = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_WEEKDAYS: Final = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class ScheduleError(ValueError):
    """A text that is not a schedule; the message names the field."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something happens again and again; `zone` is None where the caller's zone counts."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    """Whether day of month or day of week is a star; then both must match, else one of them is enough."""
    zone: ZoneInfo | None = None
    every: timedelta | None = None

    @classmethod
    def parse(cls, text: str, *, descriptors: bool = False) -> Self:
        """Return the schedule a text describes; raise `ScheduleError` saying which field is wrong.

        `descriptors`: whether ``@daily`` and ``@every 5m`` are understood; KEDA's cron trigger does not.
        """
        zone, rest = _split_zone(text)
        if rest.startswith("@"):
            if not descriptors:
                raise ScheduleError("descriptors such as @daily are not supported; write five fields")
            if rest.startswith("@every "):
                nothing: frozenset[int] = frozenset()
                every = _every(rest.removeprefix("@every "))
                return cls(nothing, nothing, nothing, nothing, nothing, any_day=True, zone=zone, every=every)
            if rest not in _DESCRIPTORS:
                raise ScheduleError("unknown descriptor; write five fields")
            rest = _DESCRIPTORS[rest]
        parts = rest.split()
        if len(parts) != len(_FIELDS):
            raise ScheduleError(f"expected 5 fields (minute hour day month weekday), found {len(parts)}")
        parsed = [_parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
        (minutes, _), (hours, _), (days, day_star), (months, _), (weekdays, weekday_star) = parsed
        return cls(minutes, hours, days, months, weekdays, any_day=day_star or weekday_star, zone=zone)

    def next(self, after: datetime) -> datetime | None:
        """Return the first time it fires after an aware `after`, in the zone of `after`; None if it never does."""
        if self.every is not None:
            return (after.replace(microsecond=0).astimezone(UTC) + self.every).astimezone(after.tzinfo)
        zone = self.zone or after.tzinfo or UTC
        found = first_after(self, after, zone)
        return None if found is None else found.astimezone(after.tzinfo)

    def names_day(self, day: datetime) -> bool:
        """Whether the schedule fires on a day of its months."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_date and by_weekday) if self.any_day else (by_date or by_weekday)


def _split_zone(text: str) -> tuple[ZoneInfo | None, str]:
    prefix = re.match(r"(?:CRON_)?TZ=([^ ]*) ", text)
    if prefix is None:
        if text.startswith(("TZ=", "CRON_TZ=")):
            raise ScheduleError("a time zone must be followed by a schedule")
        return None, text.strip()
    return load_zone(prefix[1]), text[prefix.end() :].strip()


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """Return a time zone as Go's time.LoadLocation finds it; raise `ScheduleError` if there is none of that name."""
    try:
        return ZoneInfo("UTC" if name in {"", "Local"} else name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError("there is no such time zone; use an IANA name such as Europe/Berlin or Etc/UTC") from None


def _every(text: str) -> timedelta:
    try:
        duration = parse_go_duration(text)
    except DurationError as error:
        raise ScheduleError(str(error)) from None
    return max(timedelta(seconds=1), timedelta(seconds=int(duration.total_seconds())))


def _parse_field(text: str, field: _Field) -> tuple[frozenset[int], bool]:
    """Return the values a field names, and whether it is a star."""
    values: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        numbers, is_star = _parse_part(part, field)
        values.update(numbers)
        star |= is_star
    return frozenset(values), star


def _parse_part(text: str, field: _Field) -> tuple[range, bool]:
    span, slash, step_text = text.partition("/")
    low_text, dash, high_text = span.partition("-")
    star = low_text in {"*", "?"}
    if star:
        low, high = field.low, field.high
    else:
        low = _number(low_text, field)
        high = _number(high_text, field) if dash else low
    step = 1
    if slash:
        step = _number(step_text, _Field(field.name, 0, 0, {}))
        # A lone number with a step means "from there on".
        high = high if dash else field.high
    if low < field.low or high > field.high:
        raise ScheduleError(f"{field.name}: {text[:20]!r} is not within {field.low}-{field.high}")
    if low > high:
        raise ScheduleError(f"{field.name}: {text[:20]!r} runs backwards")
    if step == 0:
        raise ScheduleError(f"{field.name}: {text[:20]!r} has steps of 0")
    return range(low, high + 1, step), star and step == 1


def _number(text: str, field: _Field) -> int:
    if text.lower() in field.names:
        return field.names[text.lower()]
    if not re.fullmatch(r"\+?[0-9]{1,9}|-0{1,9}", text):
        raise ScheduleError(f"{field.name}: {text[:20]!r} is not a number{' or name' if field.names else ''}")
    return int(text)
