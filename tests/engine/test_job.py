"""What is kept of Jobs: little for each, nothing of those that are gone; and names that no two Jobs share."""

import tracemalloc
from typing import Any

import orjson
import pytest

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_job import ScaledJob
from keda_py.engine.job import Jobs, job_name, manifest, trim_job, trim_pod
from keda_py.kube.reflector import Store

pytestmark = pytest.mark.looptime

UID = "0c1d2e3f-1111-2222-3333-444455556666"
LARGE = {"containers": [{"name": "c", "env": [{"name": f"V{n}", "value": "x" * 200} for n in range(50)]}]}


def owned(name: str = "orders", uid: str = UID) -> ScaledJob:
    spec = {"jobTargetRef": {"template": {}}, "triggers": [{"type": "cron", "metadata": {}}]}
    return ScaledJob.parse({"metadata": {"name": name, "namespace": "default", "uid": uid}, "spec": spec})


def finished(number: int, of: str = "orders") -> dict[str, Any]:
    name = job_name(owned(of), number)
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "name": of, "uid": UID, "controller": True}
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"11111111-2222-3333-4444-{number:012d}",
        "resourceVersion": str(1000 + number),
        "labels": {"scaledjob.keda.sh/name": of, "team": "a"},
        "annotations": {"scaledjob.keda.sh/job-target": "0123456789abcdef", "note": "n" * 500},
        "ownerReferences": [owner],
        "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:template": {}}}}],
    }
    ended = {"type": "Complete", "status": "True", "reason": "r", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return copied({"metadata": metadata, "spec": {"template": {"spec": LARGE}}, "status": {"conditions": [ended]}})


def pod_of(number: int, of: str = "orders") -> dict[str, Any]:
    name = job_name(owned(of), number)
    metadata = {
        "name": f"{name}-x7f2k",
        "namespace": "default",
        "uid": f"21111111-2222-3333-4444-{number:012d}",
        "resourceVersion": str(9000 + number),
        "labels": {"scaledjob.keda.sh/name": of, "job-name": name},
    }
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"} for kind in kinds]
    return copied({"metadata": metadata, "spec": LARGE, "status": {"phase": "Succeeded", "conditions": conditions}})


def copied(found: dict[str, Any]) -> dict[str, Any]:
    """Return it as it comes over the wire: nothing in it is shared with another one."""
    read: dict[str, Any] = orjson.loads(orjson.dumps(found))
    return read


@pytest.mark.e2e
async def test_of_thousands_of_finished_jobs_little_is_kept() -> None:
    owners, each = [f"orders-{number}" for number in range(500)], 10
    found, pods = Store(trim_job), Store(trim_pod)
    known = Jobs(found, pods, wake=lambda _: None)
    tracemalloc.start()
    try:
        for owner in owners:
            for number in range(1, each + 1):
                found.put(finished(number, owner))
                pods.put(pod_of(number, owner))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of some 25 KB that a Job and its pod come as.
    assert kept / (len(owners) * each) < 6000
    assert [len(known.of(owned(owner))) for owner in owners] == [each] * len(owners)


async def test_of_jobs_that_are_gone_nothing_is_kept_but_their_highest_number() -> None:
    found, pods = Store(trim_job), Store(trim_pod)
    known = Jobs(found, pods, wake=lambda _: None)
    for number in range(1, 30):
        found.put(finished(number))
        pods.put(pod_of(number))
    for key in found.keys():  # noqa: SIM118  a Store is no mapping
        found.remove(key)
    for key in pods.keys():  # noqa: SIM118
        pods.remove(key)
    assert known.of(owned()) == []
    assert known.highest(owned()) == 29
    known.forget(("default", "orders"))
    assert known.highest(owned()) == 0


def test_a_long_name_is_cut_before_what_tells_jobs_apart() -> None:
    long = "a" * 80
    names = {job_name(owned(long, uid), number) for uid in (UID, UID[::-1]) for number in (1, 12, 123456789)}
    assert len(names) == 6
    assert all(len(name) <= 63 for name in names)


async def test_only_numbers_of_the_object_itself_count() -> None:
    known = Jobs(found := Store(trim_job), Store(trim_pod), wake=lambda _: None)
    by_hand = f"orders-0c1d2e3f-{'9' * 40}"
    for name in ("orders-0c1d2e3f-17", "orders-ffffffff-99", "orders-x7f2k", "orders-0c1d2e3f-", by_hand):
        job = finished(1)
        found.put(job | {"metadata": job["metadata"] | {"name": name}})
    assert known.highest(owned()) == 17


# --- what a Job is made of --------------------------------------------------------------------------------------------


def made_of(target: dict[str, Any], name: str = "orders", **metadata: Any) -> dict[str, Any]:
    spec = {"jobTargetRef": target, "triggers": [{"type": "cron", "metadata": {}}]}
    about = {"name": name, "namespace": "default", "uid": UID, "generation": 3, **metadata}
    return manifest(ScaledJob.parse({"metadata": about, "spec": spec}), 7)


ANY_SPEC: dict[str, Any] = {
    "parallelism": 3,
    "completions": 6,
    "completionMode": "Indexed",
    "backoffLimit": 0,
    "backoffLimitPerIndex": 1,
    "maxFailedIndexes": 2,
    "activeDeadlineSeconds": 9_007_199_254_740_993,
    "ttlSecondsAfterFinished": 0,
    "suspend": True,
    "managedBy": "kueue.x-k8s.io/multikueue",
    "podReplacementPolicy": "Failed",
    "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
    "successPolicy": {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 1}]},
    "manualSelector": True,
    "selector": {"matchLabels": {"a": "b"}},
    "not known yet": {"nested": [1, 2.5, None, "x"]},
    "template": {
        "metadata": {
            "name": "n",
            "generateName": "g-",
            "labels": {"app": "worker", "scaledjob.keda.sh/name": "lie"},
            "annotations": {"note": "n"},
            "finalizers": ["example.com/f"],
        },
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}], "new field": {"deep": True}},
    },
}


def test_a_job_spec_is_taken_as_it_is() -> None:
    spec = made_of(copied(ANY_SPEC))["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {"app": "worker", "scaledjob.keda.sh/name": "orders"}
    labels["scaledjob.keda.sh/name"] = "lie"
    assert spec == ANY_SPEC


@pytest.mark.parametrize(
    ("pod", "policy"),
    [
        ({}, "OnFailure"),
        ({"restartPolicy": None}, "OnFailure"),
        ({"restartPolicy": ""}, "OnFailure"),
        ({"restartPolicy": "Never"}, "Never"),
        ({"restartPolicy": "Always"}, "Always"),
    ],
)
def test_a_restart_policy_that_is_not_set_is_on_failure(pod: dict[str, Any], policy: str) -> None:
    """As an empty one: a chart that leaves it to a value may well have none."""
    assert made_of({"template": {"spec": pod}})["spec"]["template"]["spec"]["restartPolicy"] == policy


def test_an_indexed_job_has_a_name_that_its_pods_can_have_with_their_index() -> None:
    """The API server refuses another: each pod's hostname is the Job's name and the index (batch/validation)."""
    long = "a" * 60
    for completions, room in ((1, 61), (10, 61), (11, 60), (1000, 59)):
        job = made_of({"completionMode": "Indexed", "completions": completions, "template": {}}, long)
        assert len(job["metadata"]["name"]) == room
    assert len(made_of({"template": {}}, long)["metadata"]["name"]) == 63
    short = made_of({"completionMode": "Indexed", "completions": 5, "template": {}})["metadata"]["name"]
    assert short == "orders-0c1d2e3f-7"


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ({"template": "x"}, "template"),
        ({"template": {"metadata": "x"}}, "template.metadata"),
        ({"template": {"metadata": {"labels": ["x"]}}}, "template.metadata.labels"),
        ({"template": {"spec": ["x"]}}, "template.spec"),
    ],
)
def test_what_is_written_to_has_to_be_an_object(target: dict[str, Any], where: str) -> None:
    with pytest.raises(ManifestError, match=rf"spec\.jobTargetRef: {where} has to be an object"):
        made_of(target)


async def test_a_job_is_not_back_when_an_answer_tells_of_it_after_it_has_gone() -> None:
    known = Jobs(found := Store(trim_job), Store(trim_pod), wake=lambda _: None)
    job = finished(1)
    known.answered(job)
    assert [one.name for one in known.of(owned())] == [job["metadata"]["name"]]
    found.remove(("default", job["metadata"]["name"]))
    known.answered(job)
    assert known.of(owned()) == []
    # Another one of that name is another one.
    known.answered(job | {"metadata": job["metadata"] | {"uid": "99999999-2222-3333-4444-000000000000"}})
    assert len(known.of(owned())) == 1


async def test_a_job_that_somebody_gives_another_label_is_not_kept_twice() -> None:
    known = Jobs(found := Store(trim_job), Store(trim_pod), wake=lambda _: None)
    job = finished(1)
    found.put(job)
    moved = job["metadata"] | {"labels": {"scaledjob.keda.sh/name": "others"}, "resourceVersion": "2000"}
    found.put(job | {"metadata": moved})
    assert known.of(owned()) == []
    found.remove(("default", job["metadata"]["name"]))
    assert not known._jobs


async def test_numbers_of_jobs_that_are_still_there_are_not_forgotten_with_their_object() -> None:
    known = Jobs(found := Store(trim_job), Store(trim_pod), wake=lambda _: None)
    for number in (3, 5, 9):
        found.put(finished(number))
    found.remove(("default", finished(9)["metadata"]["name"]))
    known.forget(("default", "orders"))
    assert known.highest(owned()) == 5
