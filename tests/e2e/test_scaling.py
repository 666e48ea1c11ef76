"""A ScaledObject on a real cluster: from zero, by the real HPA controller, and back, as the spec says."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keda_py.naming import Annotation
from tests.controlplane.daemon import Daemon
from tests.pages import DOCS, manifests
from tests.servers import answers, free_port, prometheus, running

from .source import Source
from .world import POLL, World, moment

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(240)]

# How the documentation of KEDA shows a ScaledObject; only the address and the names are the test's.
DOCUMENTED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: prometheus-scaledobject
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web
  pollingInterval: 1
  cooldownPeriod: 6
  minReplicaCount: 0
  maxReplicaCount: 10
  advanced:
    restoreToOriginalReplicaCount: false
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 0
          policies:
          - type: Percent
            value: 100
            periodSeconds: 1
  triggers:
  - type: prometheus
    metadata:
      serverAddress: ADDRESS
      query: sum(work)
      threshold: '5.50'
      activationThreshold: '0.5'
"""


@pytest.fixture
def work(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real Prometheus that scrapes a file, so that the test says what there is to do."""
    (tmp_path / "metrics").write_text("work 0\n")
    port = free_port()
    exporter = ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    ready = f"http://127.0.0.1:{port}/metrics"
    with (
        running(exporter, log=tmp_path / "exporter.log", ready=lambda: answers(ready)),
        prometheus(tmp_path, targets=[f"127.0.0.1:{port}"]) as address,
    ):
        yield address, tmp_path / "metrics"


def test_the_documented_manifest_scales_from_zero_to_many_and_back(world: World, work: tuple[str, Path]) -> None:
    address, metrics = work
    name = "prometheus-scaledobject"
    manifest = DOCUMENTED.replace("ADDRESS", address)
    world.cluster.kubectl("apply", f"--namespace={world.namespace}", "-f", "-", stdin=manifest)
    world.until_ready(name)
    assert world.replicas("web") == 0
    metrics.write_text("work 40\n")
    world.until(lambda: world.replicas("web") > 0, "awake")
    world.until_replicas("web", 8)  # 40 / 5.5, rounded up
    reads_as_with_keda(world, name)
    metrics.write_text("work 12\n")
    world.until_replicas("web", 3)
    metrics.write_text("work 0\n")
    world.until_replicas("web", 0, seconds=60)
    (slept,) = world.events(name, "KEDAScaleTargetDeactivated")
    idle = moment(slept["eventTime"]) - moment(world.status(name)["lastActiveTime"])
    # lastActiveTime is in whole seconds, rounded down.
    assert 6 <= idle.total_seconds() <= 6 + 1 + 2 * POLL + 1
    why = "triggers were inactive for the whole cooldown"
    assert slept["note"] == f"Deactivated apps/v1.Deployment {world.namespace}/web from 1 to 0: {why}"
    (woke,) = world.events(name, "KEDAScaleTargetActivated")
    assert woke["note"].endswith(f"{world.namespace}/web from 0 to 1, triggered by s0-prometheus")


def reads_as_with_keda(world: World, name: str) -> None:
    kubectl, space = world.cluster.kubectl, f"--namespace={world.namespace}"
    shown = kubectl("get", "so", space)
    header, row = (line.split() for line in shown.splitlines())
    assert header == [
        *("NAME", "SCALETARGETKIND", "SCALETARGETNAME", "MIN", "MAX", "READY", "ACTIVE", "FALLBACK", "PAUSED"),
        *("TRIGGERS", "AUTHENTICATIONS", "AGE"),
    ]
    assert row[:10] == [name, "apps/v1.Deployment", "web", "0", "10", "True", "True", "False", "False", "prometheus"]
    described = kubectl("describe", "so", name, space)
    for text in ("KEDAScalersStarted", "ScaledObjectReady", "KEDAScaleTargetActivated", "Hpa Name:", "s0-prometheus"):
        assert text in described
    hpa = world.get("hpa", f"keda-hpa-{name}")
    assert hpa["metadata"]["labels"]["scaledobject.keda.sh/name"] == name
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 10)
    (metric,) = hpa["spec"]["metrics"]
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "5500m"}
    assert metric["external"]["metric"]["selector"] == {"matchLabels": {"scaledobject.keda.sh/name": name}}
    assert "5500m (avg)" in kubectl("get", "hpa", space)
    conditions = {c["type"]: (c["status"], c["reason"]) for c in world.status(name)["conditions"]}
    assert conditions["Ready"] == ("True", "ScaledObjectReady")
    assert conditions["Active"] == ("True", "ScalerActive")
    assert conditions["HPAActive"][0] == "True"


def test_a_new_object_wakes_at_once_and_an_old_one_within_a_poll(world: World, source: Source) -> None:
    source.values["a"] = 3
    world.scaled("a", source.trigger("a"), pollingInterval=600)
    assert world.until_replicas("a", 1) < 5
    world.scaled("b", source.trigger("b"), pollingInterval=2)
    world.until_ready("b")
    source.values["b"] = 3
    assert world.until_replicas("b", 1) < 2 + 2


def test_the_initial_cooldown_counts_from_the_creation(world: World, source: Source) -> None:
    world.scaled("a", source.trigger("a"), replicas=2, initialCooldownPeriod=8, cooldownPeriod=0)
    world.until_replicas("a", 0)
    created = moment(world.get("so", "a")["metadata"]["creationTimestamp"])
    (slept,) = world.events("a", "KEDAScaleTargetDeactivated")
    assert 8 <= (moment(slept["eventTime"]) - created).total_seconds() <= 8 + 1 + 2 * POLL + 1


def test_bounds_are_kept(world: World, source: Source) -> None:
    source.values["a"] = 1000
    world.scaled("a", source.trigger("a"), minReplicaCount=2, maxReplicaCount=4)
    world.scaled("b", source.trigger("b"), minReplicaCount=2, maxReplicaCount=4)
    world.scaled("c", source.trigger("c"), minReplicaCount=3, idleReplicaCount=0, replicas=3, cooldownPeriod=1)
    world.until_replicas("a", 4)
    world.until_replicas("b", 2)
    world.until_replicas("c", 0)
    source.values["c"] = 1
    world.until_replicas("c", 3)
    world.stays("b", 2, 3)


def test_the_hpa_has_the_name_and_behavior_of_the_spec(world: World, source: Source) -> None:
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}],
            "selectPolicy": "Max",
        }
    }
    source.values["a"] = 100
    config = {"name": "mine", "behavior": behavior}
    world.scaled("a", source.trigger("a"), advanced={"horizontalPodAutoscalerConfig": config})
    world.until(lambda: bool(world.get("hpa")["items"]), "there is an HPA")
    (hpa,) = world.get("hpa")["items"]
    assert hpa["metadata"]["name"] == "mine"
    assert hpa["spec"]["behavior"]["scaleUp"] == behavior["scaleUp"]
    world.until_replicas("a", 2)
    world.stays("a", 2, 4)
    advanced = {"horizontalPodAutoscalerConfig": {"name": "other"}}
    world.apply(world.scaled_object("a", source.trigger("a"), advanced=advanced))
    world.until(lambda: [h["metadata"]["name"] for h in world.get("hpa")["items"]] == ["other"], "renamed")
    world.until_replicas("a", 20)


def test_what_a_spec_says_no_more_goes_from_the_hpa(world: World, source: Source) -> None:
    config = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}
    world.scaled("a", source.trigger("a"), source.trigger("b"), advanced={"horizontalPodAutoscalerConfig": config})
    world.until(lambda: len(world.get("hpa")["items"]) == 1, "there is an HPA")
    world.apply(world.scaled_object("a", source.trigger("a"), maxReplicaCount=7))

    def as_edited() -> bool:
        spec = world.get("hpa", "keda-hpa-a")["spec"]
        return (len(spec["metrics"]), spec["maxReplicas"], "behavior" in spec) == (1, 7, False)

    world.until(as_edited, "the HPA is as the edited spec says")
    world.cluster.kubectl(
        "patch", "hpa", "keda-hpa-a", f"--namespace={world.namespace}", '--patch={"spec":{"maxReplicas":9}}'
    )
    world.until(as_edited, "an edit by hand is undone")
    world.delete("hpa", "keda-hpa-a")
    world.until(lambda: len(world.get("hpa")["items"]) == 1, "a deleted HPA is back")


def test_an_hpa_is_left_as_it_is_while_nothing_changes(world: World, source: Source) -> None:
    source.values["a"] = 1
    behavior = {"scaleDown": {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}]}}
    world.scaled("a", source.trigger("a"), advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}})
    world.until_replicas("a", 1)
    time.sleep(2)
    before = ours(world)
    time.sleep(3 * POLL)
    assert len(before) == 1
    assert ours(world) == before


def ours(world: World) -> list[dict[str, str]]:
    """Return what the API server remembers of our writes to the HPA."""
    hpa = world.get("hpa", "keda-hpa-a", "--show-managed-fields")
    return [entry for entry in hpa["metadata"]["managedFields"] if entry["manager"] == "keda-py"]


def test_deleting_restores_the_replicas_of_before(world: World, source: Source) -> None:
    world.scaled(
        "a", source.trigger("a"), replicas=3, advanced={"restoreToOriginalReplicaCount": True}, cooldownPeriod=1
    )
    world.until_replicas("a", 0)
    world.delete("so", "a")
    world.until_replicas("a", 3)
    world.until(lambda: not world.get("so")["items"] and not world.get("hpa")["items"], "object and HPA are gone")
    world.scaled("b", source.trigger("b"), replicas=3, cooldownPeriod=1)
    world.until_replicas("b", 0)
    assert not world.get("so", "b")["metadata"].get("finalizers")
    world.delete("so", "b")
    world.until(lambda: not world.get("so")["items"], "gone")
    world.stays("b", 0, 2)


def test_cached_metrics_ask_the_source_once_an_interval(world: World, source: Source, daemon: Daemon) -> None:
    source.values |= {"a": 12, "b": 12}
    world.scaled("a", source.trigger("a", useCachedMetrics=True), pollingInterval=10)
    world.scaled("b", source.trigger("b"), pollingInterval=10)
    world.until_replicas("a", 3)
    world.until_replicas("b", 3)
    before = dict(source.asked)
    # The HPA controller asks every second; without the cache a value of five seconds ago is too old for it.
    time.sleep(20)
    assert source.asked["a"] - before["a"] <= 3
    assert source.asked["b"] - before["b"] >= 3
    assert 'keda_scaler_metrics_value{metric="s0-metric-api-value"' in daemon.metrics()


def test_a_replica_set_is_scaled_too(world: World, source: Source) -> None:
    source.values["a"] = 12
    world.apply(world.deployment("a", kind="ReplicaSet"))
    world.apply(world.scaled_object("a", source.trigger("a"), scaleTargetRef={"name": "a", "kind": "ReplicaSet"}))
    world.until_replicas("a", 3, kind="replicaset")
    assert world.status("a")["scaleTargetGVKR"] == {
        "group": "apps",
        "version": "v1",
        "kind": "ReplicaSet",
        "resource": "replicasets",
    }
    source.values["a"] = 0
    world.until_replicas("a", 0, kind="replicaset")


def test_an_hpa_is_taken_over_in_place_and_goes_with_its_object(world: World, source: Source) -> None:
    source.values["a"] = 22
    theirs = autoscaler("theirs", "a")
    world.apply(world.deployment("a", 2), theirs)
    before = world.get("hpa", "theirs")
    made = world.scaled_object("a", source.trigger("a"), cooldownPeriod=300)
    world.apply(made)
    world.until_ready("a", "False")
    assert "Deployment a is already scaled by the HPA theirs" in world.condition("a", "Ready")["message"]
    made["spec"]["advanced"] = {
        "horizontalPodAutoscalerConfig": {
            "name": "theirs",
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
        }
    }
    world.apply(made)
    world.until(
        lambda: "there is an HPA theirs that is not" in world.condition("a", "Ready")["message"], "told what to do"
    )
    (untouched,) = world.get("hpa")["items"]
    assert (untouched["spec"], world.replicas("a")) == (before["spec"], 2)
    made["metadata"]["annotations"] = {Annotation.TRANSFER_HPA: "true"}
    world.apply(made)
    world.until_ready("a")
    world.until_replicas("a", 5)  # 22 / 5, rounded up, by the HPA that was switched off upwards
    (taken,) = world.get("hpa")["items"]
    assert (taken["metadata"]["name"], taken["metadata"]["uid"]) == ("theirs", before["metadata"]["uid"])
    assert taken["metadata"]["labels"]["team"] == "shop"
    assert [metric["type"] for metric in taken["spec"]["metrics"]] == ["External"]
    assert world.status("a")["hpaName"] == "theirs"
    world.delete("so", "a")
    world.until(lambda: not world.get("hpa")["items"], "gone with its object")


def test_the_documented_manifest_takes_an_hpa_over(world: World) -> None:
    (manifest,) = manifests("migrate.md")
    name = manifest["metadata"]["name"]
    world.apply(world.deployment(name, 2), autoscaler(name, name))
    before = world.get("hpa", name)["metadata"]["uid"]
    bare = {key: value for key, value in manifest["spec"].items() if key != "advanced"}
    world.apply({**manifest, "metadata": {"name": name}, "spec": bare})
    world.until_ready(name, "False")
    assert f"```\n{world.condition(name, 'Ready')['message']}\n```" in (DOCS / "migrate.md").read_text()
    world.apply(manifest)
    world.until_ready(name)
    taken = world.get("hpa", name)
    assert taken["metadata"]["uid"] == before
    assert [owner["name"] for owner in taken["metadata"]["ownerReferences"]] == [name]
    assert (taken["spec"]["maxReplicas"], "behavior" in taken["spec"]) == (10, False)


def autoscaler(name: str, target: str) -> dict[str, Any]:
    """Return an HPA as a person makes one, that does not scale up."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "labels": {"team": "shop"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 2,
            "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": {"scaleUp": {"selectPolicy": "Disabled"}},
        },
    }


def test_a_stateful_set_and_a_custom_resource_are_scaled_too(world: World, source: Source) -> None:
    source.values |= {"a": 12, "b": 12}
    world.apply(world.deployment("a", kind="StatefulSet"))
    reference = {"name": "a", "kind": "StatefulSet"}
    world.apply(world.scaled_object("a", source.trigger("a"), scaleTargetRef=reference))
    world.cluster.apply(LAMPS)
    world.cluster.kubectl("wait", "--for=condition=Established", "crd/lamps.example.com")
    world.apply({"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "b"}, "spec": {"replicas": 0}})
    reference = {"name": "b", "kind": "Lamp", "apiVersion": "example.com/v1"}
    world.apply(world.scaled_object("b", source.trigger("b"), scaleTargetRef=reference))
    world.until_replicas("a", 3, kind="statefulset")
    # Nobody runs lamps, so that the HPA controller sees no pods; waking them is ours.
    world.until(lambda: world.replicas("b", "lamp") >= 1, "the lamp is on")
    assert world.status("b")["scaleTargetKind"] == "example.com/v1.Lamp"
    source.values |= {"a": 0, "b": 0}
    world.until_replicas("a", 0, kind="statefulset")
    world.until_replicas("b", 0, kind="lamp")


LAMPS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Lamp", "plural": "lamps", "singular": "lamp"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
