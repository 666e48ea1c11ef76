"""The whole daemon on the embedded cluster with a queue whose messages Jobs take, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from keda_py.devcluster.store import Change
from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, ScalerError, param

from .world import SPACE, Embedded, Wire

INTERVAL = 10
LASTS = 25


class QueueMetadata(Metadata):
    """Parameters of a queue."""

    queue: str = param("queue")
    length: int = param("length", default=1)


class Broker:
    """Queues: a pod takes a message when it begins, and has worked it off when it ends."""

    def __init__(self) -> None:
        self.waiting: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        """Pods that found nothing to take."""
        self.shows_taken = False
        """Whether messages that are worked on still count in the length of the queue."""
        self.down: set[str] = set()
        self.answers_after = 0.01
        self.asked: Counter[str] = Counter()

    def notice(self, change: Change) -> None:
        if change.place != ("", "pods") or change.after is None:
            return
        before = ((change.before or {}).get("status") or {}).get("phase")
        after = (change.after.get("status") or {}).get("phase")
        queue = (change.after["metadata"].get("labels") or {}).get("queue")
        if queue is None or before == after:
            return
        if after == "Running":
            found = self.waiting[queue] > 0
            self.waiting[queue] -= found
            (self.taken if found else self.idle)[queue] += 1
        elif after == "Succeeded" and self.taken[queue]:
            self.taken[queue] -= 1
            self.done[queue] += 1

    def scaler(self) -> type[Scaler[Any]]:
        broker = self

        class QueueScaler(Scaler[QueueMetadata]):
            metadata = QueueMetadata

            def metric_specs(self) -> list[MetricSpec]:
                return [ExternalSpec(f"queue-{self.meta.queue}", self.target(self.meta.length))]

            async def get_metrics(self) -> list[Reading]:
                queue = self.meta.queue
                broker.asked[queue] += 1
                value = broker.waiting[queue] + (broker.taken[queue] if broker.shows_taken else 0)
                await asyncio.sleep(broker.answers_after)
                if queue in broker.down:
                    raise ScalerError("the broker is down")
                return [self.reading(value, active=value > 0)]

        return QueueScaler


class World(Embedded):
    def __init__(self, more: Mapping[str, type[Scaler[Any]]] | None = None, **settings: Any) -> None:
        self.broker = Broker()
        super().__init__({"queue": self.broker.scaler(), **(more or {})}, **settings)
        self.api.store.listen(self.broker.notice)

    def scaled_job(self, name: str, *triggers: dict[str, Any], lasts: float = LASTS, **spec: Any) -> None:
        metadata = {name: spec.pop(name) for name in ("labels", "annotations") if name in spec}
        made = {"jobTargetRef": target(name, lasts), "triggers": list(triggers or [queue(name)]), **spec}
        self.put(
            "apis/keda.sh/v1alpha1", "scaledjobs", name, spec={"pollingInterval": INTERVAL, **made}, metadata=metadata
        )

    def edit(self, name: str, patch: dict[str, Any], subresource: str = "") -> None:
        self.do("PATCH", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/{name}{subresource}", patch)

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.do("GET", f"/apis/batch/v1/namespaces/{SPACE}/jobs")["items"]
        return found

    def unfinished(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs() if not (job.get("status") or {}).get("conditions")]

    def job_status(self, name: str) -> dict[str, Any]:
        found = self.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs/{name}")
        return dict(found.get("status") or {})

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        conditions = self.job_status(name).get("conditions") or []
        found = next((c for c in conditions if c["type"] == kind), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def events(self, reason: str) -> list[str]:
        found = self.do("GET", f"/apis/events.k8s.io/v1/namespaces/{SPACE}/events")["items"]
        return [event["note"] for event in found if event["reason"] == reason]

    def creates(self) -> int:
        return self.wire.calls.count(f"POST /apis/batch/v1/namespaces/{SPACE}/jobs")

    @asynccontextmanager
    async def and_another(self) -> AsyncIterator[None]:
        """Run a second daemon, that takes itself for the leader too."""
        task = asyncio.create_task(self.another(Wire(self.wire._local)).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def target(name: str, lasts: float = LASTS) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "command": ["sleep", str(lasts)]}
    return {"template": {"metadata": {"labels": {"queue": name}}, "spec": {"containers": [container]}}}


def queue(name: str, **metadata: str) -> dict[str, Any]:
    return {"type": "queue", "metadata": {"queue": name, **metadata}}
