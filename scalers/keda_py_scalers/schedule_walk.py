"""The walk through time that finds when a schedule fires next, step by step as robfig/cron v3 goes (spec.go).

Where clocks change, its steps decide: from an hour that there is not, or from one that comes twice, it may walk past
days. KEDA's manifests mean that, so every step is robfig's, with Go's time.Date under it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_NOON = 12
_YEARS_AHEAD = 5
"""A schedule that does not fire within so many years never does."""


class Rule(Protocol):
    """What a schedule names."""

    @property
    def minutes(self) -> Collection[int]: ...
    @property
    def hours(self) -> Collection[int]: ...
    @property
    def months(self) -> Collection[int]: ...
    def names_day(self, day: datetime) -> bool: ...


def first_after(rule: Rule, after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first time after an aware `after` at which a schedule fires, in `zone`; None if it never does.

    An hour that comes twice can lead the walk back to where it was. KEDA would stand there; here it starts anew a
    minute later.
    """
    # Times of one zone compare as they stand on the wall, and there an hour may come twice.
    start = begin = after.astimezone(UTC).replace(microsecond=0)
    while True:
        found = _Walk(rule, zone, _later(start, _SECOND, zone)).end()
        if found is None or found.astimezone(UTC) > begin:
            return found
        start += _MINUTE


@dataclass(slots=True)
class _Walk:
    """Where a walk is. It begins anew (`end`) whenever a larger unit of time has changed."""

    rule: Rule
    zone: tzinfo
    now: datetime
    moved: bool = field(default=False)

    def end(self) -> datetime | None:
        last_year = self.now.year + _YEARS_AHEAD
        while self.now.year <= last_year:
            if self._month() and self._day() and self._hour() and self._minute():
                if not self.now.second:
                    return self.now
                self._move(_later(self.now, -self.now.second * _SECOND, self.zone), _MINUTE)
        return None

    def _month(self) -> bool:
        while self.now.month not in self.rule.months:
            wall = _wall(self.now)
            if not self.moved:
                wall = _wall(_date(wall.replace(day=1, hour=0, minute=0, second=0), self.zone))
            self.moved = True
            first = wall.replace(year=wall.year + wall.month // 12, month=wall.month % 12 + 1, day=1)
            self.now = _date(first + (wall.day - 1) * _DAY, self.zone)
            if self.now.month == 1:
                return False
        return True

    def _day(self) -> bool:
        while not self.rule.names_day(self.now):
            wall = _wall(self.now)
            if not self.moved:
                wall = _wall(_date(wall.replace(hour=0, minute=0, second=0), self.zone))
            self.moved = True
            self.now = _date(wall + _DAY, self.zone)
            # A day may have no midnight.
            if self.now.hour:
                hours = 24 - self.now.hour if self.now.hour > _NOON else -self.now.hour
                self.now = _later(self.now, hours * _HOUR, self.zone)
            if self.now.day == 1:
                return False
        return True

    def _hour(self) -> bool:
        while self.now.hour not in self.rule.hours:
            self._move(_date(_wall(self.now).replace(minute=0, second=0), self.zone), _HOUR)
            if not self.now.hour:
                return False
        return True

    def _minute(self) -> bool:
        while self.now.minute not in self.rule.minutes:
            self._move(_later(self.now, -self.now.second * _SECOND, self.zone), _MINUTE)
            if not self.now.minute:
                return False
        return True

    def _move(self, beginning: datetime, step: timedelta) -> None:
        """Go on by a step, the first time from the beginning of the present one."""
        self.now = _later(self.now if self.moved else beginning, step, self.zone)
        self.moved = True


def _wall(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None, fold=0)


def _later(moment: datetime, step: timedelta, zone: tzinfo) -> datetime:
    return (moment.astimezone(UTC) + step).astimezone(zone)


def _date(wall: datetime, zone: tzinfo) -> datetime:
    """Return what Go's time.Date makes of a time on the wall, also of one that there is not, or twice.

    It takes the offset that the zone has at that time in UTC, and then the one at the time which that makes.
    """
    utc = wall.replace(tzinfo=UTC)
    nearly = utc - _offset(utc, zone)
    return (utc - _offset(nearly, zone)).astimezone(zone)


def _offset(utc: datetime, zone: tzinfo) -> timedelta:
    return utc.astimezone(zone).utcoffset() or timedelta(0)
