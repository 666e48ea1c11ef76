"""Cron schedules against robfig/cron itself, over changes of the clocks in many zones."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keda_py_scalers.schedule import Schedule, ScheduleError, load_zone

ORACLE: Final = Path(__file__).parents[1] / "oracle" / "cron-golden.txt"


def fires(text: str, zone: str, unix: int) -> str:
    try:
        schedule = Schedule.parse(text, descriptors=True)
    except ScheduleError:
        return "ERR"
    moment, times = datetime.fromtimestamp(unix, ZoneInfo(zone)), []
    for _ in range(4):
        following = schedule.next(moment)
        if following is None:
            break
        moment = following
        times.append(str(int(moment.timestamp())))
    return ",".join(times)


def test_every_line_of_the_oracle() -> None:
    wrong = []
    for line in ORACLE.read_text().splitlines():
        text, zone, unix, wanted = line.split("|")
        got = fires(text, zone, int(unix))
        if got != ("ERR" if wanted.startswith("ERR") else wanted):
            wrong.append((line, got))
    assert not wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("* * * *", "expected 5 fields"),
        ("61 * * * *", "minute: '61' is not within 0-59"),
        ("* * * foo *", "month: 'foo' is not a number or name"),
        ("* * * * 7", "day of week: '7' is not within 0-6"),
        ("*/0 * * * *", "minute"),
        ("@daily", "descriptors such as @daily are not supported"),
        ("TZ=Mars/Olympus * * * * *", "no such time zone"),
        ("TZ=Europe/Berlin", "must be followed by a schedule"),
    ],
)
def test_a_wrong_schedule_is_told_by_field(text: str, says: str) -> None:
    with pytest.raises(ScheduleError, match=says):
        Schedule.parse(text)


@pytest.mark.parametrize(
    "line",
    [
        # From an hour that there is not the walk goes on a day, or a year, later.
        "31 2 17-23/5 8 6-6|America/Santiago|1521725771|1533364260,1533969060,1534051860,1534483860",
        "2 0 * 10 */3|Australia/Lord_Howe|1840610066|1853933520,1854450120,1854536520,1854795720",
        "@yearly|America/Asuncion|1500793261|1546311600,1577847600,1609470000,1641006000",
        "2 3 7 7 sun-2|America/Asuncion|1696188911|1719903720,1720335720,1720422120,1720508520",
        "31 3 * 3 1|Asia/Tehran|1624907297|1646611260,1647216060,1647820860,1647903660",
        # An hour that comes twice fires twice.
        "@monthly|America/Havana|1792924729|1793505600,1793509200,1796101200,1798779600",
        "52 1 6-30 * *|Australia/Lord_Howe|1885969615|1885994520,1885996320,1886079120,1886165520",
        "@every 1h30m10s|America/Godthab|1837636790|1837642200,1837647610,1837653020,1837658430",
    ],
)
def test_where_the_clocks_change_the_walk_is_robfigs(line: str) -> None:
    text, zone, unix, wanted = line.split("|")
    assert fires(text, zone, int(unix)) == wanted


def test_the_walk_stands_still_nowhere() -> None:
    """There robfig/cron finds the moment that it was asked about, for ever."""
    times = fires("50 3 13-19,* 4 */7", "Pacific/Chatham", 1910923596).split(",")
    assert times == sorted(set(times))
    assert len(times) == 4


def test_a_day_that_never_comes() -> None:
    assert Schedule.parse("0 0 30 2 *").next(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_zones_as_go_finds_them() -> None:
    assert load_zone("") is load_zone("UTC") or load_zone("").key == "UTC"
    with pytest.raises(ScheduleError):
        load_zone("../etc/passwd")


@given(st.text(max_size=30) | st.lists(st.sampled_from(["*?,-/0159", "mon", "feb", "L#"]), max_size=8).map(" ".join))
def test_any_text_is_a_schedule_or_a_clear_error(text: str) -> None:
    try:
        schedule = Schedule.parse(text)
    except ScheduleError:
        return
    start = datetime(2026, 3, 29, tzinfo=UTC)
    following = schedule.next(start)
    assert following is None or following > start
