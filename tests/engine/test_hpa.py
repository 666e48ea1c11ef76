"""HPAs that are there before their ScaledObject, in virtual time: what is taken over, and what is left alone."""

import asyncio
from typing import Any

import pytest

from keda_py.naming import Annotation
from tests.engine.object_world import DEPLOYMENT, HPA, SO, World

pytestmark = pytest.mark.looptime

MINE = {"horizontalPodAutoscalerConfig": {"name": "mine"}}


def theirs(target: str = "web", **metadata: Any) -> dict[str, Any]:
    """Return an HPA as a person makes one."""
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    labels = {"team": "shop"}
    return {
        "metadata": {"labels": labels, **metadata},
        "spec": {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 5, "metrics": [cpu]},
    }


def annotate(world: World, **annotations: str) -> None:
    found = world.api.objects[f"{SO}/app"]
    world.api.put(f"{SO}/app", {**found, "metadata": {**found["metadata"], "annotations": annotations}})


def touched(world: World) -> list[tuple[str, str]]:
    """Return the writes to anything but what is told."""
    return [(verb, path) for verb, path in world.api.writes if "events" not in path and not path.endswith("/status")]


@pytest.fixture
def world() -> World:
    return World()


async def test_an_hpa_of_the_chosen_name_is_left_alone_until_it_is_transferred(world: World) -> None:
    world.deploy(3)
    world.api.put(f"{HPA}/mine", theirs())
    uid = world.api.objects[f"{HPA}/mine"]["metadata"]["uid"]
    world.apply(advanced=MINE, cooldownPeriod=0)
    async with world.daemon():
        await asyncio.sleep(120)
        assert world.condition("Ready") == ("False", "ScaledObjectCheckFailed")
        assert "there is an HPA mine that is not this ScaledObject's" in world.message()
        assert "hpaName" not in world.status()
        assert (touched(world), world.replicas) == ([], 3)
        annotate(world, **{Annotation.TRANSFER_HPA: "true"})
        await asyncio.sleep(2)
        assert world.condition("Ready")[0] == "True"
        assert world.status()["hpaName"] == "mine"
        assert world.replicas == 0
        assert not [write for write in world.api.writes if write[0] in ("DELETE", "POST") and HPA in write[1]]
    hpa = world.api.objects[f"{HPA}/mine"]
    assert hpa["metadata"]["uid"] == uid
    assert [owner["name"] for owner in hpa["metadata"]["ownerReferences"]] == ["app"]
    assert hpa["metadata"]["labels"]["team"] == "shop"
    assert [metric["type"] for metric in hpa["spec"]["metrics"]] == ["External"]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 100)


async def test_a_second_hpa_on_the_target_is_told_of_and_nothing_is_done_until_it_is_gone(world: World) -> None:
    world.deploy(3)
    world.api.put(f"{HPA}/theirs", theirs())
    world.apply(cooldownPeriod=0)
    async with world.daemon():
        await asyncio.sleep(120)
        assert world.condition("Ready") == ("False", "ScaledObjectCheckFailed")
        assert "Deployment web is already scaled by the HPA theirs" in world.message()
        assert (touched(world), world.replicas) == ([], 3)
        world.api.delete(f"{HPA}/theirs")
        await asyncio.sleep(1)
        assert world.condition("Ready")[0] == "True"
        assert f"{HPA}/keda-hpa-app" in world.api.objects


async def test_one_that_may_be_beside_it_is_no_hindrance(world: World) -> None:
    world.deploy(3)
    world.api.put(f"{HPA}/theirs", theirs(annotations={Annotation.HPA_VALIDATED: "false"}))
    world.apply()
    async with world.daemon():
        await asyncio.sleep(2)
        assert world.condition("Ready")[0] == "True"
        assert f"{HPA}/keda-hpa-app" in world.api.objects


async def test_what_is_at_work_goes_on_when_a_second_hpa_comes_and_says_so(world: World) -> None:
    world.deploy(0)
    world.apply()
    async with world.daemon():
        await asyncio.sleep(2)
        world.api.put(f"{HPA}/theirs", theirs())
        await asyncio.sleep(1)
        assert world.condition("Ready") == ("False", "ScaledObjectCheckFailed")
        assert "already scaled by the HPA theirs" in world.message()
        world.pods.count = 1
        await asyncio.sleep(31)
        assert world.replicas == 1
        world.api.delete(f"{HPA}/theirs")
        await asyncio.sleep(1)
        assert world.condition("Ready")[0] == "True"


async def test_an_hpa_that_lost_its_owner_gets_it_back(world: World) -> None:
    world.deploy(0)
    world.apply()
    async with world.daemon():
        await asyncio.sleep(2)
        found = world.api.objects[f"{HPA}/keda-hpa-app"]
        bare = {key: value for key, value in found["metadata"].items() if key != "ownerReferences"}
        world.api.put(f"{HPA}/keda-hpa-app", {**found, "metadata": bare})
        await asyncio.sleep(1)
        assert world.condition("Ready")[0] == "True"
        (owner,) = world.api.objects[f"{HPA}/keda-hpa-app"]["metadata"]["ownerReferences"]
        assert owner["name"] == "app"


async def test_a_rename_to_somebody_elses_hpa_leaves_both(world: World) -> None:
    world.deploy(0)
    world.api.put(f"{DEPLOYMENT}/other", {"spec": {"replicas": 1}})
    world.api.put(f"{HPA}/mine", theirs("other"))
    world.apply()
    async with world.daemon():
        await asyncio.sleep(2)
        world.apply(advanced=MINE)
        await asyncio.sleep(2)
        assert "there is an HPA mine that is not this ScaledObject's" in world.message()
        assert world.api.objects[f"{HPA}/mine"]["spec"]["maxReplicas"] == 5
        assert f"{HPA}/keda-hpa-app" in world.api.objects
