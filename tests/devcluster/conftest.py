"""Every test of the API's behaviour runs twice: against the embedded cluster, and against the real control plane."""

from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import Cluster

from .metrics import Served, register, served
from .side import Side, at, embedded, real
from .widget import CRDS_PATH, WIDGETS, definition


@pytest.fixture(scope="session")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("metrics")) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_side(tmp_path_factory: pytest.TempPathFactory, metrics: Served) -> Iterator[Side]:
    with embedded(tmp_path_factory.mktemp("embedded")) as side:
        side.ask_embedded().read_metric = metrics.table.read
        _prepare(side)
        yield side


@pytest.fixture(scope="module")
def real_side(control_plane: Cluster, metrics: Served) -> Side:
    side = real(control_plane.kubeconfig)
    # For each module anew: tests of the daemon in between put it in this one's place.
    register(control_plane, metrics)
    _prepare(side)
    return side


def _prepare(side: Side) -> None:
    side.ask("POST", CRDS_PATH, definition())
    side.until(lambda: side.ask("GET", f"/apis/test.example/v1/{WIDGETS}").code == 200, "widgets are served")


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.e2e)])
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.getfixturevalue(f"{request.param}_side")
    return found


@pytest.fixture
def space(side: Side) -> Iterator[str]:
    """A namespace of the test's own."""
    name = str(side.make("/api/v1/namespaces", {"metadata": {"generateName": "space-"}})["metadata"]["name"])
    if side.embedded is None:
        # The real one puts it there a moment later: who watches ConfigMaps would see it come.
        path = f"{at('v1', name, 'configmaps')}/kube-root-ca.crt"
        side.until(lambda: side.ask("GET", path).code == 200, "the namespace has its ConfigMap")
    yield name
    side.ask("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def maps(space: str) -> str:
    """The path of the ConfigMaps in the test's namespace."""
    return at("v1", space, "configmaps")


@pytest.fixture
def widgets(space: str) -> str:
    """The path of the custom resources in the test's namespace."""
    return at("test.example/v1", space, WIDGETS)


@pytest.fixture
def deployments(space: str) -> str:
    """The path of the Deployments in the test's namespace."""
    return at("apps/v1", space, "deployments")
