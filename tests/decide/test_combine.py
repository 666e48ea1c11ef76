"""Combining what the triggers say: unknown is never a no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.decide.combine import Activity, Composed, TriggerState, combine

YES = TriggerState("yes", {"s0-a": True})
NO = TriggerState("no", {"s1-b": False})
FAILS = TriggerState("fails", None, "no answer within 3 s")
PENDING = TriggerState("pending", None)
CPU = TriggerState("cpu", {})


@pytest.mark.parametrize(
    ("states", "activity"),
    [
        ([YES], Activity.ACTIVE),
        ([NO], Activity.INACTIVE),
        ([YES, NO], Activity.ACTIVE),
        ([YES, FAILS], Activity.ACTIVE),
        ([YES, PENDING], Activity.ACTIVE),
        ([NO, FAILS], Activity.UNKNOWN),
        ([NO, PENDING], Activity.UNKNOWN),
        ([FAILS], Activity.UNKNOWN),
        ([PENDING], Activity.UNKNOWN),
        ([CPU], Activity.ACTIVE),
        ([CPU, NO], Activity.INACTIVE),
        ([CPU, YES], Activity.ACTIVE),
        ([CPU, FAILS], Activity.UNKNOWN),
        ([], Activity.UNKNOWN),
    ],
)
def test_the_table(states: list[TriggerState], activity: Activity) -> None:
    assert combine(states).activity is activity


def test_every_failing_trigger_is_named() -> None:
    combined = combine([YES, FAILS, NO])
    assert combined.failures == ("fails: no answer within 3 s",)
    assert combined.active_metrics == ("s0-a",)
    assert not combined.pending


def test_one_metric_of_several_is_enough() -> None:
    several = TriggerState("several", {"s0-a": False, "s0-b": True})
    assert combine([several]).active_metrics == ("s0-b",)


def test_what_fallback_stands_in_for_counts_as_active_and_still_fails() -> None:
    replaced = TriggerState("replaced", {"s2-c": True}, "no answer within 3 s", replaced=True)
    nameless = TriggerState("nameless", {}, "it cannot be built", replaced=True)
    for state in (replaced, nameless):
        combined = combine([NO, state])
        assert combined.activity is Activity.ACTIVE
        assert combined.replaced == (state.label,)
        assert combined.failures == (f"{state.label}: {state.failure}",)


@pytest.mark.parametrize("state", [NO, FAILS, PENDING])
def test_forced_is_active_whatever_triggers_say(state: TriggerState) -> None:
    combined = combine([state], forced=True)
    assert combined.activity is Activity.ACTIVE
    assert combined.forced
    assert combined.active_metrics == ()


@pytest.mark.parametrize(
    ("composed", "activity", "awake_by"),
    [
        (Composed(active=True), Activity.ACTIVE, ("composite-metric",)),
        (Composed(active=False), Activity.INACTIVE, ()),
        (Composed(), Activity.UNKNOWN, ()),
        (Composed(failure="the formula: nothing there"), Activity.UNKNOWN, ()),
    ],
)
@pytest.mark.parametrize("states", [[YES, NO], [NO], [CPU], [FAILS], [PENDING]])
def test_what_is_composed_of_them_decides(
    states: list[TriggerState], composed: Composed, activity: Activity, awake_by: tuple[str, ...]
) -> None:
    combined = combine(states, composed=composed)
    assert (combined.activity, combined.awake_by) == (activity, awake_by)
    assert combined.active_metrics == combine(states).active_metrics
    own = () if composed.failure is None else (composed.failure,)
    assert combined.failures == combine(states).failures + own
    assert combine(states, composed=composed, forced=True).activity is Activity.ACTIVE


@given(st.lists(st.sampled_from([YES, NO, FAILS, PENDING, CPU])))
def test_inactive_takes_a_no_from_everyone_who_can_say(states: list[TriggerState]) -> None:
    combined = combine(states)
    if combined.activity is Activity.INACTIVE:
        assert NO in states
        assert {s.label for s in states} <= {"no", "cpu"}
