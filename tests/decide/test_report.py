"""What the conditions say: sentences that a person can act on, and that stay the same while nothing changes."""

import pytest

from keda_py.decide import report
from keda_py.decide.combine import TriggerState, combine
from keda_py.decide.report import SCALED_JOB
from keda_py.decide.scale import Why
from keda_py.decide.status import Condition
from keda_py.naming import Condition as Type

YES = TriggerState("triggers[0] (kafka)", {"s0-a": True})
NO = TriggerState("triggers[1] (cron)", {"s1-b": False})
FAILS = TriggerState("triggers[2] (prometheus)", None, "no answer within 3 s")
PENDING = TriggerState("triggers[3] (cron)", None)
CPU = TriggerState("triggers[4] (cpu)", {})
REPLACED = TriggerState("triggers[2] (prometheus)", {"s2-c": True}, "no answer within 3 s", replaced=True)


@pytest.mark.parametrize(
    ("states", "broken", "ready"),
    [
        ([YES, NO], [], ("True", "ScaledObjectReady")),
        ([YES, FAILS], [], ("Unknown", "PartialTriggerError")),
        ([NO, FAILS], [], ("False", "TriggerError")),
        ([FAILS, PENDING], [], ("False", "TriggerError")),
        ([YES], ["triggers[4] (corn): did you mean cron"], ("False", "ScaledObjectCheckFailed")),
        ([NO, PENDING], [], None),
        ([REPLACED], [], ("Unknown", "PartialTriggerError")),
    ],
)
def test_ready(states: list[TriggerState], broken: list[str], ready: tuple[str, str] | None) -> None:
    condition = report.ready(broken, combine(states))
    assert (None if condition is None else (condition.status, condition.reason)) == ready


@pytest.mark.parametrize(
    ("states", "why", "active"),
    [
        ([YES], Why.AWAKE, ("True", "ScalerActive")),
        ([YES, FAILS], Why.AWAKE, ("True", "ScalerActive")),
        ([NO], Why.COOLING, ("False", "ScalerCooldown")),
        ([NO], Why.REST, ("False", "ScalerNotActive")),
        ([NO, FAILS], Why.HOLD, ("Unknown", "UnknownState")),
        ([PENDING], Why.HOLD, None),
    ],
)
def test_active(states: list[TriggerState], why: Why, active: tuple[str, str] | None) -> None:
    condition = report.active(combine(states), why)
    assert (None if condition is None else (condition.status, condition.reason)) == active


@pytest.mark.parametrize(
    ("states", "forced", "cause", "awoken"),
    [
        ([YES, FAILS], False, "triggers are active", "triggered by s0-a"),
        ([NO], True, "activation is forced by annotation", "caused by forced activation annotation"),
        ([NO, REPLACED], False, "spec.fallback stands in", "triggered by s2-c, where spec.fallback stands in"),
        ([YES, REPLACED], False, "triggers are active", "triggered by s0-a;s2-c"),
        ([CPU], False, "triggers are active", "because triggers are active"),
    ],
)
def test_why_it_is_active(states: list[TriggerState], forced: bool, cause: str, awoken: str) -> None:
    combined = combine(states, forced=forced)
    condition = report.active(combined)
    assert condition is not None
    assert (condition.message, report.awoken(combined)) == (cause, awoken)


def test_a_failure_names_its_trigger_and_what_follows() -> None:
    partly, wholly = report.ready([], combine([YES, FAILS])), report.ready([], combine([NO, FAILS]))
    assert partly is not None
    assert wholly is not None
    assert partly.message == "triggers[2] (prometheus): no answer within 3 s (the others decide)"
    assert wholly.message == "triggers[2] (prometheus): no answer within 3 s (replicas are held as they are)"


def test_a_failure_says_what_stands_in_for_its_trigger() -> None:
    replaced = report.ready([], combine([REPLACED]))
    assert replaced is not None
    assert replaced.message == "triggers[2] (prometheus): no answer within 3 s (spec.fallback stands in)"
    forced = combine([FAILS], forced=True)
    ready, active = report.ready([], forced), report.active(forced, Why.FORCED)
    assert ready is not None
    assert active is not None
    assert ready.message.endswith("(activation is forced by annotation)")
    assert (active.status, active.message) == ("True", "activation is forced by annotation")


@pytest.mark.parametrize("kind", [Type.FALLBACK, Type.PAUSED])
def test_what_begins_and_ends_is_told_once(kind: str) -> None:
    said: list[dict[str, str]] = []
    told = []
    for status in ("False", "True", "True", "False", "False"):
        change = Condition(kind, status)
        told += [reason for reason, _ in report.turns(said, [change, Condition(Type.READY, "True")])]
        said = [change.as_json()]
    begins = {Type.FALLBACK: "ScaledObjectFallbackActivated", Type.PAUSED: "ScaledObjectPaused"}
    ends = {Type.FALLBACK: "ScaledObjectFallbackDeactivated", Type.PAUSED: "ScaledObjectUnpaused"}
    assert told == [begins[kind], ends[kind]]
    assert list(report.turns(None, [Condition(kind, "False")])) == []


def test_the_event_of_an_object_that_is_not_ready_has_kedas_reason() -> None:
    partly, wholly = report.ready([], combine([YES, FAILS])), report.ready([], combine([NO, FAILS]))
    refused, unknown = report.ready(["a mistake"], combine([YES])), report.replicas_unknown("they are hidden")
    assert partly is not None
    assert wholly is not None
    assert refused is not None
    told = [
        (report.not_ready(now, report.SCALED_OBJECT, composed=False), report.not_ready(now, SCALED_JOB, composed=True))
        for now in (partly, wholly, refused, unknown)
    ]
    assert told == [
        ("KEDAScalerFailed", "KEDAMetricSourceFailed"),
        ("KEDAScalerFailed", "KEDAMetricSourceFailed"),
        ("ScaledObjectCheckFailed", "ScaledJobCheckFailed"),
        ("ScaledObjectCheckFailed", "ScaledJobCheckFailed"),
    ]
    assert (unknown.status, unknown.reason) == ("False", "ErrorGettingCurrentReplicas")
    assert unknown.message == "they are hidden (replicas are held as they are)"


def test_an_unusable_object_says_why_and_nothing_of_activity() -> None:
    ready, active = report.unusable("Deployment ns/web does not exist")
    assert (ready.status, ready.message) == ("False", "Deployment ns/web does not exist")
    assert active.status == "Unknown"
