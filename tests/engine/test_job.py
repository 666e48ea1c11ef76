"""What is kept of Jobs: little for each, nothing of those that are gone; and names that no two Jobs share."""

import tracemalloc
from typing import Any

import orjson
import pytest

from keda_py.api.scaled_job import ScaledJob
from keda_py.engine.job import Jobs, job_name, trim_job, trim_pod
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
    for name in ("orders-0c1d2e3f-17", "orders-ffffffff-99", "orders-x7f2k", "orders-0c1d2e3f-"):
        job = finished(1)
        found.put(job | {"metadata": job["metadata"] | {"name": name}})
    assert known.highest(owned()) == 17
