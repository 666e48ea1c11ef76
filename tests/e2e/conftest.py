"""The daemon on the control plane, as it is installed."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.rabbitmq import Broker, rabbitmq
from tests.brokers.sqs import elasticmq
from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import Daemon

from .guarded import Guarded, guarding
from .served import Served, served
from .source import Source, sourced
from .world import World

_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cluster(control_plane: Cluster) -> Cluster:
    return control_plane


@pytest.fixture(scope="module")
def daemon(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that gives sources time: they are in the tests' processes, and late where the machine is busy."""
    with Daemon(cluster, tmp_path_factory.mktemp("daemon"), "--leader-elect", "--http-timeout=8000") as daemon:
        yield daemon
    assert "Traceback" not in daemon.said()


@pytest.fixture
def world(cluster: Cluster) -> Iterator[World]:
    namespace = f"test-{next(_NUMBERS)}"
    cluster.kubectl("create", "namespace", namespace)
    yield World(cluster, namespace)
    cluster.kubectl("delete", "scaledobject,scaledjob", "--all", f"--namespace={namespace}")
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def source() -> Iterator[Source]:
    with sourced() as source:
        yield source


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with guarding() as guarded:
        yield guarded


@pytest.fixture
def numbers(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "source") as source:
        yield source


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture(scope="module")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with elasticmq(tmp_path_factory.mktemp("elasticmq")) as address:
        yield address
