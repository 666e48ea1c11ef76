"""Cron schedules by the rules of robfig/cron v3, because KEDA's manifests mean what that library makes of them.

A schedule fires at every instant whose local minute, hour, day, month and weekday it names. So a local time that a
change of the clocks leaves out is skipped, and one that comes twice fires twice. No library of Python has these rules.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keda_py.duration import DurationError, parse_go_duration

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_YEARS_AHEAD: Final = 5
"""A schedule that does not fire within so many years never does."""

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
            return after.replace(microsecond=0) + self.every
        zone = self.zone or after.tzinfo
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        last_year = (after + timedelta(seconds=1)).astimezone(zone).year + _YEARS_AHEAD
        while (local := moment.astimezone(zone)).year <= last_year:
            if not self._names_day(local):
                day = self._next_day(local.date(), last_year, zone)
                if day is None:
                    return None
                moment = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
            elif local.hour not in self.hours:
                moment += (60 - local.minute) * _MINUTE
            elif local.minute not in self.minutes:
                moment += _MINUTE
            else:
                return moment.astimezone(after.tzinfo)
        return None

    def _names_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_date and by_weekday) if self.any_day else (by_date or by_weekday)

    def _next_day(self, day: date, last_year: int, zone: tzinfo | None) -> date | None:
        while (day := day + _DAY).year <= last_year:
            walked_there = (day - _DAY).month in self.months
            if self._names_day(day) and not (walked_there and _is_passed_over(day, zone)):
                return day
        return None


def _is_passed_over(day: date, zone: tzinfo | None) -> bool:
    """Whether a day has no midnight and lies east of Greenwich.

    robfig/cron walks from midnight to midnight. Where the clocks go forward at midnight, Go takes the missing hour for
    the one after it in the east and for the one before it in the west, and from the former the walk goes a day too far.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    found = midnight.astimezone(UTC).astimezone(zone)
    return found.hour != 0 and (midnight.utcoffset() or timedelta(0)) > timedelta(0)


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
