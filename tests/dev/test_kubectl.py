"""kubectl works on it as on any cluster, and nobody gets in without the kubeconfig."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from keda_py.engine.target import DEPLOYMENTS
from keda_py.kube.client import Client
from keda_py.kube.transport import connect

from .command import Dev, dev
from .manifests import WORKER, deployment, scaled_object, write
from .test_start_page import kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PODS = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


class Shell:
    """kubectl with the kubeconfig of a run."""

    def __init__(self, running: Dev) -> None:
        self.running = running
        self.environment = os.environ | {"KUBECONFIG": running.kubeconfig}
        self.program = str(kubectl())

    def __call__(self, *arguments: str, **environment: str) -> str:
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments]
        env = self.environment | environment
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)

    def fails(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 1, done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("kubectl")
    objects = [deployment("desk", command=WORKER), deployment("tickets", command=WORKER), scaled_object("desk", PODS)]
    with dev(folder, "--run-processes", "--hpa-sync=1s", write(folder / "desk.yaml", *objects)) as running:
        yield Shell(running)


def test_scale_watch_logs_and_metrics(shell: Shell) -> None:
    watching = subprocess.Popen(
        [shell.program, "get", "deployment/desk", "--watch", "-o", "name"],
        stdout=subprocess.PIPE,
        env=shell.environment,
    )
    try:
        shell("scale", "deployment/tickets", "--replicas=2")
        shell("wait", "deployment/desk", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=50s")
        assert watching.stdout is not None
        assert [watching.stdout.readline() for _ in range(3)] == [b"deployment.apps/desk\n"] * 3
    finally:
        watching.terminate()
        watching.wait()
    shell.running.wait_until(lambda: shell("logs", "deployment/desk") == "at work\n", "the log")
    metric = "s0-workload-default"
    root = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
    selector = "labelSelector=scaledobject.keda.sh%2Fname%3Ddesk"
    assert json.loads(shell("get", "--raw", f"{root}/{metric}?{selector}"))["items"][0]["value"] == "2"


def test_what_a_file_applied_is_known_to_kubectl(shell: Shell) -> None:
    file = shell.running.process.args[-1]
    command = [shell.program, "apply", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=shell.environment)
    assert done.stderr == "", "no warning of a missing annotation"
    assert "scaledobject.keda.sh/desk unchanged" in done.stdout
    shell("annotate", "scaledobject", "desk", "note=<&>", "--overwrite")
    assert "scaledobject.keda.sh/desk unchanged" in shell("apply", "-f", str(file)), "what is not in the file stays"


def test_apply_edit_describe_and_delete(shell: Shell, tmp_path: Path) -> None:
    manifest = write(tmp_path / "other.yaml", deployment("other"), scaled_object("other", PODS, minReplicaCount=1))
    assert "scaledobject.keda.sh/other created" in shell("apply", "-f", manifest)
    shell("wait", "hpa/keda-hpa-other", "--for=jsonpath={.spec.minReplicas}=1", "--timeout=50s")
    assert "scaledobject.keda.sh/other unchanged" in shell("apply", "-f", manifest)
    edited = shell("edit", "scaledobject", "other", KUBE_EDITOR="sed -i s/minReplicaCount:.1/minReplicaCount:\\ 2/")
    assert "scaledobject.keda.sh/other edited" in edited
    shell("wait", "hpa/keda-hpa-other", "--for=jsonpath={.spec.minReplicas}=2", "--timeout=50s")
    described = shell("describe", "scaledobject", "other")
    assert "ScaledObjectReady" in described
    assert "Min Replica Count:  2" in described
    assert "deleted" in shell("delete", "-f", manifest)
    shell("wait", "hpa/keda-hpa-other", "--for=delete", "--timeout=50s")
    assert "The event sources" in shell("explain", "scaledobject.spec.triggers")


def test_what_admission_refuses_and_warns_about(shell: Shell, tmp_path: Path) -> None:
    second = write(tmp_path / "second.yaml", scaled_object("second", PODS, scaleTargetRef={"name": "desk"}))
    unread = {**PODS, "metadata": {"podSelector": "app=tickets", "value": "1", "valeu": "1"}}
    wide = write(tmp_path / "wide.yaml", scaled_object("wide", unread))
    for command in (("apply",), ("apply", "--server-side"), ("create", "--dry-run=server")):
        said = shell.fails(*command, "-f", second)
        assert said.startswith("Error from server (Forbidden): ")
        assert (
            'admission webhook "vscaledobject.kb.io" denied the request: spec.scaleTargetRef: Deployment desk' in said
        )
        done = shell.run(*command, "-f", wide)
        assert done.returncode == 0
        assert "Warning: spec.triggers[0] (kubernetes-workload): nothing reads the parameter valeu" in done.stderr
        shell("delete", "scaledobject", "wide", "--ignore-not-found")
    assert "(NotFound)" in shell.fails("get", "scaledobject", "second")


async def test_a_daemon_beside_it_works_on_it_too(shell: Shell) -> None:
    # Its certificate is of a name, and it is called by a number.
    transport = await connect(shell.running.kubeconfig)
    client = Client(transport)
    assert (await client.get(DEPLOYMENTS, "default", "desk"))["metadata"]["name"] == "desk"
    async with transport.stream("/api/v1/namespaces", params={"watch": "1"}, silence=30) as (answer, lines):
        assert answer.status == 200
        assert await anext(lines)
    await transport.close()


def test_without_its_token_nobody_gets_in(shell: Shell) -> None:
    config = yaml.safe_load(Path(shell.running.kubeconfig).read_text())
    server = config["clusters"][0]["cluster"]["server"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer é".encode().decode("latin-1")}):
        request = urllib.request.Request(f"{server}/api/v1/namespaces/default/pods", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, context=context, timeout=10)
        assert refused.value.code == 401
    assert config["users"][0]["user"]["token"] not in shell.running.said()
