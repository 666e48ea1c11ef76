"""ScaledJobs over time: what their Jobs look like, when these are replaced and pruned, what is written and when."""

import asyncio
from typing import Any

import pytest

from .job_world import INTERVAL, World, queue, target
from .world import SPACE

pytestmark = pytest.mark.looptime


async def test_what_a_job_looks_like() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 1
        world.scaled_job(
            "q",
            labels={"team": "a", "secret": "x", "scaledjob.keda.sh/name": "lie", "app.kubernetes.io/version": "7"},
            annotations={
                "note": "n",
                "scaledjob.keda.sh/generation": "7",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "scaledjob.keda.sh/job-excluded-labels": "secret,other",
            },
        )
        await asyncio.sleep(5)
        (job,) = world.jobs()
        owner = world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/q")["metadata"]
        metadata, template = job["metadata"], job["spec"]["template"]
        assert metadata["name"] == f"q-{owner['uid'][:8]}-1"
        assert metadata["labels"] == {
            "app.kubernetes.io/name": "q",
            "app.kubernetes.io/version": "7",
            "app.kubernetes.io/part-of": "q",
            "app.kubernetes.io/managed-by": "keda-operator",
            "scaledjob.keda.sh/name": "q",
            "team": "a",
        }
        assert metadata["annotations"]["scaledjob.keda.sh/generation"] == str(owner["generation"]) == "1"
        assert metadata["annotations"]["note"] == "n"
        assert "kubectl.kubernetes.io/last-applied-configuration" not in metadata["annotations"]
        (reference,) = metadata["ownerReferences"]
        assert (reference["kind"], reference["uid"], reference["controller"]) == ("ScaledJob", owner["uid"], True)
        assert template["metadata"]["labels"]["queue"] == "q"
        assert template["metadata"]["labels"]["scaledjob.keda.sh/name"] == "q"
        assert template["spec"]["restartPolicy"] == "OnFailure"
        assert world.events("KEDAJobsCreated") == ["Created 1 jobs"]
        assert len(world.events("ScaledJobActive")) == 1
        status = world.job_status("q")
        assert status["triggersTypes"] == "queue"
        assert status["externalMetricNames"] == ["s0-queue-q"]
        assert "lastActiveTime" in status
        await asyncio.sleep(60)
        assert len(world.events("ScaledJobInactive")) == 1


async def test_only_another_job_target_replaces_jobs() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(20)
        before = {job["metadata"]["uid"] for job in world.jobs()}
        world.edit("q", {"spec": {"pollingInterval": 5, "triggers": [queue("q", length="1")], "maxReplicaCount": 50}})
        await asyncio.sleep(20)
        assert {job["metadata"]["uid"] for job in world.jobs()} == before
        world.edit("q", {"spec": {"jobTargetRef": target("q", 500)}})
        await asyncio.sleep(20)
        after = {job["metadata"]["uid"] for job in world.jobs()}
        assert len(after) == 3
        assert not before & after
        assert len(world.events("ScaledJobRolloutCleanupCompleted")) == 1
        world.edit("q", {"spec": {"rollout": {"strategy": "gradual"}, "jobTargetRef": target("q", 400)}})
        await asyncio.sleep(20)
        assert {job["metadata"]["uid"] for job in world.jobs()} == after


async def test_paused_nothing_is_made_and_what_runs_goes_on() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q")
        await asyncio.sleep(5)
        world.edit("q", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}})
        await asyncio.sleep(1)
        world.broker.waiting["q"] += 4
        await asyncio.sleep(100)
        assert (world.broker.done["q"], len(world.jobs())) == (2, 2)
        assert world.condition("q", "Paused")[:2] == ("True", "ScaledJobPaused")
        assert world.condition("q", "Ready")[0] == "True"
        assert len(world.events("ScaledJobPaused")) == 1
        world.edit("q", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "false"}}})
        await asyncio.sleep(100)
        assert world.broker.done["q"] == 6
        assert world.condition("q", "Paused")[:2] == ("False", "ScaledJobUnpaused")
        assert len(world.events("ScaledJobUnpaused")) == 1


async def test_what_is_paused_need_make_no_sense() -> None:
    world = World()
    async with world.running():
        pause = {"autoscaling.keda.sh/paused": ""}
        world.scaled_job("q", queue("q") | {"metricType": "Value"}, annotations=pause)
        await asyncio.sleep(5)
        assert world.condition("q", "Paused")[0] == "True"
        assert world.condition("q", "Ready")[:2] == ("True", "ScaledJobReady")
        world.edit("q", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "F"}}})
        await asyncio.sleep(5)
        assert world.condition("q", "Ready")[:2] == ("False", "ScaledJobCheckFailed")


async def test_history_is_pruned_from_its_beginning() -> None:
    world = World()
    async with world.running():
        world.scaled_job("q", successfulJobsHistoryLimit=2, lasts=3)
        for _ in range(5):
            world.broker.waiting["q"] = 1
            await asyncio.sleep(INTERVAL * 2)
        assert [int(job["metadata"]["name"].rpartition("-")[2]) for job in world.jobs()] == [4, 5]
        world.edit("q", {"spec": {"successfulJobsHistoryLimit": 0}})
        await asyncio.sleep(5)
        assert world.jobs() == []


async def test_a_steady_object_is_neither_written_nor_listed() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", lasts=10_000)
        await asyncio.sleep(60)
        world.wire.calls.clear()
        await asyncio.sleep(200)
        assert world.wire.calls == []


async def test_rounds_of_many_with_a_history_ask_the_api_server_nothing() -> None:
    world = World()
    names = [f"q{number}" for number in range(25)]
    async with world.running():
        for name in names:
            world.broker.waiting[name] = 4
            world.scaled_job(name, lasts=3)
        await asyncio.sleep(INTERVAL * 6)
        assert len(world.jobs()) == 4 * len(names)
        world.wire.calls.clear()
        world.broker.asked.clear()
        await asyncio.sleep(INTERVAL * 3)
        assert min(world.broker.asked[name] for name in names) >= 2
        assert world.wire.calls == []


async def test_while_it_is_active_the_time_of_that_is_written_every_five_minutes() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", lasts=10_000)
        await asyncio.sleep(60)
        world.wire.calls.clear()
        await asyncio.sleep(310)
        assert [call.rpartition("/")[2] for call in world.wire.calls] == ["status"]


async def test_the_object_goes_and_kedas_finalizer_with_it() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(5)
        world.edit("q", {"metadata": {"finalizers": ["finalizer.keda.sh"]}})
        world.delete("apis/keda.sh/v1alpha1", "scaledjobs", "q")
        await asyncio.sleep(5)
        assert world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/q")["kind"] == "Status"
        assert world.jobs() == []
        assert (SPACE, "q") not in world.daemon.live_jobs


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"triggers": [queue("q") | {"metricType": "Value"}]}, "spec.triggers[0].metricType has no meaning"),
        ({"triggers": [{"type": "nonsense", "metadata": {}}]}, "nonsense"),
    ],
)
async def test_a_manifest_that_makes_no_sense_says_what_to_change(spec: dict[str, Any], hint: str) -> None:
    world = World()
    async with world.running():
        world.scaled_job("q", **spec)
        await asyncio.sleep(5)
        status, reason, message = world.condition("q", "Ready")
        assert (status, reason) == ("False", "ScaledJobCheckFailed")
        assert hint in message


async def test_who_uses_an_authentication() -> None:
    world = World()
    async with world.running():
        world.authentication("auth")
        world.scaled_job("q", queue("q") | {"authenticationRef": {"name": "auth"}})
        await asyncio.sleep(5)
        found = world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/triggerauthentications/auth")
        assert found["status"] == {"scaledjobs": "q"}
