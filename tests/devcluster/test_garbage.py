"""Finalizers, deletion in steps, and what goes with its owner."""

from typing import Any

import pytest

from .side import Side, config_map, deployment
from .widget import widget

HOLD = "test.example/hold"


def owned(name: str, *owners: dict[str, Any], blocks: bool = False) -> dict[str, Any]:
    """Return a ConfigMap that belongs to others."""
    references = [
        {
            "apiVersion": owner.get("apiVersion", "v1"),
            "kind": owner.get("kind", "ConfigMap"),
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }
        for owner in owners
    ]
    found = config_map(name)
    return found | {"metadata": found["metadata"] | {"ownerReferences": references}}


def is_gone(side: Side, path: str) -> bool:
    return side.ask("GET", path).code == 404


def test_finalizers_hold_an_object(side: Side, widgets: str) -> None:
    path = f"{widgets}/one"
    side.make(widgets, widget("one"))
    side.patch(path, {"metadata": {"finalizers": [HOLD]}})
    going = side.ask("DELETE", path)
    assert going.code == 200
    metadata = going.body["metadata"]
    assert metadata["finalizers"] == [HOLD]
    assert "deletionTimestamp" in metadata
    assert metadata["generation"] == 2
    again = side.ask("DELETE", path)
    assert (again.code, again.body["metadata"]["deletionTimestamp"]) == (200, metadata["deletionTimestamp"])
    # It can still be written, but it cannot come back, nor be held by others.
    assert side.patch(path, {"spec": {"size": 5}})["spec"]["size"] == 5
    kept = side.patch(path, {"metadata": {"deletionTimestamp": None}})
    assert kept["metadata"]["deletionTimestamp"] == metadata["deletionTimestamp"]
    more = {"metadata": {"finalizers": [HOLD, "test.example/more"]}}
    refused = side.ask("PATCH", path, more, type_="application/merge-patch+json")
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in refused.message
    assert side.ask("POST", widgets, widget("one")).reason == "AlreadyExists"
    side.patch(path, {"metadata": {"finalizers": []}})
    assert is_gone(side, path)


def test_what_belongs_to_it_goes_after_its_owner(side: Side, maps: str) -> None:
    owner = side.make(maps, config_map("owner"))
    side.make(maps, owned("one", owner))
    child = side.make(maps, owned("two", owner))
    side.make(maps, owned("grandchild", child))
    assert side.ask("DELETE", f"{maps}/owner", {"propagationPolicy": "Background"}).code == 200
    assert is_gone(side, f"{maps}/owner")
    for name in ("one", "two", "grandchild"):
        side.until(lambda name=name: is_gone(side, f"{maps}/{name}"), f"{name} is gone")


def test_an_owner_can_wait_for_what_belongs_to_it(side: Side, maps: str) -> None:
    owner = side.make(maps, config_map("owner"))
    side.make(maps, owned("one", owner, blocks=True))
    side.patch(f"{maps}/one", {"metadata": {"finalizers": [HOLD]}})
    going = side.ask("DELETE", f"{maps}/owner", propagationPolicy="Foreground")
    assert going.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    side.until(lambda: "deletionTimestamp" in side.get(f"{maps}/one")["metadata"], "what belongs to it is going")
    assert not is_gone(side, f"{maps}/owner")
    side.patch(f"{maps}/one", {"metadata": {"finalizers": None}})
    side.until(lambda: is_gone(side, f"{maps}/owner"), "the owner is gone")
    assert is_gone(side, f"{maps}/one")


def test_what_belongs_to_it_can_stay(side: Side, maps: str) -> None:
    owner = side.make(maps, config_map("owner"))
    side.make(maps, owned("one", owner))
    going = side.ask("DELETE", f"{maps}/owner", {"propagationPolicy": "Orphan"})
    assert going.code == 200
    side.until(lambda: is_gone(side, f"{maps}/owner"), "the owner is gone")
    assert "ownerReferences" not in side.get(f"{maps}/one")["metadata"]


def test_of_two_owners_one_is_enough(side: Side, maps: str) -> None:
    first, second = side.make(maps, config_map("first")), side.make(maps, config_map("second"))
    side.make(maps, owned("one", first, second))
    side.ask("DELETE", f"{maps}/first")
    side.until(
        lambda: [r["name"] for r in side.get(f"{maps}/one")["metadata"]["ownerReferences"]] == ["second"],
        "only the second owner is named",
    )
    side.ask("DELETE", f"{maps}/second")
    side.until(lambda: is_gone(side, f"{maps}/one"), "it is gone")


def test_an_owner_that_never_was(side: Side, maps: str) -> None:
    nobody = {"metadata": {"name": "nobody", "uid": "11111111-2222-4333-8444-555555555555"}}
    side.make(maps, owned("one", nobody))
    side.until(lambda: is_gone(side, f"{maps}/one"), "it is gone")


def test_an_owner_of_the_same_name_is_another_one(side: Side, maps: str) -> None:
    owner = side.make(maps, config_map("owner"))
    side.make(maps, owned("one", owner))
    side.make(maps, owned("held", owner))
    side.ask("DELETE", f"{maps}/owner")
    side.make(maps, config_map("owner"))
    for name in ("one", "held"):
        side.until(lambda name=name: is_gone(side, f"{maps}/{name}"), f"{name} is gone")
    assert not is_gone(side, f"{maps}/owner")


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_a_deployment_takes_its_replica_sets_and_pods_along(side: Side, deployments: str, policy: str) -> None:
    side.make(deployments, deployment("one", replicas=2))
    sets, pods = (
        deployments.replace("deployments", "replicasets"),
        deployments.replace("apis/apps/v1", "api/v1").replace("deployments", "pods"),
    )
    side.until(lambda: len(side.get(pods)["items"]) == 2, "there are pods")
    side.ask("DELETE", f"{deployments}/one", propagationPolicy=policy)
    for path in (deployments, sets, pods):
        side.until(lambda path=path: not side.get(path)["items"], f"{path} is empty")
