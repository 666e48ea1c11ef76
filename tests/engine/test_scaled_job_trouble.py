"""ScaledJobs when something beside them goes wrong: answers come late, deletes are refused, a read does not end."""

import asyncio
from typing import Any

import orjson
import pytest

from keda_py.kube.transport import Response
from keda_py.settings import Leadership

from . import dials
from .job_world import INTERVAL, World, queue, target
from .world import SPACE

pytestmark = pytest.mark.looptime
JOBS = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
ACCURATE = {"strategy": "accurate"}


# --- calls to the API server ------------------------------------------------------------------------------------------


async def test_a_job_that_is_gone_before_the_answer_to_its_create_comes_is_not_taken_for_running() -> None:
    world = World()
    async with world.running():
        world.wire.late = {f"POST {JOBS}": 6}
        world.broker.waiting["q"] = 1
        world.scaled_job("q", maxReplicaCount=1, scalingStrategy=ACCURATE, lasts=1000)
        await asyncio.sleep(2)
        (job,) = world.jobs()
        world.delete("apis/batch/v1", "jobs", job["metadata"]["name"])
        await asyncio.sleep(6)
        world.wire.late = {}
        world.broker.waiting["q"] = 1
        await asyncio.sleep(INTERVAL * 2)
        assert len(world.jobs()) == 1


async def test_a_job_that_is_gone_before_the_answer_to_its_delete_comes_is_not_taken_for_one_that_is_going() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 1
        world.scaled_job("q", maxReplicaCount=1, scalingStrategy=ACCURATE, lasts=1000)
        await asyncio.sleep(5)
        (job,) = world.jobs()
        path = f"{JOBS}/{job['metadata']['name']}"
        world.do("PATCH", path, {"metadata": {"finalizers": ["example.com/held"]}})
        world.wire.late = {"DELETE": 6}
        world.edit("q", {"spec": {"jobTargetRef": target("q", 500)}})
        await asyncio.sleep(2)
        world.do("PATCH", path, {"metadata": {"finalizers": None}})
        await asyncio.sleep(6)
        world.wire.late = {}
        world.broker.waiting["q"] = 1
        await asyncio.sleep(INTERVAL * 2)
        assert len(world.jobs()) == 1


async def test_a_conflict_that_is_not_about_the_name_is_a_refusal_and_is_told() -> None:
    """Webhooks choose the status that they refuse with, and a quota that many draw on answers so at times."""
    world = World()
    said = "Operation cannot be fulfilled on resourcequotas: the object has been modified"
    async with world.running():
        world.wire.no_room = Response(409, orjson.dumps({"reason": "Conflict", "message": said}))
        world.wire.room = lambda: False
        world.broker.waiting["q"] = 2
        world.scaled_job("q")
        await asyncio.sleep(INTERVAL * 3)
        status, reason, message = world.condition("q", "Ready")
        assert (status, reason) == ("False", "ScaledJobCheckFailed")
        assert said in message
        assert said in world.events("KEDAJobCreateFailed")[0]
        world.wire.room = lambda: True
        await asyncio.sleep(INTERVAL * 6)
        numbers = sorted(int(job["metadata"]["name"].rpartition("-")[2]) for job in world.jobs())
        assert numbers == [1, 2]


async def test_a_job_of_the_same_name_that_came_since_is_not_pruned_for_the_one_that_was() -> None:
    """Whoever copies a Job gives it its label, and may give it the name of one that was."""
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 1
        world.scaled_job("q", lasts=3)
        await asyncio.sleep(INTERVAL)
        (old,) = world.jobs()
        metadata = {name: old["metadata"][name] for name in ("name", "labels")}
        spec = target("q", 1000)
        spec["template"]["spec"]["restartPolicy"] = "Never"
        carry_out, path = world.wire._local.request, f"{JOBS}/{metadata['name']}"

        async def first_somebody_else(method: str, place: str, **rest: Any) -> Response:
            if (method, place) == ("DELETE", path) and world.jobs() == [old]:
                world.do("DELETE", path, {"propagationPolicy": "Background"})
                world.do("POST", JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
            return await carry_out(method, place, **rest)

        world.wire._local.request = first_somebody_else  # type: ignore[method-assign]
        world.edit("q", {"spec": {"successfulJobsHistoryLimit": 0}})
        await asyncio.sleep(INTERVAL)
        (new,) = world.jobs()
        assert new["metadata"]["uid"] != old["metadata"]["uid"]


async def test_history_that_may_not_be_deleted_keeps_nothing_else_from_being_done_and_told() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 1
        world.scaled_job("q", successfulJobsHistoryLimit=0, lasts=3)
        world.wire.refused = (f"{JOBS}/",)
        await asyncio.sleep(INTERVAL * 3)
        assert len(world.jobs()) == 1
        assert world.condition("q", "Active")[0] == "False"
        world.broker.waiting["q"] = 1
        await asyncio.sleep(INTERVAL)
        assert len(world.jobs()) == 2
        world.broker.down.add("q")
        await asyncio.sleep(INTERVAL * 2)
        assert world.condition("q", "Ready")[1] == "TriggerError"
        world.wire.calls.clear()
        await asyncio.sleep(300)
        # Two that may not be deleted, tried once in a minute, however often the source is read.
        assert sum(call.startswith("DELETE") for call in world.wire.calls) <= 12


async def test_a_job_that_may_not_be_deleted_does_not_keep_the_others_of_the_history() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", lasts=3)
        await asyncio.sleep(INTERVAL)
        first = min(job["metadata"]["name"] for job in world.jobs())
        world.wire.refused = (f"{JOBS}/{first}",)
        world.edit("q", {"spec": {"successfulJobsHistoryLimit": 0}})
        await asyncio.sleep(INTERVAL)
        assert [job["metadata"]["name"] for job in world.jobs()] == [first]
        world.wire.refused = ()
        await asyncio.sleep(60 + INTERVAL)
        assert world.jobs() == []


async def test_old_jobs_that_may_not_be_deleted_are_told_of_and_count() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(5)
        first, second = sorted(job["metadata"]["name"] for job in world.jobs())
        world.wire.refused = (f"{JOBS}/{first}",)
        world.edit("q", {"spec": {"jobTargetRef": target("q", 500)}})
        await asyncio.sleep(INTERVAL * 2)
        names = {job["metadata"]["name"] for job in world.jobs()}
        assert first in names
        assert second not in names
        status, reason, message = world.condition("q", "Ready")
        assert (status, reason) == ("False", "ScaledJobCheckFailed")
        assert f"Failed to delete job {first}" in message
        assert "not you" in message
        assert len(world.events("ScaledJobRolloutCleanupFailed")) == 1
        world.wire.refused = ()
        await asyncio.sleep(60 + INTERVAL)
        assert first not in {job["metadata"]["name"] for job in world.jobs()}
        assert world.condition("q", "Ready")[0] == "True"
        assert len(world.events("ScaledJobRolloutCleanupCompleted")) == 1


# --- people meanwhile -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["pause", "edit", "delete"])
async def test_what_a_person_asks_for_counts_while_jobs_are_being_made(what: str) -> None:
    world = World()
    async with world.running():
        world.wire.late = {f"POST {JOBS}": 1}
        world.broker.waiting["q"] = 20
        world.scaled_job("q", lasts=1000)
        await asyncio.sleep(5.5)
        before = len(world.jobs())
        assert 2 <= before <= 8
        match what:
            case "pause":
                world.edit("q", {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}})
            case "edit":
                world.edit("q", {"spec": {"maxReplicaCount": before}})
            case _:
                world.delete("apis/keda.sh/v1alpha1", "scaledjobs", "q")
        await asyncio.sleep(INTERVAL * 3)
        assert len(world.jobs()) <= (before + 1 if what != "delete" else 0)


async def test_a_status_that_is_written_meanwhile_asks_for_nothing_else() -> None:
    world = World()
    async with world.running():
        world.wire.late = {f"POST {JOBS}": 1}
        world.broker.waiting["q"] = 8
        world.scaled_job("q", lasts=1000, pollingInterval=600)
        await asyncio.sleep(5.5)
        assert 2 <= len(world.jobs()) <= 6
        world.edit("q", {"status": {"Paused": "no"}}, "/status")
        await asyncio.sleep(10)
        assert len(world.jobs()) == 8


async def test_an_edit_is_acted_on_at_once() -> None:
    world = World()
    async with world.running():
        world.scaled_job("q", pollingInterval=600, lasts=1000)
        await asyncio.sleep(30)
        world.edit("q", {"spec": {"minReplicaCount": 2}})
        await asyncio.sleep(5)
        assert len(world.jobs()) == 2
        asked = world.broker.asked["q"]
        world.edit("q", {"metadata": {"labels": {"team": "a"}}})
        await asyncio.sleep(5)
        assert world.broker.asked["q"] == asked


async def test_an_edit_that_mends_what_was_refused_is_tried_at_once() -> None:
    world = World()
    async with world.running():
        world.wire.room = lambda: False
        world.broker.waiting["q"] = 2
        world.scaled_job("q", pollingInterval=600, lasts=1000)
        await asyncio.sleep(30)
        assert world.condition("q", "Ready")[0] == "False"
        world.wire.room = lambda: True
        world.edit("q", {"spec": {"jobTargetRef": {"backoffLimit": 2}}})
        await asyncio.sleep(5)
        assert len(world.jobs()) == 2
        assert world.condition("q", "Ready")[0] == "True"


async def test_numbers_are_known_of_an_object_that_was_out_of_sight() -> None:
    """It lost the label that the daemon is told to look for, and got it back."""
    world = World(watch_label_selector="shard=a")
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", labels={"shard": "a"}, lasts=1000, scalingStrategy=ACCURATE)
        await asyncio.sleep(5)
        assert len(world.jobs()) == 3
        world.edit("q", {"metadata": {"labels": {"shard": "b"}}})
        await asyncio.sleep(5)
        world.broker.waiting["q"] = 2
        world.edit("q", {"metadata": {"labels": {"shard": "a"}}})
        await asyncio.sleep(INTERVAL)
        assert len(world.jobs()) == 5


# --- reads ------------------------------------------------------------------------------------------------------------


async def test_a_read_that_never_ends_holds_up_neither_the_minimum_nor_what_others_say() -> None:
    async with dials.World().running() as world:
        world.dials.deaf = True
        world.dials.asleep.add("b")
        world.make("ScaledJob", dials.dial("a"), dials.dial("b"), minReplicaCount=1)
        await asyncio.sleep(200)
        assert len(world.do("GET", JOBS)["items"]) == 1
        world.dials.says["a"] = 2
        await asyncio.sleep(dials.INTERVAL * 2)
        assert len(world.do("GET", JOBS)["items"]) == 3
        world.dials.asleep.clear()


@pytest.mark.parametrize(("value", "made"), [(2.0004, 2), (1.9996, 2), (2.001, 3), (0.0004, 0)])
async def test_a_value_counts_in_thousandths_as_in_keda(value: float, made: int) -> None:
    """scalers/scaler.go, GenerateMetricInMili: what a division has left over is no message."""
    async with dials.World().running() as world:
        world.dials.says["a"] = value
        world.make("ScaledJob")
        await asyncio.sleep(5)
        assert len(world.do("GET", JOBS)["items"]) == made


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
async def test_a_value_that_is_no_number_is_one_that_cannot_be_read(value: float) -> None:
    async with dials.World().running() as world:
        world.dials.says |= {"a": value, "b": 2}
        world.make("ScaledJob", dials.dial("a"), dials.dial("b"))
        await asyncio.sleep(5)
        assert len(world.do("GET", JOBS)["items"]) == 2
        status, reason, message = world.conditions("app", "scaledjobs")["Ready"]
        assert (status, reason) == ("Unknown", "PartialTriggerError")
        assert "triggers[0] (dial)" in message


async def test_jobs_that_may_not_be_watched_in_one_namespace_hold_up_no_other() -> None:
    world = World(watch_namespaces=(SPACE, "other"))
    world.do("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    async with world.running():
        world.wire.refused = ("/namespaces/other/jobs",)
        world.wire.cut.set()
        await asyncio.sleep(1)
        world.wire.cut.clear()
        await asyncio.sleep(INTERVAL)
        world.broker.waiting["q"] = 2
        world.scaled_job("q", lasts=1000)
        made = {"jobTargetRef": target("r"), "triggers": [queue("r")]}
        world.put("apis/keda.sh/v1alpha1", "scaledjobs", "r", namespace="other", spec=made)
        await asyncio.sleep(INTERVAL * 2)
        assert len(world.jobs()) == 2
        assert world.condition("q", "Ready")[0] == "True"
        assert world.broker.asked["r"] == 0


async def test_what_was_read_in_an_earlier_term_is_not_decided_on_in_a_later_one() -> None:
    world = World(leadership=Leadership(elect=True))
    world.broker.answers_after = 5
    async with world.running():
        world.broker.waiting["q"] = 3
        world.scaled_job("q", pollingInterval=3600, scalingStrategy=ACCURATE, lasts=3, successfulJobsHistoryLimit=0)
        await asyncio.sleep(2)
        # The answer comes when nothing may be decided on it, and then the term is over.
        world.wire.refused = ("/jobs", "/leases")
        world.wire.cut.set()
        await asyncio.sleep(0.1)
        world.wire.cut.clear()
        async with world.and_another():
            await asyncio.sleep(60)
            world.wire.refused = ("/leases",)
            assert (world.broker.done["q"], world.jobs()) == (3, [])
            await asyncio.sleep(1000)
            # What is remembered of Jobs that are gone is forgotten as another comes.
            owner = world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/q")["metadata"]
            labels = {"scaledjob.keda.sh/name": owner["name"]}
            metadata = {"name": "by-hand", "labels": labels, "ownerReferences": []}
            spec = target("q", 1000)
            spec["template"]["spec"]["restartPolicy"] = "Never"
            world.do("POST", JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
            await asyncio.sleep(60)
        world.wire.refused = ()
        made = world.creates()
        await asyncio.sleep(60)
        assert world.creates() == made
