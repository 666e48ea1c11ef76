"""What clients ask before they ask for anything: versions, groups, resources, schemas."""

import pytest

from .side import Side


def test_versions_and_groups(side: Side) -> None:
    assert side.get("/version")["major"] == "1"
    assert side.get("/version")["minor"] == "36"
    core = side.get("/api")
    assert (core["kind"], core["versions"]) == ("APIVersions", ["v1"])
    groups = side.get("/apis")
    assert (groups["kind"], groups["apiVersion"]) == ("APIGroupList", "v1")
    versions = {group["name"]: group["preferredVersion"]["groupVersion"] for group in groups["groups"]}
    for name, version in {
        "apps": "apps/v1",
        "autoscaling": "autoscaling/v2",
        "batch": "batch/v1",
        "coordination.k8s.io": "coordination.k8s.io/v1",
        "events.k8s.io": "events.k8s.io/v1",
        "keda.sh": "keda.sh/v1alpha1",
        "apiextensions.k8s.io": "apiextensions.k8s.io/v1",
        "test.example": "test.example/v1",
    }.items():
        assert versions[name] == version
    group = side.get("/apis/apps")
    assert (group["kind"], group["name"]) == ("APIGroup", "apps")
    assert side.ask("GET", "/apis/none.example").code == 404


@pytest.mark.parametrize(
    ("path", "name", "kind", "short", "subresources"),
    [
        ("/api/v1", "pods", "Pod", ["po"], ["status"]),
        ("/api/v1", "configmaps", "ConfigMap", ["cm"], []),
        ("/api/v1", "events", "Event", ["ev"], []),
        ("/apis/apps/v1", "deployments", "Deployment", ["deploy"], ["scale", "status"]),
        ("/apis/apps/v1", "statefulsets", "StatefulSet", ["sts"], ["scale", "status"]),
        ("/apis/batch/v1", "jobs", "Job", [], ["status"]),
        ("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ["hpa"], ["status"]),
        ("/apis/coordination.k8s.io/v1", "leases", "Lease", [], []),
        ("/apis/keda.sh/v1alpha1", "scaledobjects", "ScaledObject", ["so"], ["status"]),
        ("/apis/test.example/v1", "widgets", "Widget", ["wdg"], ["scale", "status"]),
    ],
)
def test_resources(  # noqa: PLR0917  one row of the table
    side: Side, path: str, name: str, kind: str, short: list[str], subresources: list[str]
) -> None:
    found = side.get(path)
    assert (found["kind"], found["groupVersion"]) == (
        "APIResourceList",
        path.removeprefix("/apis/").removeprefix("/api/"),
    )
    named = {resource["name"]: resource for resource in found["resources"]}
    resource = named[name]
    assert (resource["kind"], resource["namespaced"], resource.get("shortNames", [])) == (kind, True, short)
    assert resource["singularName"] == kind.lower()
    assert set(resource["verbs"]) == {
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    }  # fmt: skip
    for subresource in subresources:
        part = named[f"{name}/{subresource}"]
        assert set(part["verbs"]) == {"get", "patch", "update"}
        assert part["kind"] == ("Scale" if subresource == "scale" else kind)


def test_readiness(side: Side) -> None:
    for path in ("/healthz", "/readyz", "/livez"):
        said = side.ask("GET", path)
        assert (said.code, said.body) == (200, "ok")


def test_schemas(side: Side) -> None:
    index = side.get("/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/keda.sh/v1alpha1", "apis/test.example/v1"} <= set(index)
    document = side.get(index["apis/test.example/v1"]["serverRelativeURL"])
    schema = document["components"]["schemas"]["example.test.v1.Widget"]
    group = {"group": "test.example", "version": "v1", "kind": "Widget"}
    assert group in schema["x-kubernetes-group-version-kind"]
    assert schema["properties"]["spec"]["properties"]["size"]["type"] == "integer"
