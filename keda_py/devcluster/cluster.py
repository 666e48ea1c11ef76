"""The embedded cluster as a whole: API, controllers, kubelet and HPA controller in one task group."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from keda_py.api.crd import KINDS, Kind, definition
from keda_py.devcluster.api import Api, Request
from keda_py.devcluster.autoscaler import SYNC_SECONDS, Autoscaler, MetricError
from keda_py.devcluster.controller import Workloads
from keda_py.devcluster.garbage import Garbage
from keda_py.devcluster.kubelet import Kubelet
from keda_py.devcluster.store import Store
from keda_py.runtime.clock import Now
from keda_py.runtime.queue import WorkQueue, work

log = structlog.get_logger("devcluster")

EVENT_SECONDS: Final = 3600.0
_SAVE_SECONDS: Final = 2.0
_FILE: Final = "cluster.json"


class StateError(Exception):
    """The objects of an earlier run cannot be read; the message names their file."""


class DevCluster:
    """A cluster in this process; set `read_metric` to whoever serves external metrics."""

    def __init__(
        self,
        *,
        now: Now,
        chance: random.Random,
        data: Path | None = None,
        processes: bool = False,
        sync_seconds: float = SYNC_SECONDS,
    ) -> None:
        """`data`: a folder in which the objects survive a restart. `processes`: see `kubelet`."""
        self.store = Store()
        self._file = data / _FILE if data is not None else None
        if self._file is not None and self._file.exists():
            _load(self.store, self._file)
        self.api = Api(self.store, now=now, chance=chance)
        self.read_metric: Callable[[str, str, str], Awaitable[str]] = _no_metrics
        self._autoscaler = Autoscaler(self.api, self._metric, chance=chance, sync_seconds=sync_seconds)
        self._workloads = Workloads(self.api, chance=chance)
        self._garbage = Garbage(self.api, chance=chance)
        self.kubelet = Kubelet(self.api, chance=chance, processes=processes)
        for kind in KINDS:
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            answer = self.api.answer(Request("POST", path, body=_definition(kind)))
            if answer.status not in (201, 409):
                raise RuntimeError(answer.body["message"])

    async def _metric(self, namespace: str, name: str, selector: str) -> str:
        return await self.read_metric(namespace, name, selector)

    async def run(self) -> None:
        """Run until cancelled."""
        self._autoscaler.start()
        try:
            async with asyncio.TaskGroup() as parts:
                for part in (self._workloads, self._garbage, self.kubelet, self._autoscaler):
                    queue: WorkQueue[Any] = part.queue
                    parts.create_task(work(queue, part.reconcile, on_error=_tell), name=type(part).__name__)
                parts.create_task(self._forget_events(), name="events")
                if self._file is not None:
                    parts.create_task(self._keep(), name="keep")
        finally:
            await self.kubelet.close()
            self.save()

    async def _forget_events(self) -> None:
        """Delete events after an hour, as the API server does."""
        place = ("events.k8s.io", "events")
        while True:
            before = [(e["metadata"]["namespace"], e["metadata"]["name"]) for e in self.store.items(place)]
            await asyncio.sleep(EVENT_SECONDS)
            for name in before:
                if self.store.get(place, name) is not None:
                    self.store.remove(place, name)

    async def _keep(self) -> None:
        saved = 0
        while True:
            if self.store.version != saved:
                saved = self.store.version
                self.save()
            await asyncio.sleep(_SAVE_SECONDS)

    def save(self) -> None:
        """Write the objects to the data folder, if there is one; a reader never sees half of them."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        whole = self._file.with_suffix(".new")
        # There may be Secrets among them.
        whole.touch(mode=0o600)
        whole.write_bytes(orjson.dumps(self.store.dump()))
        whole.replace(self._file)


@cache
def _definition(kind: Kind) -> dict[str, Any]:
    """Return a kind's CRD, made once: it takes longer to make than a cluster to start."""
    return definition(kind)


def _load(store: Store, file: Path) -> None:
    try:
        store.load(orjson.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{file} is not a cluster that was saved ({type(error).__name__}: {error})"
        raise StateError(f"{said}; move it away to start with an empty one") from error


async def _no_metrics(*_: str) -> str:
    raise MetricError("nobody serves external metrics")


def _tell(key: object, error: Exception, seconds: float) -> None:
    log.debug("will retry", object=str(key), message=str(error), seconds=round(seconds, 1))
