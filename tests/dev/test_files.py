"""Files are applied as kubectl would, and again when they change."""

from datetime import date
from pathlib import Path

import pytest

from .command import dev
from .manifests import deployment, scaled_object, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PODS = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


def in_shop(found: dict[str, object]) -> dict[str, object]:
    found["metadata"] = {"name": "worker", "namespace": "shop"}
    return found


def test_a_file_that_changes_is_applied_again_and_one_that_breaks_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    listed = {"kind": "List", "apiVersion": "v1", "items": [in_shop(deployment("worker"))]}
    scaled = in_shop(scaled_object("worker", PODS, minReplicaCount=1, pollingInterval=1))
    # A date in YAML, and a text in JSON.
    scaled["metadata"]["annotations"] = {"since": date(2026, 3, 1)}
    write(folder / "worker.yaml", scaled, listed)
    with dev(tmp_path, "all") as running:
        running.wait_for("files: all/worker.yaml: namespace/shop created")
        running.wait_for("shop/worker: #  1/1 ready")
        # What an editor writes at last is meant, whatever stood there for a moment.
        (folder / "worker.yaml").write_text("kind: [")
        running.wait_for("files: all/worker.yaml, document 1: not YAML in line 1")
        scaled["spec"]["minReplicaCount"] = 3
        write(folder / "worker.yaml", scaled, listed)
        running.wait_for("files: all/worker.yaml: scaledobject.keda.sh/worker configured")
        running.wait_for("shop/worker: ###  3/3 ready")
        assert "deployment.apps/worker configured" not in running.said(), "what stays as it was is not written"
        write(folder / "more.yaml", deployment("more"))
        running.wait_for("files: all/more.yaml: deployment.apps/more created")


def test_a_folder_with_nothing_in_it_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    (folder / "deeper").mkdir(parents=True)
    write(folder / "deeper" / "a.yaml", deployment("a"))
    with dev(tmp_path, "all") as running:
        running.wait_for("keda-py: all has no .yaml, .yml or .json file in it, and folders within it are not read; ")
        write(folder / "a.yaml", deployment("a"))
        running.wait_for("files: all/a.yaml: deployment.apps/a created")
