"""The daemon itself: killed at any moment, cut off, held up, one of two; and quiet when there is nothing to do."""

import time
from pathlib import Path

import pytest

from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import NAMESPACE, Daemon

from .quiet import assert_quiet_since, quiet
from .source import Source
from .world import World, moment

pytestmark = pytest.mark.timeout(300)


def started(cluster: Cluster, folder: Path, *arguments: str) -> Daemon:
    # With time to answer: the source is in this process, and on a busy machine it may be late.
    return Daemon(cluster, folder, "--leader-elect", "--http-timeout=8000", *arguments)


def test_killed_again_and_again_it_converges(world: World, source: Source, tmp_path: Path) -> None:
    daemon = started(world.cluster, tmp_path, "--lease-duration=3s", "--renew-deadline=2s", "--retry-period=500ms")
    daemon.start()
    for name in "abc":
        world.scaled(name, source.trigger(name), cooldownPeriod=2, advanced=AT_ONCE)
    for turn in range(6):
        busy = 12 if turn % 2 == 0 else 0
        source.values = dict.fromkeys("abc", busy)
        # At another moment each time: while it starts, lists, takes the lease, reads, acts.
        time.sleep(0.3 + 0.7 * turn)
        daemon.kill()
        daemon.start(ready=False)
    daemon.wait_ready()
    source.values = dict.fromkeys("abc", 12.0)
    for name in "abc":
        world.until_replicas(name, 3)
        world.until_ready(name)
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.said()


AT_ONCE = {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}


def test_the_last_activity_survives_a_crash(world: World, source: Source, tmp_path: Path) -> None:
    source.values["a"] = 3
    daemon = started(world.cluster, tmp_path, "--lease-duration=3s", "--renew-deadline=2s", "--retry-period=500ms")
    with daemon:
        world.scaled("a", source.trigger("a"), cooldownPeriod=15)
        world.until_replicas("a", 1)
        source.values["a"] = 0
        world.until(lambda: world.condition("a", "Active")["status"] == "False", "idle")
        idle_since = moment(world.status("a")["lastActiveTime"])
        daemon.kill()
        daemon.start()
        world.until_replicas("a", 0)
        (slept,) = world.events("a", "KEDAScaleTargetDeactivated")
        after = (moment(slept["eventTime"]) - idle_since).total_seconds()
        # Neither at once, as if it had never been active, nor a whole cooldown later again.
        assert 15 <= after <= 15 + 6


def test_the_api_server_killed_and_back(world: World, source: Source, tmp_path: Path) -> None:
    if world.cluster.given:
        pytest.skip("the given cluster's API server is not ours to kill")
    source.values["a"] = 12
    with started(world.cluster, tmp_path, "--zap-log-level=debug") as daemon:
        world.scaled("a", source.trigger("a"), cooldownPeriod=1, advanced=AT_ONCE)
        world.until_replicas("a", 3)
        # Something that the daemon does not watch: what it has seen last is then older than this.
        world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}})
        start_again = world.cluster.kill_api_server()
        source.values["a"] = 22
        time.sleep(5)
        assert daemon.health("/healthz") == 200
        start_again()
        world.until_replicas("a", 5, seconds=60)
        world.scaled("b", source.trigger("a"))
        world.until_replicas("b", 5, seconds=60)
        source.values["a"] = 0
        world.until_replicas("a", 0, seconds=60)
        assert "watch broke" in daemon.said()
        # A fresh API server remembers nothing that was before it: watches that go on from there are told 410, if
        # they are not refused already because it has not read its roles yet.
        assert any(text in daemon.said() for text in ("watch expired, listing anew", "cannot list or watch"))
        assert "Traceback" not in daemon.said()


def test_the_api_server_frozen(world: World, source: Source, tmp_path: Path) -> None:
    """Connections stay open and nothing comes: every call has its deadline, leadership ends, and comes back."""
    if world.cluster.given:
        pytest.skip("the given cluster's API server is not ours to stop")
    source.values["a"] = 12
    # Shorter than Kubernetes' own controllers bear: they would exit.
    times = ("--lease-duration=6s", "--renew-deadline=4s", "--retry-period=1s")
    with started(world.cluster, tmp_path, *times) as daemon:
        world.scaled("a", source.trigger("a"), advanced=AT_ONCE)
        world.until_replicas("a", 3)
        with world.cluster.frozen("kube-apiserver"):
            source.values["a"] = 22
            time.sleep(7)
            assert "not leading" in daemon.said()
        world.until_replicas("a", 5, seconds=60)
        assert "Traceback" not in daemon.said()


def test_held_up_by_the_api_servers_fairness(world: World, source: Source, tmp_path: Path) -> None:
    """One request at a time, and 429 with Retry-After to all others."""
    level = {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "no-keda"},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 0,
                "lendablePercent": 0,
                "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Reject"},
            },
        },
    }
    subject = {"kind": "ServiceAccount", "serviceAccount": {"name": "keda-operator", "namespace": NAMESPACE}}
    anything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    schema = {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": "no-keda"},
        "spec": {
            "priorityLevelConfiguration": {"name": "no-keda"},
            "matchingPrecedence": 2,
            "rules": [{"subjects": [subject], "resourceRules": [anything]}],
        },
    }
    names = [f"m{number}" for number in range(20)]
    with started(world.cluster, tmp_path) as daemon:
        for name in names:
            world.scaled(name, source.trigger(name), advanced=AT_ONCE)
        for name in names:
            world.until_ready(name)
        world.cluster.apply(level, schema)
        time.sleep(2)
        source.values = dict.fromkeys(names, 12.0)
        for name in names:
            world.until_replicas(name, 3, seconds=90)
        refused = [line for line in metrics(world.cluster) if "rejected_requests_total" in line and "no-keda" in line]
        world.cluster.kubectl("delete", "flowschema/no-keda", "prioritylevelconfiguration/no-keda")
        assert refused
        assert "Traceback" not in daemon.said()


def metrics(cluster: Cluster) -> list[str]:
    return cluster.kubectl("get", "--raw", "/metrics").splitlines()


def test_others_who_scale_at_the_same_time(world: World, source: Source, tmp_path: Path) -> None:
    """Conflicts: somebody else writes the target and the object all the while."""
    with started(world.cluster, tmp_path) as daemon:
        for name in "ab":
            world.scaled(name, source.trigger(name), cooldownPeriod=1, advanced=AT_ONCE)
        for turn in range(12):
            source.values = dict.fromkeys("ab", 12.0 if turn % 2 else 0.0)
            annotation = f"turn={turn}"
            world.cluster.kubectl(
                "annotate", "--overwrite", "so,deploy", "--all", annotation, f"--namespace={world.namespace}"
            )
            world.cluster.kubectl("scale", "deploy/a", f"--replicas={turn % 3}", f"--namespace={world.namespace}")
        source.values = {"a": 12, "b": 0}
        world.until_replicas("a", 3, seconds=60)
        world.until_replicas("b", 0, seconds=60)
        for name in "ab":
            world.until_ready(name)
        assert "Traceback" not in daemon.said()


def test_an_object_edited_and_deleted_while_it_is_read(world: World, source: Source, tmp_path: Path) -> None:
    source.values |= {"a": 12, "b": 22}
    source.faults["slow-one"] = "slow"
    with started(world.cluster, tmp_path) as daemon:
        world.scaled("a", source.trigger("slow-one"))
        time.sleep(2)
        world.apply(world.scaled_object("a", source.trigger("b")))
        world.until_replicas("a", 5)
        world.scaled("c", source.trigger("slow-one"))
        time.sleep(2)
        world.delete("so", "c")
        world.until(lambda: len(world.get("so")["items"]) == 1, "deleted at once")
        world.until(lambda: len(world.get("hpa")["items"]) == 1, "its HPA with it")
        world.apply(world.scaled_object("c", source.trigger("a")))
        world.until_replicas("c", 3)
        assert "Traceback" not in daemon.said()


def test_the_second_daemon_takes_over_when_the_first_is_gone(world: World, source: Source, tmp_path: Path) -> None:
    times = ("--lease-duration=4s", "--renew-deadline=3s", "--retry-period=1s")
    first, second = (started(world.cluster, tmp_path / name, *times) for name in ("first", "second"))
    with first:
        world.scaled("a", source.trigger("a"), cooldownPeriod=60)
        world.until_ready("a")
        with second:
            # The one that does not lead answers the HPA controller all the same, and acts on nothing.
            source.values["a"] = 12
            world.until_replicas("a", 3)
            assert '"scaled"' in first.said()
            assert '"scaled"' not in second.said()
            first.kill()
            world.scaled("b", source.trigger("a"))
            world.until_replicas("b", 3)
            assert "Traceback" not in second.said()
            first.start()
            assert second.stop() == 0
            # Released, so that nobody waits for it to run out.
            world.until(lambda: first.said().count('"leading"') == 2, "takes over", seconds=3)
            second.process = None
            first._point_service()


def test_a_steady_cluster_sees_no_write(world: World, source: Source, tmp_path: Path) -> None:
    count = 200
    source.values = {f"m{number}": float(number % 2) for number in range(count)}
    documents = []
    for number in range(count):
        name = f"m{number}"
        scaled = world.scaled_object(name, source.trigger(name), cooldownPeriod=300, pollingInterval=5)
        documents += [world.deployment(name), scaled]
    world.apply(*documents)
    with started(world.cluster, tmp_path) as daemon:

        def settled() -> bool:
            found = world.get("scaledobjects")["items"]
            ready = [o for o in found if "Ready=True" in [f"{c['type']}={c['status']}" for c in conditions(o)]]
            healthy = [o for o in found if "HPAActive" in [c["type"] for c in conditions(o)]]
            return len(ready) == count and len(healthy) == count

        # Not more often: reading 200 objects would keep the source, which is in this process, from answering.
        world.until(settled, "all are ready", seconds=90, every=3)
        before = quiet(world)
        assert before["create", "horizontalpodautoscalers"] >= count
        asked = source.asked.copy()
        # However slow this machine is at the moment: ten polls of each object.
        world.until(
            lambda: all(source.asked[name] >= asked[name] + 10 for name in source.values),
            "all are polled",
            seconds=90,
            every=3,
        )
        assert_quiet_since(world, before)
        assert "Traceback" not in daemon.said()


def test_steady_scaled_jobs_see_no_write_and_no_list(world: World, source: Source, tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(50)]
    source.values = dict.fromkeys(names, 1.0)
    world.apply(*(world.scaled_job(name, source.trigger(name, target=1), pollingInterval=5) for name in names))
    with started(world.cluster, tmp_path) as daemon:

        def settled() -> bool:
            found = [pod for pod in world.get("pods")["items"] if pod["status"].get("phase") == "Running"]
            return len(found) == len(names)

        world.until(settled, "each has its Job, and it runs", seconds=150, every=3)
        before = quiet(world)
        assert before["create", "jobs"] >= len(names)
        asked = source.asked.copy()
        world.until(
            lambda: all(source.asked[name] >= asked[name] + 5 for name in names), "all are polled", seconds=180, every=3
        )
        assert_quiet_since(world, before)
        assert "Traceback" not in daemon.said()


def conditions(found: dict[str, dict[str, list[dict[str, str]]]]) -> list[dict[str, str]]:
    return found.get("status", {}).get("conditions") or []
