"""Metrics of what drives the daemon: its queues and passes, its calls to the API server, and whether it leads.

In KEDA these are client-go's and controller-runtime's, whose names and labels are kept where there is the same to tell.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import Metric

from keda_py.kube.client import Client
from keda_py.runtime.meter import Histogram
from keda_py.runtime.queue import Passage, WorkQueue
from keda_py.serve.family import counter, gauge, histogram

_QUEUE: Final = ("name", "controller")
_LOOP: Final = ("controller",)
_SENT: Final = ("code", "method", "host")


@dataclass(frozen=True, slots=True, eq=False)
class Machinery:
    """Reads off the machinery what a scrape is told.

    `queues`: by controller. `lease`: the name of the lease, None without leader election. `leads`: whether this daemon
    acts.
    """

    queues: Mapping[str, WorkQueue[Any]]
    client: Client
    lease: str | None
    leads: Callable[[], bool]

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield from self._queues()
        yield from self._loops()
        sent = [((*what, self.client.host), float(count)) for what, count in self.client.requests.items()]
        yield counter("rest_client_requests", "Requests to the API server.", _SENT, sent)
        if self.lease is not None:
            leads = [((self.lease,), float(self.leads()))]
            yield gauge("leader_election_master_status", "Whether this daemon acts.", ("name",), leads)

    def _queues(self) -> Iterator[Metric]:
        numbers: tuple[tuple[str, str, Callable[[WorkQueue[Any]], float]], ...] = (
            ("unfinished_work_seconds", "How long the objects under way have been, in sum.", lambda q: sum(q.out)),
            ("longest_running_processor_seconds", "The longest of these.", lambda q: max(q.out, default=0.0)),
        )
        counts: tuple[tuple[str, str, Callable[[Passage], int]], ...] = (
            ("adds", "Objects that asked for a worker.", lambda passage: passage.adds),
            ("retries", "Those that did after a failure.", lambda passage: passage.retries),
        )
        times: tuple[tuple[str, str, Callable[[Passage], Histogram]], ...] = (
            ("queue_duration_seconds", "How long they waited.", lambda passage: passage.waited),
            ("work_duration_seconds", "How long they were worked on.", lambda passage: passage.worked),
        )
        # All are as urgent as each other.
        depth = [((name, name, "0"), float(len(queue))) for name, queue in self.queues.items()]
        yield gauge("workqueue_depth", "Objects waiting for a worker.", (*_QUEUE, "priority"), depth)
        for metric, text, number in numbers:
            seconds = [((name, name), number(queue)) for name, queue in self.queues.items()]
            yield gauge(f"workqueue_{metric}", text, _QUEUE, seconds)
        for metric, text, count in counts:
            so_far = [((name, name), float(count(queue.passage))) for name, queue in self.queues.items()]
            yield counter(f"workqueue_{metric}", text, _QUEUE, so_far)
        for metric, text, time in times:
            lasted = [((name, name), time(queue.passage)) for name, queue in self.queues.items()]
            yield histogram(f"workqueue_{metric}", text, _QUEUE, lasted)

    def _loops(self) -> Iterator[Metric]:
        passages = {name: queue.passage for name, queue in self.queues.items()}
        results = [
            ((name, result), float(count))
            for name, passage in passages.items()
            for result, count in passage.results.items()
        ]
        yield counter("controller_runtime_reconcile", "Passes by what came of them.", (*_LOOP, "result"), results)
        errors = [((name,), float(passage.results["error"])) for name, passage in passages.items()]
        yield counter("controller_runtime_reconcile_errors", "Passes that failed.", _LOOP, errors)
        times = [((name,), passage.passes) for name, passage in passages.items()]
        yield histogram("controller_runtime_reconcile_time_seconds", "How long passes took.", _LOOP, times)
        workers = [((name,), float(queue.workers)) for name, queue in self.queues.items()]
        yield gauge("controller_runtime_max_concurrent_reconciles", "Workers that there are.", _LOOP, workers)
        active = [((name,), float(len(queue.out))) for name, queue in self.queues.items()]
        yield gauge("controller_runtime_active_workers", "Workers that have something to do.", _LOOP, active)
