"""Custom resources: defaults, pruning, validation in the API server's words, and their definitions."""

from copy import deepcopy
from typing import Any

import pytest

from .side import Side
from .widget import CRDS_PATH, definition, widget


def test_defaults(side: Side, widgets: str) -> None:
    made = side.make(widgets, widget("one", parts=[{"name": "a"}, {"name": "b", "count": 5}]))
    spec = made["spec"]
    assert (spec["color"], spec["nested"]) == ("red", {"depth": 3})
    assert spec["parts"] == [{"name": "a", "count": 1}, {"name": "b", "count": 5}]
    assert "label" not in spec
    changed = side.patch(f"{widgets}/one", {"spec": {"color": None, "nested": {"depth": None}}})
    assert (changed["spec"]["color"], changed["spec"]["nested"]) == ("red", {"depth": 3})
    assert changed["metadata"]["generation"] == 1


def test_what_the_schema_does_not_name_is_dropped(side: Side, widgets: str) -> None:
    spec = {"more": 1, "nested": {"more": 1}, "free": {"more": {"and": 1}}, "limits": {"any": "x"}}
    made = side.make(widgets, widget("one", **spec) | {"more": 1})
    assert "more" not in made
    assert "more" not in made["spec"]
    assert made["spec"]["nested"] == {"depth": 3}
    assert (made["spec"]["free"], made["spec"]["limits"]) == ({"more": {"and": 1}}, {"any": "x"})


def test_null(side: Side, widgets: str) -> None:
    made = side.make(widgets, widget("one", label=None, color=None))
    assert (made["spec"]["label"], made["spec"]["color"]) == (None, "red")
    assert "ratio" not in side.make(widgets, widget("two", ratio=None))["spec"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": -1}, "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0"),
        ({"size": 101}, "spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": 1.5}, 'spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"'),
        ({"size": True}, 'spec.size: Invalid value: "boolean": spec.size in body must be of type integer: "boolean"'),
        ({"color": "green"}, 'spec.color: Unsupported value: "green": supported values: "red", "blue"'),
        ({"color": 1}, 'spec.color: Invalid value: "integer": spec.color in body must be of type string: "integer"'),
        ({"code": "a"}, 'spec.code: Invalid value: "a": spec.code in body should be at least 2 chars long'),
        ({"code": "aaaaaa"}, "spec.code: Too long: may not be more than 5 bytes"),
        ({"code": "A1"}, "spec.code: Invalid value: \"A1\": spec.code in body should match '^[a-z]+$'"),
        ({"tags": "x"}, 'spec.tags: Invalid value: "string": spec.tags in body must be of type array: "string"'),
        ({"tags": [1]},
         'spec.tags[0]: Invalid value: "integer": spec.tags[0] in body must be of type string: "integer"'),
        ({"tags": ["a", "b", "c"]}, "spec.tags: Too many: 3: must have at most 2 items"),
        ({"parts": [{}]}, "spec.parts[0].name: Required value"),
        ({"limits": {"a": 1}},
         'spec.limits.a: Invalid value: "integer": spec.limits.a in body must be of type string: "integer"'),
        ({"nested": 1}, 'spec.nested: Invalid value: "integer": spec.nested in body must be of type object: "integer"'),
        ({"on": "yes"}, 'spec.on: Invalid value: "string": spec.on in body must be of type boolean: "string"'),
        ({"port": 1.5},
         'spec.port: Invalid value: "number": spec.port in body must be of type integer,string: "number"'),
    ],
)  # fmt: skip
def test_values_that_are_not_allowed(side: Side, widgets: str, spec: dict[str, Any], message: str) -> None:
    refused = side.ask("POST", widgets, widget("one", **spec))
    assert (refused.code, refused.reason) == (422, "Invalid")
    title = 'Widget.test.example "one" is invalid: '
    assert refused.message.removeprefix(title).strip("[]").startswith(message.rstrip("]"))
    cause = refused.body["details"]["causes"][0]
    assert refused.message.removeprefix(title).strip("[").startswith(f"{cause['field']}: {cause['message']}")


@pytest.mark.parametrize("spec", [{"port": 1}, {"port": "http"}, {"ratio": 1}, {"ratio": 1.5}, {"size": 2.0}])
def test_values_that_are_allowed(side: Side, widgets: str, spec: dict[str, Any]) -> None:
    made = side.make(widgets, widget("one", **spec))
    assert {name: made["spec"][name] for name in spec} == spec


def test_all_that_is_wrong_is_told(side: Side, widgets: str) -> None:
    refused = side.ask("POST", widgets, widget("one", size=-1, color="green"))
    assert sorted(cause["field"] for cause in refused.body["details"]["causes"]) == ["spec.color", "spec.size"]
    assert refused.message.startswith('Widget.test.example "one" is invalid: [')
    missing = {key: value for key, value in widget("one").items() if key != "spec"} | {"spec": {}}
    assert "spec.size: Required value" in side.ask("POST", widgets, missing).message


def test_strict_validation_of_fields(side: Side, widgets: str) -> None:
    body = widget("one", more=1, nested={"other": 2})
    refused = side.ask("POST", widgets, body, fieldValidation="Strict")
    assert (refused.code, refused.reason) == (400, "BadRequest")
    assert refused.message.startswith('Widget in version "v1" cannot be handled as a Widget: strict decoding error: ')
    assert 'unknown field "spec.more"' in refused.message
    assert 'unknown field "spec.nested.other"' in refused.message
    for level in ("Warn", "Ignore"):
        said = side.ask("POST", widgets, body, fieldValidation=level, dryRun="All")
        assert said.code == 201
    side.make(widgets, widget("one"), fieldValidation="Strict")
    patch = {"spec": {"more": 1}}
    refused = side.ask("PATCH", f"{widgets}/one", patch, type_="application/merge-patch+json", fieldValidation="Strict")
    assert refused.code in (400, 422)
    assert 'unknown field "spec.more"' in refused.message


# --- definitions ----------------------------------------------------------------------------------------------------


def gadget(**version: Any) -> dict[str, Any]:
    """Return the definition of another kind."""
    made = deepcopy(definition())
    made["metadata"]["name"] = "gadgets.test.example"
    made["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    made["spec"]["versions"][0] |= version
    return made


def test_a_definition_comes_and_goes(side: Side, space: str) -> None:
    gadgets = f"/apis/test.example/v1/namespaces/{space}/gadgets"
    assert side.ask("GET", gadgets).code == 404
    made = side.make(CRDS_PATH, gadget())
    assert made["spec"]["names"]["singular"] == "gadget"
    assert made["spec"]["names"]["listKind"] == "GadgetList"
    path = f"{CRDS_PATH}/gadgets.test.example"

    def established() -> bool:
        conditions = (side.get(path).get("status") or {}).get("conditions") or []
        said = {c["type"]: c["status"] for c in conditions}
        return said.get("Established") == said.get("NamesAccepted") == "True"

    side.until(established, "it is established")
    side.until(lambda: side.ask("GET", gadgets).code == 200, "it is served")
    side.make(gadgets, widget("one") | {"kind": "Gadget"})
    side.ask("DELETE", path)
    side.until(lambda: side.ask("GET", path).code == 404, "the definition is gone")
    side.until(lambda: side.ask("GET", gadgets).code == 404, "it is no longer served")
    # Its objects went with it.
    side.make(CRDS_PATH, gadget())
    side.until(lambda: side.ask("GET", gadgets).code == 200, "it is served again")
    assert side.get(gadgets)["items"] == []
    side.ask("DELETE", path)
    side.until(lambda: side.ask("GET", path).code == 404, "the definition is gone")


def test_a_definition_changes(side: Side, space: str) -> None:
    gadgets = f"/apis/test.example/v1/namespaces/{space}/gadgets"
    path = f"{CRDS_PATH}/gadgets.test.example"
    side.make(CRDS_PATH, gadget())
    side.until(lambda: side.ask("GET", gadgets).code == 200, "it is served")
    kept = side.make(gadgets, widget("one", ratio=2) | {"kind": "Gadget"})
    changed = gadget()
    properties = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["weight"] = {"type": "integer", "minimum": 1}
    before = side.patch(path, {"spec": {"versions": changed["spec"]["versions"]}})
    assert before["metadata"]["generation"] == 2
    body = widget("two", weight=0) | {"kind": "Gadget"}

    def refused() -> bool:
        said = side.ask("POST", gadgets, body, dryRun="All")
        return said.code == 422 and "spec.weight in body should be greater than or equal to 1" in said.message

    side.until(refused, "the new schema holds")
    assert side.get(f"{gadgets}/one")["spec"] == kept["spec"]
    side.ask("DELETE", path)
    side.until(lambda: side.ask("GET", path).code == 404, "the definition is gone")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"name": "others.test.example"}}, 'must be spec.names.plural+"."+spec.group'),
        ({"spec": {**definition()["spec"], "versions": []}}, "must have exactly one version marked as storage version"),
        ({"spec": {**definition()["spec"], "scope": "Wide"}}, "spec.scope"),
    ],
)
def test_definitions_that_are_not_allowed(side: Side, change: dict[str, Any], words: str) -> None:
    refused = side.ask("POST", CRDS_PATH, gadget() | change)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert words in refused.message
