"""Lists: in pages, and of what selectors choose."""

import pytest

from .side import Side, config_map, deployment
from .widget import widget


@pytest.fixture
def many(side: Side, maps: str) -> str:
    for name, labels in {
        "a": {"color": "red", "size": "s"},
        "b": {"color": "red"},
        "c": {"color": "blue", "size": "m"},
        "d": {"size": "l"},
        "e": {"color": ""},
    }.items():
        side.make(maps, config_map(name, labels | {"mine": "yes"}))
    return maps


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("color=red", "ab"),
        ("color==red", "ab"),
        ("color = red", "ab"),
        ("color!=red", "cde"),
        ("color", "abce"),
        ("!color", "d"),
        ("color=", "e"),
        ("color in (red,blue)", "abc"),
        ("color in (red)", "ab"),
        ("color notin (red, blue)", "de"),
        ("color,size", "ac"),
        ("color=red,size!=s", "b"),
        ("color in (red,blue),size in (m)", "c"),
        ("size>3", ""),
        ("color in (red,)", "abe"),
        ("", "abcde"),
    ],
)
def test_label_selectors(side: Side, many: str, selector: str, found: str) -> None:
    asked = f"{selector},mine" if selector else "mine"
    items = side.get(many, labelSelector=asked)["items"]
    assert "".join(item["metadata"]["name"] for item in items) == found


@pytest.mark.parametrize("selector", ["a b", "color in red", "color in ()x", "=red", "color=a b", "(", "a=b=c"])
def test_selectors_that_make_no_sense(side: Side, maps: str, selector: str) -> None:
    refused = side.ask("GET", maps, labelSelector=selector)
    assert (refused.code, refused.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("metadata.name!=a", "bcde"),
        ("metadata.name=a,metadata.name=b", ""),
        ("metadata.namespace=nowhere", ""),
    ],
)
def test_field_selectors(side: Side, many: str, selector: str, found: str) -> None:
    items = side.get(many, fieldSelector=selector, labelSelector="mine")["items"]
    assert "".join(item["metadata"]["name"] for item in items) == found


def test_fields_that_nobody_can_select_by(side: Side, maps: str, widgets: str) -> None:
    for path, field in ((maps, "data.a"), (widgets, "spec.size")):
        refused = side.ask("GET", path, fieldSelector=f"{field}=1")
        assert (refused.code, refused.reason) == (400, "BadRequest")
        assert field in refused.message
        assert "field label not supported" in refused.message or "not a known field selector" in refused.message


def test_fields_of_pods(side: Side, space: str, deployments: str) -> None:
    side.make(deployments, deployment("one", replicas=1))
    pods = f"/api/v1/namespaces/{space}/pods"
    side.until(lambda: side.get(pods, fieldSelector="status.phase=Running")["items"], "it runs")
    assert side.get(pods, fieldSelector="status.phase!=Running")["items"] == []
    name = side.get(pods)["items"][0]["metadata"]["name"]
    assert side.get(pods, fieldSelector=f"metadata.name={name},spec.restartPolicy=Always")["items"]


def test_a_list_in_pages(side: Side, many: str) -> None:
    first = side.get(many, limit=2, labelSelector="mine")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    side.make(many, config_map("aa", {"mine": "yes"}))
    side.ask("DELETE", f"{many}/c")
    second = side.get(many, limit=2, labelSelector="mine", **{"continue": first["metadata"]["continue"]})
    # As of the time of the first page.
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = side.get(many, limit=2, labelSelector="mine", **{"continue": second["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in last["items"]] == ["e"]
    assert "continue" not in last["metadata"]


def test_how_many_are_left(side: Side, widgets: str) -> None:
    for name in "abc":
        side.make(widgets, widget(name))
    first = side.get(widgets, limit=1)
    assert first["metadata"]["remainingItemCount"] == 2


@pytest.mark.parametrize("token", ["none", "12", "x.y"])
def test_a_token_that_is_none(side: Side, maps: str, token: str) -> None:
    refused = side.ask("GET", maps, limit=1, **{"continue": token})
    assert (refused.code, refused.reason) == (400, "BadRequest")
    assert "continue key is not valid" in refused.message


def test_what_a_list_looks_like(side: Side, maps: str, widgets: str) -> None:
    side.make(maps, config_map("one", {"mine": "yes"}))
    found = side.get(maps, labelSelector="mine")
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    # Of a built-in kind the items do not say again what they are.
    assert "kind" not in found["items"][0]
    side.make(widgets, widget("one"))
    found = side.get(widgets)
    assert (found["kind"], found["apiVersion"]) == ("WidgetList", "test.example/v1")
    assert found["items"][0]["kind"] == "Widget"
