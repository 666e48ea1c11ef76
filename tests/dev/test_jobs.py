"""ScaledJobs as `keda-py dev` tells of them."""

from pathlib import Path

import pytest

from .command import dev
from .manifests import deployment, scaled_job, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PODS = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


def test_jobs_are_made_and_told_of(tmp_path: Path) -> None:
    manifest = write(tmp_path / "a.yaml", deployment("tickets", replicas=2), scaled_job("desk", PODS, seconds=3600))
    with dev(tmp_path, "--plain", manifest) as running:
        running.wait_for("desk created 2 Jobs: queue 2, 0 running")
        running.wait_for("desk: ##  2 running, 0 pending; kubernetes-workload 2 / 1 per Job; ")
        changed = scaled_job("desk", PODS, seconds=1800)
        write(tmp_path / "a.yaml", deployment("tickets", replicas=2), changed)
        running.wait_for("desk deleted 2 Jobs: spec.jobTargetRef was edited")
        running.wait_for("desk created 2 Jobs", times=2)
