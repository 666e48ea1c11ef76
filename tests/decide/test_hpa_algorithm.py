"""What the HPA controller would do: tables from its code, timelines, and properties.

That it really does so, `tests/devcluster/test_autoscaler.py` shows beside the real controller.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keda_py.decide.hpa_algorithm import (
    DOWN,
    UP,
    Behavior,
    Bounds,
    History,
    Policy,
    Rules,
    by_average,
    by_value,
    highest,
    moved,
    normalize,
    parse_behavior,
)

T0 = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def pods(value: int, period: float = 15) -> Policy:
    return Policy(percent=False, value=value, period=seconds(period))


def percent(value: int, period: float = 15) -> Policy:
    return Policy(percent=True, value=value, period=seconds(period))


def rules(*policies: Policy, window: float = 0, select: str = "Max", tolerance: float = 0.1) -> Rules:
    return Rules(seconds(window), policies, select, tolerance)


# --- behavior -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "behavior"),
    [
        (None, None),
        ({}, Behavior()),
        ({"scaleUp": {}, "scaleDown": None}, Behavior()),
        ({"scaleUp": {"stabilizationWindowSeconds": 60}}, Behavior(Rules(seconds(60), UP.policies), DOWN)),
        ({"scaleDown": {"stabilizationWindowSeconds": 0}}, Behavior(UP, Rules(seconds(0), DOWN.policies))),
        ({"scaleDown": {"selectPolicy": "Disabled", "tolerance": "0.5"}},
         Behavior(UP, Rules(seconds(300), DOWN.policies, "Disabled", 0.5))),
        ({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 30},
                                   {"type": "Percent", "value": 10, "periodSeconds": 60}]}},
         Behavior(Rules(seconds(0), (pods(2, 30), percent(10, 60))), DOWN)),
    ],
)  # fmt: skip
def test_behavior_with_its_defaults(given_: dict[str, Any] | None, behavior: Behavior | None) -> None:
    assert parse_behavior(given_, number=float) == behavior


# --- what metrics ask for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "target", "count", "wanted"),
    [
        (35, 10, 1, 4),
        (0, 10, 4, 0),
        (20, 10, 2, 2),
        (22, 10, 2, 2),  # 1.1 is within the tolerance
        (23, 10, 2, 3),
        (18, 10, 2, 2),  # 0.9 is as well
        (17, 10, 2, 2),  # and below it, half a pod is a whole one
        (10, 10, 2, 1),
        (1100, 100, 1, 11),
        (35, 10, 0, 4),  # nothing runs yet
        (10**18, 1, 1, 2**31 - 1),
    ],
)
def test_an_average(usage: float, target: float, count: int, wanted: int) -> None:
    assert by_average(usage, target, count, None) == wanted


@pytest.mark.parametrize(
    ("usage", "replicas", "ready", "wanted"),
    [
        (10, 3, 3, 3),
        (11, 3, 0, 3),  # within the tolerance nobody counts pods
        (20, 3, 3, 6),
        (20, 3, 1, 2),  # only what works can be too little
        (25, 2, 2, 5),
        (5, 4, 4, 2),
        (0, 4, 4, 0),
        (25, 0, 0, 3),
        (10**18, 3, 3, 2**31 - 1),
        (10**18, 0, 0, 2**31 - 1),
    ],
)
def test_a_whole(usage: float, replicas: int, ready: int, wanted: int) -> None:
    assert by_value(usage, 10, replicas=replicas, ready=ready, behavior=None) == wanted


def test_each_direction_has_its_tolerance() -> None:
    behavior = Behavior(rules(tolerance=0.5), rules(tolerance=0.25))
    asked = [by_average(usage, 10, 4, behavior) for usage in (29, 30, 60, 61)]
    assert asked == [3, 4, 4, 7]


@pytest.mark.parametrize(
    ("proposals", "replicas", "wanted"),
    [
        ([], 3, None),
        ([None], 3, None),
        ([None, None], 3, None),
        ([2], 3, 2),
        ([2, 5, 4], 3, 5),
        ([2, None], 3, None),  # never down on half the truth
        ([3, None], 3, 3),
        ([5, None], 3, 5),
        ([0, 0], 3, 0),
    ],
)
def test_several_metrics(proposals: list[int | None], replicas: int, wanted: int | None) -> None:
    assert highest(proposals, replicas) == wanted


# --- what may be set: without a behavior ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "replicas", "replicas_after", "reason"),
    [
        (5, 3, 5, "DesiredWithinRange"),
        (100, 1, 4, "ScaleUpLimit"),  # four at least
        (100, 4, 8, "ScaleUpLimit"),  # or twice as many
        (100, 8, 10, "TooManyReplicas"),
        (0, 3, 2, "TooFewReplicas"),
    ],
)
def test_without_a_behavior(wanted: int, replicas: int, replicas_after: int, reason: str) -> None:
    result, _ = normalize(wanted, replicas, Bounds(2, 10, None), History(), T0)
    assert (result.replicas, result.limits[0]) == (replicas_after, reason)
    assert result.limited is (replicas_after != wanted)
    assert result.able[0] == "ReadyForNewScale"


def test_without_a_behavior_it_goes_down_after_five_minutes() -> None:
    bounds = Bounds(1, 10, None)
    _, history = normalize(8, 8, bounds, History(), T0)
    for passed in (1, 150, 300):
        result, history = normalize(2, 8, bounds, history, at(passed))
        assert (result.replicas, result.able[0]) == (8, "ScaleDownStabilized")
    result, history = normalize(2, 8, bounds, history, at(301))
    assert (result.replicas, result.able[0]) == (2, "ReadyForNewScale")
    assert all(when >= at(1) for when, _ in history.recommended)
    assert moved(history, 8, 2, None, at(301)) == history


# --- what may be set: with one --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("up", "wanted", "replicas_after", "reason"),
    [
        (rules(pods(3)), 20, 7, "ScaleUpLimit"),
        (rules(percent(50)), 20, 6, "ScaleUpLimit"),
        (rules(percent(10)), 20, 5, "ScaleUpLimit"),  # rounded up
        (rules(pods(3), percent(100)), 20, 8, "ScaleUpLimit"),
        (rules(pods(3), percent(100), select="Min"), 20, 7, "ScaleUpLimit"),
        (rules(pods(30)), 20, 10, "TooManyReplicas"),
        (rules(pods(3)), 6, 6, "DesiredWithinRange"),
        (rules(pods(3), select="Disabled"), 20, 4, "ScaleUpLimit"),
    ],
)
def test_how_far_up(up: Rules, wanted: int, replicas_after: int, reason: str) -> None:
    result, _ = normalize(wanted, 4, Bounds(1, 10, Behavior(up, DOWN)), History(), T0)
    assert (result.replicas, result.limits[0], result.limited) == (replicas_after, reason, replicas_after != wanted)


@pytest.mark.parametrize(
    ("down", "wanted", "replicas_after", "reason"),
    [
        (rules(pods(3)), 1, 6, "ScaleDownLimit"),
        (rules(percent(50)), 1, 4, "ScaleDownLimit"),  # of nine four and a half, cut off
        (rules(pods(3), percent(50)), 1, 4, "ScaleDownLimit"),
        (rules(pods(3), percent(50), select="Min"), 1, 6, "ScaleDownLimit"),
        (rules(percent(100)), 1, 2, "TooFewReplicas"),
        (rules(pods(3)), 7, 7, "DesiredWithinRange"),
        (rules(pods(3), select="Disabled"), 1, 9, "ScaleDownLimit"),
    ],
)
def test_how_far_down(down: Rules, wanted: int, replicas_after: int, reason: str) -> None:
    result, _ = normalize(wanted, 9, Bounds(2, 10, Behavior(UP, down)), History(), T0)
    assert (result.replicas, result.limits[0], result.limited) == (replicas_after, reason, replicas_after != wanted)


def test_nothing_to_do_is_within_the_range() -> None:
    result, _ = normalize(4, 4, Bounds(1, 10, Behavior()), History(), T0)
    assert (result.replicas, result.limited, result.limits[0]) == (4, False, "DesiredWithinRange")


def test_a_policy_counts_what_came_within_its_period() -> None:
    behavior = Behavior(rules(pods(2, 60)), rules(pods(1, 60)))
    bounds = Bounds(1, 100, behavior)
    result, history = normalize(50, 4, bounds, History(), T0)
    assert result.replicas == 6
    history = moved(history, 4, 6, behavior, T0)
    assert normalize(50, 6, bounds, history, at(59))[0].replicas == 6
    assert normalize(50, 6, bounds, history, at(60))[0].replicas == 8


def test_a_policy_counts_what_went_as_well() -> None:
    behavior = Behavior(rules(pods(2, 60)), rules(pods(3, 60)))
    history = moved(History(), 9, 6, behavior, T0)
    result, _ = normalize(50, 6, Bounds(1, 100, behavior), history, at(1))
    # Nine there were at the beginning of the period.
    assert result.replicas == 11
    result, _ = normalize(1, 6, Bounds(1, 100, behavior), history, at(1))
    assert result.replicas == 6


def test_what_is_too_old_for_one_direction_still_counts_for_the_other() -> None:
    behavior = Behavior(rules(pods(2, 60)), rules(pods(3, 10)))
    history = History()
    for when in (0, 20, 40):
        history = moved(history, 9, 8, behavior, at(when))
    # Each takes the place of the last one that is older than ten seconds, as the controller's own memory has it.
    assert history.downs == ((at(40), 1),)
    history = History(downs=((at(0), 1), (at(1), 1), (at(2), 1)))
    assert moved(history, 9, 8, behavior, at(11.5)).downs == ((at(0), 1), (at(11.5), 1), (at(2), 1))


def test_a_window_up_takes_the_lowest() -> None:
    behavior = Behavior(rules(percent(1000), window=60), DOWN)
    bounds = Bounds(1, 100, behavior)
    _, history = normalize(2, 2, bounds, History(), T0)
    result, history = normalize(9, 2, bounds, history, at(30))
    assert (result.replicas, result.able[0]) == (2, "ScaleUpStabilized")
    result, history = normalize(7, 2, bounds, history, at(59))
    assert result.replicas == 2
    result, history = normalize(8, 2, bounds, history, at(60))
    assert (result.replicas, result.able[0]) == (7, "ScaleUpStabilized")


def test_a_window_down_takes_the_highest() -> None:
    behavior = Behavior(UP, rules(percent(100), window=60))
    bounds = Bounds(1, 100, behavior)
    _, history = normalize(9, 9, bounds, History(), T0)
    result, history = normalize(2, 9, bounds, history, at(30))
    assert (result.replicas, result.able[0]) == (9, "ScaleDownStabilized")
    result, history = normalize(3, 9, bounds, history, at(60))
    assert (result.replicas, result.able[0]) == (3, "ReadyForNewScale")


def test_without_a_behavior_it_is_said_that_the_way_down_is_held_back() -> None:
    bounds = Bounds(1, 3, None)
    _, history = normalize(7, 3, bounds, History(), T0)
    result, _ = normalize(4, 3, bounds, history, at(30))
    assert (result.replicas, result.able[0]) == (3, "ScaleDownStabilized")


# --- properties -----------------------------------------------------------------------------------------------------

properties = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

counts = st.integers(0, 200)
policies = st.builds(Policy, st.booleans(), st.integers(1, 200), st.integers(1, 1800).map(seconds))
directions = st.builds(
    Rules,
    st.integers(0, 3600).map(seconds),
    st.lists(policies, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.floats(0, 1),
)
behaviors = st.none() | st.builds(Behavior, directions, directions)
events = st.lists(st.tuples(st.integers(-3600, 0).map(at), st.integers(1, 50)), max_size=4).map(
    lambda found: tuple(sorted(found))
)
histories = st.builds(History, events, events, events)


@properties
@given(wanted=counts, replicas=st.integers(1, 100), behavior=behaviors, history=histories)
def test_it_stays_within_the_bounds(wanted: int, replicas: int, behavior: Behavior | None, history: History) -> None:
    result, _ = normalize(wanted, replicas, Bounds(1, 100, behavior), history, T0)
    assert min(1, replicas) <= result.replicas <= max(100, replicas)


@properties
@given(wanted=counts, replicas=st.integers(1, 100), behavior=behaviors, history=histories)
def test_what_is_disabled_does_not_move(
    wanted: int, replicas: int, behavior: Behavior | None, history: History
) -> None:
    result, _ = normalize(wanted, replicas, Bounds(1, 100, behavior), history, T0)
    if behavior is not None and behavior.up.select == "Disabled":
        assert result.replicas <= replicas
    if behavior is not None and behavior.down.select == "Disabled":
        assert result.replicas >= replicas


@properties
@given(wanted=counts, replicas=st.integers(1, 100), behavior=behaviors, history=histories)
def test_the_newest_recommendation_is_remembered(
    wanted: int, replicas: int, behavior: Behavior | None, history: History
) -> None:
    _, after = normalize(wanted, replicas, Bounds(1, 100, behavior), history, T0)
    assert after.recommended[-1] == (T0, wanted)
    assert len(after.recommended) <= len(history.recommended) + 1
    assert (after.ups, after.downs) == (history.ups, history.downs)


@properties
@given(usage=st.integers(0, 10**9), target=st.integers(1, 10**6), count=st.integers(1, 500))
def test_an_average_is_enough_and_not_too_much(usage: int, target: int, count: int) -> None:
    asked = by_average(usage, target, count, None)
    enough = math.ceil(usage / target)
    assert asked == enough or (asked == count and 0.9 * count <= usage / target <= 1.1 * count * (1 + 1e-9))


@properties
@given(proposals=st.lists(st.none() | counts), replicas=counts)
def test_a_failing_metric_never_leads_down(proposals: list[int | None], replicas: int) -> None:
    asked = highest(proposals, replicas)
    if None in proposals and asked is not None:
        assert asked >= replicas
