"""Watches: from which version, of which objects, and what they say of a change."""

from typing import Any

from .side import TABLE, Side, at, config_map


def told(event: dict[str, Any]) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def test_a_watch_goes_on_from_a_list(side: Side, maps: str) -> None:
    side.make(maps, config_map("before"))
    version = side.get(maps)["metadata"]["resourceVersion"]
    with side.watch(maps, resourceVersion=version) as events:
        side.make(maps, config_map("one", a="1"))
        changed = side.patch(f"{maps}/one", {"data": {"a": "2"}})
        side.ask("DELETE", f"{maps}/one")
        found = [next(events) for _ in range(3)]
    assert [told(event) for event in found] == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
    assert found[1]["object"] == changed
    # The version of a deletion is a newer one.
    assert int(found[2]["object"]["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])
    assert found[2]["object"]["data"] == {"a": "2"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in found]
    assert versions == sorted(versions)


def test_a_watch_without_a_version_begins_with_what_is_there(side: Side, maps: str) -> None:
    for name in ("a", "b"):
        side.make(maps, config_map(name, {"here": "yes"}))
    with side.watch(maps, labelSelector="here") as events:
        assert {told(next(events)) for _ in range(2)} == {("ADDED", "a"), ("ADDED", "b")}
        side.make(maps, config_map("c", {"here": "yes"}))
        assert told(next(events)) == ("ADDED", "c")


def test_a_selector_that_starts_and_ceases_to_match(side: Side, maps: str) -> None:
    version = side.get(maps)["metadata"]["resourceVersion"]
    with side.watch(maps, resourceVersion=version, labelSelector="color=red") as events:
        side.make(maps, config_map("other", {"color": "blue"}))
        side.make(maps, config_map("one", {"color": "blue"}))
        side.patch(f"{maps}/one", {"metadata": {"labels": {"color": "red"}}})
        side.patch(f"{maps}/one", {"data": {"a": "1"}})
        left = side.patch(f"{maps}/one", {"metadata": {"labels": {"color": "green"}}})
        side.ask("DELETE", f"{maps}/one")
        side.make(maps, config_map("end", {"color": "red"}))
        found = [next(events) for _ in range(4)]
    assert [told(event) for event in found] == [
        ("ADDED", "one"),
        ("MODIFIED", "one"),
        ("DELETED", "one"),
        ("ADDED", "end"),
    ]
    # As it was when it still matched, under the version that it left with.
    gone = found[2]["object"]["metadata"]
    assert gone["labels"] == {"color": "red"}
    assert gone["resourceVersion"] == left["metadata"]["resourceVersion"]


def test_one_object_is_watched(side: Side, maps: str) -> None:
    side.make(maps, config_map("one"))
    with side.watch(maps, fieldSelector="metadata.name=one") as events:
        side.make(maps, config_map("two"))
        side.patch(f"{maps}/one", {"data": {"a": "1"}})
        assert [told(next(events)) for _ in range(2)] == [("ADDED", "one"), ("MODIFIED", "one")]


def test_all_namespaces_are_watched(side: Side, maps: str) -> None:
    version = side.get(at("v1", "", "configmaps"))["metadata"]["resourceVersion"]
    everywhere = at("v1", "", "configmaps")
    with side.watch(everywhere, resourceVersion=version, labelSelector="wide=yes") as events:
        made = side.make(maps, config_map("one", {"wide": "yes"}))
        event = next(events)
    assert event["object"]["metadata"]["namespace"] == made["metadata"]["namespace"]


def test_an_expired_version(side: Side, maps: str) -> None:
    if side.embedded is not None:
        side.call(side.embedded.store.forget)
    with side.watch(maps, resourceVersion="1") as events:
        event = next(events)
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


def test_a_version_that_is_none(side: Side, maps: str) -> None:
    refused = side.ask("GET", maps, watch="1", resourceVersion="old")
    # The real one's answer is an internal error.
    assert refused.code in (400, 500)


def test_a_watch_ends_by_itself_with_a_bookmark(side: Side, maps: str) -> None:
    version = side.get(maps)["metadata"]["resourceVersion"]
    asked = {"resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": 3, "labelSelector": "mine"}
    with side.watch(maps, **asked) as events:
        made = side.make(maps, config_map("one", {"mine": "yes"}))
        found = list(events)
    assert told(found[0]) == ("ADDED", "one")
    bookmark = found[-1]
    assert bookmark["type"] == "BOOKMARK"
    assert (bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("ConfigMap", "v1")
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


def test_a_streamed_list(side: Side, maps: str) -> None:
    side.make(maps, config_map("one", {"here": "yes"}))
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with side.watch(maps, labelSelector="here", **asked) as events:
        assert told(next(events)) == ("ADDED", "one")
        bookmark = next(events)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_of_rows(side: Side, maps: str) -> None:
    side.make(maps, config_map("one", {"here": "yes"}, a="1"))
    with side.watch(maps, accept=TABLE, labelSelector="here") as events:
        first = next(events)
        side.patch(f"{maps}/one", {"data": {"b": "2"}})
        second = next(events)
    assert (first["type"], first["object"]["kind"]) == ("ADDED", "Table")
    assert first["object"]["rows"][0]["cells"][:2] == ["one", 1]
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    # The columns are told once.
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][:2] == ["one", 2]
