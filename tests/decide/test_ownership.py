"""Whose a target and an HPA are (the cases of KEDA's scaledobject_webhook_test.go, and some more)."""

from typing import Any

import pytest

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.ownership import Neighbours, Target, hpa_name_of, problems
from keda_py.naming import Refusal

DEPLOYMENT = Target("apps", "Deployment", "web")
TRANSFER = {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
SPARED = {"validations.keda.sh/hpa-ownership": "false"}


def raw(name: str, hpa: str | None = None, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"scaleTargetRef": {"name": "web"}, "triggers": []}
    if hpa is not None:
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"name": hpa}}
    return {"metadata": {"name": name, "namespace": "shop", "annotations": annotations}, "spec": spec}


def autoscaler(name: str, owner: str = "", kind: str = "ScaledObject", **annotations: str) -> dict[str, Any]:
    owners = [{"kind": kind, "name": owner, "uid": "1"}] if owner else None
    return {"metadata": {"name": name, "ownerReferences": owners, "annotations": annotations or None}}


def reasons(manifest: dict[str, Any], **neighbours: Any) -> list[str]:
    found = problems(ScaledObject.parse(manifest), DEPLOYMENT, Neighbours(**neighbours))
    return [finding.reason for finding in found]


def test_alone() -> None:
    assert reasons(raw("a")) == []
    own = raw("a")
    assert reasons(own, on_target=[own], on_hpa_name=[own], hpas=[autoscaler("keda-hpa-a", "a")]) == []


def test_each_other_object_is_told_of_and_not_its_hpa_too() -> None:
    others = [raw("c"), raw("b"), raw("a")]
    hpas = [autoscaler("keda-hpa-b", "b")]
    assert reasons(raw("a"), on_target=others, hpas=hpas) == [Refusal.OTHER_OBJECT] * 2
    (finding, _) = problems(ScaledObject.parse(raw("a")), DEPLOYMENT, Neighbours(on_target=others))
    assert finding.message.startswith("spec.scaleTargetRef: Deployment web is already scaled by the ScaledObject b;")


def test_the_name_of_an_hpa() -> None:
    assert reasons(raw("a", "shared"), on_hpa_name=[raw("a"), raw("b", "shared")]) == [Refusal.OTHER_OBJECT_HPA]


@pytest.mark.parametrize(
    ("manifest", "hpa", "refused"),
    [
        (raw("a"), autoscaler("web"), [Refusal.OTHER_HPA]),
        (raw("a"), autoscaler("web", "a", kind="Rollout"), [Refusal.OTHER_HPA]),
        (raw("a"), autoscaler("web", "z"), [Refusal.OTHER_HPA]),
        (raw("a"), autoscaler("web", **SPARED), []),
        (raw("a", annotations=SPARED), autoscaler("web"), [Refusal.OTHER_HPA]),
        (raw("a", annotations=TRANSFER), autoscaler("web"), [Refusal.TRANSFER]),
        (raw("a", "other", TRANSFER), autoscaler("web"), [Refusal.TRANSFER]),
        (raw("a", "web", TRANSFER), autoscaler("web"), []),
        (raw("a", "web"), autoscaler("web"), [Refusal.OTHER_HPA]),
    ],
)
def test_somebody_elses_hpa(manifest: dict[str, Any], hpa: dict[str, Any], refused: list[str]) -> None:
    assert reasons(manifest, hpas=[hpa]) == refused


@pytest.mark.parametrize(
    ("ref", "target"),
    [
        ({"name": "web"}, DEPLOYMENT),
        ({"name": "web", "kind": "StatefulSet"}, Target("apps", "StatefulSet", "web")),
        ({"name": "web", "apiVersion": "apps/v1beta1", "kind": "Deployment"}, DEPLOYMENT),
        (
            {"name": "web", "apiVersion": "v1", "kind": "ReplicationController"},
            Target("", "ReplicationController", "web"),
        ),
        ({"name": 5}, None),
        ({}, None),
        ("web", None),
    ],
)
def test_what_is_scaled(ref: Any, target: Target | None) -> None:
    assert Target.of({"spec": {"scaleTargetRef": ref}}) == target


def test_what_is_no_object_has_no_target_and_no_hpa() -> None:
    assert Target.of(None) is None
    assert Target.of({"spec": "none"}) is None
    assert hpa_name_of(None) is None


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "keda-hpa-a"),
        (None, "keda-hpa-a"),
        ({"advanced": {}}, "keda-hpa-a"),
        ({"advanced": {"horizontalPodAutoscalerConfig": {}}}, "keda-hpa-a"),
        ({"advanced": {"horizontalPodAutoscalerConfig": {"name": "web"}}}, "web"),
    ],
)
def test_the_hpa_of_an_object(spec: Any, name: str) -> None:
    assert hpa_name_of({"metadata": {"name": "a"}, "spec": spec}) == name
