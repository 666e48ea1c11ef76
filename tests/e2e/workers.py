"""Plays the programs in the containers of Jobs: each takes one message when its pod begins to run, and works on it.

As soon as it has a message, a pod has the condition `WORKING`. Its message is done while the pod still runs, which
succeeds thereupon: that says we and not kwok, who would go by the clock, and let a pod end before its work is done on a
machine that has much else to do.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from keda_py.engine.job import JOBS, PODS
from keda_py.kube.client import Client, NotFound, Unreachable
from keda_py.kube.reflector import Reflector, Store
from keda_py.kube.transport import connect

from .queues import Opened, Queue

WORKING: Final = "example.com/Working"
WORK_SECONDS: Final = 2


class Workers:
    """All programs in a namespace, in a thread of their own; the label `queue` of a pod says where it takes from."""

    def __init__(self, kubeconfig: Path, namespace: str, queues: Mapping[str, Opened]) -> None:
        self.jobs, self.pods = Store(_whole), Store(_whole)
        self.taken: Counter[str] = Counter()
        """How often each message was taken."""
        self.done: set[str] = set()
        self.ended: dict[str, dict[str, str]] = {}
        """How each Job ended that has, be it gone since: its condition, by its name."""
        self.idle: list[str] = []
        """The Jobs of pods that found nothing to do."""
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._opened = queues
        self._queues: dict[str, Queue] = {}
        self._begun: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._numbers = iter(range(10**6))
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)

    @contextmanager
    def working(self) -> Iterator["Workers"]:
        """Work within the block."""
        self._thread.start()
        try:
            assert self._ready.wait(60), "the workers did not get to work"
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(30)

    def put(self, queue: str, count: int) -> set[str]:
        """Put messages into a queue; return what they say, each something else."""
        texts = {f"{queue}-{next(self._numbers)}" for _ in range(count)}
        for text in texts:
            asyncio.run_coroutine_threadsafe(self._queues[queue].put(text), self._loop).result(30)
        return texts

    def jobs_of(self, owner: str) -> list[dict[str, Any]]:
        """Return the Jobs of a ScaledJob, as last seen."""
        found = map(self.jobs.get, self.jobs.keys())
        return [job for job in found if job and job["metadata"]["labels"]["scaledjob.keda.sh/name"] == owner]

    # --- in the thread ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            transport = await connect(str(self._kubeconfig))
            stack.push_async_callback(transport.close)
            client = Client(transport)
            for name, opened in self._opened.items():
                self._queues[name] = await stack.enter_async_context(opened)
            started: list[asyncio.Task[None]] = []

            def start(work: Coroutine[Any, Any, None]) -> None:
                started.append(tasks.create_task(work))

            self.jobs.on_change(lambda _, __, job: self._note(job))
            self.pods.on_change(lambda _, __, pod: start(self._work(client, pod)) if self._begins(pod) else None)
            seen = [
                Reflector(client, resource, store, chance=Random(1), namespace=self._namespace)
                for resource, store in ((JOBS, self.jobs), (PODS, self.pods))
            ]
            for reflector in seen:
                start(reflector.run())
            for reflector in seen:
                await reflector.listed.wait()
            self._ready.set()
            await self._over.wait()
            for task in started:
                task.cancel()

    def _note(self, job: dict[str, Any] | None) -> None:
        for condition in job["status"].get("conditions", []) if job else ():
            if condition["type"] in {"Complete", "Failed"}:
                self.ended[job["metadata"]["name"]] = condition

    def _begins(self, pod: dict[str, Any] | None) -> bool:
        """Whether a pod runs that did not before."""
        if pod is None or pod["status"].get("phase") != "Running" or pod["metadata"]["uid"] in self._begun:
            return False
        self._begun.add(pod["metadata"]["uid"])
        return pod["metadata"]["labels"].get("queue") in self._queues

    async def _work(self, client: Client, pod: dict[str, Any]) -> None:
        """Do what the pod's program would do, and exit."""
        message = await self._queues[pod["metadata"]["labels"]["queue"]].take()
        if message is None:
            self.idle.append(pod["metadata"]["labels"]["job-name"])
        else:
            self.taken[message.text] += 1
            conditions = [*pod["status"]["conditions"], {"type": WORKING, "status": "True"}]
            working = asyncio.create_task(self._say(client, pod, {"conditions": conditions}))
            await asyncio.sleep(WORK_SECONDS)
            await message.done()
            self.done.add(message.text)
            await working
        await self._say(client, pod, {"phase": "Succeeded"})

    async def _say(self, client: Client, pod: dict[str, Any], status: dict[str, Any]) -> None:
        """Write the status of a pod that may be gone; as often as need be, while nobody answers."""
        while True:
            try:
                await client.patch_status(PODS, self._namespace, pod["metadata"]["name"], status)
            except Unreachable:
                await asyncio.sleep(0.5)
            except NotFound:
                return
            else:
                return


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    return found
