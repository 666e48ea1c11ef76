"""The webhook on a real API server, as it is installed: what kubectl prints, and that nothing depends on it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keda_py.naming import VALIDATING_WEBHOOK
from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import NOBODY, Daemon, point_webhooks

from .world import World

pytestmark = pytest.mark.timeout(240)

PAGE = Path(__file__).parents[2] / "docs" / "webhook.md"
CRON = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Etc/UTC", "desiredReplicas": "1"}
LONG = "l" * 55


@pytest.fixture(scope="module")
def validated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon that the API server asks."""
    with Daemon(cluster, tmp_path_factory.mktemp("daemon"), "--leader-elect", "--http-timeout=8000") as daemon:
        point_webhooks(cluster, daemon.webhook_port)
        yield daemon
    point_webhooks(cluster, NOBODY)
    assert "Traceback" not in daemon.said()


@pytest.fixture
def shop(world: World, validated: Daemon) -> World:
    """A namespace in which objects are validated: the API server takes a moment to hear of whom to ask."""
    broken = world.scaled_object("probe", cron(start="never"))
    world.until(lambda: "denied" in applied(world, broken, dry_run=True), "the webhook is asked")
    return world


def cron(**changed: str) -> dict[str, Any]:
    return {"type": "cron", "metadata": CRON | changed}


def applied(world: World, *documents: dict[str, Any], dry_run: bool = False) -> str:
    """Return what kubectl prints."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
    flags = ["--dry-run=server"] if dry_run else []
    space = f"--namespace={world.namespace}"
    return world.cluster.kubectl("apply", space, "-f", "-", *flags, stdin=json.dumps(items), check=False)


def other(kind: str, api_version: str = "keda.sh/v1alpha1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


def cpu(resource: str = "cpu", **metadata: str) -> dict[str, Any]:
    return {"type": resource, "metricType": "Utilization", "metadata": {"value": "60", **metadata}}


def job(*triggers: dict[str, Any]) -> dict[str, Any]:
    return other("ScaledJob", jobTargetRef={"template": {}}, triggers=list(triggers))


def so(*triggers: dict[str, Any], name: str = "a", **spec: Any) -> dict[str, Any]:
    made = {"scaleTargetRef": {"name": "a"}, "triggers": list(triggers), **spec}
    return other("ScaledObject", **made) | {"metadata": {"name": name}}


EVENTS = "eventing.keda.sh/v1alpha1"
SINK = {"http": {"uri": "http://sink"}}
READY, FAILED = (["keda.scaledobject.ready.v1"], ["keda.scaledobject.failed.v1"])
MODIFIERS = {"scalingModifiers": {"formula": "a + b", "target": "2"}}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "replicas": (so(cron(), idleReplicaCount=3, minReplicaCount=3), "spec.idleReplicaCount (3) must be below"),
    "name": (so(cron(), name=LONG), f"the name of its HPA, keda-hpa-{LONG}, is 64 characters long"),
    "fallback": (so(cpu(), minReplicaCount=1, fallback={"failureThreshold": 3, "replicas": 1}), "nothing to stand in"),
    "names of triggers": (so(cron() | {"name": "x"}, cron() | {"name": "x"}), "the name x is used 2 times"),
    "cached": (so(cron() | {"useCachedMetrics": True}), "spec.triggers[0]: useCachedMetrics has no meaning"),
    "formula": (so(cron() | {"name": "a"}, advanced=MODIFIERS), "spec.advanced.scalingModifiers.formula: "),
    "to zero": (so(cpu()), "spec.minReplicaCount: must be at least 1"),
    "parameter": (so({"type": "metrics-api", "metadata": {"url": "x"}}), "(metrics-api): valueLocation: required"),
    "time zone": (so(cron(timezone="Mars/Base")), "spec.triggers[0] (cron): timezone: there is no such time zone"),
    "parameter of a job": (job(cron(end="at six")), "spec.triggers[0] (cron): end: "),
    "metric type of a job": (job(cron() | {"metricType": "Value"}), "spec.triggers[0].metricType has no meaning"),
    "identity": (
        other("TriggerAuthentication", podIdentity={"provider": "aws", "externalID": "x"}),
        "spec.podIdentity.externalID is for a role: it needs roleArn",
    ),
    "token": (
        other(
            "ClusterTriggerAuthentication", oauth2={"type": "clientCredentials", "clientId": "a", "tokenUrl": "login"}
        ),
        "spec.oauth2.tokenUrl: expected an address such as",
    ),
    "events": (
        other(
            "CloudEventSource",
            EVENTS,
            destination=SINK,
            eventSubscription={"includedEventTypes": READY, "excludedEventTypes": FAILED},
        ),
        "has both includedEventTypes and excludedEventTypes; remove one",
    ),
    "events of the cluster": (
        other(
            "ClusterCloudEventSource",
            EVENTS,
            destination=SINK,
            eventSubscription={"includedEventTypes": READY, "excludedEventTypes": FAILED},
        ),
        "has both includedEventTypes and excludedEventTypes; remove one",
    ),
}


def test_each_mistake_is_refused_with_what_to_do(shop: World) -> None:
    for name, (manifest, says) in MISTAKES.items():
        printed = applied(shop, manifest)
        assert "denied the request: " in printed, (name, printed)
        assert says in printed, (name, printed)
    assert shop.get("scaledobject,scaledjob,triggerauthentication,cloudeventsource")["items"] == []


def examples() -> list[tuple[str, str]]:
    """Return the manifests of the page, each with what the page says that kubectl prints."""
    return re.findall(r"^```yaml\n(.*?)^```\n+```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_kubectl_prints_what_the_page_says(cluster: Cluster, validated: Daemon, shop: World) -> None:
    cluster.kubectl("create", "namespace", "shop", check=False)
    there = World(cluster, "shop")
    try:
        assert len(examples()) == 3
        for manifests, printed in examples():
            *others, last = yaml.safe_load_all(manifests)
            if others:
                # What kubectl has just made, the daemon's watch need not have shown yet.
                applied(there, *others)
                there.until(lambda last=last: "denied" in applied(there, last, dry_run=True), "the others are known")
            said = cluster.kubectl("apply", "--namespace=shop", "-f", "-", stdin=manifests, check=False)
            # Two pipes: which of kubectl's lines came first is not known.
            assert sorted(said.replace(" unchanged", " created").splitlines()) == sorted(printed.splitlines())
    finally:
        cluster.kubectl("delete", "scaledobject,hpa", "--all", "--namespace=shop")
        cluster.kubectl("delete", "namespace", "shop", "--wait=false")


def test_requests_are_looked_for_in_a_target_of_the_same_manifest(shop: World) -> None:
    scaled = so(cpu(), minReplicaCount=1)
    printed = applied(shop, shop.deployment("a"), scaled)
    assert "container c of Deployment a needs resources.requests.cpu" in printed
    assert "deployment.apps/a created" in printed
    # On a dry run, which may make its target too, nothing is looked for.
    assert "scaledobject.keda.sh/a created (server dry run)" in applied(shop, scaled, dry_run=True)
    limits = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]}
    applied(shop, other("LimitRange", "v1", **limits))
    shop.until(lambda: "scaledobject.keda.sh/a created" in applied(shop, scaled), "the LimitRange is known")
    memory = applied(shop, so(cpu("memory"), minReplicaCount=1))
    assert "container c of Deployment a needs resources.requests.memory" in memory


def test_a_target_that_comes_later_is_waited_for(shop: World) -> None:
    printed = applied(shop, so(cpu(), minReplicaCount=1))
    assert "Warning: spec.scaleTargetRef: Deployment a does not exist yet; create it" in printed
    assert "scaledobject.keda.sh/a created" in printed


def test_a_target_has_one_owner(shop: World) -> None:
    shop.scaled("a", cron())
    shop.until_ready("a")
    printed = applied(shop, so(cron(), name="b"))
    assert "Deployment a is already scaled by the ScaledObject a" in printed
    # Its HPA is the same owner's: nothing more to tell.
    assert "HPA" not in printed
    config = {"horizontalPodAutoscalerConfig": {"name": "keda-hpa-a"}}
    printed = applied(shop, so(cron(), name="b", scaleTargetRef={"name": "b"}, advanced=config))
    assert "the HPA keda-hpa-a already belongs to the ScaledObject a; choose another name" in printed
    assert "scaledobject.keda.sh/a configured" in applied(shop, so(cron(desiredReplicas="2")))


def test_somebody_elses_hpa_can_be_taken_over_or_left(shop: World) -> None:
    hpa = other("HorizontalPodAutoscaler", "autoscaling/v2", maxReplicas=3)
    hpa["spec"]["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    applied(shop, hpa | {"metadata": {"name": "web"}})
    asking = so(cron())
    shop.until(lambda: "already scaled by the HPA web" in applied(shop, asking, dry_run=True), "the HPA is known")
    asking["metadata"]["annotations"] = {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
    assert "horizontalPodAutoscalerConfig.name must be web to take over" in applied(shop, asking, dry_run=True)
    asking["spec"]["advanced"] = {"horizontalPodAutoscalerConfig": {"name": "web"}}
    assert "created (server dry run)" in applied(shop, asking, dry_run=True)
    hpa["metadata"] = {"name": "web", "annotations": {"validations.keda.sh/hpa-ownership": "false"}}
    applied(shop, hpa)
    shop.until(lambda: "created (server" in applied(shop, so(cron()), dry_run=True), "the annotation is known")


def test_a_dry_run_leaves_nothing(shop: World) -> None:
    assert "denied the request" in applied(shop, so(cron(start="never")), dry_run=True)
    assert "scaledobject.keda.sh/a created (server dry run)" in applied(shop, so(cron()), dry_run=True)
    assert shop.get("scaledobject,hpa")["items"] == []


def test_without_the_daemon_everything_is_let_in_and_can_be_changed_and_deleted_afterwards(
    shop: World, validated: Daemon
) -> None:
    validated.stop()
    broken = so(cron(start="never"), cron(end="never"))
    broken["metadata"]["finalizers"] = ["example.com/kept"]
    assert "scaledobject.keda.sh/a created" in applied(shop, broken)
    validated.start()
    shop.until(lambda: "denied" in applied(shop, so(cron(end="never"), name="b"), dry_run=True), "it is asked again")
    # The daemon itself puts a label on it and writes its status.
    shop.until_ready("a", "False")
    broken["metadata"]["labels"] = {"team": "web"}
    assert "scaledobject.keda.sh/a configured" in applied(shop, broken)
    assert "denied the request" in applied(shop, so(cron(start="never"), cron()))
    shop.delete("so", "a")
    gone = {"metadata": {"finalizers": None}}
    shop.cluster.kubectl(
        "patch", "so", "a", f"--namespace={shop.namespace}", "--type=merge", f"--patch={json.dumps(gone)}"
    )
    shop.until(lambda: shop.get("scaledobject")["items"] == [], "it is gone")


def test_a_replica_that_does_not_lead_answers_as_well(shop: World, validated: Daemon, tmp_path: Path) -> None:
    with Daemon(shop.cluster, tmp_path, "--leader-elect") as second:
        assert "leader_election_master_status{" in second.metrics()
        point_webhooks(shop.cluster, second.webhook_port)
        refused = so(cron(start="never"))

        def has_counted() -> bool:
            applied(shop, refused, dry_run=True)
            line = rf'errors_total{{action="create",namespace="{shop.namespace}",reason="incorrect-trigger-metadata"}}'
            return line in second.metrics()

        shop.until(has_counted, "the second one was asked")
        assert 'leader_election_master_status{name="operator.keda.sh"} 0.0' in second.metrics()
    point_webhooks(shop.cluster, validated.webhook_port)
    shop.until(lambda: "denied" in applied(shop, refused, dry_run=True), "the first one is asked again")


def test_the_daemon_itself_is_not_asked_about(shop: World) -> None:
    applied(shop, so(cron()))
    space, patch = f"--namespace={shop.namespace}", '--patch={"spec": {"idleReplicaCount": 7}}'
    change = ("patch", "so", "a", space, "--type=merge", patch)
    assert "denied the request: spec.idleReplicaCount" in shop.cluster.kubectl(*change, check=False)
    itself = "--as=system:serviceaccount:keda:keda-operator"
    assert "scaledobject.keda.sh/a patched" in shop.cluster.kubectl(*change, itself)


def test_it_is_allowed_what_it_needs(shop: World, validated: Daemon) -> None:
    found = shop.cluster.get("validatingwebhookconfiguration", VALIDATING_WEBHOOK)["webhooks"]
    assert len(found) == 6
    assert all(hook["clientConfig"].get("caBundle") for hook in found)
    assert {hook["failurePolicy"] for hook in found} == {"Ignore"}
    assert "not as it should be" not in validated.said()
    assert "limitranges" not in validated.said()
