"""The `/scale` subresource of a built-in kind and of a custom resource."""

import pytest

from .side import JSON_PATCH, MERGE, Said, Side, deployment
from .widget import widget


@pytest.fixture(params=["deployment", "widget"])
def scaled(request: pytest.FixtureRequest, side: Side, deployments: str, widgets: str) -> str:
    """The path of something with two replicas."""
    if request.param == "deployment":
        side.make(deployments, deployment("one", replicas=2))
        return f"{deployments}/one"
    side.make(widgets, widget("one", replicas=2))
    return f"{widgets}/one"


def test_scale_is_read(side: Side, scaled: str) -> None:
    found = side.get(scaled)
    scale = side.get(f"{scaled}/scale")
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert set(scale["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}
    assert scale["metadata"]["uid"] == found["metadata"]["uid"]
    if "deployments" in scaled:
        assert scale["status"]["selector"] == "app=one"


def test_scale_is_patched(side: Side, scaled: str) -> None:
    assert side.patch(f"{scaled}/scale", {"spec": {"replicas": 3}})["spec"] == {"replicas": 3}
    found = side.get(scaled)
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (3, 2)
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 0}]
    # Zero is not shown.
    assert side.patch(f"{scaled}/scale", operations, JSON_PATCH)["spec"] == {}
    assert side.get(scaled)["spec"]["replicas"] == 0


def test_scale_is_put(side: Side, scaled: str) -> None:
    scale, said = {}, Said(409, {})

    def put() -> bool:
        # The controller of the Deployment writes as well.
        nonlocal scale, said
        scale = side.get(f"{scaled}/scale")
        said = side.ask("PUT", f"{scaled}/scale", scale | {"spec": {"replicas": 5}})
        return said.code != 409

    side.until(put, "nobody is in between")
    assert (said.code, said.body["spec"]) == (200, {"replicas": 5})
    assert said.body["metadata"]["resourceVersion"] != scale["metadata"]["resourceVersion"]
    late = side.ask("PUT", f"{scaled}/scale", scale | {"spec": {"replicas": 6}})
    assert (late.code, late.reason) == (409, "Conflict")
    assert side.get(scaled)["spec"]["replicas"] == 5


def test_a_scale_below_zero_is_refused(side: Side, scaled: str) -> None:
    refused = side.ask("PATCH", f"{scaled}/scale", {"spec": {"replicas": -1}}, type_=MERGE)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message in (
        'Scale.autoscaling "one" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        'Widget.test.example "one" is invalid: .spec.replicas: Invalid value: -1: should be a non-negative integer',
    )
    assert ("Widget" in refused.message) is ("widgets" in scaled)
    refused = side.ask("PATCH", f"{scaled}/scale", {"spec": {"replicas": "many"}}, type_=MERGE)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "ScaleSpec.spec.replicas of type int32" in refused.message
    assert side.get(scaled)["spec"]["replicas"] == 2


def test_a_dry_run_of_scale(side: Side, scaled: str) -> None:
    said = side.ask("PATCH", f"{scaled}/scale", {"spec": {"replicas": 7}}, type_=MERGE, dryRun="All")
    assert (said.code, said.body["spec"]) == (200, {"replicas": 7})
    assert side.get(scaled)["spec"]["replicas"] == 2


def test_the_selector_and_replicas_of_a_custom_resource(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one", replicas=2))
    side.patch(f"{widgets}/one/status", {"status": {"replicas": 1, "selector": "a=b"}})
    assert side.get(f"{widgets}/one/scale")["status"] == {"replicas": 1, "selector": "a=b"}


def test_a_custom_resource_without_replicas(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one"))
    refused = side.ask("GET", f"{widgets}/one/scale")
    assert (refused.code, refused.reason) == (500, "InternalError")
    assert 'the spec replicas field ".spec.replicas" does not exist' in refused.message


def test_the_scale_of_nothing(side: Side, deployments: str) -> None:
    missing = side.ask("GET", f"{deployments}/none/scale")
    assert (missing.code, missing.message) == (404, 'deployments.apps "none" not found')
