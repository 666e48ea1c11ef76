"""`--data`: a cluster that survives its process."""

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from .command import KEDA_PY, Dev, dev, refused
from .manifests import WORKER, deployment, scaled_object, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PODS = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


def kept(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects in a data folder by plural and name."""
    saved = json.loads((folder / "cluster.json").read_bytes())
    return {(plural, name): found for _, plural, _, name, found in saved["objects"]}


def pods(folder: Path) -> int:
    file = folder / "cluster.json"
    return len([plural for plural, _ in kept(folder) if plural == "pods"]) if file.exists() else 0


def test_objects_pods_and_versions_survive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "state"
    objects = [deployment("desk"), deployment("tickets", replicas=2), scaled_object("desk", PODS)]
    manifest = write(tmp_path / "desk.yaml", *objects)
    with dev(tmp_path, f"--data={data}", "--hpa-sync=1s", manifest) as first:
        first.wait_for("desk: ##  2/2 ready")
    before = kept(data)
    saved = json.loads((data / "cluster.json").read_bytes())
    newest = max(int(found["metadata"]["resourceVersion"]) for found in before.values())
    assert saved["version"] >= newest
    with dev(tmp_path, f"--data={data}", "--hpa-sync=1s") as second:
        second.wait_for("desk: ##  2/2 ready; kubernetes-workload 2 / 1 per replica; triggers are active")
        assert " -> " not in second.said(), "a restart is no reason to scale"
    after = kept(data)
    names = {name for plural, name in before if plural == "pods"}
    assert len(names) == 4
    assert {name for plural, name in after if plural == "pods"} == names
    for key, found in after.items():
        if key in before:
            assert found["metadata"]["uid"] == before[key]["metadata"]["uid"]
            assert int(found["metadata"]["resourceVersion"]) >= int(before[key]["metadata"]["resourceVersion"])
        else:
            assert int(found["metadata"]["resourceVersion"]) > saved["version"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_are_started_again(tmp_path: Path, number: int) -> None:
    manifest = write(tmp_path / "a.yaml", deployment("worker", replicas=2, command=WORKER))
    arguments = (f"--data={tmp_path / 'state'}", "--run-processes")
    running = Dev([*KEDA_PY, "dev", "--port=0", *arguments, manifest], tmp_path)
    running.wait_until(lambda: len(running.workers()) == 2 == pods(tmp_path / "state"), "two processes, and kept")
    running.end(number)
    for pid in running.workers():
        # What was killed could not end its processes.
        os.kill(pid, signal.SIGKILL)
    with dev(tmp_path, *arguments) as again:
        again.wait_until(lambda: len(again.workers()) == 2, "two processes again")
        assert pods(tmp_path / "state") == 2


def test_a_file_that_is_corrupted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for content in ('{"version": 7, "objec', "[]", '{"version": "a", "objects": []}', '{"version": 1, "objects": [1]}'):
        (tmp_path / "state" / "cluster.json").write_text(content)
        line = refused(tmp_path, "--data=state")
        assert line.startswith("keda-py: state/cluster.json is not a cluster that was saved (")
        assert line.endswith("; move it away to start with an empty one")
        assert (tmp_path / "state" / "cluster.json").read_text() == content


def test_a_folder_is_for_one_at_a_time_and_for_its_owner(tmp_path: Path) -> None:
    with dev(tmp_path, "--data=state") as running:
        assert running.kubeconfig == str(tmp_path / "state" / "kubeconfig")
        line = refused(tmp_path, "--data=state")
        assert line == "keda-py: --data state is in use by another keda-py dev; end that one, or use another folder"
    for name in ("kubeconfig", "cluster.json"):
        assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path, "--data=file/state") == "keda-py: --data file/state cannot be used: Not a directory"
