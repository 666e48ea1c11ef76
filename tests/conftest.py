"""What all tests share: one real control plane for each test process that needs one, and patience.

How they are shared out over processes: a file's tests go to one; scenarios have nothing to share and go anywhere.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import install

# How fast a machine is says nothing about a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# Before pytest-xdist, which looks for groups there.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests together, for what they start is started once a file (with pytest-xdist's ``loadgroup``)."""
    for item in items:
        if item.path.parent.name != "scenarios":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """A control plane with the manifests applied; its HPA controller looks each second."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with Cluster(f"e2e-{worker}-{os.getpid()}", hpa_sync="1s") as cluster:
        install(cluster)
        yield cluster
