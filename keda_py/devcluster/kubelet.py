"""The kubelet of the embedded cluster: makes pods run, in name only or as processes of this machine.

In name only, a pod becomes ready a moment after it was made and stays so; one whose command is ``sleep <seconds>``, and
that is not to be restarted, succeeds after that time. As processes, the containers' commands are run as they stand,
with their environment: no image, no isolation, this user's rights.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time, parse_time
from keda_py.devcluster.api import Api
from keda_py.devcluster.controller import PODS, RefusedError, Writer
from keda_py.devcluster.environment import Get
from keda_py.devcluster.guard import Guard
from keda_py.devcluster.process import Container, Containers
from keda_py.devcluster.store import Change, Name, Object
from keda_py.runtime.queue import WorkQueue

START_SECONDS: Final = 1.0


class Kubelet:
    """Runs the pods of the one node there is."""

    def __init__(self, api: Api, *, chance: random.Random, processes: bool) -> None:
        """`processes`: whether containers' commands are run as processes of this machine."""
        self._api = api
        self._writer = Writer(api)
        self._processes = processes
        self._running: dict[str, Containers] = {}
        self._guard = Guard()
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
        await self._guard.close()

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
                self._write(found, "Pending")
                return START_SECONDS
            case "Pending":
                return await self._start(found)
            case "Running" if self._processes and found["metadata"]["uid"] not in self._running:
                # Ran before this process did.
                return await self._start(found)
            case "Running" if not self._processes and (seconds := _lasts(found)) is not None:
                left = seconds - (self._api.now() - _started_at(found)).total_seconds()
                if left <= 0:
                    self._write(found, "Succeeded")
                return left if left > 0 else None
        return None

    async def _start(self, found: Object) -> float | None:
        if self._processes:
            uid = found["metadata"]["uid"]
            running = self._running[uid] = Containers(
                found, lambda: self._changed(found), now=self._time, guard=self._guard, get=self._getter(found)
            )
            running.begin()
        self._write(found, "Running")
        return _lasts(found) if not self._processes else None

    def _time(self) -> str:
        return format_time(self._api.now())

    def _getter(self, pod: Object) -> Get:
        namespace = pod["metadata"]["namespace"]
        return lambda place, name: self._api.store.get(place, (namespace, name))

    def _changed(self, pod: Object) -> None:
        """Tell the API how a pod's processes fare."""
        uid = pod["metadata"]["uid"]
        found = self._api.store.get(PODS, (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        if found is None or found["metadata"]["uid"] != uid:
            return
        running = self._running[uid]
        phase = "Running"
        if running.over:
            phase = "Failed" if any(container.code for container in running.containers) else "Succeeded"
        self._write(found, phase, running.containers)

    def _write(self, found: Object, phase: str, containers: Sequence[Container] = ()) -> None:
        """Write a pod's status; `containers`: how those fare that are processes."""
        now = self._time()
        known = {container.name: container for container in containers}
        fare = [(c, known.get(c["name"]) or _in_name_only(phase, now)) for c in found["spec"].get("containers") or []]
        said = "True" if all(container.running for _, container in fare) else "False"
        status: dict[str, Any] = {
            "phase": phase,
            "startTime": (found.get("status") or {}).get("startTime", now),
            "conditions": [
                {"type": type_, "status": said, "lastTransitionTime": now} for type_ in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {"name": c["name"], "image": c.get("image", ""), **_container(phase, container)}
                for c, container in fare
            ],
        }
        with suppress(RefusedError):
            self._writer.status(PODS, found, status)


def _in_name_only(phase: str, now: str) -> Container:
    return Container("", running=phase == "Running", began=now, finished=now, code=0 if phase == "Succeeded" else None)


def _container(phase: str, container: Container) -> Object:
    """Return how a container fares, in a pod of this phase."""
    ended = {
        "reason": "Error" if container.code else "Completed",
        "exitCode": container.code,
        "startedAt": container.began,
        "finishedAt": container.finished,
    }
    if container.running:
        state: Object = {"running": {"startedAt": container.began}}
    elif phase == "Pending":
        state = {"waiting": {"reason": "ContainerCreating"}}
    elif phase == "Running":
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
    else:
        state = {"terminated": ended}
    last = {"lastState": {"terminated": ended}} if container.code is not None and phase == "Running" else {}
    return {"ready": container.running, "restartCount": container.restarts, "state": state, **last}


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
