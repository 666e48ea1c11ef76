"""The containers of a pod as processes of this machine: their commands as they stand, with this user's rights.

A container that ends is started anew as its pod's restartPolicy says, after a while that doubles: sooner than on a real
node, as somebody who changes a program waits for it.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from keda_py.devcluster.environment import ConfigError, Get, command, environment
from keda_py.devcluster.guard import Guard
from keda_py.devcluster.store import Object

log = structlog.get_logger("kubelet")

GRACE_SECONDS: Final = 5.0
LOG_LINES: Final = 1000
FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 60.0
"""Who ran so long is started again as if for the first time."""
NOT_FOUND: Final = 127


@dataclass
class Container:
    """How a container fares: when it last began and ended, and with what code; empty and None if it never did."""

    name: str
    running: bool = True
    restarts: int = 0
    began: str = ""
    finished: str = ""
    code: int | None = None


class Containers:
    """The processes of one pod."""

    def __init__(
        self, pod: Object, changed: Callable[[], None], *, now: Callable[[], str], guard: Guard, get: Get
    ) -> None:
        """`changed`: told when a container has ended or begun anew, and when all have ended for good."""
        self._pod = pod
        self._get = get
        self._now = now
        self._guard = guard
        self._policy = pod["spec"].get("restartPolicy", "Always")
        self._changed = changed
        self._stopping = asyncio.Event()
        self.containers = [Container(found["name"], began=now()) for found in pod["spec"]["containers"]]
        self.over = False
        """Whether all have ended by themselves, for good."""
        self.ended = asyncio.Event()
        self.lines: deque[str] = deque(maxlen=LOG_LINES)

    def begin(self) -> None:
        """Start the processes."""
        self._task = asyncio.create_task(self._run(), name="pod")

    def stop(self) -> None:
        """Ask the processes to end, and make them."""
        self._stopping.set()

    async def _run(self) -> None:
        try:
            found = zip(self._pod["spec"]["containers"], self.containers, strict=True)
            await asyncio.gather(*(self._container(*one) for one in found))
            if not self._stopping.is_set():
                self.over = True
                self._changed()
        finally:
            self.ended.set()

    async def _container(self, spec: Object, container: Container) -> None:
        """Run a container until it ended for good."""
        loop, backoff = asyncio.get_running_loop(), FIRST_BACKOFF_SECONDS
        while True:
            began = loop.time()
            code = await self._process(spec)
            if self._stopping.is_set():
                return
            container.running, container.finished, container.code = False, self._now(), code
            again = self._policy == "Always" or (self._policy == "OnFailure" and code != 0)
            if loop.time() - began >= STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self._tell(container, backoff if again else None)
            if not again:
                return
            self._changed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
                return
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)
            container.running, container.began, container.restarts = True, self._now(), container.restarts + 1
            self._changed()

    def _tell(self, container: Container, seconds: float | None) -> None:
        if container.code == NOT_FOUND or (seconds is None and not container.code):
            # Told already, or nothing to tell.
            return
        last = self.lines[-1].strip() if self.lines else ""
        tell = log.warning if container.code else log.info
        tell("ended", pod=self._pod["metadata"]["name"], code=container.code, seconds=seconds, said=last)

    async def _process(self, container: Object) -> int:
        """Run a container's command once; return its exit code."""
        try:
            variables = environment(self._pod, container, self._get)
        except ConfigError as error:
            return self._cannot_run(container["name"], str(error))
        words = command(container, variables)
        if not words:
            # Only the image would know what to run.
            await self._stopping.wait()
            return 0
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                env=os.environ | variables | {"HOSTNAME": self._pod["metadata"]["name"], "PYTHONUNBUFFERED": "1"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A group of its own: Ctrl-C is for the cluster, which then ends its pods in order.
                start_new_session=True,
            )
        except OSError as error:
            return self._cannot_run(words[0], str(error.strerror))
        await self._guard.keep(process.pid)
        reading = asyncio.create_task(self._read(process.stdout))
        waiting = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not waiting.done():
            _signal(process, signal.SIGTERM)
            await asyncio.wait({waiting}, timeout=GRACE_SECONDS)
        # What the command started itself ends with it.
        _signal(process, signal.SIGKILL)
        await waiting
        await self._guard.forget(process.pid)
        await reading
        return process.returncode or 0

    def _cannot_run(self, what: str, reason: str) -> int:
        self.lines.append(f"cannot run {what}: {reason}\n")
        log.warning("cannot run", pod=self._pod["metadata"]["name"], command=what, reason=reason)
        return NOT_FOUND

    async def _read(self, output: asyncio.StreamReader | None) -> None:
        if output is None:
            return
        async for line in output:
            self.lines.append(line.decode(errors="replace"))


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
