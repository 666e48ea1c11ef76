"""ScaledJobs on a real cluster: what the API server refuses, edits, history, kubectl; and quiet if nothing is new."""

import time
from typing import Any

import pytest

from tests.controlplane.cluster import Cluster

from .source import Source
from .workers import Workers
from .world import World, sleeping

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(600)]


@pytest.fixture
def world(world: World) -> World:
    return World(world.cluster, world.namespace, "scaledjob")


def jobs(world: World, name: str) -> dict[str, dict[str, Any]]:
    """Return the Jobs of a ScaledJob, by their uid."""
    found = world.get("jobs", f"--selector=scaledjob.keda.sh/name={name}")["items"]
    return {job["metadata"]["uid"]: job for job in found}


def until_jobs(world: World, name: str, count: int, seconds: float = 120) -> dict[str, dict[str, Any]]:
    world.until(lambda: len(jobs(world, name)) == count, f"{name} has {count} Jobs", seconds, every=0.5)
    return jobs(world, name)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_quota_holds_the_jobs_until_it_is_raised(world: World, source: Source) -> None:
    world.apply(quota(2))
    world.until(lambda: bool(world.get("resourcequota", "jobs").get("status")), "the quota holds")
    source.values["a"] = 5
    world.apply(world.scaled_job("a", source.trigger("a", target=1)))
    world.until_ready("a", "False")
    asked = source.asked["a"]
    said = world.condition("a", "Ready")["message"]
    assert "exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch=2" in said
    refused = refusals(world.cluster)
    # Asked less and less often, however often the source is read.
    world.until(lambda: source.asked["a"] >= asked + 12, "polled", seconds=120)
    assert refusals(world.cluster) - refused <= 4
    (event,) = world.events("a", "KEDAJobCreateFailed")
    assert "exceeded quota: jobs" in event["note"]
    assert event["type"] == "Warning"
    assert len(jobs(world, "a")) == 2
    world.apply(quota(20))
    until_jobs(world, "a", 5, seconds=180)
    world.until_ready("a")


def quota(count: int) -> dict[str, Any]:
    hard = {"count/jobs.batch": str(count)}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs"}, "spec": {"hard": hard}}


def refusals(cluster: Cluster) -> float:
    """Return how many Jobs the API server has refused."""
    return cluster.request_counts(code="403").get(("POST", "jobs", ""), 0)


def test_a_template_that_is_refused_is_told_and_mended_by_an_edit(world: World, source: Source) -> None:
    source.values["a"] = 2
    trigger = source.trigger("a", target=1)
    world.apply(world.scaled_job("a", trigger, pod=sleeping(3600) | {"restartPolicy": "Always"}))
    world.until_ready("a", "False")
    ready = world.condition("a", "Ready")
    assert ready["reason"] == "ScaledJobCheckFailed"
    assert "spec.template.spec.restartPolicy" in ready["message"]
    world.until(lambda: bool(world.events("a", "KEDAJobCreateFailed")), "told")
    (event,) = world.events("a", "KEDAJobCreateFailed")
    assert "spec.template.spec.restartPolicy" in event["note"]
    assert not jobs(world, "a")
    world.apply(world.scaled_job("a", trigger))
    until_jobs(world, "a", 2)
    world.until_ready("a")


# --- any Job's spec -------------------------------------------------------------------------------------------------


def test_any_job_spec_is_made_as_it_is_written_and_ends_as_it_says(world: World, source: Source) -> None:
    """What this release of Kubernetes knows of Jobs and KEDA's CRD may not, in an object with a long name."""
    target = {
        "completions": 3,
        "parallelism": 3,
        "completionMode": "Indexed",
        "backoffLimitPerIndex": 1,
        "maxFailedIndexes": 2,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": 1,
        "podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}]},
        "successPolicy": {"rules": [{"succeededIndexes": "1", "succeededCount": 1}]},
    }
    long, trigger = f"indexed-{'x' * 52}", source.trigger("a", target=1)
    source.values["a"] = 1
    indexed = world.scaled_job(long, trigger, pod=sleeping(2))
    indexed["spec"]["jobTargetRef"] |= target
    unset = world.scaled_job("unset", trigger, pod=sleeping(3600) | {"restartPolicy": None})
    world.apply(indexed, unset)
    (first,) = until_jobs(world, long, 1).values()
    spec = first["spec"]
    spec["podFailurePolicy"]["rules"][0].pop("onPodConditions", None)
    assert {name: spec[name] for name in target} == target
    (other,) = until_jobs(world, "unset", 1).values()
    assert other["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    # It ends with the one index that it is for, and is gone then by its time to live: neither holds up the next.
    world.until(lambda: bool(set(jobs(world, long)) - {first["metadata"]["uid"]}), "the next one", 120, every=0.5)


# --- edits and history ----------------------------------------------------------------------------------------------


def test_only_an_edit_of_the_job_target_replaces_jobs_and_not_with_gradual(world: World, source: Source) -> None:
    source.values["a"] = 3
    trigger, rolled = source.trigger("a", target=1), {"rollout": {"strategy": "gradual"}}
    world.apply(world.scaled_job("a", trigger))
    first = set(until_jobs(world, "a", 3))
    world.apply(world.scaled_job("a", trigger, source.trigger("b"), pollingInterval=2, maxReplicaCount=50))
    decided(world, source)
    assert set(jobs(world, "a")) == first
    world.apply(world.scaled_job("a", trigger, pod=sleeping(3601)))
    world.until(lambda: not first & set(jobs(world, "a")), "the old are gone", every=0.5)
    second = set(until_jobs(world, "a", 3))
    world.apply(world.scaled_job("a", trigger, pod=sleeping(3602), **rolled))
    decided(world, source)
    assert set(jobs(world, "a")) == second
    source.values["a"] = 4
    until_jobs(world, "a", 4)
    assert len(world.events("a", "ScaledJobRolloutCleanupCompleted")) == 1


def decided(world: World, source: Source) -> None:
    """Wait until the present spec has been acted on, and the source been read some times since."""
    world.until(lambda: bool(world.condition("a", "Ready")["status"]), "seen")
    asked = source.asked["a"]
    world.until(lambda: source.asked["a"] >= asked + 4, "read again", seconds=120)


def test_the_newest_by_when_they_finished_are_kept_and_what_runs_always(world: World, source: Source) -> None:
    """One runs on, one is slow; others come and go meanwhile."""
    spec = {"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1, "rolloutStrategy": "gradual"}

    def also(count: int, pod: dict[str, Any]) -> None:
        world.apply(world.scaled_job("a", source.trigger("a", target=1), pod=pod, **spec))
        # Not before the edit has been heard of: else a Job may be made of the pod before.
        time.sleep(3)
        source.values["a"] = count

    with Workers(world.cluster.kubeconfig, world.namespace, {}).working() as seen:

        def ended(outcome: str) -> list[str]:
            found = [(c["lastTransitionTime"], name) for name, c in seen.ended.items() if c["type"] == outcome]
            return [name for _, name in sorted(found)]

        also(1, sleeping(3600))
        until_jobs(world, "a", 1)
        also(2, sleeping(15))
        until_jobs(world, "a", 2)
        also(3, sleeping(1))
        world.until(lambda: len(ended("Complete")) >= 3, "some are complete", seconds=180)
        also(3, sleeping(1, exits=1))
        world.until(lambda: len(ended("Failed")) >= 3, "some have failed", seconds=180)
        source.values["a"] = 0
        world.until(lambda: len(seen.jobs_of("a")) == 1 + 2 + 1, "the rest has ended and is gone", seconds=120)
        kept = {job["metadata"]["name"] for job in seen.jobs_of("a")}
        (running,) = kept - set(seen.ended)
        assert running.endswith("-1")
        for outcome, limit in (("Complete", 2), ("Failed", 1)):
            moments = {name: seen.ended[name]["lastTransitionTime"] for name in ended(outcome)}
            oldest = min(moment for name, moment in moments.items() if name in kept)
            # Kubernetes writes whole seconds: of one second, either may be the newer.
            assert sum(moment > oldest for moment in moments.values()) < limit


# --- kubectl --------------------------------------------------------------------------------------------------------


def test_it_reads_as_with_keda_and_is_paused_and_deleted_with_kubectl(world: World, source: Source) -> None:
    kubectl, space = world.cluster.kubectl, f"--namespace={world.namespace}"
    source.values["a"] = 2
    world.apply(world.scaled_job("a", source.trigger("a", target=1), minReplicaCount=0, maxReplicaCount=10))
    until_jobs(world, "a", 2)
    world.until_ready("a")
    header, row = (line.split() for line in kubectl("get", "sj", space).splitlines())
    assert header == ["NAME", "MIN", "MAX", "READY", "ACTIVE", "PAUSED", "TRIGGERS", "AUTHENTICATIONS", "AGE"]
    assert row[:7] == ["a", "0", "10", "True", "True", "False", "metrics-api"]
    world.until(lambda: len(world.events("a", "KEDAJobsCreated")) == 1, "told")
    described = kubectl("describe", "sj", "a", space)
    for text in ("KEDAScalersStarted", "ScaledJobReady", "KEDAJobsCreated", "Created 2 jobs", "s0-metric-api-value"):
        assert text in described
    assert {job["metadata"]["labels"]["app.kubernetes.io/managed-by"] for job in jobs(world, "a").values()} == {
        "keda-operator"
    }
    kubectl("annotate", "sj", "a", "autoscaling.keda.sh/paused=true", space)
    world.until(lambda: world.condition("a", "Paused")["status"] == "True", "paused")
    source.values["a"] = 5
    world.stays_so(lambda: len(jobs(world, "a")) == 2, seconds=4)
    assert kubectl("get", "sj", space).splitlines()[1].split()[5] == "True"
    kubectl("annotate", "sj", "a", "autoscaling.keda.sh/paused-", space)
    until_jobs(world, "a", 5)
    kubectl("delete", "sj", "a", space, "--timeout=30s")
    until_jobs(world, "a", 0)
