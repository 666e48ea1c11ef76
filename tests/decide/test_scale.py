"""The scale decision: a table, timelines read aloud, and KEDA's switch as an oracle."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.decide.combine import Activity
from keda_py.decide.pause import Asked
from keda_py.decide.scale import Decision, Limits, Situation, Wakefulness, Why, decide, remember

T0 = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ACTIVE, INACTIVE, UNKNOWN = Activity.ACTIVE, Activity.INACTIVE, Activity.UNKNOWN


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def situation(
    activity: Activity, replicas: int, *, last_active: datetime | None = T0, created: datetime = T0, **limits: object
) -> Situation:
    return Situation(activity, replicas, Limits(**limits), created, last_active)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("activity", "replicas", "limits", "why", "wanted"),
    [
        (ACTIVE, 0, {}, Why.WAKE, 1),
        (ACTIVE, 0, {"minimum": 3}, Why.WAKE, 3),
        (ACTIVE, 1, {"minimum": 3}, Why.AWAKE, None),  # from one up, the HPA raises to its minimum
        (ACTIVE, 7, {}, Why.AWAKE, None),
        (ACTIVE, 2, {"minimum": 5, "idle": 2}, Why.WAKE, 5),
        (ACTIVE, 5, {"minimum": 5, "idle": 2}, Why.AWAKE, None),
        (INACTIVE, 4, {}, Why.SLEEP, 0),
        (INACTIVE, 4, {"minimum": 2, "idle": 0}, Why.SLEEP, 0),
        (INACTIVE, 4, {"minimum": 2, "idle": 1}, Why.SLEEP, 1),
        (INACTIVE, 1, {"minimum": 2, "idle": 1}, Why.REST, None),
        (INACTIVE, 0, {"minimum": 2, "idle": 1}, Why.REST, None),
        (INACTIVE, 0, {"minimum": 2}, Why.RAISE, 2),
        (INACTIVE, 2, {"minimum": 2}, Why.REST, None),
        (INACTIVE, 9, {"minimum": 2}, Why.REST, None),
        (INACTIVE, 0, {}, Why.REST, None),
        (UNKNOWN, 0, {}, Why.HOLD, None),
        (UNKNOWN, 0, {"minimum": 2}, Why.HOLD, None),
        (UNKNOWN, 9, {}, Why.HOLD, None),
    ],
)
def test_the_table(activity: Activity, replicas: int, limits: dict[str, int], why: Why, wanted: int | None) -> None:
    assert decide(situation(activity, replicas, **limits), at(3600)) == Decision(why, wanted)


IN, OUT, FORCED = Asked(scale_in=True), Asked(scale_out=True), Asked(forced=True)


@pytest.mark.parametrize(
    ("asked", "activity", "replicas", "limits", "decision"),
    [
        (IN, INACTIVE, 4, {}, Decision(Why.PAUSED)),
        (IN, INACTIVE, 4, {"minimum": 2, "idle": 0}, Decision(Why.PAUSED)),
        (IN, INACTIVE, 4, {"minimum": 2}, Decision(Why.REST)),
        (IN, INACTIVE, 0, {"minimum": 2}, Decision(Why.RAISE, 2)),
        (IN, ACTIVE, 0, {}, Decision(Why.WAKE, 1)),
        (IN, UNKNOWN, 4, {}, Decision(Why.HOLD)),
        (OUT, ACTIVE, 0, {}, Decision(Why.PAUSED)),
        (OUT, ACTIVE, 1, {"minimum": 3, "idle": 1}, Decision(Why.PAUSED)),
        (OUT, ACTIVE, 4, {}, Decision(Why.AWAKE)),
        (OUT, INACTIVE, 4, {}, Decision(Why.SLEEP, 0)),
        (OUT, INACTIVE, 0, {"minimum": 2}, Decision(Why.RAISE, 2)),
        (Asked(scale_in=True, scale_out=True), ACTIVE, 0, {}, Decision(Why.PAUSED)),
        (Asked(scale_in=True, scale_out=True), INACTIVE, 4, {}, Decision(Why.PAUSED)),
        (FORCED, ACTIVE, 0, {"minimum": 3}, Decision(Why.FORCED, 3)),
        (FORCED, ACTIVE, 4, {}, Decision(Why.AWAKE)),
        (Asked(scale_out=True, forced=True), ACTIVE, 0, {}, Decision(Why.PAUSED)),
    ],
)
def test_what_annotations_change(
    asked: Asked, activity: Activity, replicas: int, limits: dict[str, int], decision: Decision
) -> None:
    given = replace(situation(activity, replicas, **limits), asked=asked)
    assert decide(given, at(3600)) == decision


@given(st.sampled_from(Activity), st.integers(0, 6), st.integers(0, 4), st.none() | st.integers(0, 3), st.booleans())
def test_a_direction_that_is_paused_is_never_taken(
    activity: Activity, replicas: int, minimum: int, idle: int | None, scale_in: bool
) -> None:
    known = situation(activity, replicas, minimum=minimum, idle=idle)
    free = decide(known, at(3600))
    held = decide(replace(known, asked=IN if scale_in else OUT), at(3600))
    if free.why is (Why.SLEEP if scale_in else Why.WAKE):
        assert held == Decision(Why.PAUSED)
    else:
        assert held == free


def test_cooldown_ends_and_not_a_moment_earlier() -> None:
    inactive = situation(INACTIVE, 3, last_active=T0, cooldown=timedelta(seconds=300))
    assert decide(inactive, at(299)).why is Why.COOLING
    assert decide(inactive, at(300)).why is Why.COOLING
    assert decide(inactive, at(300.001)) == Decision(Why.SLEEP, 0)


def test_while_cooling_down_it_says_when_to_look_again() -> None:
    inactive = situation(INACTIVE, 3, last_active=T0, cooldown=timedelta(seconds=300))
    again = decide(inactive, at(100)).again
    assert again is not None
    assert decide(inactive, at(100) + again).why is Why.SLEEP


def test_an_object_that_never_was_active_waits_for_its_initial_cooldown_only() -> None:
    fresh = situation(
        INACTIVE, 3, last_active=None, cooldown=timedelta(seconds=300), initial_cooldown=timedelta(seconds=60)
    )
    assert decide(fresh, at(60)).why is Why.COOLING
    assert decide(fresh, at(61)) == Decision(Why.UNUSED, 0)


def test_the_initial_cooldown_is_over_once_it_was_active() -> None:
    used = situation(INACTIVE, 3, last_active=T0, cooldown=timedelta(0), initial_cooldown=timedelta(days=1))
    assert decide(used, at(1)).why is Why.SLEEP


def keda_switch(active: bool, replicas: int, minimum: int, idle: int | None, *, cooled: bool) -> int | None:
    """KEDA's RequestScale without errors, pauses and force, as the facts of its switch: the new count or None."""
    if active:
        return max(minimum, 1) if (idle is not None and replicas < minimum) or replicas == 0 else None
    if (idle is not None and replicas > idle) or (replicas > 0 and minimum == 0):
        return (idle if idle is not None else minimum) if cooled else None
    return minimum if idle is None and replicas < minimum else None


@given(
    active=st.booleans(),
    replicas=st.integers(0, 6),
    minimum=st.integers(0, 4),
    idle=st.none() | st.integers(0, 3),
    cooled=st.booleans(),
)
def test_where_everything_is_known_it_does_what_keda_does(
    active: bool, replicas: int, minimum: int, idle: int | None, cooled: bool
) -> None:
    known = situation(ACTIVE if active else INACTIVE, replicas, minimum=minimum, idle=idle)
    now = at(301 if cooled else 299)
    assert decide(known, now).replicas == keda_switch(active, replicas, minimum, idle, cooled=cooled)


@given(replicas=st.integers(0, 100), minimum=st.integers(0, 9), idle=st.none() | st.integers(0, 8))
def test_nothing_moves_on_unknown(replicas: int, minimum: int, idle: int | None) -> None:
    assert decide(situation(UNKNOWN, replicas, minimum=minimum, idle=idle), at(10**6)).replicas is None


# --- what is remembered ---------------------------------------------------------------------------------------------

STARTED = Wakefulness(awake=None, last_active=None)


def story(*said: tuple[float, Activity], before: Wakefulness = STARTED, was_active: bool = False) -> Wakefulness:
    for seconds, activity in said:
        before = remember(before, activity, at(seconds), seen_active=None, was_active=was_active)
    return before


def test_activity_is_remembered_until_it_ends() -> None:
    assert story((0, ACTIVE), (30, ACTIVE), (60, INACTIVE), (90, INACTIVE)).last_active == at(30)


def test_activity_seen_between_two_decisions_counts() -> None:
    memory = story((0, ACTIVE))
    memory = remember(memory, INACTIVE, at(60), seen_active=at(45), was_active=False)
    assert memory.last_active == at(45)


def test_an_outage_after_activity_is_no_idleness() -> None:
    assert story((0, ACTIVE), (30, UNKNOWN), (600, UNKNOWN), (630, INACTIVE)).last_active == at(600)


def test_an_outage_after_idleness_does_not_start_the_cooldown_again() -> None:
    assert story((0, ACTIVE), (30, INACTIVE), (60, UNKNOWN), (90, INACTIVE)).last_active == at(0)


def test_after_a_restart_an_object_that_was_active_is_taken_to_have_been_until_now() -> None:
    persisted = Wakefulness(awake=None, last_active=at(0))
    assert story((900, INACTIVE), before=persisted, was_active=True).last_active == at(900)
    assert story((900, UNKNOWN), (930, INACTIVE), before=persisted, was_active=True).last_active == at(930)


def test_after_a_restart_an_object_that_was_inactive_keeps_its_cooldown() -> None:
    persisted = Wakefulness(awake=None, last_active=at(0))
    assert story((900, UNKNOWN), (930, INACTIVE), before=persisted).last_active == at(0)


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(Activity)), max_size=30))
def test_it_never_sleeps_within_the_cooldown_of_any_activity(steps: list[tuple[int, Activity]]) -> None:
    memory, now, last_known_active = STARTED, 0.0, None
    for seconds, activity in steps:
        now += seconds
        memory = remember(memory, activity, at(now), seen_active=None, was_active=False)
        if activity is ACTIVE:
            last_known_active = now
        decision = decide(situation(activity, 1, last_active=memory.last_active, created=at(-(10**6))), at(now))
        if decision.why is Why.SLEEP and last_known_active is not None:
            assert now - last_known_active > 300
