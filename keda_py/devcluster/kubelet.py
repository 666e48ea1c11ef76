"""The kubelet of the embedded cluster: makes pods run, in name only or as processes of this machine.

In name only, a pod becomes ready a moment after it was made and stays so; one whose command is ``sleep <seconds>``, and
that is not to be restarted, succeeds after that time. As processes, the containers' commands are run as they stand,
with their environment: no image, no isolation, this user's rights.
"""

import asyncio
import os
import random
import signal
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import structlog

from keda_py.decide.status import format_time, parse_time
from keda_py.devcluster.api import Api
from keda_py.devcluster.controller import PODS, RefusedError, Writer
from keda_py.devcluster.store import Change, Name, Object
from keda_py.runtime.queue import WorkQueue

log = structlog.get_logger("kubelet")

START_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 5.0
LOG_LINES: Final = 1000


class Kubelet:
    """Runs the pods of the one node there is."""

    def __init__(self, api: Api, *, chance: random.Random, processes: bool) -> None:
        """`processes`: whether containers' commands are run as processes of this machine."""
        self._api = api
        self._writer = Writer(api)
        self._processes = processes
        self._running: dict[str, Containers] = {}
        self.queue: WorkQueue[Name] = WorkQueue(chance=chance)
        for item in api.store.items(PODS):
            self.queue.add((item["metadata"]["namespace"], item["metadata"]["name"]))
        api.store.listen(self._notice)

    def _notice(self, change: Change) -> None:
        if change.place != PODS:
            return
        if change.after is None or change.before is None:
            self.queue.add(change.name)
        if change.after is None and change.before is not None:
            self._stop(change.before["metadata"]["uid"])

    def _stop(self, uid: str) -> None:
        if (running := self._running.pop(uid, None)) is not None:
            running.stop()

    async def close(self) -> None:
        """Stop all processes."""
        stopping = list(self._running.values())
        for uid in list(self._running):
            self._stop(uid)
        await asyncio.gather(*(running.ended.wait() for running in stopping))

    def logs(self, namespace: str, name: str) -> str:
        """Return what the processes of a pod said last."""
        found = self._api.store.get(PODS, (namespace, name))
        running = self._running.get(found["metadata"]["uid"]) if found is not None else None
        return "".join(running.lines) if running is not None else ""

    async def reconcile(self, name: Name) -> float | None:
        """Take a pod one step further."""
        found = self._api.store.get(PODS, name)
        if found is None:
            return None
        match (found.get("status") or {}).get("phase"):
            case None:
                self._write(found, "Pending", ready=False)
                return START_SECONDS
            case "Pending":
                return await self._start(found)
            case "Running" if self._processes and found["metadata"]["uid"] not in self._running:
                # Ran before this process did.
                return await self._start(found)
            case "Running" if not self._processes and (seconds := _lasts(found)) is not None:
                left = seconds - (self._api.now() - _started_at(found)).total_seconds()
                if left <= 0:
                    self._write(found, "Succeeded", ready=False)
                return left if left > 0 else None
        return None

    async def _start(self, found: Object) -> float | None:
        if self._processes:
            uid = found["metadata"]["uid"]
            running = self._running[uid] = Containers(found)
            running.begin(lambda code: self._ended(found, code))
        self._write(found, "Running", ready=True)
        return _lasts(found) if not self._processes else None

    def _ended(self, pod: Object, code: int) -> None:
        """Tell the API that a pod's processes ended by themselves."""
        found = self._api.store.get(PODS, (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        if found is not None and found["metadata"]["uid"] == pod["metadata"]["uid"]:
            self._write(found, "Failed" if code else "Succeeded", ready=False)

    def _write(self, found: Object, phase: str, *, ready: bool) -> None:
        now = format_time(self._api.now())
        states = {
            "Pending": {"waiting": {"reason": "ContainerCreating"}},
            "Running": {"running": {"startedAt": now}},
            "Succeeded": {"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": now}},
            "Failed": {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": now}},
        }
        said = "True" if ready else "False"
        status: dict[str, Any] = {
            "phase": phase,
            "startTime": (found.get("status") or {}).get("startTime", now),
            "conditions": [
                {"type": type_, "status": said, "lastTransitionTime": now} for type_ in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": c["name"],
                    "image": c.get("image", ""),
                    "ready": ready,
                    "restartCount": 0,
                    "state": states[phase],
                }
                for c in found["spec"].get("containers") or []
            ],
        }
        with suppress(RefusedError):
            self._writer.status(PODS, found, status)


def _started_at(found: Object) -> datetime:
    return parse_time(found["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])


def _lasts(found: Object) -> float | None:
    """Return how long a pod that is not run as processes lasts; None for ever."""
    command = [
        *(found["spec"]["containers"][0].get("command") or []),
        *(found["spec"]["containers"][0].get("args") or []),
    ]
    if found["spec"].get("restartPolicy", "Always") == "Always" or command[:1] != ["sleep"]:
        return None
    with suppress(ValueError, IndexError):
        return float(command[1])
    return None


class Containers:
    """The processes of one pod."""

    def __init__(self, pod: Object) -> None:
        self._pod = pod
        self._processes: list[asyncio.subprocess.Process] = []
        self._stopping = asyncio.Event()
        self.ended = asyncio.Event()
        self.lines: deque[str] = deque(maxlen=LOG_LINES)

    def begin(self, ended: Any) -> None:
        """Start the processes; `ended` is told the exit code if they end by themselves."""
        self._task = asyncio.create_task(self._run(ended), name="pod")

    def stop(self) -> None:
        """Ask the processes to end, and make them."""
        self._stopping.set()

    async def _run(self, ended: Any) -> None:
        try:
            codes = await asyncio.gather(*(self._container(c) for c in self._pod["spec"]["containers"]))
            if not self._stopping.is_set():
                ended(next((code for code in codes if code), 0))
        finally:
            self.ended.set()

    async def _container(self, container: Object) -> int:
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        environment = {e["name"]: str(e.get("value", "")) for e in container.get("env") or []}
        environment |= {"HOSTNAME": self._pod["metadata"]["name"], "PYTHONUNBUFFERED": "1"}
        if not command:
            # Only the image would know what to run.
            await self._stopping.wait()
            return 0
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=os.environ | environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A group of its own: Ctrl-C is for the cluster, which then ends its pods in order.
                start_new_session=True,
            )
        except OSError as error:
            self.lines.append(f"cannot run {command[0]}: {error.strerror}\n")
            log.warning("cannot run", pod=self._pod["metadata"]["name"], command=command[0], reason=error.strerror)
            return 127
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
        await reading
        return process.returncode or 0

    async def _read(self, output: asyncio.StreamReader | None) -> None:
        if output is None:
            return
        async for line in output:
            self.lines.append(line.decode(errors="replace"))


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
