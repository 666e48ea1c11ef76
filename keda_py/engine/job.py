"""The Jobs of ScaledJobs: how they are made, what is kept of them in memory, and which belong to whom.

A Job's name is the number of its creation among all Jobs of its ScaledJob. Who makes Jobs makes them one after the
other, from the first number that it has never seen. So a create that is sent twice, by one daemon that did not get the
answer or by two that take themselves for the leader, is a conflict, and not a second Job.
"""

import asyncio
import hashlib
import math
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from keda_py import __version__
from keda_py.api.scaled_job import ScaledJob
from keda_py.decide import jobs, status
from keda_py.kube.client import Resource
from keda_py.kube.reflector import Store
from keda_py.naming import API_VERSION, MANAGED_BY, MAX_LABEL_LENGTH, Annotation, Label, label_value

Key = tuple[str, str]

JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
LONG_AGO_SECONDS: Final = 120.0
"""Who asks how Jobs were before that is told of those that are still there."""
_BEGUN: Final = ""
_UID_LENGTH: Final = 8
_NUMBER: Final = re.compile(r"-([0-9a-f]+)-([0-9]+)$")


def job_target(scaled_job: ScaledJob) -> str:
    """Return a digest of what Jobs are made of; another one says that the jobTargetRef was edited."""
    content = orjson.dumps(scaled_job.spec.job_target_ref, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def job_name(scaled_job: ScaledJob, number: int) -> str:
    """Return the name of the Job of a number: its owner's name and identity first, as far as 63 characters go."""
    suffix = f"-{_identity(scaled_job.metadata.uid)}-{number}"
    return scaled_job.metadata.name[: MAX_LABEL_LENGTH - len(suffix)].rstrip("-.") + suffix


def _identity(uid: str) -> str:
    """Return what tells apart objects that had one name after the other."""
    return uid.replace("-", "")[:_UID_LENGTH]


def number_of(job: dict[str, Any], uid: str) -> int:
    """Return the number of a Job of an owner, 0 for one that was made by somebody else."""
    found = _NUMBER.search(job["metadata"]["name"])
    return int(found[2]) if found is not None and found[1] == _identity(uid) else 0


def manifest(scaled_job: ScaledJob, number: int) -> dict[str, Any]:
    """Return the Job to create, with KEDA's labels, annotations and defaults (executor/scale_jobs.go, generateJobs)."""
    metadata = scaled_job.metadata
    annotations = metadata.annotations or {}
    excluded = annotations.get(Annotation.JOB_EXCLUDED_LABELS, "").split(",")
    owner = {Label.JOB_OWNER: label_value(metadata.name)}
    spec = scaled_job.spec.job_target_ref
    template = spec.get("template") or {}
    meta = template.get("metadata") or {}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": job_name(scaled_job, number),
            "namespace": metadata.namespace,
            "labels": {
                Label.NAME: label_value(metadata.name),
                Label.VERSION: __version__,
                Label.PART_OF: label_value(metadata.name),
                Label.MANAGED_BY: MANAGED_BY,
                **{name: value for name, value in (metadata.labels or {}).items() if name not in excluded},
                **owner,
            },
            "annotations": {
                **{name: value for name, value in annotations.items() if name != _APPLIED},
                Annotation.JOB_GENERATION: str(metadata.generation),
                Annotation.JOB_TARGET: job_target(scaled_job),
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "ScaledJob",
                    "name": metadata.name,
                    "uid": metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            **spec,
            "template": {
                **template,
                "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **owner}},
                # What is not set is Always to the API server, which it refuses for Jobs.
                "spec": {"restartPolicy": "OnFailure", **(template.get("spec") or {})},
            },
        },
    }


_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


# --- what is kept in memory -------------------------------------------------------------------------------------------


def trim_job(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a Job: whose it is, of what it was made, and whether it is finished."""
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name == Annotation.JOB_TARGET
    }
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name == Label.JOB_OWNER}
    owners = [
        {"uid": o["uid"], "name": o["name"]} for o in metadata.get("ownerReferences") or () if o.get("controller")
    ]
    more = {"deletionTimestamp": metadata["deletionTimestamp"]} if "deletionTimestamp" in metadata else {}
    ended = [c for c in (found.get("status") or {}).get("conditions") or () if _ends(c)]
    conditions = [{name: c.get(name) for name in ("type", "status", "lastTransitionTime")} for c in ended]
    return {
        "metadata": {**kept, "annotations": annotations, "labels": labels, "ownerReferences": owners, **more},
        "status": {"conditions": conditions},
    }


def _ends(condition: dict[str, Any]) -> bool:
    return condition["type"] in {"Complete", "Failed"} and condition["status"] == "True"


def trim_pod(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a Job's pod: its Job, its phase, and which of its conditions are true."""
    metadata, said = found["metadata"], found.get("status") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name == Label.JOB_NAME}
    true = [{"type": c["type"], "status": "True"} for c in said.get("conditions") or () if c["status"] == "True"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {"metadata": {**kept, "labels": labels}, "status": {"phase": said.get("phase") or "", "conditions": true}}


# --- which belong to whom ---------------------------------------------------------------------------------------------


class Jobs:
    """The watched Jobs by the ScaledJob that their label names, and the highest number that was seen of each.

    What a source answers is true of the moment it was asked, so they can be seen as they were then: who has ended since
    may still be in the answer. What was heard is noted with loop time; hearing it late only makes them look busier.
    """

    def __init__(self, store: Store, pods: Store, *, wake: Callable[[Key], None]) -> None:
        """`wake`: told of ScaledJobs of which a Job came, ended or went."""
        self.store = store
        self._pods = pods
        self._wake = wake
        # In the order they came, so that nothing depends on hashes.
        self._jobs: dict[Key, dict[str, None]] = defaultdict(dict)
        self._pods_of: dict[Key, dict[str, None]] = defaultdict(dict)
        self._highest: dict[Key, dict[str, int]] = defaultdict(dict)
        self._ended: dict[Key, float] = {}
        self._gone: dict[Key, deque[tuple[float, str]]] = defaultdict(deque)
        self._came_true: dict[Key, dict[str, float]] = {}
        store.on_change(self._job_changed)
        pods.on_change(self._pod_changed)

    def of(self, scaled_job: ScaledJob) -> list[jobs.Job]:
        """Return the Jobs of a ScaledJob: those that it controls, and those with its label that nobody does."""
        return self._as_of(scaled_job, math.inf)

    def when(self, scaled_job: ScaledJob, at: float) -> list[jobs.Job]:
        """Return the Jobs as they were at a moment, not long ago; those that are gone since, as if they had not begun.

        A Job that has come since is there.
        """
        uid = scaled_job.metadata.uid
        gone = self._gone.get((scaled_job.metadata.namespace, label_value(scaled_job.metadata.name)), ())
        return [*self._as_of(scaled_job, at), *(jobs.Job("") for since, owner in gone if since > at and owner == uid)]

    def _as_of(self, scaled_job: ScaledJob, at: float) -> list[jobs.Job]:
        namespace = scaled_job.metadata.namespace
        names = self._jobs.get((namespace, label_value(scaled_job.metadata.name)), ())
        found = [job for name in names if (job := self.store.get((namespace, name))) is not None]
        return [self._seen(job, at) for job in found if _belongs(job, scaled_job.metadata.uid)]

    def highest(self, scaled_job: ScaledJob) -> int:
        """Return the highest number among the Jobs that were ever seen of a ScaledJob."""
        key = (scaled_job.metadata.namespace, label_value(scaled_job.metadata.name))
        return self._highest[key].get(_identity(scaled_job.metadata.uid), 0)

    def forget(self, key: Key) -> None:
        """Forget the numbers of a ScaledJob that is gone."""
        for known in (self._highest, self._gone):
            known.pop((key[0], label_value(key[1])), None)

    def _seen(self, job: dict[str, Any], at: float) -> jobs.Job:
        metadata, conditions = job["metadata"], job["status"]["conditions"]
        namespace, name = metadata["namespace"], metadata["name"]
        ended = conditions[0] if conditions and self._ended[namespace, name] <= at else {}
        finished_at = ended.get("lastTransitionTime")
        pods = [(namespace, pod) for pod in self._pods_of.get((namespace, name), ())]
        return jobs.Job(
            name,
            finished=ended.get("type", ""),
            finished_at=status.parse_time(finished_at) if finished_at else None,
            version=metadata["annotations"].get(Annotation.JOB_TARGET),
            going="deletionTimestamp" in metadata,
            pods=tuple(self._pod(key, pod, at) for key in pods if (pod := self._pods.get(key)) is not None),
        )

    def _pod(self, key: Key, pod: dict[str, Any], at: float) -> jobs.Pod:
        true = frozenset(fact for fact, since in self._came_true[key].items() if since <= at)
        return jobs.Pod(pod["status"]["phase"] if _BEGUN in true else "", true - {_BEGUN})

    def _job_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        for job in filter(None, (old, new)):
            owner = (key[0], job["metadata"]["labels"].get(Label.JOB_OWNER, ""))
            controllers = job["metadata"]["ownerReferences"]
            if job is new:
                self._jobs[owner][key[1]] = None
                self._note_number(owner, job)
            elif new is None:
                _drop(self._jobs, owner, key[1])
                self._note_end(owner, controllers[0]["uid"] if controllers else "")
            if old is None or new is None or old["status"] != new["status"]:
                self._wake((key[0], controllers[0]["name"] if controllers else owner[1]))
        if new is None or not new["status"]["conditions"]:
            self._ended.pop(key, None)
        else:
            self._ended.setdefault(key, _loop_time())

    def _note_end(self, owner: Key, uid: str) -> None:
        now, gone = _loop_time(), self._gone[owner]
        gone.append((now, uid))
        while gone[0][0] < now - LONG_AGO_SECONDS:
            gone.popleft()

    def _note_number(self, owner: Key, job: dict[str, Any]) -> None:
        found = _NUMBER.search(job["metadata"]["name"])
        if found is not None:
            seen = self._highest[owner]
            seen[found[1]] = max(seen.get(found[1], 0), int(found[2]))

    def _pod_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        pod = new or old or {}
        job = (key[0], pod["metadata"]["labels"].get(Label.JOB_NAME, ""))
        if new is None:
            _drop(self._pods_of, job, key[1])
            self._came_true.pop(key, None)
        else:
            self._pods_of[job][key[1]] = None
            known, now = self._came_true.get(key, {}), _loop_time()
            self._came_true[key] = {fact: known.get(fact, now) for fact in _facts(new)}


def _drop(index: dict[Key, dict[str, None]], key: Key, name: str) -> None:
    index[key].pop(name, None)
    if not index[key]:
        del index[key]


def _belongs(job: dict[str, Any], uid: str) -> bool:
    return all(owner["uid"] == uid for owner in job["metadata"]["ownerReferences"])


def _facts(pod: dict[str, Any]) -> Iterator[str]:
    """Yield what is true of a pod: its conditions, and that it has begun."""
    if pod["status"]["phase"] not in {"", "Pending"}:
        yield _BEGUN
    yield from (condition["type"] for condition in pod["status"]["conditions"])


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
