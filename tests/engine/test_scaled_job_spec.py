"""Each field of a ScaledJob does what it says, and Jobs of every origin are counted as KEDA counts them."""

import asyncio
from typing import Any

import pytest

from keda_py.api.scaled_job import ScaledJobSpec

from . import dials, doors
from .job_world import INTERVAL, World, queue, target
from .world import SPACE

pytestmark = pytest.mark.looptime
JOBS = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
ACCURATE = {"strategy": "accurate"}


def parsed(**spec: Any) -> ScaledJobSpec:
    return ScaledJobSpec.parse({"jobTargetRef": {"template": {}}, "triggers": [queue("q")], **spec})


@pytest.mark.parametrize(
    ("spec", "keeps"),
    [
        ({}, False),
        ({"rollout": {}}, False),
        ({"rollout": {"strategy": "default"}}, False),
        ({"rollout": {"strategy": "immediate"}}, False),
        ({"rollout": {"strategy": "gradual"}}, True),
        ({"rolloutStrategy": "gradual"}, True),
        ({"rolloutStrategy": "immediate", "rollout": {"strategy": "gradual"}}, False),
        ({"rolloutStrategy": "gradual", "rollout": {"strategy": "immediate"}}, True),
    ],
)
def test_the_older_name_of_the_rollout_strategy_wins(spec: dict[str, Any], keeps: bool) -> None:
    assert parsed(**spec).keeps_running is keeps


@pytest.mark.parametrize(
    ("rollout", "policy"),
    [
        ({}, "Background"),
        ({"propagationPolicy": "background"}, "Background"),
        ({"propagationPolicy": "foreground"}, "Foreground"),
    ],
)
def test_propagation_is_in_the_background_unless_set(rollout: dict[str, str], policy: str) -> None:
    assert parsed(rollout=rollout).propagation == policy


async def test_in_the_foreground_a_job_is_there_and_counts_until_its_pods_are_gone() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 1
        rollout = {"propagationPolicy": "foreground"}
        world.scaled_job("q", lasts=1000, rollout=rollout, maxReplicaCount=1)
        await asyncio.sleep(5)
        (pod,) = world.do("GET", f"/api/v1/namespaces/{SPACE}/pods")["items"]
        path = f"/api/v1/namespaces/{SPACE}/pods/{pod['metadata']['name']}"
        world.do("PATCH", path, {"metadata": {"finalizers": ["example.com/held"]}})
        world.edit("q", {"spec": {"jobTargetRef": target("q", 500)}})
        await asyncio.sleep(INTERVAL * 3)
        (job,) = world.jobs()
        assert "deletionTimestamp" in job["metadata"]
        world.do("PATCH", path, {"metadata": {"finalizers": None}})
        await asyncio.sleep(INTERVAL * 3)
        (after,) = world.jobs()
        assert after["metadata"]["uid"] != job["metadata"]["uid"]


async def test_polls_are_as_far_apart_as_it_says() -> None:
    world = World()
    async with world.running():
        world.scaled_job("often", pollingInterval=5)
        world.scaled_job("unset", pollingInterval=None)
        await asyncio.sleep(301)
        assert 60 <= world.broker.asked["often"] <= 62
        assert 10 <= world.broker.asked["unset"] <= 12


@pytest.mark.parametrize(("calculation", "made"), [(None, 4), ("max", 4), ("min", 2), ("avg", 3), ("sum", 6)])
async def test_what_several_triggers_come_to(calculation: str | None, made: int) -> None:
    world = World()
    async with world.running():
        world.broker.waiting |= {"a": 2, "b": 4}
        strategy = {"multipleScalersCalculation": calculation} if calculation else {}
        world.scaled_job("a", queue("a"), queue("b"), scalingStrategy=strategy, lasts=1000)
        await asyncio.sleep(5)
        assert len(world.jobs()) == made


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        ({"customScalingQueueLengthDeduction": 2, "customScalingRunningJobPercentage": "0.5"}, (5, 3)),
        ({"customScalingRunningJobPercentage": "0.5"}, (7, 4)),
        ({"customScalingRunningJobPercentage": "a half"}, (7, 0)),
        ({}, (7, 0)),
    ],
)
async def test_what_custom_deducts(strategy: dict[str, Any], made: tuple[int, int]) -> None:
    """From 7 that wait and are counted while they are worked on: with the first reading, and with the second."""
    async with dials.World().running() as world:
        world.dials.says["a"] = 7
        world.make("ScaledJob", scalingStrategy={"strategy": "custom", **strategy}, pollingInterval=60)
        await asyncio.sleep(0.5)
        assert len(world.do("GET", JOBS)["items"]) == made[0]
        await asyncio.sleep(60)
        assert len(world.do("GET", JOBS)["items"]) == sum(made)


async def test_the_minimum_is_there_while_no_trigger_can_be_read_or_built() -> None:
    world = World()
    async with world.running():
        world.broker.down |= {"down", "q"}
        world.scaled_job("down", minReplicaCount=2, lasts=1000)
        world.scaled_job("broken", {"type": "nonsense", "metadata": {}}, minReplicaCount=1, lasts=1000)
        await asyncio.sleep(INTERVAL * 4)
        names = sorted(job["metadata"]["labels"]["scaledjob.keda.sh/name"] for job in world.jobs())
        assert names == ["broken", "down", "down"]


@pytest.mark.parametrize(("container", "password"), [(None, "of the first"), ("web", "of the web")])
async def test_whose_environment_triggers_refer_to(container: str | None, password: str) -> None:
    async with doors.World().running() as world:
        containers = [
            {"name": name, "env": [{"name": "PASSWORD", "value": f"of the {name}"}]} for name in ("first", "web")
        ]
        made = {
            "jobTargetRef": {"template": {"spec": {"containers": containers}}},
            "triggers": [doors.door("a", passwordFromEnv="PASSWORD")],
            "envSourceContainerName": container,
        }
        world.put("apis/keda.sh/v1alpha1", "scaledjobs", "q", spec={k: v for k, v in made.items() if v})
        await asyncio.sleep(3)
        assert world.doors.passwords == {"a": password}


# --- Jobs of every origin ---------------------------------------------------------------------------------------------


def of_keda(owner: dict[str, Any], name: str, lasts: float) -> dict[str, Any]:
    """Return a Job as KEDA makes it (executor/scale_jobs.go, generateJobs)."""
    about = owner["metadata"]
    reference = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "name": about["name"], "uid": about["uid"]}
    template = target(about["name"], lasts)["template"]
    labels = {"scaledjob.keda.sh/name": about["name"]}
    template["metadata"]["labels"] |= labels
    template["spec"]["restartPolicy"] = "OnFailure"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "keda-operator", **labels},
            "annotations": {"scaledjob.keda.sh/generation": "1"},
            "ownerReferences": [reference | {"controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"template": template},
    }


async def test_jobs_of_keda_count_end_and_are_pruned_and_no_edit_replaces_them() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.scaled_job("q", successfulJobsHistoryLimit=1, lasts=1000)
        await asyncio.sleep(2)
        owner = world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/q")
        world.broker.waiting["q"] = 5
        for name, lasts in (("q-x7f2k", 15), ("q-24567", 16), ("q-bcdfg", 2000)):
            world.do("POST", JOBS, of_keda(owner, name, lasts))
        await asyncio.sleep(INTERVAL)
        ours = [job["metadata"]["name"] for job in world.unfinished() if job["metadata"]["name"].count("-") > 1]
        assert [name.rpartition("-")[2] for name in ours] == ["1", "2"]
        world.edit("q", {"spec": {"jobTargetRef": target("q", 900)}})
        await asyncio.sleep(INTERVAL * 2)
        names = {job["metadata"]["name"] for job in world.jobs()}
        assert "q-bcdfg" in names
        assert not names & set(ours)
        # Of the two that have ended the one that ended first is beyond the history.
        assert names & {"q-x7f2k", "q-24567"} == {"q-24567"}


async def test_a_suspended_job_counts_and_is_not_begun() -> None:
    """As Kueue has them wait for their turn."""
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 3
        suspended = target("q") | {"suspend": True}
        world.scaled_job("q", jobTargetRef=suspended, scalingStrategy=ACCURATE)
        await asyncio.sleep(INTERVAL * 4)
        assert len(world.jobs()) == 3
        for job in world.jobs():
            world.do("PATCH", f"{JOBS}/{job['metadata']['name']}", {"spec": {"suspend": False}})
        await asyncio.sleep(INTERVAL * 6)
        assert (world.broker.done["q"], len(world.jobs())) == (3, 3)


@pytest.mark.parametrize("ends", ["running", "finished"])
async def test_a_job_that_somebody_deletes_does_not_count(ends: str) -> None:
    """By hand while it runs, or for its ttlSecondsAfterFinished."""
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000 if ends == "running" else 3)
        await asyncio.sleep(5 if ends == "running" else INTERVAL)
        gone = {job["metadata"]["name"] for job in world.jobs()}
        assert len(gone) == 2
        for name in gone:
            world.delete("apis/batch/v1", "jobs", name)
        # The broker has the messages of those that were at work back.
        world.broker.waiting["q"], world.broker.taken["q"] = 2, 0
        await asyncio.sleep(INTERVAL * 1.5)
        names = {job["metadata"]["name"] for job in world.jobs()}
        assert len(names) == 2
        assert not names & gone


@pytest.mark.parametrize("controlled", [True, False])
async def test_a_job_that_was_given_to_somebody_else_still_counts(controlled: bool) -> None:
    """As in KEDA, which goes by the label; else there would be another one for it with each reading."""
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.config_map("other", a="b")
        owner = world.do("GET", f"/api/v1/namespaces/{SPACE}/configmaps/other")["metadata"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": owner["uid"]}
        world.broker.waiting["q"] = 1
        world.scaled_job("q", lasts=40, successfulJobsHistoryLimit=0)
        await asyncio.sleep(3)
        (job,) = world.jobs()
        owners = [reference | {"controller": True}] if controlled else []
        world.do("PATCH", f"{JOBS}/{job['metadata']['name']}", {"metadata": {"ownerReferences": owners}})
        await asyncio.sleep(INTERVAL * 3)
        assert [one["metadata"]["uid"] for one in world.jobs()] == [job["metadata"]["uid"]]
        await asyncio.sleep(INTERVAL * 3)
        assert world.jobs() == []


async def test_a_status_that_cannot_be_written_makes_no_job_twice() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 3
        world.wire.refused = ("/scaledjobs/q/status",)
        world.scaled_job("q", scalingStrategy=ACCURATE)
        await asyncio.sleep(INTERVAL * 6)
        assert (world.broker.done["q"], world.broker.idle["q"], len(world.jobs())) == (3, 0, 3)


async def test_a_status_that_is_lost_or_written_by_hand_changes_nothing_but_itself() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(INTERVAL * 2)
        path = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/q/status"
        lies = {"lastActiveTime": "2126-01-01T00:00:00Z", "conditions": [{"type": "Active", "status": "False"}]}
        future = {"lastActiveTime": "2126-01-01T00:00:00Z"}
        for status in (None, lies, {"lastActiveTime": "2026-01-01t00:00:00z"}, future):
            world.do("PATCH", path, {"status": status})
            await asyncio.sleep(INTERVAL * 2)
            assert len(world.jobs()) == 2
            assert world.condition("q", "Active")[0] == "True"
            assert world.condition("q", "Ready")[0] == "True"
        # A clock that was ahead once.
        assert world.job_status("q")["lastActiveTime"].startswith("2026")


async def test_one_made_anew_under_its_name_does_not_have_the_jobs_of_the_one_before() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(5)
        before = {job["metadata"]["name"] for job in world.jobs()}
        world.delete("apis/keda.sh/v1alpha1", "scaledjobs", "q")
        world.scaled_job("q", lasts=1000)
        world.broker.waiting["q"], world.broker.taken["q"] = 2, 0
        await asyncio.sleep(INTERVAL * 3)
        after = {job["metadata"]["name"] for job in world.jobs()}
        assert len(after) == 2
        assert not before & after
