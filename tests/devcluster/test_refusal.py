"""What the embedded cluster does not do, it refuses, and says so: `docs/embedded-cluster.md` has the table."""

from copy import deepcopy
from typing import Any

import pytest

from .side import MERGE, Side, at
from .widget import CRDS_PATH, definition


@pytest.fixture
def side(embedded_side: Side) -> Side:
    """Only the embedded cluster: the real one does these things."""
    return embedded_side


def gadget(spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = deepcopy(definition())
    made["metadata"]["name"] = "gadgets.test.example"
    made["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = spec
    made["spec"] |= more
    return made


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 1", "message": "m"}]},
         "x-kubernetes-validations[0].rule"),
        ({"type": "object", "properties": {"a": {"type": "integer", "not": {"enum": [1]}}}}, "properties[a].not"),
        ({"type": "object", "oneOf": [{"required": ["a"]}]}, "oneOf"),
        ({"type": "object", "allOf": [{"required": ["a"]}]}, "allOf"),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, "anyOf"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer", "multipleOf": 2}}}},
         "properties[a].items.multipleOf"),
        ({"type": "object", "additionalProperties": {"type": "array", "uniqueItems": True}},
         "additionalProperties.uniqueItems"),
    ],
)  # fmt: skip
def test_schemas_that_it_could_not_hold_objects_to(side: Side, spec: dict[str, Any], word: str) -> None:
    refused = side.ask("POST", CRDS_PATH, gadget(spec))
    assert (refused.code, refused.reason) == (422, "Invalid")
    (cause,) = refused.body["details"]["causes"]
    assert cause["field"].endswith(f"properties[spec].{word}")
    assert cause["message"].startswith("Forbidden: the embedded cluster ")
    # Nor does one become such a definition later.
    versions = gadget(spec)["spec"]["versions"]
    refused = side.ask("PATCH", f"{CRDS_PATH}/widgets.test.example", {"spec": {"versions": versions}}, type_=MERGE)
    assert (refused.code, refused.reason) == (422, "Invalid")


def test_conversion_between_versions(side: Side) -> None:
    conversion = {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}
    refused = side.ask("POST", CRDS_PATH, gadget({"type": "object"}, conversion=conversion))
    assert "the embedded cluster does not convert between versions" in refused.message


@pytest.mark.parametrize(
    "path",
    [
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/apps/v1/namespaces/default/daemonsets",
        "/apis/batch/v1/namespaces/default/cronjobs",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
        "/api/v1/namespaces/default/pods/one/exec",
    ],
)
def test_kinds_and_subresources_that_it_does_not_have(side: Side, path: str) -> None:
    refused = side.ask("GET", path)
    assert (refused.code, refused.message) == (404, "the server could not find the requested resource")


def test_metrics_that_it_does_not_have(side: Side) -> None:
    hpas = at("autoscaling/v2", "default", "horizontalpodautoscalers")
    deployments = at("apps/v1", "default", "deployments")
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": pod}
    side.make(deployments, {"metadata": {"name": "busy"}, "spec": spec})
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}
    side.make(
        hpas, {"metadata": {"name": "busy"}, "spec": {"scaleTargetRef": target, "maxReplicas": 5, "metrics": [cpu]}}
    )

    def said() -> str:
        found = (side.get(f"{hpas}/busy").get("status") or {}).get("conditions") or []
        return next((str(c["message"]) for c in found if c["type"] == "ScalingActive"), "")

    assert "the embedded cluster has no resource metrics" in side.until(said, "it says so")
    side.ask("DELETE", f"{hpas}/busy")
    side.ask("DELETE", f"{deployments}/busy")
