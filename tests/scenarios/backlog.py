"""Queues whose messages are real: a Job's pod takes one when it begins, and has worked it off when it succeeds.

A pod that goes before it has ended gives its message back, as brokers do when they lose a consumer.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.devcluster.store import Change

from .world import JOBS, PODS, Violation, World

LABEL: Final = "backlog"
"""On pods: whose messages they take."""


@dataclass
class Backlog:
    """What waits for one ScaledJob, in a queue for each of its triggers.

    `shows_taken`: whether messages that are worked on still count in a queue's length. `values`: what the sources tell.
    `exact`: whether the strategy promises a Job for each message and none more, and did all the time.
    """

    name: str
    queues: tuple[str, ...]
    shows_taken: bool
    values: dict[str, float]
    exact: bool = True
    came: int = 0
    made: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    taken: dict[str, str] = field(default_factory=dict)
    """From which queue each pod that is at work has its message, by the pod's uid."""

    @property
    def left(self) -> int:
        """How many messages are not worked off."""
        return self.waiting.total() + len(self.taken)

    def add(self, queue: str, count: int) -> None:
        """Let messages come."""
        self.came += count
        self.waiting[queue] += count
        self._show()

    def notice(self, _: World, change: Change, __: int) -> None:
        """Take what becomes of Jobs and pods (an observer)."""
        found = change.after or change.before or {}
        if change.place == JOBS and owner_of(found) == self.name:
            self._job_changed(change)
        elif change.place == PODS and (found["metadata"].get("labels") or {}).get(LABEL) == self.name:
            self._pod_changed(found["metadata"]["uid"], _phase(change.before), _phase(change.after))
            self._show()

    def _job_changed(self, change: Change) -> None:
        self.made += change.before is None
        if change.before is not None and goes(change) and not finished(change.before):
            # Its pod may take a message yet, and give it back; who promises something does not know of that.
            self.exact = False

    def _pod_changed(self, uid: str, before: str, after: str) -> None:
        if before == after:
            return
        if after == "Running":
            queue = next((queue for queue in self.queues if self.waiting[queue]), None)
            if queue is not None:
                self.waiting[queue] -= 1
                self.taken[uid] = queue
            elif self.exact:
                raise Violation(f"once only: a pod of {self.name} finds nothing in its queues")
        elif after == "Succeeded":
            self.taken.pop(uid, None)
        elif not after and uid in self.taken:
            self.waiting[self.taken.pop(uid)] += 1

    def _show(self) -> None:
        taken = Counter(self.taken.values()) if self.shows_taken else Counter()
        self.values |= {queue: float(self.waiting[queue] + taken[queue]) for queue in self.queues}


def _phase(pod: dict[str, Any] | None) -> str:
    return "" if pod is None else str((pod.get("status") or {}).get("phase", "Pending"))


def owner_of(found: dict[str, Any]) -> str:
    """Return the name of an object's owner, empty if it has none."""
    references = found["metadata"].get("ownerReferences") or [{"name": ""}]
    return str(references[0]["name"])


def goes(change: Change) -> bool:
    """Whether a change is the deletion of an object, or its beginning."""
    return change.after is None or "deletionTimestamp" in change.after["metadata"]


def finished(job: dict[str, Any]) -> str:
    """Return Complete or Failed, or nothing for a Job that is not finished."""
    conditions = (job.get("status") or {}).get("conditions") or []
    ends = ("Complete", "Failed")
    return next((str(c["type"]) for c in conditions if c["type"] in ends and c["status"] == "True"), "")
