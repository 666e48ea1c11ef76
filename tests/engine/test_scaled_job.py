"""ScaledJobs of the whole daemon on the embedded cluster, in virtual time, with a queue whose messages Jobs take."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from keda_py_scalers.cron import CronScaler

from keda_py.devcluster.store import Change
from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, ScalerError, param

from .world import SPACE, Embedded, Wire

pytestmark = pytest.mark.looptime

SAMPLE: Final = Path(__file__).parents[2] / "manifests/samples/scaled-job.yaml"
INTERVAL = 10
LASTS = 25


class QueueMetadata(Metadata):
    """Parameters of a queue."""

    queue: str = param("queue")
    length: int = param("length", default=1)


class Broker:
    """Queues: a pod takes a message when it begins, and has worked it off when it ends."""

    def __init__(self) -> None:
        self.waiting: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        """Pods that found nothing to take."""
        self.shows_taken = False
        """Whether messages that are worked on still count in the length of the queue."""
        self.down: set[str] = set()
        self.answers_after = 0.01
        self.asked: Counter[str] = Counter()

    def notice(self, change: Change) -> None:
        if change.place != ("", "pods") or change.after is None:
            return
        before = ((change.before or {}).get("status") or {}).get("phase")
        after = (change.after.get("status") or {}).get("phase")
        queue = (change.after["metadata"].get("labels") or {}).get("queue")
        if queue is None or before == after:
            return
        if after == "Running":
            found = self.waiting[queue] > 0
            self.waiting[queue] -= found
            (self.taken if found else self.idle)[queue] += 1
        elif after == "Succeeded" and self.taken[queue]:
            self.taken[queue] -= 1
            self.done[queue] += 1

    def scaler(self) -> type[Scaler[Any]]:
        broker = self

        class QueueScaler(Scaler[QueueMetadata]):
            metadata = QueueMetadata

            def metric_specs(self) -> list[MetricSpec]:
                return [ExternalSpec(f"queue-{self.meta.queue}", self.target(self.meta.length))]

            async def get_metrics(self) -> list[Reading]:
                queue = self.meta.queue
                broker.asked[queue] += 1
                value = broker.waiting[queue] + (broker.taken[queue] if broker.shows_taken else 0)
                await asyncio.sleep(broker.answers_after)
                if queue in broker.down:
                    raise ScalerError("the broker is down")
                return [self.reading(value, active=value > 0)]

        return QueueScaler


class World(Embedded):
    def __init__(self, more: Mapping[str, type[Scaler[Any]]] | None = None, **settings: Any) -> None:
        self.broker = Broker()
        super().__init__({"queue": self.broker.scaler(), **(more or {})}, **settings)
        self.api.store.listen(self.broker.notice)

    def scaled_job(self, name: str, *triggers: dict[str, Any], lasts: float = LASTS, **spec: Any) -> None:
        metadata = {name: spec.pop(name) for name in ("labels", "annotations") if name in spec}
        made = {"jobTargetRef": target(name, lasts), "triggers": list(triggers or [queue(name)]), **spec}
        self.put(
            "apis/keda.sh/v1alpha1", "scaledjobs", name, spec={"pollingInterval": INTERVAL, **made}, metadata=metadata
        )

    def edit(self, name: str, patch: dict[str, Any]) -> None:
        self.do("PATCH", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/{name}", patch)

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.do("GET", f"/apis/batch/v1/namespaces/{SPACE}/jobs")["items"]
        return found

    def unfinished(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs() if not (job.get("status") or {}).get("conditions")]

    def job_status(self, name: str) -> dict[str, Any]:
        found = self.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/{name}")
        return dict(found.get("status") or {})

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        conditions = self.job_status(name).get("conditions") or []
        found = next((c for c in conditions if c["type"] == kind), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def events(self, reason: str) -> list[str]:
        found = self.do("GET", f"/apis/events.k8s.io/v1/namespaces/{SPACE}/events")["items"]
        return [event["note"] for event in found if event["reason"] == reason]

    def creates(self) -> int:
        return self.wire.calls.count(f"POST /apis/batch/v1/namespaces/{SPACE}/jobs")

    @asynccontextmanager
    async def and_another(self) -> AsyncIterator[None]:
        """Run a second daemon, that takes itself for the leader too."""
        task = asyncio.create_task(self.another(Wire(self.wire._local)).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def target(name: str, lasts: float = LASTS) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "command": ["sleep", str(lasts)]}
    return {"template": {"metadata": {"labels": {"queue": name}}, "spec": {"containers": [container]}}}


def queue(name: str, **metadata: str) -> dict[str, Any]:
    return {"type": "queue", "metadata": {"queue": name, **metadata}}


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


async def test_what_a_job_looks_like() -> None:
    world = World()
    async with world.running():
        world.broker.waiting["q"] = 1
        world.scaled_job(
            "q",
            labels={"team": "a", "secret": "x", "scaledjob.keda.sh/name": "lie", "app.kubernetes.io/version": "7"},
            annotations={
                "note": "n",
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
        assert metadata["annotations"]["scaledjob.keda.sh/generation"] == "1"
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


async def test_who_uses_an_authentication() -> None:
    world = World()
    async with world.running():
        world.authentication("auth")
        world.scaled_job("q", queue("q") | {"authenticationRef": {"name": "auth"}})
        await asyncio.sleep(5)
        found = world.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/triggerauthentications/auth")
        assert found["status"] == {"scaledjobs": "q"}
