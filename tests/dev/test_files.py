"""Files are applied as kubectl would, and again when they change."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from .command import dev
from .manifests import deployment, scaled_object, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PODS: dict[str, Any] = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


def in_shop(found: dict[str, object]) -> dict[str, object]:
    found["metadata"] = {"name": "worker", "namespace": "shop"}
    return found


def test_what_admission_refuses_is_told_and_all_else_goes_on(tmp_path: Path) -> None:
    wrong = scaled_object("worker", PODS | {"metadata": {"podSelector": "app=tickets", "value": "0"}})
    other = scaled_object("other", PODS | {"metadata": {**PODS["metadata"], "valeu": "3"}}, minReplicaCount=1)
    ingress = {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "a"}}
    write(tmp_path / "all.yaml", wrong, other, deployment("other"), deployment("worker"), ingress)
    with dev(tmp_path, "all.yaml") as running:
        refused = 'all.yaml, document 1: admission webhook "vscaledobject.kb.io" denied the request: spec.triggers[0] '
        running.wait_for(f"files: {refused}(kubernetes-workload): value: give a number greater than 0")
        running.wait_for(
            "document 2: warning: spec.triggers[0] (kubernetes-workload): nothing reads the parameter valeu"
        )
        running.wait_for("other: #  1/1 ready")
        left_out = "document 5: left out: the embedded cluster has no kind Ingress in networking.k8s.io/v1"
        assert running.said().count(left_out) == 1
        # One that is on the same target too is told of as such, though both come at once.
        two = [scaled_object(name, PODS, scaleTargetRef={"name": "worker"}) for name in ("worker", "second")]
        write(tmp_path / "all.yaml", *two, deployment("worker"))
        running.wait_for("files: all.yaml: scaledobject.keda.sh/worker created")
        running.wait_for("document 2: admission webhook")
        assert "worker is already scaled by the ScaledObject worker" in running.said()


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
        (folder / "a.yaml").write_text("# to be written\n")
        running.wait_for("files: all/a.yaml has no object in it")
        write(folder / "a.yaml", deployment("a"))
        running.wait_for("files: all/a.yaml: deployment.apps/a created")
