"""StatefulSets: their pods come one after the other, and go the other way round."""

from typing import Any

import pytest

from .side import Side, at, deployment

Object = dict[str, Any]


@pytest.fixture
def sets(space: str) -> str:
    """The path of the StatefulSets in the test's namespace."""
    return at("apps/v1", space, "statefulsets")


@pytest.fixture
def pods(space: str) -> str:
    """The path of the pods in the test's namespace."""
    return at("v1", space, "pods")


def stateful_set(name: str, replicas: int, **spec: Any) -> Object:
    made = deployment(name, replicas)
    return made | {"kind": "StatefulSet", "spec": made["spec"] | {"serviceName": name} | spec}


def history(side: Side, pods: str, version: str, until: tuple[str, str]) -> list[tuple[str, str]]:
    """Return what happened to pods since a version: who came, was ready and went."""
    found: list[tuple[str, str]] = []
    with side.watch(pods, resourceVersion=version) as events:
        for event in events:
            pod = event["object"]
            going = "deletionTimestamp" in pod["metadata"]
            ready = any(
                c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions", [])
            )
            what = {"ADDED": "came", "DELETED": "went"}.get(event["type"], "ready" if ready and not going else "")
            name = pod["metadata"]["name"].removeprefix("web-")
            if what and (name, what) not in found:
                found.append((name, what))
            if (name, what) == until:
                return found
    raise AssertionError(found)


@pytest.mark.e2e
def test_its_pods_come_and_go_in_order(side: Side, sets: str, pods: str) -> None:
    version = side.get(pods)["metadata"]["resourceVersion"]
    side.make(sets, stateful_set("web", 3))
    seen = history(side, pods, version, ("2", "ready"))
    assert seen == [(name, what) for name in "012" for what in ("came", "ready")]
    side.until(lambda: side.get(f"{sets}/web")["status"].get("readyReplicas") == 3, "all are ready")
    version = side.get(pods)["metadata"]["resourceVersion"]
    side.patch(f"{sets}/web/scale", {"spec": {"replicas": 1}})
    seen = [event for event in history(side, pods, version, ("1", "went")) if event[1] == "went"]
    assert seen == [("2", "went"), ("1", "went")]


def test_all_at_once_where_that_is_wanted(embedded_side: Side) -> None:
    # Only here is it known that no pod is ready before all have come.
    space = embedded_side.make("/api/v1/namespaces", {"metadata": {"generateName": "space-"}})["metadata"]["name"]
    pods = at("v1", space, "pods")
    version = embedded_side.get(pods)["metadata"]["resourceVersion"]
    made = stateful_set("web", 3, podManagementPolicy="Parallel")
    embedded_side.make(at("apps/v1", space, "statefulsets"), made)
    assert history(embedded_side, pods, version, ("2", "came")) == [(name, "came") for name in "012"]
