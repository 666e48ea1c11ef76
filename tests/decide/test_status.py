"""Status: conditions in KEDA's shape, and patches that say no more than what changed."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.decide.status import (
    Condition,
    conditions,
    find,
    format_time,
    hpa_health,
    merge_patch,
    parse_time,
    triggers_activity,
)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, from its own pseudo code."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


json_values: Any = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, min_size=1, max_size=3),
    max_leaves=8,
)
objects: Any = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@given(objects, objects)
def test_a_patch_makes_one_of_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    assert (patch is None) == (old == new)
    assert apply(old, patch or {}) == new


def test_the_first_conditions_are_kedas() -> None:
    found = conditions([], [Condition("Ready", "True", "ScaledObjectReady", "fine")])
    assert [(condition["type"], condition["status"]) for condition in found] == [
        ("Ready", "True"),
        ("Active", "Unknown"),
        ("Fallback", "Unknown"),
        ("Paused", "False"),
    ]
    assert found[0] == {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "fine"}


def test_what_others_say_stays() -> None:
    before = [*conditions([], []), {"type": "Custom", "status": "True", "reason": "x"}]
    after = conditions(before, [Condition("Active", "True"), Condition("HPAActive", "True")])
    assert [condition["type"] for condition in after] == [
        *("Ready", "Active", "Fallback", "Paused", "Custom"),
        "HPAActive",
    ]
    assert find(after, "Active") == Condition("Active", "True")
    assert find(None, "Active") is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        (("True", "ValidMetricFound", "m"), ("True", "HPAActive")),
        (("False", "ScalingDisabled", "at zero"), ("True", "ScalingDisabled")),
        (("False", "FailedGetExternalMetric", "m"), ("False", "FailedGetExternalMetric")),
        (("False", "", "m"), ("False", "HPAMetricsUnavailable")),
    ],
)
def test_what_the_hpa_says_of_itself(said: tuple[str, str, str] | None, expected: tuple[str, str] | None) -> None:
    status = (
        []
        if said is None
        else [{"type": "ScalingActive", **dict(zip(("status", "reason", "message"), said, strict=False))}]
    )
    health = hpa_health({"status": {"conditions": status}})
    assert (None if health is None else (health.status, health.reason)) == expected
    assert hpa_health(None) is None


def test_activity_is_told_by_metric() -> None:
    assert triggers_activity(["s0-a", "s1-b"], ["s1-b"]) == {"s0-a": {"isActive": False}, "s1-b": {"isActive": True}}


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)))  # noqa: DTZ001  made aware below
def test_times_survive_to_the_second(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert parse_time(format_time(aware)) == aware.replace(microsecond=0)


def test_a_patch_has_what_changed_and_no_more() -> None:
    old = {"kept": 1, "gone": 2, "inner": {"kept": 1, "changed": 1}, "same": {"a": 1}, "other": {"a": 1}}
    new = {"kept": 1, "inner": {"kept": 1, "changed": 2}, "same": {"a": 1}, "other": 3, "new": None}
    assert merge_patch(old, new) == {"gone": None, "inner": {"changed": 2}, "other": 3, "new": None}
    assert merge_patch(old, old) is None


def test_times_are_written_to_the_second_and_read_back() -> None:
    moment = datetime(2026, 11, 24, 8, 0, 5, 700, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(moment) == "2026-11-24T07:00:05Z"
    assert parse_time("2026-11-24T07:00:05Z") == moment.replace(microsecond=0)
    assert parse_time("2026-11-24t07:00:05z") == moment.replace(microsecond=0)
