"""How many Jobs there are of a ScaledJob: one for each message of a queue that they take, and never one too many."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
import yaml
from keda_py_scalers.cron import CronScaler

from .job_world import INTERVAL, World, queue
from .world import SPACE

pytestmark = pytest.mark.looptime
SAMPLE: Final = Path(__file__).parents[2] / "manifests/samples/scaled-job.yaml"


@pytest.mark.parametrize(
    ("strategy", "shows_taken"),
    [
        ({}, True),
        ({"strategy": "default"}, True),
        ({"strategy": "accurate"}, False),
        ({"strategy": "custom", "customScalingRunningJobPercentage": "1"}, True),
    ],
)
async def test_one_job_for_each_message(strategy: dict[str, str], shows_taken: bool) -> None:
    world = World()
    world.broker.shows_taken = shows_taken
    async with world.running():
        world.broker.waiting["q"] = 7
        world.scaled_job("q", scalingStrategy=strategy, maxReplicaCount=20)
        for _ in range(6):
            await asyncio.sleep(13)
            world.broker.waiting["q"] += 3
        await asyncio.sleep(120)
        assert world.broker.done["q"] == 7 + 6 * 3
        assert world.broker.idle["q"] == 0
        assert len(world.jobs()) == 7 + 6 * 3


async def test_less_than_half_a_thousandth_is_nothing() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 0.0004  # type: ignore[assignment]
        world.scaled_job("q")
        await asyncio.sleep(60)
        assert not world.jobs()


async def test_eager_fills_up_and_no_further() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 50
        world.scaled_job("q", scalingStrategy={"strategy": "eager"}, maxReplicaCount=8, lasts=60)
        await asyncio.sleep(30)
        assert len(world.unfinished()) == 8
        await asyncio.sleep(700)
        assert world.broker.done["q"] == 50


async def test_between_minimum_and_maximum() -> None:
    world = World()
    world.broker.shows_taken = True
    async with world.running():
        world.scaled_job("q", minReplicaCount=2, maxReplicaCount=5, lasts=1000)
        await asyncio.sleep(30)
        assert len(world.unfinished()) == 2
        assert world.condition("q", "Active")[0] == "True"
        world.broker.waiting["q"] = 90
        await asyncio.sleep(30)
        assert len(world.unfinished()) == 5


async def test_a_create_whose_answer_was_lost_is_not_sent_for_a_second_job() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 4
        world.wire.lost = {f"POST /apis/batch/v1/namespaces/{SPACE}/jobs"}
        world.scaled_job("q", scalingStrategy={"strategy": "accurate"})
        await asyncio.sleep(INTERVAL * 1.5)
        assert len(world.jobs()) >= 1
        world.wire.lost = set()
        await asyncio.sleep(200)
        assert (world.broker.done["q"], world.broker.idle["q"], len(world.jobs())) == (4, 0, 4)


@pytest.mark.parametrize("strategy", ["default", "accurate"])
async def test_jobs_that_begin_or_end_while_a_question_is_under_way_are_those_that_it_counted(strategy: str) -> None:
    world = World()
    world.broker.shows_taken = strategy == "default"
    world.broker.answers_after = 9.5
    async with world.running():
        world.scaled_job("q", scalingStrategy={"strategy": strategy}, lasts=11, successfulJobsHistoryLimit=2)
        for _ in range(40):
            world.broker.waiting["q"] += 2
            await asyncio.sleep(7)
        await asyncio.sleep(150)
        assert (world.broker.done["q"], world.broker.idle["q"]) == (80, 0)


@pytest.mark.parametrize("strategy", ["default", "accurate"])
async def test_two_daemons_that_both_act_make_no_job_twice(strategy: str) -> None:
    world = World()
    world.broker.shows_taken = strategy == "default"
    async with world.running(), world.and_another():
        world.scaled_job("q", scalingStrategy={"strategy": strategy}, successfulJobsHistoryLimit=2)
        for _ in range(30):
            world.broker.waiting["q"] += 3
            await asyncio.sleep(7)
        await asyncio.sleep(150)
        assert (world.broker.done["q"], world.broker.idle["q"]) == (90, 0)
        assert len(world.jobs()) == 2


@pytest.mark.parametrize("history", [0, 100])
@pytest.mark.parametrize("strategy", ["default", "accurate"])
async def test_what_begins_and_ends_while_an_answer_is_on_its_way(strategy: str, history: int) -> None:
    world = World()
    world.broker.shows_taken = strategy == "default"
    world.broker.answers_after = 3
    async with world.running():
        world.scaled_job(
            "q", scalingStrategy={"strategy": strategy}, successfulJobsHistoryLimit=history, pollingInterval=1, lasts=2
        )
        for _ in range(40):
            world.broker.waiting["q"] += 2
            await asyncio.sleep(3.7)
        await asyncio.sleep(60)
        assert (world.broker.done["q"], world.broker.idle["q"]) == (80, 0)


async def test_while_the_jobs_are_not_known_none_is_made() -> None:
    world = World()
    async with world.running():
        world.wire.refused = ("/jobs",)
        world.wire.cut.set()
        await asyncio.sleep(1)
        world.wire.cut.clear()
        world.broker.waiting["q"] = 5
        world.scaled_job("q")
        await asyncio.sleep(60)
        assert world.jobs() == []
        # What a question counts that is put now, who works on it cannot be told later.
        assert world.broker.asked["q"] == 0
        status, reason, message = world.condition("q", "Ready")
        assert (status, reason) == ("False", "ScaledJobCheckFailed")
        assert "forbidden" in message
        world.deploy("app")
        world.broker.waiting["app"] = 1
        world.scale("app", queue("app"), pollingInterval=5)
        await asyncio.sleep(10)
        assert world.replicas("app") == 1
        world.wire.refused = ()
        await asyncio.sleep(60)
        assert len(world.jobs()) == 5
        assert world.condition("q", "Ready")[0] == "True"


async def test_a_list_of_jobs_that_takes_its_time_is_waited_for_without_a_word() -> None:
    world = World()
    world.wire.late = {"GET /apis/batch/v1/jobs": 20}
    async with world.running():
        world.broker.waiting["q"] = 2
        world.scaled_job("q")
        await asyncio.sleep(15)
        assert world.jobs() == []
        await asyncio.sleep(10)
        assert len(world.jobs()) == 2
        assert world.events("ScaledJobCheckFailed") == []


async def test_a_refused_job_is_tried_less_and_less_and_the_reason_is_told() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 5
        world.wire.refused = (f"/namespaces/{SPACE}/jobs",)
        world.scaled_job("q")
        await asyncio.sleep(600)
        status, _, message = world.condition("q", "Ready")
        assert status == "False"
        assert "a Job cannot be created" in message
        assert "is forbidden: not you" in message
        assert "is forbidden: not you" in world.events("KEDAJobCreateFailed")[0]
        assert 4 <= world.creates() <= 8
        assert world.events("KEDAJobsCreated") == []
        world.wire.refused = ()
        world.edit("q", {"spec": {"maxReplicaCount": 50}})
        await asyncio.sleep(INTERVAL * 2)
        assert len(world.jobs()) == 5
        assert world.condition("q", "Ready")[0] == "True"


async def test_a_quota_that_is_used_up_again_and_again_is_no_reason_to_wait_longer() -> None:
    world = World()
    world.wire.room = lambda: len(world.unfinished()) < 2
    async with world.running():
        world.broker.waiting["q"] = 10
        world.scaled_job("q", scalingStrategy={"strategy": "accurate"})
        # Each pair takes 25 seconds, and the next try is 30 seconds after the pair before it was made.
        await asyncio.sleep(5 * 40)
        assert world.broker.done["q"] == 10


@pytest.mark.parametrize(("calculation", "made"), [("max", 3), ("sum", 3), ("min", 0), ("avg", 0)])
async def test_what_could_be_less_with_a_trigger_that_cannot_be_read_is_not_made(calculation: str, made: int) -> None:
    world = World()
    async with world.running():
        world.broker.down.add("b")
        world.broker.waiting["a"] = 3
        strategy = {"multipleScalersCalculation": calculation}
        world.scaled_job("a", queue("a"), queue("b"), scalingStrategy=strategy, lasts=1000)
        await asyncio.sleep(8)
        assert len(world.jobs()) == made
        status, reason, message = world.condition("a", "Ready")
        assert status != "True"
        assert reason in {"PartialTriggerError", "TriggerError"}
        assert "triggers[1] (queue): the broker is down" in message


@pytest.mark.parametrize(("calculation", "made"), [("max", 3), ("min", 0)])
async def test_a_trigger_that_cannot_be_built_counts_as_one_that_cannot_be_read(calculation: str, made: int) -> None:
    world = World()
    async with world.running():
        world.broker.waiting["a"] = 3
        strategy = {"multipleScalersCalculation": calculation}
        world.scaled_job("a", queue("a"), {"type": "nonsense", "metadata": {}}, scalingStrategy=strategy, lasts=1000)
        await asyncio.sleep(8)
        assert len(world.jobs()) == made
        assert world.condition("a", "Ready")[:2] == ("False", "ScaledJobCheckFailed")


async def test_the_sample_has_three_jobs_at_work_in_every_second_minute() -> None:
    (sample,) = yaml.safe_load_all(SAMPLE.read_text())
    world = World({"cron": CronScaler})
    async with world.running():
        world.put("apis/keda.sh/v1alpha1", "scaledjobs", "night-shift", spec=sample["spec"])
        for _ in range(2):
            await asyncio.sleep(40)
            assert len(world.unfinished()) == 3
            await asyncio.sleep(50)
            assert len(world.unfinished()) == 0
            await asyncio.sleep(30)
        assert world.condition("night-shift", "Ready")[0] == "True"


async def test_all_triggers_of_one_object_are_read_at_one_moment() -> None:
    world = World()
    async with world.running():
        world.scaled_job("a", *(queue(name) for name in "abc"))
        await asyncio.sleep(25)
        triggers = world.daemon.live_jobs[SPACE, "a"].triggers
        asked = [trigger.outcome.asked for trigger in triggers]
        assert max(asked) - min(asked) < 0.1


async def test_pods_that_have_not_begun_count_as_pending_by_the_conditions_that_are_named() -> None:
    world = World()
    async with world.running():
        strategy = {"strategy": "accurate", "pendingPodConditions": ["Never"]}
        world.broker.waiting["q"] = 3
        world.scaled_job("q", scalingStrategy=strategy, lasts=1000)
        await asyncio.sleep(5)
        assert len(world.jobs()) == 3
        world.broker.waiting["q"] = 3
        await asyncio.sleep(25)
        # None of them is ever seen to begin: what waits is theirs.
        assert len(world.jobs()) == 3
