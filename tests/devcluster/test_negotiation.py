"""The forms of bodies and answers, what a request may be asked with, and what can be done where."""

from typing import Any

import pytest
import yaml

from .side import APPLY, JSON_PATCH, MERGE, STRATEGIC, YAML, Side, config_map
from .widget import widget

PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIALS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def test_metadata_alone(side: Side, maps: str) -> None:
    side.make(maps, config_map("one", {"a": "b"}, x="1"))
    found = side.ask("GET", f"{maps}/one", accept=PARTIAL).body
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert found["metadata"]["labels"] == {"a": "b"}
    assert "data" not in found
    listed = side.ask("GET", maps, accept=PARTIALS, labelSelector="a").body
    assert (listed["kind"], [i["metadata"]["name"] for i in listed["items"]]) == ("PartialObjectMetadataList", ["one"])
    assert listed["items"][0]["kind"] == "PartialObjectMetadata"
    version = listed["metadata"]["resourceVersion"]
    with side.watch(maps, accept=PARTIAL, resourceVersion=version, timeoutSeconds=10) as events:
        side.make(maps, config_map("two", y="1"))
        seen = next(events)["object"]
    assert (seen["kind"], seen["metadata"]["name"], "data" in seen) == ("PartialObjectMetadata", "two", False)
    made = side.ask("POST", maps, config_map("three"), accept=PARTIAL)
    assert (made.code, made.body["kind"]) == (201, "PartialObjectMetadata")


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("*/*", 200),
        ("application/*", 406),
        ("text/html, application/json;q=0.5", 200),
        ("text/html", 406),
        (PARTIALS, 406),
        ("application/json;as=Table;v=v1;g=other.example", 406),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", 200),
    ],
)
def test_forms_of_answers(side: Side, maps: str, *, accept: str, code: int) -> None:
    side.make(maps, config_map("one"))
    assert side.ask("GET", f"{maps}/one", accept=accept).code == code


def test_yaml(side: Side, maps: str) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {at: '2026-01-02'}\n"
    made = side.ask("POST", maps, body, type_=YAML, accept=YAML)
    assert (made.code, made.type) == (201, YAML)
    assert yaml.safe_load(made.body)["data"] == {"at": "2026-01-02"}
    # What looks like a date is a text.
    side.ask("PATCH", f"{maps}/one", body.replace(b"'", b""), type_=APPLY, fieldManager="me", force="true")
    assert side.get(f"{maps}/one")["data"] == {"at": "2026-01-02"}


@pytest.mark.parametrize("type_", ["text/plain", MERGE, "application/xml"])
def test_forms_of_bodies(side: Side, maps: str, type_: str) -> None:
    refused = side.ask("POST", maps, config_map("one"), type_=type_)
    assert (refused.code, refused.reason) == (415, "UnsupportedMediaType")


TOO_LONG = "x" * 129


@pytest.mark.parametrize(
    ("method", "type_", "params", "field"),
    [
        ("POST", "", {"dryRun": "Some"}, "dryRun"),
        ("POST", "", {"fieldManager": TOO_LONG}, "fieldManager"),
        ("POST", "", {"fieldValidation": "Loose"}, "fieldValidation"),
        ("PUT", "", {"fieldManager": TOO_LONG}, "fieldManager"),
        ("PATCH", MERGE, {"force": "true"}, "force"),
        ("PATCH", JSON_PATCH, {"dryRun": ""}, "dryRun"),
        ("PATCH", STRATEGIC, {"fieldValidation": "Loose"}, "fieldValidation"),
        ("DELETE", "", {"propagationPolicy": "Gently"}, "propagationPolicy"),
        ("DELETE", "", {"propagationPolicy": "Orphan", "orphanDependents": "true"}, "propagationPolicy"),
        ("DELETE", "", {"dryRun": "Some"}, "dryRun"),
        ("GET", "", {"resourceVersionMatch": "Exact"}, "resourceVersionMatch"),
        ("GET", "", {"resourceVersionMatch": "Near", "resourceVersion": "1"}, "resourceVersionMatch"),
    ],
)
def test_options_are_looked_at_before_anything_else(
    side: Side, maps: str, *, method: str, type_: str, params: Any, field: str
) -> None:
    path = maps if method in ("POST", "GET") else f"{maps}/none"
    body = None if method in ("GET", "DELETE") else [] if type_ == JSON_PATCH else config_map("none")
    refused = side.ask(method, path, body, type_=type_ or "application/json", **params)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert {cause["field"] for cause in refused.body["details"]["causes"]} == {field}


@pytest.mark.parametrize(
    ("method", "where"),
    [("POST", "{maps}/one"), ("PUT", "{maps}"), ("POST", "/api/v1/configmaps"), ("DELETE", "/api/v1/configmaps"),
     ("DELETE", "/apis/apps/v1/namespaces/x/deployments/one/scale")],
)  # fmt: skip
def test_methods_that_there_are_not(side: Side, maps: str, *, method: str, where: str) -> None:
    refused = side.ask(method, where.format(maps=maps), None if method == "DELETE" else config_map("one"))
    assert (refused.code, refused.reason) == (405, "MethodNotAllowed")


def test_bodies_about_something_else(side: Side, maps: str, widgets: str) -> None:
    body = config_map("one")
    elsewhere = {**body, "metadata": {"name": "one", "namespace": "other"}}
    for method, path in (("POST", maps), ("PUT", f"{maps}/one")):
        refused = side.ask(method, path, elsewhere)
        assert (refused.code, refused.reason) == (400, "BadRequest")
        assert "the namespace of the provided object does not match" in refused.message
    refused = side.ask("PUT", f"{maps}/two", body)
    assert (refused.code, refused.reason) == (400, "BadRequest")
    refused = side.ask("PUT", f"{maps}/two", {**body, "metadata": {}})
    assert (refused.code, refused.reason) == (400, "BadRequest")
    assert "name must be provided" in refused.message
    refused = side.ask("DELETE", f"{maps}/one", {"kind": "ConfigMap", "apiVersion": "v1"})
    assert (refused.code, refused.reason) == (400, "BadRequest")
    refused = side.ask("POST", maps, {**body, "metadata": {"name": "one", "resourceVersion": "5"}})
    assert (refused.code, refused.message) == (500, "resourceVersion should not be set on objects to be created")
    side.make(widgets, widget("one"))
    assert side.ask("PATCH", f"{widgets}/one", {"kind": "Other"}, type_=MERGE).code == 422


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]}, "metadata.ownerReferences.uid"),
        ({"ownerReferences": [{"kind": "ConfigMap", "name": "x", "uid": "u"}]}, "metadata.ownerReferences.apiVersion"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "u"}]},
         "metadata.ownerReferences"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "x", "uid": uid, "controller": True}
                              for uid in "uv"]}, "metadata.ownerReferences"),
        ({"annotations": {"large": "x" * 262144}}, "metadata.annotations"),
        ({"labels": {"a/b/c": "d"}}, "metadata.labels"),
        ({"name": "", "generateName": "Bad-"}, "metadata.generateName"),
    ],
)  # fmt: skip
def test_metadata_that_is_not_allowed(side: Side, maps: str, *, metadata: Any, field: str) -> None:
    body = config_map("one")
    refused = side.ask("POST", maps, {**body, "metadata": {**body["metadata"], **metadata}})
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert field in {cause["field"] for cause in refused.body["details"]["causes"]}


def test_lists_as_of_a_version(side: Side, maps: str) -> None:
    first = side.make(maps, config_map("one"))["metadata"]["resourceVersion"]
    side.make(maps, config_map("two"))
    exact = {
        "resourceVersion": first,
        "resourceVersionMatch": "Exact",
        "fieldSelector": "metadata.name!=kube-root-ca.crt",
    }
    assert [i["metadata"]["name"] for i in side.get(maps, **exact)["items"]] == ["one"]
    assert side.ask("GET", maps, resourceVersion="no number").code == 400
    assert side.ask("GET", maps, labelSelector="a=1,").code == 400
    assert side.ask("GET", maps, labelSelector=f"a={'v' * 64}").code == 400
    assert side.get(maps, fieldSelector="metadata.name=a\\,b")["items"] == []
