"""ScaledJobs of queues whose messages are worked off: where what is worked on counts, and where it does not."""

from dataclasses import dataclass
from typing import Any

from tests.brokers.rabbitmq import Broker
from tests.brokers.sqs import REGION

from .queues import Opened, of_rabbitmq, of_sqs
from .workers import WORKING, Workers
from .world import World, sleeping


@dataclass(frozen=True)
class Brokers:
    """A RabbitMQ, and the address of an SQS."""

    rabbit: Broker
    sqs: str

    def queue(self, world: World, name: str) -> Opened:
        """Return the queue of a ScaledJob."""
        queue = f"{world.namespace}-{name}"
        return of_rabbitmq(self.rabbit, queue) if name == "accurate" else of_sqs(self.sqs, queue)

    def scaled_job(self, world: World, name: str, strategy: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """Return a ScaledJob with one Job for each message; its trigger takes from the Job's environment who it is."""
        queue = f"{world.namespace}-{name}"
        if name == "accurate":
            metadata = {"hostFromEnv": "RABBIT", "queueName": queue, "mode": "QueueLength", "value": "1"}
            trigger = {"type": "rabbitmq", "metadata": metadata}
            pod = sleeping(3600, RABBIT=self.rabbit.host("amqp"))
        else:
            keys = {"awsAccessKeyIDFromEnv": "KEY", "awsSecretAccessKeyFromEnv": "SECRET"}
            where = {"queueURL": f"{self.sqs}/000000000000/{queue}", "awsRegion": REGION, "awsEndpoint": self.sqs}
            trigger = {"type": "aws-sqs-queue", "metadata": {**where, **keys, "queueLength": "1"}}
            pod = sleeping(3600, KEY="tests", SECRET="tests")
        return world.scaled_job(name, trigger, pod=pod, scalingStrategy={"strategy": name, **strategy}, **spec)


STRATEGIES: dict[str, dict[str, Any]] = {
    "default": {},
    "custom": {"customScalingQueueLengthDeduction": 0, "customScalingRunningJobPercentage": "1.0"},
    # Who has no message yet has not begun.
    "accurate": {"pendingPodConditions": [WORKING]},
}
"""Those that promise one Job for each message, by the name of the strategy, the queue and the ScaledJob."""


def workers(world: World, brokers: Brokers, *names: str) -> Workers:
    """Return what works on the messages of some queues."""
    return Workers(world.cluster.kubeconfig, world.namespace, {name: brokers.queue(world, name) for name in names})


def each_has_had_one_job(at_work: Workers, world: World, sent: dict[str, set[str]], seconds: float = 150) -> None:
    """Wait until all messages are done; fail if there was a Job too many, or too few."""
    everything = set().union(*sent.values())
    world.until(lambda: at_work.done == everything, "all is done", seconds=seconds)
    for name, texts in sent.items():
        # Decided on once more, with nothing left to do.
        world.until(lambda name=name: world.condition(name, "Active")["status"] == "False", "idle", 90, every=0.5)
        made = len(at_work.jobs_of(name))
        assert made == len(texts), f"{name}: {made} Jobs for {len(texts)} messages\n{world.picture()}"
    assert at_work.idle == [], at_work.idle
    assert set(at_work.taken.values()) == {1}, at_work.taken
