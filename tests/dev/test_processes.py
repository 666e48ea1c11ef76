"""A developer's story: a worker that is a real process starts and stops as a number behind HTTP changes."""

import json
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.source import Source, sourced

from .command import KEDA_PY, dev
from .manifests import WORKER, deployment, scaled_object, write
from .test_kubectl import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def source_file(tmp_path: Path) -> Iterator[tuple[Source, str]]:
    with sourced() as source:
        trigger = source.trigger("orders")
        objects = [deployment("worker", command=WORKER), scaled_object("worker", trigger)]
        yield source, write(tmp_path / "worker.yaml", *objects)


def test_a_process_starts_and_stops_with_the_number(tmp_path: Path, source_file: tuple[Source, str]) -> None:
    source, manifest = source_file
    with dev(tmp_path, "--run-processes", "--hpa-sync=1s", manifest) as running:
        running.wait_for("worker: -  0/0 ready; metrics-api 0 / 5 per replica; triggers are not active")
        running.wait_until(lambda: len(running.workers()) == 0, "0 workers")
        source.values["orders"] = 9
        running.wait_for("keda-py: Deployment/worker 0 -> 1: triggers are active (s0-metric-api-value)")
        running.wait_for("HPA: keda-hpa-worker -> 2: external metric s0-metric-api-value above target")
        running.wait_for("worker: ##  2/2 ready; metrics-api 9 / 5 per replica; triggers are active")
        running.wait_until(lambda: len(running.workers()) == 2, "2 workers")
        source.faults["orders"] = "500"
        running.wait_for("worker: ##  2/2 ready; metrics-api failing")
        assert len(running.workers()) == 2, "an unknown is not a zero"
        source.faults.clear()
        asleep = running.said().count("worker: -  0/0 ready")
        source.values["orders"] = 0
        running.wait_for("2 -> 0: triggers were inactive for the whole cooldown")
        running.wait_for("worker: -  0/0 ready", times=asleep + 1)
        running.wait_until(lambda: len(running.workers()) == 0, "0 workers")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_processes_too(tmp_path: Path, source_file: tuple[Source, str], number: int) -> None:
    source, manifest = source_file
    source.values["orders"] = 1
    with dev(tmp_path, "--run-processes", manifest) as running:
        running.wait_for("worker: #  1/1 ready")
        running.wait_until(lambda: len(running.workers()) == 1, "1 workers")
        assert running.end(number) == 0
        assert running.left() == []
        assert running.said().rstrip().endswith("stopped; nothing is left behind")


def test_killed_it_leaves_no_processes_of_pods(tmp_path: Path, source_file: tuple[Source, str]) -> None:
    source, manifest = source_file
    source.values["orders"] = 9
    with dev(tmp_path, "--run-processes", "--hpa-sync=1s", "--data", str(tmp_path / "data"), manifest) as running:
        running.wait_until(lambda: len(running.workers()) == 2, "2 workers")
        running.process.kill()
        running.process.wait(60)
        until = time.monotonic() + 30
        while running.left():
            assert time.monotonic() < until, running.left()
            time.sleep(0.05)


def test_it_ends_when_nobody_reads_it_any_more(tmp_path: Path, source_file: tuple[Source, str]) -> None:
    source, manifest = source_file
    source.values["orders"] = 1
    command = f"{shlex.join(KEDA_PY)} dev --port 0 --run-processes {manifest} | head -2; exit ${{PIPESTATUS[0]}}"
    with dev(tmp_path, command=["bash", "-c", command]) as running:
        assert running.process.wait(90) == 0
    assert len(running.said().splitlines()) == 2


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    manifest = write(tmp_path / "a.yaml", deployment("lost", replicas=1, command=["/no/such/program"]))
    with dev(tmp_path, "--run-processes", manifest) as running:
        running.wait_for("cannot run /no/such/program: No such file or directory")


def test_a_command_that_ends_is_started_again_and_that_is_told(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo the shop is closed >&2; exit 3"]
    manifest = write(tmp_path / "a.yaml", deployment("keen", replicas=1, command=command))
    with dev(tmp_path, "--run-processes", manifest) as running:
        for seconds in (1, 2, 4):
            running.wait_for(f"ended with exit code 3, again in {seconds} s: the shop is closed")
        kubectl = Shell(running)
        (pod,) = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
        (container,) = pod["status"]["containerStatuses"]
        assert container["restartCount"] >= 2
        assert container["lastState"]["terminated"]["exitCode"] == 3
        # It waits for four seconds, so there is time to look.
        assert "CrashLoopBackOff" in kubectl("get", "pods")
        assert kubectl("logs", pod["metadata"]["name"]).count("the shop is closed") >= 3


def test_a_secret_reaches_a_process_once_it_is_there(tmp_path: Path) -> None:
    keen = deployment("keen", replicas=1, command=["sh", "-c", "echo to $URL; sleep 1000"])
    url = {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "broker", "key": "url"}}}
    keen["spec"]["template"]["spec"]["containers"][0]["env"] = [url]  # type: ignore[index]
    with dev(tmp_path, "--run-processes", write(tmp_path / "a.yaml", keen)) as running:
        running.wait_for("cannot run main: there is no Secret broker")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "broker"}, "stringData": {"url": "it"}}
        Shell(running)("apply", "-f", write(tmp_path / "secret.yaml", secret))
        running.wait_until(lambda: "to it" in Shell(running)("logs", "deployment/keen"), "its log")


def test_jobs_are_made_and_what_is_told_of_it(tmp_path: Path) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "i", "command": ["sleep", "1000"]}]}}
    trigger = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}
    scaled_job = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "errands"},
        "spec": {"pollingInterval": 1, "jobTargetRef": {"template": template}, "triggers": [trigger]},
    }
    manifest = write(tmp_path / "a.yaml", deployment("tickets", replicas=2), scaled_job)
    with dev(tmp_path, manifest) as running:
        running.wait_for("errands created 2 Jobs: queue 2, 0 running")
        running.wait_for("keda-py: errands is ready")
        template["spec"]["containers"][0]["command"] = ["sleep", "2000"]
        write(tmp_path / "a.yaml", deployment("tickets", replicas=2), scaled_job)
        running.wait_for("errands deleted 2 Jobs: spec.jobTargetRef was edited")


def test_in_name_only_nothing_is_run(tmp_path: Path) -> None:
    manifest = write(tmp_path / "a.yaml", deployment("worker", replicas=1, command=["touch", str(tmp_path / "ran")]))
    with dev(tmp_path, manifest, "--for", "4s") as running:
        assert running.process.wait(60) == 0
        assert running.said().rstrip().endswith("time is over; nothing is left behind")
    assert not (tmp_path / "ran").exists()
    assert not Path(running.kubeconfig).exists()
