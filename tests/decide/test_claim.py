"""Whose the HPAs are that are there already: own, to be taken over, or somebody else's."""

from typing import Any

import pytest

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.claim import is_own, refusal_of_name, refusal_of_target
from keda_py.decide.ownership import Target
from keda_py.naming import Annotation

WEB = Target("apps", "Deployment", "web")
TRANSFER = {Annotation.TRANSFER_HPA: "true"}


def scaled_object(name: str = "", annotations: dict[str, str] | None = None) -> ScaledObject:
    advanced = {"horizontalPodAutoscalerConfig": {"name": name}} if name else {}
    return ScaledObject.parse(
        {
            "metadata": {"name": "app", "namespace": "ns", "uid": "u1", "annotations": annotations or {}},
            "spec": {"scaleTargetRef": {"name": "web"}, "advanced": advanced, "triggers": [{"type": "t"}]},
        }
    )


def hpa(name: str, *owners: dict[str, Any], target: str = "web", beside: str = "") -> dict[str, Any]:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "metadata": {"name": name, "ownerReferences": list(owners), "annotations": {Annotation.HPA_VALIDATED: beside}},
        "spec": {"scaleTargetRef": ref},
    }


def owner(kind: str, name: str, uid: str, *, controller: bool = True) -> dict[str, Any]:
    return {"kind": kind, "name": name, "uid": uid, "controller": controller}


@pytest.mark.parametrize(
    ("owners", "own"),
    [
        ([owner("ScaledObject", "app", "u1")], True),
        # It was made for an object that was deleted, and goes unless its name's new bearer takes it.
        ([owner("ScaledObject", "app", "u0")], True),
        ([owner("ScaledObject", "other", "u2")], False),
        ([owner("Deployment", "app", "u2")], False),
        ([], False),
    ],
)
def test_its_own(owners: list[dict[str, Any]], own: bool) -> None:
    assert is_own(scaled_object(), hpa("keda-hpa-app", *owners)) is own


@pytest.mark.parametrize(
    ("made", "found", "recorded", "says"),
    [
        (scaled_object("mine"), hpa("mine"), None, "there is an HPA mine that is not this ScaledObject's"),
        (scaled_object("mine", {Annotation.TRANSFER_HPA: "false"}), hpa("mine"), "", "there is an HPA mine"),
        (scaled_object("mine"), hpa("mine"), "other", "there is an HPA mine"),
        # Its own, which somebody took the owner off.
        (scaled_object("mine"), hpa("mine"), "mine", None),
        (scaled_object("mine", TRANSFER), hpa("mine"), None, None),
        # Helm and the like may own it beside us.
        (scaled_object("mine", TRANSFER), hpa("mine", owner("Release", "r", "u3", controller=False)), None, None),
        # Not by chance: KEDA's webhook wants the name too.
        (scaled_object("", TRANSFER), hpa("keda-hpa-app"), None, "horizontalPodAutoscalerConfig.name: keda-hpa-app"),
        (scaled_object("mine", TRANSFER), hpa("mine", owner("App", "shop", "u2")), None, "belongs to App shop"),
        (scaled_object("mine"), hpa("mine", owner("ScaledObject", "b", "u2")), "mine", "belongs to ScaledObject b"),
        (
            scaled_object("mine", TRANSFER),
            hpa("mine", target="db"),
            None,
            "scales Deployment db and not Deployment web",
        ),
    ],
)
def test_the_hpa_of_the_chosen_name(
    made: ScaledObject, found: dict[str, Any], recorded: str | None, says: str | None
) -> None:
    told = refusal_of_name(made, WEB, found, recorded=recorded)
    assert told is None if says is None else says in str(told)


@pytest.mark.parametrize(
    ("made", "on_target", "says"),
    [
        (scaled_object(), [], None),
        (scaled_object(), [hpa("theirs")], "Deployment web is already scaled by the HPA theirs"),
        (scaled_object(), [hpa("theirs", beside="true")], "the HPA theirs"),
        (scaled_object(), [hpa("theirs", beside="false")], None),
        (scaled_object(), [hpa("one"), hpa("two")], "the HPA one"),
        (scaled_object(), [hpa("one"), hpa("two")], "the HPA two"),
        # Those of other ScaledObjects are told of with them, and that of its own name by itself.
        (scaled_object(), [hpa("keda-hpa-b", owner("ScaledObject", "b", "u2")), hpa("keda-hpa-app")], None),
        (scaled_object("mine", TRANSFER), [hpa("theirs")], "horizontalPodAutoscalerConfig.name must be theirs"),
    ],
)
def test_another_hpa_on_the_target(made: ScaledObject, on_target: list[dict[str, Any]], says: str | None) -> None:
    told = refusal_of_target(made, WEB, on_target)
    assert told is None if says is None else says in str(told)
