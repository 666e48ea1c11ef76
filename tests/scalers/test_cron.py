"""The cron trigger over days of every kind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keda_py_scalers.cron import CronScaler

from keda_py.scaler import Inputs, MetadataError, Platform, Trigger, build


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def scaler(start: str, end: str, timezone: str = "Europe/Berlin", clock: Clock | None = None) -> CronScaler:
    metadata = {"start": start, "end": end, "timezone": timezone, "desiredReplicas": "4"}
    nothing: Any = None
    platform = Platform(now=clock or Clock(), kubernetes=nothing)
    built = build(
        CronScaler, Trigger("cron", 0, Inputs(metadata), "ns", "app"), platform=platform, source=lambda _: None
    )
    assert isinstance(built, CronScaler)
    return built


@pytest.mark.parametrize(
    ("start", "end", "moment", "within"),
    [
        ("0 8 * * *", "0 18 * * *", "2026-01-05T07:59:59+01:00", False),
        ("0 8 * * *", "0 18 * * *", "2026-01-05T08:00:00+01:00", True),
        ("0 8 * * *", "0 18 * * *", "2026-01-05T17:59:59+01:00", True),
        ("0 8 * * *", "0 18 * * *", "2026-01-05T18:00:00+01:00", False),
        ("0 22 * * *", "0 6 * * *", "2026-01-05T23:30:00+01:00", True),  # across midnight
        ("0 22 * * *", "0 6 * * *", "2026-01-06T05:59:00+01:00", True),
        ("0 22 * * *", "0 6 * * *", "2026-01-06T06:00:00+01:00", False),
        ("30 1 * * *", "30 3 * * *", "2026-03-29T03:15:00+02:00", True),  # the clocks went forward within the window
        ("30 1 * * *", "30 3 * * *", "2026-03-29T03:30:00+02:00", False),
        ("0 8 * * 1-5", "0 18 * * 1-5", "2026-01-10T12:00:00+01:00", False),  # a Saturday
    ],
)
def test_the_window(start: str, end: str, moment: str, within: bool) -> None:
    assert scaler(start, end).is_within(datetime.fromisoformat(moment)) is within


@given(st.integers(0, 23), st.integers(0, 23), st.integers(0, 7 * 24 * 60))
def test_it_is_open_when_start_fired_more_recently_than_end(start: int, end: int, minute: int) -> None:
    if start == end:
        return
    moment = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minute)
    since = [(moment.hour - hour) % 24 for hour in (start, end)]
    assert scaler(f"0 {start} * * *", f"0 {end} * * *", "UTC").is_within(moment) is (since[0] < since[1])


async def test_it_asks_for_the_desired_replicas_within_and_for_none_outside() -> None:
    clock = Clock()
    cron = scaler("0 8 * * *", "0 18 * * *", "UTC", clock)
    clock.time = datetime(2026, 1, 5, 12, tzinfo=UTC)
    (inside,) = await cron.get_metrics()
    clock.time = datetime(2026, 1, 5, 20, tzinfo=UTC)
    (outside,) = await cron.get_metrics()
    assert (inside.value, inside.active, outside.value, outside.active) == (4, True, 0, False)
    assert inside.metric == "cron-UTC-08xxx-018xxx"


@pytest.mark.parametrize(
    ("start", "end", "timezone", "says"),
    [
        ("0 8 * *", "0 18 * * *", "UTC", "start: expected 5 fields"),
        ("0 8 * * *", "0 18 30 2 *", "UTC", "end: never fires"),
        ("0 8 * * *", "0 8 * * *", "UTC", "start and end must not be the same"),
        ("0 8 * * *", "0 18 * * *", "Berlin", "timezone: there is no such time zone"),
    ],
)
def test_a_schedule_that_makes_no_sense_says_why(start: str, end: str, timezone: str, says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        scaler(start, end, timezone)
