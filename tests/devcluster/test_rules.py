"""The rules with the most corners, on their own: patches, applied fields, selectors, schemas, names, ages."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.devcluster import apply, builtin, structural
from keda_py.devcluster.age import human
from keda_py.devcluster.metadata import problems
from keda_py.devcluster.patch import PatchError, json_patch, merge, strategic
from keda_py.devcluster.selector import SelectorError, by_fields, by_labels, from_object
from keda_py.devcluster.table import path_values

SHAPE: dict[str, Any] = {
    "properties": {
        **builtin.schema("PodSpec")["properties"],
        **builtin.schema("Container")["properties"],
        **builtin.schema("ObjectMeta")["properties"],
    }
}
"""Where lists of all kinds are."""

# --- patches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # The table of RFC 7386.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge(target: Any, patch: Any, result: Any) -> None:
    before = deepcopy(target)
    assert merge(target, patch) == result
    assert target == before


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/1", "value": 3}], {"a": [1, 3]}),
        ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "remove", "path": "/m~0n"}], {}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}, {"op": "remove", "path": "/a/b"}],
         {"a": {}, "c": {"b": 1}}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": 2}], 2),
    ],
)  # fmt: skip
def test_json_patch(target: Any, operations: Any, result: Any) -> None:
    before = deepcopy(target)
    assert json_patch(target, operations) == result
    assert target == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/5", "value": 2},
        {"op": "add", "path": "/a/x", "value": 2},
        {"op": "remove", "path": "/none"},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "test", "path": "/a", "value": [2]},
        {"op": "add", "path": "/a"},
        {"path": "/a"},
    ],
)
def test_a_json_patch_that_cannot_be_done(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        json_patch({"a": [1]}, [operation])


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B", "value": "2"}]},
         {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]},
         {"env": [{"name": "A", "value": "2"}]}),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "A", "$patch": "delete"}]},
         {"env": [{"name": "B"}]}),
        ({"env": [{"name": "A"}]}, {"env": [{"$patch": "replace"}, {"name": "B"}]}, {"env": [{"name": "B"}]}),
        ({"env": [{"name": "A"}, {"name": "B"}]},
         {"$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": [{"name": "B", "value": "1"}]},
         {"env": [{"name": "B", "value": "1"}, {"name": "A"}]}),
        ({"finalizers": ["a"]}, {"finalizers": ["a", "b"]}, {"finalizers": ["a", "b"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
        ({"s": {"a": 1, "b": 2}}, {"s": {"$patch": "replace", "c": 3}}, {"s": {"c": 3}}),
        ({"s": {"a": 1, "b": 2}}, {"s": {"$retainKeys": ["b", "c"], "c": 3}}, {"s": {"b": 2, "c": 3}}),
        ({"a": 1}, {"a": None}, {}),
    ],
)  # fmt: skip
def test_strategic_merge(target: Any, patch: Any, result: Any) -> None:
    before = deepcopy(target)
    assert strategic(target, patch, SHAPE) == result
    assert target == before


json = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=json)
def test_a_merge_with_itself_changes_nothing(value: Any) -> None:
    assert merge(value, value) == value


# --- server-side apply ----------------------------------------------------------------------------------------------


def applied(target: Any, given_: Any, *, last: Any = None, others: Any = None) -> Any:
    owners = {"me": apply.fields(last or {}, SHAPE), "other": apply.fields(others or {}, SHAPE)}
    return apply.apply(target, given_, owners, "me", shape=SHAPE)


@pytest.mark.parametrize(
    ("target", "given_", "last", "others", "result"),
    [
        ({"a": 1}, {"b": 2}, None, None, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": 1, "b": 2}, None, {"b": 2}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}),
        ({"m": {"a": 1, "b": 2}}, {"m": {"a": 1}}, {"m": {"a": 1, "b": 2}}, None, {"m": {"a": 1}}),
        ({"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}, {"containers": [{"name": "b"}]},
         {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}, None, {"containers": [{"name": "b"}]}),
        ({"finalizers": ["a/a", "b/b"]}, {}, {"finalizers": ["a/a"]}, None, {"finalizers": ["b/b"]}),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["a", "b"]}, None, {"args": ["c"]}),
        ({}, {"a": 1}, {"gone": {"before": 1}}, None, {"a": 1}),
    ],
)  # fmt: skip
def test_apply(*, target: Any, given_: Any, last: Any, others: Any, result: Any) -> None:
    before = deepcopy(target)
    assert applied(target, given_, last=last, others=others) == result
    assert target == before


HTTP = {"containerPort": 80, "protocol": "TCP"}


def test_conflicts_are_told_as_the_api_server_does() -> None:
    target = {"spec": {"containers": [{"name": "main", "image": "a", "ports": [HTTP | {"name": "x"}]}]}}
    shape = builtin.schema("Pod")
    owners = {"other": apply.fields(target, shape), "me": apply.fields(target, shape)}
    mine = {"spec": {"containers": [{"name": "main", "image": "b", "ports": [HTTP | {"name": "y"}]}]}}
    found = apply.conflicts(target, mine, owners, "me", shape=shape)
    assert [(who, apply.shown(path)) for who, path in found] == [
        ("other", '.spec.containers[name="main"].image'),
        ("other", '.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"].name'),
    ]
    assert apply.conflicts(target, target, owners, "me", shape=shape) == []


def test_what_somebody_changes_is_no_longer_anybodys() -> None:
    before, after = {"a": 1, "b": 2}, {"a": 1, "b": 3}
    assert apply.kept({"me": apply.fields(before, {})}, before, after) == {"me": frozenset({("a",)})}


# --- selectors ------------------------------------------------------------------------------------------------------

LABELS = {"metadata": {"labels": {"a": "1", "b": "", "x.y/z": "v"}}}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("a=1", True),
        ("a==1", True),
        ("a=2", False),
        ("a!=2", True),
        ("c!=1", True),
        ("a", True),
        ("!a", False),
        ("! c", True),
        ("b=", True),
        ("x.y/z=v", True),
        ("a in (1,2)", True),
        ("a in (2)", False),
        ("a notin (2,3)", True),
        ("c notin (1)", True),
        ("c in (1)", False),
        ("b in ()", True),
        ("a=1,b=,x.y/z in (u, v)", True),
        ("a=1,c", False),
        ("a>0", True),
        ("a>1", False),
        ("a<2", True),
        ("b<2", False),
        ("c>0", False),
    ],
)
def test_label_selectors(text: str, matches: bool) -> None:
    assert by_labels(text)(LABELS) is matches


@pytest.mark.parametrize("text", ["a b", "a in 1", "a in (1", "=1", "a=b=c", "a=b c", "a>x", "(", "a~b", "-a"])
def test_label_selectors_that_make_no_sense(text: str) -> None:
    with pytest.raises(SelectorError):
        by_labels(text)


def test_field_selectors() -> None:
    found = {"metadata": {"name": "x", "namespace": "n"}, "status": {"phase": "Running"}}
    assert by_fields("metadata.name=x,metadata.namespace!=m")(found)
    assert by_fields("status.phase=Running", ("status.phase",))(found)
    assert by_fields("status.podIP=", ("status.podIP",))(found)
    for text in ("status.phase=Running", "metadata.name", "=x"):
        with pytest.raises(SelectorError):
            by_fields(text)


def test_a_selector_object_in_words() -> None:
    expressions = [
        {"key": "b", "operator": "In", "values": ["1", "2"]},
        {"key": "c", "operator": "NotIn", "values": ["3"]},
        {"key": "d", "operator": "Exists"},
        {"key": "e", "operator": "DoesNotExist"},
    ]
    text = from_object({"matchLabels": {"a": "1"}, "matchExpressions": expressions})
    assert text == "a=1,b in (1,2),c notin (3),d,!e"
    assert by_labels(text)({"metadata": {"labels": {"a": "1", "b": "2", "d": ""}}})
    assert from_object(None) == ""


# --- schemas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "found", "result"),
    [
        ({"properties": {"a": {"type": "string"}}}, {"a": "x", "b": 1}, {"a": "x"}),
        ({"properties": {"a": {"default": 1}}}, {}, {"a": 1}),
        ({"properties": {"a": {"default": {}, "properties": {"b": {"default": 2}}}}}, {}, {"a": {"b": 2}}),
        ({"properties": {"a": {"default": 1}}}, {"a": None}, {"a": 1}),
        ({"properties": {"a": {"nullable": True, "default": 1}}}, {"a": None}, {"a": None}),
        ({"additionalProperties": {"properties": {"a": {}}}}, {"x": {"a": 1, "b": 2}}, {"x": {"a": 1}}),
        ({"additionalProperties": True}, {"x": {"a": 1}}, {"x": {"a": 1}}),
        ({"x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"properties": {}}}},
         {"a": {"b": 1}, "c": {"d": 1}}, {"a": {}, "c": {"d": 1}}),
        ({"items": {"properties": {"a": {"default": 1}}}}, [{"b": 1}], [{"a": 1}]),
        ({"properties": {}}, {"apiVersion": "v1", "kind": "X", "metadata": {"any": 1}},
         {"apiVersion": "v1", "kind": "X", "metadata": {"any": 1}}),
    ],
)  # fmt: skip
def test_pruning_and_defaults(schema: dict[str, Any], found: Any, result: Any) -> None:
    before = deepcopy(found)
    assert structural.pruned(found, schema) == result
    assert found == before


@pytest.mark.parametrize(
    ("schema", "found", "paths"),
    [
        ({"properties": {"a": {"properties": {"b": {}}}}}, {"a": {"c": 1, "b": 2}, "d": 3}, ["a.c", "d"]),
        ({"properties": {"a": {"items": {"properties": {}}}}}, {"a": [{}, {"b": 1}]}, ["a[1].b"]),
        ({"properties": {"a": {"x-kubernetes-preserve-unknown-fields": True}}}, {"a": {"b": 1}}, []),
        ({"properties": {"a": {"additionalProperties": {"type": "string"}}}}, {"a": {"b": "1"}}, []),
        ({"properties": {}}, {"apiVersion": "v1", "kind": "X", "metadata": {}}, []),
        ({"properties": {"a": {"properties": {}}}}, {"a": {"kind": 1}}, ["a.kind"]),
    ],
)
def test_fields_that_a_schema_does_not_name(schema: dict[str, Any], found: Any, paths: list[str]) -> None:
    assert list(structural.unknown_fields(found, schema)) == paths


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({}, True),
        ({"minReplicaCount": 100}, True),
        ({"minReplicaCount": 101}, False),
        ({"minReplicaCount": 3, "maxReplicaCount": 3}, True),
        ({"minReplicaCount": 3, "maxReplicaCount": 2}, False),
    ],
)
def test_the_rule_of_scaled_objects(spec: dict[str, Any], allowed: bool) -> None:
    (rule,) = structural.RULES
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": rule, "message": "no"}]}
    assert list(structural.problems(spec, schema, "spec")) == ([] if allowed else [("spec", "Invalid value: no")])


# --- names and ages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "paths"),
    [
        ({"name": "a.b-c"}, []),
        ({"name": "a" * 253}, []),
        ({"name": "a" * 254}, ["metadata.name"]),
        ({"name": "-a"}, ["metadata.name"]),
        ({"name": "a..b"}, ["metadata.name"]),
        ({"name": "a", "labels": {"x.y/Z_1": "A.b-c", "empty": ""}}, []),
        ({"name": "a", "labels": {"x/y/z": ""}}, ["metadata.labels"]),
        ({"name": "a", "labels": {"k" * 64: "v" * 64}}, ["metadata.labels", "metadata.labels"]),
        ({"name": "a", "annotations": {"k": "any thing", "b c": ""}}, ["metadata.annotations"]),
        ({"name": "a", "finalizers": ["orphan", "x/y", "z"]}, ["metadata.finalizers[2]"]),
    ],
)
def test_metadata(metadata: dict[str, Any], paths: list[str]) -> None:
    assert [path for path, _ in problems(metadata, is_label=False, custom=False)] == paths


def test_finalizers_of_custom_resources_need_no_domain() -> None:
    held = {"name": "a", "finalizers": ["finalizer.keda.sh"]}
    assert list(problems(held, is_label=False, custom=True)) == []
    assert [path for path, _ in problems(held, is_label=False, custom=False)] == ["metadata.finalizers[0]"]


def test_some_names_are_labels() -> None:
    assert [path for path, _ in problems({"name": "a.b"}, is_label=True, custom=False)] == ["metadata.name"]
    assert [path for path, _ in problems({"name": "a" * 64}, is_label=True, custom=False)] == ["metadata.name"]


MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 5, "10m"), (3 * HOUR - 1, "179m"), (3 * HOUR, "3h"), (3 * HOUR + MINUTE, "3h1m"),
        (8 * HOUR - 1, "7h59m"), (8 * HOUR + 59 * MINUTE, "8h"), (2 * DAY - 1, "47h"), (2 * DAY, "2d"),
        (2 * DAY + HOUR, "2d1h"), (8 * DAY - 1, "7d23h"), (8 * DAY + HOUR, "8d"), (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"), (2 * YEAR + 3 * DAY, "2y3d"), (8 * YEAR - 1, "7y364d"), (8 * YEAR + DAY, "8y"),
    ],
)  # fmt: skip
def test_ages(age: float, shown: str) -> None:
    assert human(age) == shown


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".spec.size", [3]),
        (".spec.none", []),
        (".spec.list[1]", ["b"]),
        (".spec.list[7]", []),
        (".spec.named[*].name", ["x", "y"]),
        ('.spec.named[?(@.name=="y")].value', [2]),
    ],
)
def test_columns_find_their_values(path: str, values: list[Any]) -> None:
    named = [{"name": "x", "value": 1}, {"name": "y", "value": 2}]
    assert path_values({"spec": {"size": 3, "list": ["a", "b"], "named": named}}, path) == values


def test_a_year_is_one() -> None:
    born = datetime(2024, 1, 1, tzinfo=UTC)
    assert human((datetime(2026, 1, 1, tzinfo=UTC) - born).total_seconds()) == "2y1d"
