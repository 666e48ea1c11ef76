"""The work queue of the reconcile loop: every key once, never twice at once, never lost.

The algorithm is that of client-go's util/workqueue. A key is in at most one place of each set:

- `ready`: waiting for a worker;
- `out`: a worker has it;
- `dirty`: it was added again while out, and becomes ready when the worker is done.

What passes through is counted on the way, for `/metrics`. That is timed by the machine's clock: the loop's own stands
still while a worker holds it.

Each key has at most one timer, for "again in N seconds"; a later answer replaces an earlier one. Failures come back
with exponential back-off; this is the only retry there is for our own calls to Kubernetes.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, Generic, TypeVar

from keda_py.runtime.meter import Histogram

K = TypeVar("K", bound=Hashable)

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 60.0
_QUEUE_SECONDS: Final = tuple(10.0**exponent for exponent in range(-8, 4))
_PASS_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0),
    *(50.0, 60.0),
)
"""Buckets of client-go's queues and controller-runtime's passes, which are KEDA's."""


@dataclass(slots=True, eq=False)
class Passage:
    """What went through a queue: how many keys, how long they waited and were worked on, and what came of it."""

    adds: int = 0
    retries: int = 0
    waited: Histogram = field(default_factory=partial(Histogram, _QUEUE_SECONDS))
    worked: Histogram = field(default_factory=partial(Histogram, _QUEUE_SECONDS))
    passes: Histogram = field(default_factory=partial(Histogram, _PASS_SECONDS))
    """The same as `worked`, by other bounds."""
    results: Counter[str] = field(default_factory=Counter)
    """By controller-runtime's words: success, requeue_after, error."""


class WorkQueue(Generic[K]):
    """Keys that want a worker; all methods are for the thread of the event loop."""

    def __init__(self, *, chance: random.Random) -> None:
        self._order: deque[K] = deque()
        self.passage = Passage()
        self.workers = 0
        """How many there are at the moment, whether they have something to do or not."""
        # Each with the time since when.
        self._ready: dict[K, float] = {}
        self._out: dict[K, float] = {}
        self._dirty: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._chance = chance

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def out(self) -> list[float]:
        """For how many seconds each of the keys has been out that workers have."""
        now = perf_counter()
        return [now - since for since in self._out.values()]

    def add(self, key: K) -> None:
        """Ask for a key to be worked on, as soon as possible; asking twice is asking once."""
        if key in self._out:
            self._dirty.add(key)
        elif key not in self._ready:
            self.passage.adds += 1
            self._ready[key] = perf_counter()
            self._order.append(key)
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a key in `seconds`, instead of at the time it was asked for before, if any."""
        self._cancel_timer(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(max(0.0, seconds), self._fire, key)

    def add_failed(self, key: K) -> float:
        """Ask for a key again after its back-off; return the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.passage.retries += 1
        longest = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 20))
        seconds = longest * self._chance.uniform(0.5, 1.0)
        self.add_after(key, seconds)
        return seconds

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def discard(self, key: K) -> None:
        """Forget timer and failures of a key that no longer exists."""
        self._cancel_timer(key)
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Take the next key out; the caller must call `done` with it."""
        while not self._order:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                # The wake-up may have been spent on this waiter in the moment of its cancellation: hand it on.
                if future.done() and not future.cancelled() and self._order:
                    self._wake_one()
                raise
        key = self._order.popleft()
        now = perf_counter()
        self.passage.waited.observe(now - self._ready.pop(key))
        self._out[key] = now
        return key

    def done(self, key: K) -> None:
        """Give a key back; if it was added meanwhile it is ready again."""
        if (since := self._out.pop(key, None)) is not None:
            seconds = perf_counter() - since
            self.passage.worked.observe(seconds)
            self.passage.passes.observe(seconds)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _wake_one(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return


async def work(
    queue: WorkQueue[K],
    reconcile: Callable[[K], Awaitable[float | None]],
    *,
    on_error: Callable[[K, Exception, float], None],
) -> None:
    """Work on keys until cancelled; run several of these for several at a time.

    `reconcile` answers in how many seconds it wants the key again, or None. What it raises is told to `on_error`
    together with the seconds until the retry, and never ends the worker.
    """
    queue.workers += 1
    try:
        while True:
            await _work_once(queue, reconcile, on_error)
    finally:
        queue.workers -= 1


async def _work_once(
    queue: WorkQueue[K],
    reconcile: Callable[[K], Awaitable[float | None]],
    on_error: Callable[[K, Exception, float], None],
) -> None:
    key = await queue.get()
    try:
        again = await reconcile(key)
    except Exception as error:  # noqa: BLE001  whatever one object does, the others go on
        queue.passage.results["error"] += 1
        on_error(key, error, queue.add_failed(key))
    else:
        queue.succeeded(key)
        queue.passage.results["success" if again is None else "requeue_after"] += 1
        if again is None:
            queue.discard(key)
        else:
            queue.add_after(key, again)
    finally:
        queue.done(key)
