"""A Job for each message of real brokers: by every strategy, with the daemon killed, with the API server away."""

import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.brokers.rabbitmq import Broker
from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import Daemon

from .jobs import STRATEGIES, Brokers, each_has_had_one_job, workers
from .world import World

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def world(world: World) -> World:
    return World(world.cluster, world.namespace, "scaledjob")


@pytest.fixture
def brokers(rabbit: Broker, sqs: str) -> Brokers:
    return Brokers(rabbit, sqs)


def test_by_every_strategy(world: World, brokers: Brokers, daemon: Daemon) -> None:
    sent: dict[str, set[str]] = {}
    with workers(world, brokers, *STRATEGIES).working() as at_work:
        world.apply(*(brokers.scaled_job(world, name, given, maxReplicaCount=20) for name, given in STRATEGIES.items()))
        for name in STRATEGIES:
            sent[name] = at_work.put(name, 7)
        # More come while those are worked on.
        for name in STRATEGIES:
            world.until(lambda name=name: len(at_work.jobs_of(name)) >= 7, f"Jobs of {name}", seconds=120)
            sent[name] |= at_work.put(name, 5)
        each_has_had_one_job(at_work, world, sent)


def test_eager_fills_up_and_no_further(world: World, brokers: Brokers, daemon: Daemon) -> None:
    with workers(world, brokers, "eager").working() as at_work:
        sent = at_work.put("eager", 10)
        world.apply(brokers.scaled_job(world, "eager", {}, maxReplicaCount=4))
        most = 0

        def all_done() -> bool:
            nonlocal most
            most = max(most, len(at_work.jobs_of("eager")) - len(at_work.ended))
            return at_work.done == sent

        world.until(all_done, "all is done", seconds=150)
        assert most == 4


def test_killed_twenty_times_in_a_burst(world: World, brokers: Brokers, tmp_path: Path) -> None:
    sent: dict[str, set[str]] = defaultdict(set)
    daemon = Daemon(world.cluster, tmp_path)
    with workers(world, brokers, "default", "accurate").working() as at_work:
        daemon.start()
        for name in ("default", "accurate"):
            world.apply(brokers.scaled_job(world, name, STRATEGIES[name]))
        for _ in range(20):
            before = len(at_work.jobs)
            for name in ("default", "accurate"):
                sent[name] |= at_work.put(name, 2)
            # As soon as one is made: in the midst of making the others.
            until = time.monotonic() + 5
            while len(at_work.jobs) == before and time.monotonic() < until:
                time.sleep(0.002)
            daemon.kill()
            daemon.start(ready=False)
        daemon.wait_ready(90)
        each_has_had_one_job(at_work, world, sent)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.said()


def test_the_api_server_away_for_half_a_minute_in_a_burst(
    world: World, brokers: Brokers, cluster: Cluster, tmp_path: Path
) -> None:
    if cluster.given:
        pytest.skip("the given cluster's API server is not ours to kill")
    names = ("default", "accurate")
    with (
        workers(world, brokers, *names).working() as at_work,
        Daemon(cluster, tmp_path, "--leader-elect") as daemon,
    ):
        for name in names:
            world.apply(brokers.scaled_job(world, name, STRATEGIES[name]))
        # The cluster's own Job controller is held until the API server is back: it makes another pod for a Job where
        # the answer to its create was lost, and that one would take another's message.
        with cluster.frozen("kube-controller-manager"):
            sent = {name: at_work.put(name, 6) for name in names}
            world.until(lambda: bool(len(at_work.jobs)), "some are made", every=0.002)
            start_again = cluster.kill_api_server()
            for name in names:
                sent[name] |= at_work.put(name, 6)
            time.sleep(30)
            assert daemon.health("/healthz") == 200
            start_again()
        for name in names:
            sent[name] |= at_work.put(name, 3)
        each_has_had_one_job(at_work, world, sent, seconds=180)
        assert "Traceback" not in daemon.said()
