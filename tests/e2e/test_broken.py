"""Manifests that make no sense: each is told what to change, and nothing else notices."""

from typing import Any

import pytest

from tests.controlplane.daemon import Daemon

from .source import Source
from .world import World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(240)]

CRON = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Etc/UTC", "desiredReplicas": "1"}


def cron(**changed: str) -> dict[str, Any]:
    return {"type": "cron", "metadata": CRON | changed}


SECRET = {"resourceKind": "Secret", "resourceName": "a", "key": "b", "targetValue": "1"}


def trigger(type_: str, metric_type: str = "AverageValue", **metadata: str) -> dict[str, Any]:
    return {"type": type_, "metricType": metric_type, "metadata": metadata}


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-trigger": (trigger("kafak"), "there is no trigger type 'kafak'"),
    "unparseable-cron": (cron(start="at eight"), "start: "),
    "bad-timezone": (cron(timezone="Europe/Atlantis"), "timezone: "),
    "missing-parameter": (trigger("cron"), "desiredReplicas: required"),
    "wrong-type": (trigger("metrics-api", url="x", valueLocation="y", targetValue="ten"), "targetValue: "),
    "wrong-metric-type": (trigger("cpu", "Value", value="60"), "metricType must be"),
    "bad-selector": (trigger("kubernetes-workload", podSelector="a in (", value="1"), "podSelector: "),
    "no-right": (trigger("kubernetes-resource", **SECRET), 'cannot get resource "secrets"'),
}


def test_each_is_told_what_to_change_and_mended_by_an_edit(world: World, source: Source, daemon: Daemon) -> None:
    source.values["well"] = 12
    world.scaled("well", source.trigger("well"))
    for name, (broken, _) in BROKEN.items():
        world.scaled(name, broken, replicas=2, cooldownPeriod=0)
    for name, (_, says) in BROKEN.items():
        world.until_ready(name, "False")
        ready = world.condition(name, "Ready")
        assert says in ready["message"]
        assert ready["reason"] == ("TriggerError" if name == "no-right" else "ScaledObjectCheckFailed")
        assert world.replicas(name) == 2
        assert [event for event in world.events(name) if says in event["note"]]
    world.until_replicas("well", 3)
    for name in BROKEN:
        world.apply(world.scaled_object(name, source.trigger(name), cooldownPeriod=0))
    for name in BROKEN:
        world.until_ready(name)
        world.until_replicas(name, 0)
    assert daemon.health() == 200


def test_the_api_server_refuses_what_the_schema_forbids(world: World, source: Source) -> None:
    for spec, says in (
        ({"minReplicaCount": "two"}, "minReplicaCount"),
        ({"minReplicaCount": -1}, "minReplicaCount"),
        ({"pollingInterval": 0}, "pollingInterval"),
        ({"minReplicaCount": 5, "maxReplicaCount": 4}, "less than or equal to maxReplicaCount"),
        ({"scaleTargetRef": {}}, 'missing required field "name"'),
    ):
        with pytest.raises(AssertionError, match=says):
            world.apply(world.scaled_object("a", source.trigger("a"), **spec))


def test_a_missing_target_is_found_when_it_comes(world: World, source: Source) -> None:
    source.values["a"] = 12
    world.apply(world.scaled_object("a", source.trigger("a")))
    world.until_ready("a", "False")
    assert "does not exist; create it or correct spec.scaleTargetRef" in world.condition("a", "Ready")["message"]
    world.apply(world.deployment("a"))
    world.until_ready("a")
    world.until_replicas("a", 3)


def test_of_two_objects_on_one_target_the_older_scales_it(world: World, source: Source) -> None:
    source.values |= {"a": 12, "b": 22}
    world.scaled("a", source.trigger("a"))
    world.until_replicas("a", 3)
    world.apply(world.scaled_object("b", source.trigger("b"), scaleTargetRef={"name": "a"}))
    world.until_ready("b", "False")
    assert "already scaled by the older ScaledObject a" in world.condition("b", "Ready")["message"]
    world.stays("a", 3, 3)
    world.delete("so", "a")
    world.until_ready("b")
    world.until_replicas("a", 5)
