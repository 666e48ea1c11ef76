"""The command, run as a person would: a clear line and the right exit code for what cannot work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def keda_py(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [sys.executable, "-c", "from keda_py.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_help_is_complete(tmp_path: Path) -> None:
    shown = keda_py("run", "--help", home=tmp_path)
    assert shown.returncode == 0
    for flag in ("--kubeconfig", "--watch-namespace", "--watch-label-selector", "--max-reconciles", "--zap-encoder"):
        assert flag in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--no-such-flag"], "No such option"),
        (["run", "--max-reconciles", "many"], "is not a valid integer"),
        (["run", "--zap-log-level", "loud"], "is not one of"),
        (["run", "--kubeconfig", "missing"], "no cluster to work on: tried kubeconfig missing"),
        (["run"], "no cluster to work on: tried this pod's service account and ~/.kube/config"),
    ],
)
def test_what_cannot_work_is_told_without_a_traceback(arguments: list[str], says: str, tmp_path: Path) -> None:
    shown = keda_py(*arguments, home=tmp_path)
    assert shown.returncode == 2
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_cluster_that_does_not_answer_is_told_too(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, users: [], "
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], "
        "contexts: [{name: a, context: {cluster: a, user: ''}}]}"
    )
    shown = keda_py("run", "--kubeconfig", str(config), home=tmp_path)
    assert shown.returncode == 2
    assert "the API server did not answer" in shown.stderr
    assert "Traceback" not in shown.stderr
