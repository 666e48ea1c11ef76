"""The real kubectl on either side: what a person types, and what it prints."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.build import binaries

from .side import DEADLINE, Side, at, config_map, deployment
from .widget import widget

pytestmark = pytest.mark.e2e

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def program() -> Path:
    """kubectl itself: it comes with the control plane, so these tests need that on either side."""
    return binaries() / "kubectl"


@pytest.fixture
def kubectl(side: Side, space: str, program: Path) -> Kubectl:
    """Runs kubectl in the test's namespace, and returns what it prints on both outputs."""

    def run(*arguments: str, documents: tuple[Any, ...] = (), fails: bool = False, **environment: str) -> str:
        text = "\n---\n".join(map(json.dumps, documents))
        done = subprocess.run(
            [program, *arguments, f"--namespace={space}"],
            env=os.environ | {"KUBECONFIG": str(side.kubeconfig)} | environment,
            input=text or None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        assert (done.returncode != 0) is fails, f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    return run


def lines(text: str) -> list[list[str]]:
    """Return the words of each line, split where a table has its columns."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_apply_and_apply_again(kubectl: Kubectl) -> None:
    documents = (config_map("one", a="1"), deployment("web", replicas=1), widget("gear"))
    made = kubectl("apply", "-f", "-", documents=documents)
    assert made.splitlines() == [
        "configmap/one created",
        "deployment.apps/web created",
        "widget.test.example/gear created",
    ]
    again = kubectl("apply", "-f", "-", documents=documents)
    assert [line.split()[-1] for line in again.splitlines()] == ["unchanged"] * 3
    changed = kubectl(
        "apply", "-f", "-", documents=(config_map("one", b="2"), deployment("web", 2), widget("gear", size=4))
    )
    assert [line.split()[-1] for line in changed.splitlines()] == ["configured"] * 3
    assert kubectl("get", "configmap", "one", "-o", "jsonpath={.data}") == '{"b":"2"}'
    assert kubectl("get", "widget", "gear", "-o", "jsonpath={.spec.size}") == "4"
    assert kubectl("diff", "-f", "-", documents=(widget("gear", size=4),)) == ""
    differs = kubectl("diff", "-f", "-", documents=(widget("gear", size=5),), fails=True)
    assert "-  size: 4" in differs
    assert "+  size: 5" in differs


def test_what_is_wrong_is_told_before_anything_is_done(kubectl: Kubectl) -> None:
    said = kubectl("apply", "-f", "-", documents=(widget("one", size=1, sise=2),), fails=True)
    assert 'strict decoding error: unknown field "spec.sise"' in said
    wrong = deployment("one")
    wrong["spec"]["template"]["spec"]["containers"][0]["imaje"] = "x"
    said = kubectl("apply", "-f", "-", documents=(wrong,), fails=True)
    assert 'strict decoding error: unknown field "spec.template.spec.containers[0].imaje"' in said
    said = kubectl("apply", "-f", "-", documents=(widget("one", size=-1),), fails=True)
    assert 'The Widget "one" is invalid: spec.size: Invalid value: -1' in said
    said = kubectl("apply", "-f", "-", documents=({"apiVersion": "none.example/v1", "kind": "None",
                                                   "metadata": {"name": "x"}},), fails=True)  # fmt: skip
    assert 'no matches for kind "None" in version "none.example/v1"' in said
    assert kubectl("get", "widgets").strip().startswith("No resources found in")


def test_a_list_of_manifests(kubectl: Kubectl) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [config_map("one"), widget("gear")]}
    said = kubectl("apply", "-f", "-", documents=(listed,))
    assert said.splitlines() == ["configmap/one created", "widget.test.example/gear created"]


def test_server_side_apply(kubectl: Kubectl) -> None:
    document = config_map("one", a="1")
    assert kubectl("apply", "--server-side", "-f", "-", documents=(document,)).strip() == (
        "configmap/one serverside-applied"
    )
    assert kubectl("apply", "--server-side", "-f", "-", documents=(document,)).strip().endswith("serverside-applied")
    kubectl("apply", "--server-side", "-f", "-", documents=(config_map("one", b="2"),))
    assert kubectl("get", "configmap", "one", "-o", "jsonpath={.data}") == '{"b":"2"}'
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = kubectl(*other, documents=(config_map("one", b="3"),), fails=True)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.b' in refused
    kubectl(*other, "--force-conflicts", documents=(config_map("one", b="3"),))
    assert kubectl("get", "configmap", "one", "-o", "jsonpath={.data}") == '{"b":"3"}'


def test_a_dry_run_of_the_server(kubectl: Kubectl) -> None:
    said = kubectl("apply", "--dry-run=server", "-f", "-", documents=(config_map("one", a="1"),))
    assert said.strip() == "configmap/one created (server dry run)"
    assert "NotFound" in kubectl("get", "configmap", "one", fails=True)
    kubectl("apply", "-f", "-", documents=(config_map("one", a="1"),))
    said = kubectl("delete", "configmap", "one", "--dry-run=server")
    assert said.startswith('configmap "one" deleted')
    assert kubectl("get", "configmap", "one", "-o", "name").strip() == "configmap/one"


def test_get(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web", replicas=2), widget("gear")))
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=60s")
    head, row = lines(kubectl("get", "deploy", "-o", "wide"))
    assert head == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert [*row[:4], *row[5:]] == ["web", "2/2", "2", "2", "main", "none", "app=web"]
    head, row = lines(kubectl("get", "wdg"))
    assert (head, row[:2]) == (["NAME", "SIZE", "PHASE", "AGE"], ["gear", "1"])
    assert lines(kubectl("get", "wdg", "-o", "wide"))[0] == ["NAME", "SIZE", "PHASE", "COLOR", "AGE"]
    pods = kubectl("get", "pods", "--no-headers", "--selector=app=web").splitlines()
    assert len(pods) == 2
    assert all(line.split()[1:4] == ["1/1", "Running", "0"] for line in pods)
    found = kubectl("get", "all").splitlines()
    assert sum(line.startswith("pod/web-") for line in found) == 2
    assert any(line.startswith("deployment.apps/web") for line in found)
    columns = kubectl("get", "deploy", "web", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas")
    assert lines(columns)[1] == ["web", "2"]
    assert kubectl("get", "deploy", "--field-selector=metadata.name=web", "-o", "name").strip() == "deployment.apps/web"
    assert kubectl("get", "deploy,wdg", "-o", "name").split() == ["deployment.apps/web", "widget.test.example/gear"]
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.kind}") == "Deployment"


def test_describe(kubectl: Kubectl, side: Side, space: str) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web", replicas=1), widget("gear")))
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=60s")
    said = kubectl("describe", "deployment", "web")
    assert re.search(r"^Name:\s+web$", said, re.MULTILINE)
    assert re.search(
        r"^Replicas:\s+1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable$", said, re.MULTILINE
    )
    assert re.search(r"^NewReplicaSet:\s+web-\w+ \(1/1 replicas created\)$", said, re.MULTILINE)
    about = {"apiVersion": "test.example/v1", "kind": "Widget", "name": "gear", "namespace": space}
    about["uid"] = kubectl("get", "widget", "gear", "-o", "jsonpath={.metadata.uid}")
    event = {
        "metadata": {"name": "one"},
        "eventTime": "2026-01-02T03:04:05.000006Z",
        "type": "Warning",
        "reason": "Jammed",
        "action": "Turn",
        "note": "it does not turn",
        "regarding": about,
        "reportingController": "tester",
        "reportingInstance": "tester-0",
    }
    side.make(at("events.k8s.io/v1", space, "events"), event)
    said = kubectl("describe", "widget", "gear")
    assert re.search(r"^\s+Color:\s+red$", said, re.MULTILINE)
    assert re.search(r"Warning\s+Jammed\s+\S+\s+tester\s+it does not turn", said)
    assert "Jammed" in kubectl("events", "--for=widget/gear")
    assert "Jammed" in kubectl("get", "events", "--field-selector=reason=Jammed")
    # By what is not among the cells: kubectl asks for the objects beside them.
    for path in (".lastTimestamp", ".eventTime"):
        assert "Jammed" in kubectl("get", "events", f"--sort-by={path}")
    assert lines(kubectl("get", "pods", "--sort-by=.status.startTime"))[1][1:3] == ["1/1", "Running"]


def test_scale(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web", replicas=1), widget("gear", replicas=1)))
    for name in ("deployment/web", "widget/gear"):
        assert kubectl("scale", name, "--replicas=3").strip().endswith("scaled")
        assert kubectl("get", name, "-o", "jsonpath={.spec.replicas}") == "3"
    refused = kubectl("scale", "deployment/web", "--current-replicas=1", "--replicas=5", fails=True)
    assert "Expected replicas to be 1, was 3" in refused
    assert kubectl("get", "deployment", "web", "--subresource=scale", "-o", "jsonpath={.spec.replicas}") == "3"


def test_patch_label_and_annotate(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web"), widget("gear")))
    assert kubectl("patch", "deployment", "web", "-p", '{"spec":{"paused":true}}').strip() == (
        "deployment.apps/web patched"
    )
    merge = ("patch", "widget", "gear", "--type=merge", "-p", '{"spec":{"size":7}}')
    assert kubectl(*merge).strip() == "widget.test.example/gear patched"
    assert kubectl(*merge).strip() == "widget.test.example/gear patched (no change)"
    kubectl("patch", "widget", "gear", "--type=json", "-p", '[{"op":"replace","path":"/spec/size","value":8}]')
    kubectl("patch", "widget", "gear", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Up"}}')
    assert kubectl("get", "widget", "gear", "-o", "jsonpath={.spec.size} {.status.phase}") == "8 Up"
    assert kubectl("label", "widget", "gear", "a=b").strip() == "widget.test.example/gear labeled"
    assert "already has a value" in kubectl("label", "widget", "gear", "a=c", fails=True)
    assert kubectl("label", "widget", "gear", "a-").strip() == "widget.test.example/gear unlabeled"
    assert kubectl("annotate", "deployment", "web", "x/y=z").strip() == "deployment.apps/web annotated"
    kubectl("set", "image", "deployment/web", "main=other")
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={..image}") == "other"


def test_edit(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web"), widget("gear")))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i -e "s/size: 1/size: 6/" -e "s/replicas: 0/replicas: 1/" "$1"\n')
    editor.chmod(0o755)
    assert kubectl("edit", "widget", "gear", EDITOR=str(editor)).strip() == "widget.test.example/gear edited"
    assert kubectl("get", "widget", "gear", "-o", "jsonpath={.spec.size}") == "6"
    assert kubectl("edit", "deployment", "web", EDITOR=str(editor)).strip() == "deployment.apps/web edited"
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    assert "no changes made" in kubectl("edit", "widget", "gear", EDITOR="true")


def test_create_and_replace(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", documents=(config_map("one", a="1"),)).strip() == "configmap/one created"
    assert "AlreadyExists" in kubectl("create", "-f", "-", documents=(config_map("one"),), fails=True)
    assert kubectl("replace", "-f", "-", documents=(config_map("one", a="2"),)).strip() == "configmap/one replaced"
    assert kubectl("get", "configmap", "one", "-o", "jsonpath={.data.a}") == "2"
    made = kubectl("create", "secret", "generic", "key", "--from-literal=a=1", "--dry-run=client", "-o", "json")
    assert kubectl("apply", "-f", "-", documents=(json.loads(made),)).strip() == "secret/key created"
    assert kubectl("get", "secret", "key", "-o", "jsonpath={.data.a}") == "MQ=="


def test_what_kubectl_makes_itself(kubectl: Kubectl) -> None:
    """It sends these in protobuf."""
    made = {
        "configmap": ("one", "--from-literal=a=1"),
        "secret": ("generic", "one", "--from-literal=a=1"),
        "serviceaccount": ("one",),
        "deployment": ("one", "--image=none", "--replicas=0", "--port=80"),
        "job": ("one", "--image=none"),
    }
    for kind, arguments in made.items():
        assert kubectl("create", kind, *arguments).strip().endswith("/one created")
    assert kubectl("get", "configmap,secret", "-o", "jsonpath={.items[*].data.a}").split()[-2:] == ["1", "MQ=="]
    container = "{.spec.template.spec.containers[0]['name','image']}"
    assert kubectl("get", "deployment", "one", "-o", f"jsonpath={{.spec.replicas}} {container}") == "0 none none"
    assert kubectl("get", "job", "one", "-o", "jsonpath={..restartPolicy}") == "Never"
    kubectl("autoscale", "deployment", "one", "--max=3", "--cpu=40%")
    assert kubectl("get", "hpa", "one", "-o", "jsonpath={..averageUtilization}") == "40"
    kubectl("expose", "deployment", "one", "--port=80", "--target-port=web")
    assert kubectl("get", "service", "one", "-o", "jsonpath={.spec.ports[0].targetPort}") == "web"
    kubectl("run", "alone", "--image=none", "--restart=Never", "--env=A=b", "--labels=x=y")
    shown = kubectl("get", "pod", "alone", "-o", "jsonpath={..env[0].value} {.spec.restartPolicy} {.metadata.labels.x}")
    assert shown == "b Never y"
    assert kubectl("create", "token", "one").count(".") == 2
    refused = kubectl("create", "configmap", "Bad_Name", fails=True)
    assert "a lowercase RFC 1123 subdomain must consist of" in refused


def test_rollouts(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=one")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("set", "image", "deployment/web", "*=two")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert [row[0] for row in lines(kubectl("rollout", "history", "deployment/web"))[2:4]] == ["1", "2"]
    assert re.search(r"Image:\s+one", kubectl("rollout", "history", "deployment/web", "--revision=1"))
    assert kubectl("rollout", "undo", "deployment/web").strip() == "deployment.apps/web rolled back"
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={..image}") == "one"
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert [row[0] for row in lines(kubectl("rollout", "history", "deployment/web"))[2:4]] == ["2", "3"]
    kubectl("rollout", "restart", "deployment/web")


def test_who_may_do_what(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "scaledobjects").strip() == "yes"
    assert "*.*" in kubectl("auth", "can-i", "--list")
    assert "Username" in kubectl("auth", "whoami")


def test_delete(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web", replicas=1), widget("a"), widget("b"), widget("c")))
    assert kubectl("delete", "widget", "a").startswith('widget.test.example "a" deleted')
    assert "not found" in kubectl("delete", "widget", "a", fails=True)
    assert kubectl("delete", "widget", "a", "--ignore-not-found") == ""
    assert len(kubectl("delete", "widget", "--all").splitlines()) == 2
    kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")
    assert kubectl("get", "rs,pods").strip().startswith("No resources found")


def test_wait(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", documents=(deployment("web", replicas=1), widget("gear")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "pod", "--selector=app=web", "--for=condition=Ready", "--timeout=60s")
    kubectl("patch", "widget", "gear", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Up"}}')
    assert "condition met" in kubectl("wait", "widget/gear", "--for=jsonpath={.status.phase}=Up", "--timeout=10s")
    kubectl("delete", "widget", "gear", "--wait=false")
    kubectl("wait", "widget/gear", "--for=delete", "--timeout=30s")
    kubectl("wait", "crd/widgets.test.example", "--for=condition=Established", "--timeout=10s")


def test_get_and_watch(kubectl: Kubectl, program: Path, side: Side, widgets: str) -> None:
    kubectl("apply", "-f", "-", documents=(widget("gear"),))
    watching = subprocess.Popen(
        [
            program,
            "get",
            "widgets",
            "--watch",
            f"--namespace={widgets.split('/')[5]}",
            f"--kubeconfig={side.kubeconfig}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().split() == ["NAME", "SIZE", "PHASE", "AGE"]
        assert watching.stdout.readline().split()[:2] == ["gear", "1"]
        # What came before the watch was opened may come again.
        time.sleep(0.1)
        side.patch(f"{widgets}/gear", {"spec": {"size": 9}})
        side.until(lambda: watching.stdout and watching.stdout.readline().split()[:2] == ["gear", "9"], "it is told")
        side.make(widgets, widget("new", size=5))
        side.until(lambda: watching.stdout and watching.stdout.readline().split()[:2] == ["new", "5"], "it is told")
    finally:
        watching.terminate()
        watching.wait(10)


def test_explain(kubectl: Kubectl) -> None:
    said = kubectl("explain", "widget.spec")
    assert re.search(r"^KIND:\s+Widget$", said, re.MULTILINE)
    assert re.search(r"^  size\s+<integer> -required-$", said, re.MULTILINE)
    assert re.search(r"^  color\s+<string>$", said, re.MULTILINE)
    assert "pollingInterval" in kubectl("explain", "so.spec")
    assert re.search(r"^KIND:\s+Deployment$", kubectl("explain", "deployment"), re.MULTILINE)
    assert re.search(
        r"^  containerPort\s+<integer>", kubectl("explain", "deploy.spec.template.spec.containers.ports"), re.MULTILINE
    )


def test_resources_and_versions(kubectl: Kubectl) -> None:
    found = kubectl("api-resources", "--api-group=keda.sh", "-o", "name").split()
    assert "scaledobjects.keda.sh" in found
    assert "triggerauthentications.keda.sh" in found
    assert "keda.sh/v1alpha1" in kubectl("api-versions").split()
    assert "Server Version: v1.36" in kubectl("version")
    assert kubectl("get", "--raw", "/readyz") == "ok"


def test_delete_a_job_and_its_pods(side: Side, kubectl: Kubectl) -> None:
    container = {"name": "main", "image": "none", "command": ["sleep", "1"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    one = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}, "spec": {"template": template}}
    kubectl("apply", "-f", "-", documents=(one,))
    side.until(lambda: kubectl("get", "pods", "--selector=job-name=one", "--output=name"), "it has a pod")
    assert kubectl("delete", "job", "one").startswith('job.batch "one" deleted')
    side.until(lambda: "No resources found" in kubectl("get", "pods"), "its pod is gone")
