"""What annotations ask for, and what the Paused condition says of it."""

import pytest

from keda_py.decide.pause import NOTHING, Asked, condition, paused

PREFIX = "autoscaling.keda.sh/"


def asked(**annotations: str) -> Asked:
    return Asked.of({PREFIX + name.replace("_", "-"): value for name, value in annotations.items()})


@pytest.mark.parametrize(
    ("annotations", "wanted"),
    [
        ({}, NOTHING),
        ({"paused": "true"}, Asked(stopped=True)),
        ({"paused": ""}, Asked(stopped=True)),
        ({"paused": "no"}, Asked(stopped=True)),
        ({"paused": "false"}, NOTHING),
        ({"paused": "F"}, NOTHING),
        ({"paused_replicas": "3"}, Asked(stopped=True, replicas=3)),
        ({"paused_replicas": "+3"}, Asked(stopped=True, replicas=3)),
        ({"paused_replicas": "0", "paused": "false"}, Asked(stopped=True, replicas=0)),
        ({"paused_replicas": "4", "paused": "true"}, Asked(stopped=True, replicas=4)),
        ({"paused_scale_in": "true"}, Asked(scale_in=True)),
        ({"paused_scale_in": "0", "paused_scale_out": "1"}, Asked(scale_out=True)),
        ({"paused_scale_in": "", "paused_scale_out": ""}, Asked(scale_in=True, scale_out=True)),
        ({"force_activation": "true"}, Asked(forced=True)),
        ({"force_activation": "false"}, NOTHING),
    ],
)
def test_what_is_asked_for(annotations: dict[str, str], wanted: Asked) -> None:
    assert asked(**annotations) == wanted


@pytest.mark.parametrize("text", ["", "many", "-1", " 3", "3.0", "2147483648", "99999999999", "\u0663"])
def test_a_number_that_is_none_pauses_and_says_so(text: str) -> None:
    found = asked(paused_replicas=text)
    assert (found.stopped, found.replicas) == (True, None)
    assert found.problem is not None
    assert "paused-replicas has to be a whole number" in found.problem


def test_without_annotations_nothing_is_asked_for() -> None:
    assert Asked.of(None) == NOTHING
    assert not paused(None)
    assert paused({PREFIX + "paused": "true"})


@pytest.mark.parametrize(
    ("found", "status", "message"),
    [
        (NOTHING, "False", "ScaledObject is not paused"),
        (Asked(forced=True), "False", "ScaledObject is not paused"),
        (Asked(stopped=True), "True", "ScaledObject is paused"),
        (Asked(stopped=True, replicas=3, scale_in=True), "True", "ScaledObject is paused at 3 replicas"),
        (Asked(scale_in=True), "True", "ScaledObject is paused: it does not scale in"),
        (Asked(scale_in=True, scale_out=True), "True", "ScaledObject is paused: it does not scale in and out"),
    ],
)
def test_the_condition(found: Asked, status: str, message: str) -> None:
    said = condition(found)
    assert (said.status, said.message) == (status, message)
    assert said.reason == ("ScaledObjectPaused" if status == "True" else "ScaledObjectUnpaused")
