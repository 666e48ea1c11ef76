"""The ways to change a part of an object."""

from typing import Any

import pytest

from .side import APPLY, JSON_PATCH, MERGE, STRATEGIC, Side, at, config_map, deployment
from .widget import widget


def test_merge_patch(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one", tags=["a", "b"], limits={"x": "1", "y": "2"}))
    patch = {"spec": {"tags": ["c"], "limits": {"x": None, "z": "3"}}}
    changed = side.patch(f"{widgets}/one", patch)
    assert changed["spec"]["tags"] == ["c"]
    assert changed["spec"]["limits"] == {"y": "2", "z": "3"}
    refused = side.ask("PATCH", f"{widgets}/one", b"[1", type_=MERGE)
    assert (refused.code, refused.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("operations", "data"),
    [
        ([{"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}),
        ([{"op": "replace", "path": "/data/a", "value": "2"}], {"a": "2"}),
        # RFC 6902 would refuse it.
        ([{"op": "replace", "path": "/data/none", "value": "1"}], {"a": "1", "none": "1"}),
        ([{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/x~1y", "value": "1"}], {"x/y": "1"}),
        ([{"op": "move", "from": "/data/a", "path": "/data/b"}], {"b": "1"}),
        ([{"op": "copy", "from": "/data/a", "path": "/data/b"}], {"a": "1", "b": "1"}),
        ([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": ""}],
         {"a": "1", "b": ""}),
    ],
)  # fmt: skip
def test_json_patch(side: Side, maps: str, operations: list[Any], data: dict[str, str]) -> None:
    side.make(maps, config_map("one", a="1"))
    if "x/y" in data:
        # A key of a ConfigMap cannot have a slash: an annotation can.
        operations = [{"op": "add", "path": "/metadata/annotations", "value": {"x/y": "0"}},
                      {"op": "replace", "path": "/metadata/annotations/x~1y", "value": "1"}]  # fmt: skip
        assert side.patch(f"{maps}/one", operations, JSON_PATCH)["metadata"]["annotations"] == data
        return
    assert side.patch(f"{maps}/one", operations, JSON_PATCH)["data"] == data


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"op": "remove", "path": "/data/none"}, "the server rejected our request due to an error in our request"),
        ({"op": "replace", "path": "/none/x", "value": "1"}, "the server rejected our request due to an error"),
        ({"op": "none", "path": "/data/a"}, "the server rejected our request due to an error"),
        ({"op": "test", "path": "/data/a", "value": "2"}, "the server rejected our request due to an error"),
    ],
)
def test_a_json_patch_that_cannot_be_done(side: Side, maps: str, operation: Any, words: str) -> None:
    before = side.make(maps, config_map("one", a="1"))
    done = {"op": "add", "path": "/data/b", "value": "2"}
    refused = side.ask("PATCH", f"{maps}/one", [done, operation], type_=JSON_PATCH)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert words in refused.message
    assert side.get(f"{maps}/one") == before


def test_strategic_merge_patch(side: Side, deployments: str) -> None:
    side.make(deployments, deployment("one"))
    path = f"{deployments}/one"

    def containers(*patches: Any) -> dict[str, Any]:
        body = {"spec": {"template": {"spec": {"containers": list(patches)}}}}
        found = side.patch(path, body, STRATEGIC)["spec"]["template"]["spec"]["containers"]
        return {item["name"]: item for item in found}

    found = containers({"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    assert found["main"]["image"] == "none"
    found = containers({"name": "side", "image": "other"})
    assert sorted(found) == ["main", "side"]
    found = containers({"name": "main", "env": [{"name": "A", "$patch": "delete"}]})
    assert found["main"]["env"] == [{"name": "B", "value": "2"}]
    found = containers({"name": "side", "$patch": "delete"})
    assert sorted(found) == ["main"]
    retained = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert side.patch(path, retained, STRATEGIC)["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_merge_patch_of_lists_of_words(side: Side, maps: str) -> None:
    side.make(maps, config_map("one"))
    path = f"{maps}/one"
    side.patch(path, {"metadata": {"finalizers": ["test.example/a"]}}, STRATEGIC)
    found = side.patch(path, {"metadata": {"finalizers": ["test.example/b"]}}, STRATEGIC)
    assert sorted(found["metadata"]["finalizers"]) == ["test.example/a", "test.example/b"]
    removed = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["test.example/a", "test.example/b"]}}
    assert "finalizers" not in side.patch(path, removed, STRATEGIC)["metadata"]


def test_what_cannot_patch_a_custom_resource(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one"))
    refused = side.ask("PATCH", f"{widgets}/one", {"spec": {"size": 2}}, type_=STRATEGIC)
    assert (refused.code, refused.reason) == (415, "UnsupportedMediaType")
    assert "the body of the request was in an unknown format - accepted media types include" in refused.message
    refused = side.ask("PATCH", f"{widgets}/one", {"spec": {"size": 2}}, type_="text/plain")
    assert refused.code == 415


def test_a_patch_of_nothing(side: Side, maps: str) -> None:
    assert side.ask("PATCH", f"{maps}/none", {"data": {}}, type_=MERGE).code == 404


# --- server-side apply ----------------------------------------------------------------------------------------------


def test_apply_makes_and_changes(side: Side, maps: str) -> None:
    path = f"{maps}/one"
    made = side.ask("PATCH", path, config_map("one", a="1", b="2"), type_=APPLY, fieldManager="me")
    assert (made.code, made.body["data"]) == (201, {"a": "1", "b": "2"})
    again = side.ask("PATCH", path, config_map("one", a="1", b="2"), type_=APPLY, fieldManager="me")
    assert (again.code, again.body["metadata"]["resourceVersion"]) == (200, made.body["metadata"]["resourceVersion"])
    changed = side.ask("PATCH", path, config_map("one", a="9"), type_=APPLY, fieldManager="me")
    assert (changed.code, changed.body["data"]) == (200, {"a": "9"})


def test_apply_leaves_what_others_wrote(side: Side, maps: str) -> None:
    path = f"{maps}/one"
    side.patch(path, config_map("one", a="1"), APPLY, fieldManager="me")
    side.patch(path, {"data": {"c": "3"}, "metadata": {"labels": {"x": "y"}}})
    assert side.patch(path, config_map("one"), APPLY, fieldManager="me")["data"] == {"c": "3"}
    side.patch(path, config_map("one", d="4"), APPLY, fieldManager="you")
    found = side.patch(path, config_map("one", a="1"), APPLY, fieldManager="me")
    assert found["data"] == {"a": "1", "c": "3", "d": "4"}
    assert found["metadata"]["labels"] == {"x": "y"}


def test_apply_merges_lists_of_named_items(side: Side, deployments: str) -> None:
    path = f"{deployments}/one"
    applied = deployment("one")
    side.patch(path, applied, APPLY, fieldManager="me")
    side.patch(path, {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "x"}]}}}}, STRATEGIC)
    applied["spec"]["template"]["spec"]["containers"][0]["image"] = "newer"
    found = side.patch(path, applied, APPLY, fieldManager="me")
    containers = {item["name"]: item["image"] for item in found["spec"]["template"]["spec"]["containers"]}
    assert containers == {"main": "newer", "side": "x"}
    applied["spec"]["template"]["spec"]["containers"] = [{"name": "other", "image": "y"}]
    found = side.patch(path, applied, APPLY, fieldManager="me")
    containers = {item["name"]: item["image"] for item in found["spec"]["template"]["spec"]["containers"]}
    assert containers == {"other": "y", "side": "x"}


def test_two_who_apply_one_field_conflict(side: Side, maps: str) -> None:
    path = f"{maps}/one"
    side.patch(path, config_map("one", a="1"), APPLY, fieldManager="me")
    side.patch(path, config_map("one", a="1"), APPLY, fieldManager="you")
    refused = side.ask("PATCH", path, config_map("one", a="2"), type_=APPLY, fieldManager="you")
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    forced = side.patch(path, config_map("one", a="2"), APPLY, fieldManager="you", force="true")
    assert forced["data"] == {"a": "2"}
    # It is theirs alone now: who leaves it out does not take it away.
    assert side.patch(path, config_map("one"), APPLY, fieldManager="me")["data"] == {"a": "2"}


def test_an_apply_conflicts_with_a_plain_write(side: Side, maps: str) -> None:
    path = f"{maps}/one"
    side.make(maps, config_map("one", a="1", b="1"), fieldManager="maker")
    refused = side.ask("PATCH", path, config_map("one", a="2"), type_=APPLY, fieldManager="me")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "maker" using v1: .data.a'
    side.patch(path, config_map("one", a="2"), APPLY, fieldManager="me", force="true")
    side.patch(path, {"data": {"a": "3"}}, fieldManager="editor")
    refused = side.ask("PATCH", path, config_map("one", a="4"), type_=APPLY, fieldManager="me")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "editor" using v1: .data.a'
    # What it shares with a plain writer, an apply does not take away.
    side.patch(path, config_map("one", b="1"), APPLY, fieldManager="me")
    assert side.patch(path, config_map("one"), APPLY, fieldManager="me")["data"] == {"a": "3", "b": "1"}


def test_an_apply_of_what_does_not_exist(side: Side, maps: str, widgets: str) -> None:
    for path, body in ((f"{maps}/one", config_map("one") | {"dada": 1}), (f"{widgets}/one", widget("one", sise=1))):
        refused = side.ask("PATCH", path, body, type_=APPLY, fieldManager="me")
        assert refused.code == 500
        assert "field not declared in schema" in refused.message
    refused = side.ask("PATCH", f"{maps}/one/status", config_map("one"), type_=APPLY, fieldManager="me")
    assert refused.code == 404
    body = config_map("one")
    refused = side.ask("PATCH", f"{maps}/one", body | {"metadata": {"name": "one", "uid": "x"}}, type_=APPLY,
                       fieldManager="me")  # fmt: skip
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert "uid mismatch" in refused.message
    managed = {"name": "one", "managedFields": [{"manager": "x"}]}
    refused = side.ask("PATCH", f"{maps}/one", body | {"metadata": managed}, type_=APPLY, fieldManager="me")
    assert (refused.code, refused.message) == (400, "metadata.managedFields must be nil")


def test_apply_knows_the_lists_of_each_kind(side: Side, space: str, deployments: str) -> None:
    """The ports of a container are known by number and protocol, a selector goes as a whole."""
    web = deployment("one")
    container = web["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80, "name": "a"}]
    path = f"{deployments}/one"
    side.patch(path, web, APPLY, fieldManager="me")
    container["ports"] = [{"containerPort": 80, "name": "b"}]
    refused = side.ask("PATCH", path, web, type_=APPLY, fieldManager="you")
    ports = '.spec.template.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"].name'
    assert refused.message == f'Apply failed with 1 conflict: conflict with "me": {ports}'
    container["ports"] = [{"containerPort": 81, "protocol": "UDP"}]
    found = side.patch(path, web, APPLY, fieldManager="you")
    shown = found["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert {(port["containerPort"], port["protocol"]) for port in shown} == {(80, "TCP"), (81, "UDP")}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}}
    services = at("v1", space, "services")
    for selector in ({"a": "1", "b": "2"}, {"a": "1"}):
        spec = {"selector": selector, "ports": [{"port": 80}]}
        found = side.patch(f"{services}/one", service | {"spec": spec}, APPLY, fieldManager="me")
        assert found["spec"]["selector"] == selector


def test_apply_needs_a_manager_and_a_kind(side: Side, maps: str) -> None:
    refused = side.ask("PATCH", f"{maps}/one", config_map("one"), type_=APPLY)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "fieldManager: Required value: is required for apply patch" in refused.message
    refused = side.ask("PATCH", f"{maps}/one", {"metadata": {"name": "one"}}, type_=APPLY, fieldManager="me")
    assert (refused.code, refused.reason) == (400, "BadRequest")


def test_apply_of_a_custom_resource(side: Side, widgets: str) -> None:
    path = f"{widgets}/one"
    made = side.ask("PATCH", path, widget("one", label="x", limits={"a": "1"}), type_=APPLY, fieldManager="me")
    assert (made.code, made.body["spec"]["color"]) == (201, "red")
    changed = side.patch(path, widget("one", limits={"b": "2"}), APPLY, fieldManager="me")
    assert changed["spec"]["limits"] == {"b": "2"}
    assert "label" not in changed["spec"]
    status = {"apiVersion": "test.example/v1", "kind": "Widget", "metadata": {"name": "one"}, "status": {"phase": "Up"}}
    told = side.patch(f"{path}/status", status, APPLY, fieldManager="controller")
    assert (told["status"], told["spec"]["limits"]) == ({"phase": "Up"}, {"b": "2"})
    # One who applies to both is two.
    side.patch(f"{path}/status", status, APPLY, fieldManager="me", force="true")
    assert "limits" not in side.patch(path, widget("one"), APPLY, fieldManager="me")["spec"]
    assert side.get(path)["status"] == {"phase": "Up"}
