"""The Jobs of ScaledJobs: how they are made, what is kept of them in memory, and which belong to whom.

A Job's name is the number of its creation among all Jobs of its ScaledJob. Who makes Jobs makes them one after the
other, from the first number that it has never seen. So a create that is sent twice, by one daemon that did not get the
answer or by two that take themselves for the leader, is a conflict, and not a second Job.
"""

import asyncio
import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
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
_UID_LENGTH: Final = 8
_NUMBER: Final = re.compile(r"-([0-9a-f]+)-([0-9]{1,18})$")
"""Of a longer one, which nobody here has made, the next would leave no room in a name."""


def job_target(scaled_job: ScaledJob) -> str:
    """Return a digest of what Jobs are made of; another one says that the jobTargetRef was edited."""
    content = orjson.dumps(scaled_job.spec.job_target_ref, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def job_name(scaled_job: ScaledJob, number: int) -> str:
    """Return the name of the Job of a number: its owner's name and identity first, as far as 63 characters go."""
    suffix = f"-{_identity(scaled_job.metadata.uid)}-{number}"
    room = MAX_LABEL_LENGTH - len(suffix) - len(_last_index(scaled_job.spec.job_target_ref))
    return scaled_job.metadata.name[:room].rstrip("-.") + suffix


def _last_index(target: dict[str, Any]) -> str:
    """Return what the last pod of an indexed Job adds to its name; the API server wants that to fit as well."""
    count = target.get("completions")
    return f"-{count - 1}" if target.get("completionMode") == "Indexed" and isinstance(count, int) else ""


def _identity(uid: str) -> str:
    """Return what tells apart objects that had one name after the other."""
    return uid.replace("-", "")[:_UID_LENGTH]


def manifest(scaled_job: ScaledJob, number: int) -> dict[str, Any]:
    """Return the Job to create, with KEDA's labels, annotations and defaults (executor/scale_jobs.go, generateJobs)."""
    metadata = scaled_job.metadata
    annotations = metadata.annotations or {}
    excluded = annotations.get(Annotation.JOB_EXCLUDED_LABELS, "").split(",")
    owner = {Label.JOB_OWNER: label_value(metadata.name)}
    spec = scaled_job.spec.job_target_ref
    template = spec.get("template") or {}
    meta, pod = template.get("metadata") or {}, template.get("spec") or {}
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
                "spec": {**pod, "restartPolicy": pod.get("restartPolicy") or "OnFailure"},
            },
        },
    }


_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


# --- what is kept in memory -------------------------------------------------------------------------------------------


def trim_job(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a Job: whose it is, of what it was made, and whether it is finished."""
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    annotations = {name: value for name, value in (metadata.get("annotations") or {}).items() if name in _ORIGIN}
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


_ORIGIN: Final = (Annotation.JOB_TARGET, Annotation.JOB_GENERATION)


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


REMEMBER_SECONDS: Final = 600.0
"""How long it is known how Jobs were: longer than any question to a source takes."""


class Jobs:
    """The watched Jobs by the ScaledJob that their label names, and the highest number that was seen of each.

    A source says how much there was when it was asked. So it is known how the Jobs were then: one that has begun or
    ended since was still waiting for what has been counted, or at work on it.
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
        # By owner: when a Job changed, in loop time, and how it was before.
        self._before: dict[Key, deque[tuple[float, dict[str, Any], jobs.Job]]] = defaultdict(deque)
        store.on_change(self._job_changed)
        pods.on_change(self._pod_changed)

    def of(self, scaled_job: ScaledJob) -> list[jobs.Job]:
        """Return the Jobs of a ScaledJob: of those with its label all that it controls or made, or nobody controls."""
        owner, uid = _owner(scaled_job), scaled_job.metadata.uid
        found = [job for name in self._jobs.get(owner, ()) if (job := self.store.get((owner[0], name))) is not None]
        return [_seen(job, self._pods_with(job)) for job in found if _belongs(job, uid)]

    def as_of(self, scaled_job: ScaledJob, asked: float) -> list[jobs.Job]:
        """Return the Jobs of a ScaledJob as they were at a loop time, and those that came since, as they came.

        What was before that is forgotten: the next decision is made of what was asked later.
        """
        owner, uid = _owner(scaled_job), scaled_job.metadata.uid
        found = {job.name: job for job in self.of(scaled_job)}
        before = self._before.get(owner, deque())
        _drop_older(before, asked)
        # Of several changes the first one tells.
        found |= {was.name: was for _, job, was in reversed(before) if _belongs(job, uid)}
        return list(found.values())

    def highest(self, scaled_job: ScaledJob) -> int:
        """Return the highest number among the Jobs that were ever seen of a ScaledJob."""
        return self._highest[_owner(scaled_job)].get(_identity(scaled_job.metadata.uid), 0)

    def answered(self, found: dict[str, Any]) -> None:
        """Take in a Job as the answer to a call has it; not if the watch was faster, and it has gone since."""
        metadata = found["metadata"]
        owner = (metadata["namespace"], _label(found))
        seen = any(job["metadata"]["uid"] == metadata["uid"] for _, job, _ in self._before.get(owner, ()))
        if not seen or self.store.get((metadata["namespace"], metadata["name"])) is not None:
            self.store.put(found)

    def forget(self, key: Key) -> None:
        """Forget the numbers of a ScaledJob that is gone, and how its Jobs were.

        Not of those that are there: it may only be out of sight, with a label that this daemon does not look for.
        """
        owner = (key[0], label_value(key[1]))
        self._highest.pop(owner, None)
        self._before.pop(owner, None)
        for name in self._jobs.get(owner, ()):
            self._note_number(owner, name)

    def _pods_with(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        found = (self._pods.get((namespace, pod)) for pod in self._pods_of.get((namespace, name), ()))
        return [pod for pod in found if pod is not None]

    def _remember(self, job: dict[str, Any], was: jobs.Job) -> None:
        now = asyncio.get_running_loop().time()
        before = self._before[job["metadata"]["namespace"], _label(job)]
        _drop_older(before, now - REMEMBER_SECONDS)
        before.append((now, job, was))

    def _job_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old is not None:
            self._remember(old, _seen(old, self._pods_with(old)))
        elif new is not None and not new["status"]["conditions"]:
            # One that came since a question was put had not begun then.
            self._remember(new, _seen(new, ()))
        for job in filter(None, (old, new)):
            owner = (key[0], _label(job))
            if job is new:
                self._jobs[owner][key[1]] = None
                self._note_number(owner, key[1])
            elif new is None or _label(new) != owner[1]:
                _drop(self._jobs, owner, key[1])
            if old is None or new is None or old["status"] != new["status"]:
                self._wake((key[0], _owner_name(job)))

    def _note_number(self, owner: Key, name: str) -> None:
        found = _NUMBER.search(name)
        if found is not None:
            seen = self._highest[owner]
            seen[found[1]] = max(seen.get(found[1], 0), int(found[2]))

    def _pod_changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        pod = new or old or {}
        job = (key[0], pod["metadata"]["labels"].get(Label.JOB_NAME, ""))
        owner = self.store.get(job)
        if owner is not None and (old is None or new is None or old["status"] != new["status"]):
            others = [found for found in self._pods_with(owner) if _name(found) != key[1]]
            self._remember(owner, _seen(owner, [*others, *filter(None, [old])]))
        if new is None:
            _drop(self._pods_of, job, key[1])
        else:
            self._pods_of[job][key[1]] = None


def _owner(scaled_job: ScaledJob) -> Key:
    return (scaled_job.metadata.namespace, label_value(scaled_job.metadata.name))


def _owner_name(job: dict[str, Any]) -> str:
    """Return the name of a Job's ScaledJob: the label's, which the controller's is longer than if it was cut."""
    label = _label(job)
    controllers = [owner["name"] for owner in job["metadata"]["ownerReferences"]]
    return next((name for name in controllers if label_value(name) == label), label)


def _label(job: dict[str, Any]) -> str:
    return str((job["metadata"].get("labels") or {}).get(Label.JOB_OWNER, ""))


def _drop_older(before: deque[tuple[float, dict[str, Any], jobs.Job]], moment: float) -> None:
    while before and before[0][0] < moment:
        before.popleft()


def _seen(job: dict[str, Any], pods: Iterable[dict[str, Any]]) -> jobs.Job:
    metadata, conditions = job["metadata"], job["status"]["conditions"]
    ended = conditions[0] if conditions else {}
    at = ended.get("lastTransitionTime")
    return jobs.Job(
        metadata["name"],
        finished=ended.get("type", ""),
        finished_at=status.parse_time(at) if at else None,
        version=metadata["annotations"].get(Annotation.JOB_TARGET),
        going="deletionTimestamp" in metadata,
        pods=tuple(_pod(pod) for pod in pods),
        generation=metadata["annotations"].get(Annotation.JOB_GENERATION, ""),
        uid=metadata["uid"],
    )


def _name(found: dict[str, Any]) -> str:
    return str(found["metadata"]["name"])


def _drop(index: dict[Key, dict[str, None]], key: Key, name: str) -> None:
    index[key].pop(name, None)
    if not index[key]:
        del index[key]


def _belongs(job: dict[str, Any], uid: str) -> bool:
    """Whether a Job with the label of an object is its own: nobody else controls it, or it was made for it."""
    named = _NUMBER.search(_name(job))
    made = named is not None and named[1] == _identity(uid)
    return made or all(owner["uid"] == uid for owner in job["metadata"]["ownerReferences"])


def _pod(pod: dict[str, Any]) -> jobs.Pod:
    said = pod["status"]
    return jobs.Pod(said["phase"], frozenset(condition["type"] for condition in said["conditions"]))
