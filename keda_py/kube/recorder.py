"""Events about objects, for ``kubectl describe``. Telling must never hold up or break what is told about.

So an event is put into a bounded queue and sent beside; what cannot be sent is counted and forgotten. The same event
of the same object is sent once in a while only. Whoever else wants to hear of what is told hears of each.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from keda_py.kube.client import ApiError, Client, Resource
from keda_py.naming import MANAGED_BY

log = structlog.get_logger("event")

EVENTS: Final = Resource("", "v1", "events", "Event")
"""The older face of events: in the newer one they have no lastTimestamp, by which kubectl sorts them."""
WAITING: Final = 1000
REMEMBERED: Final = 4096
AGAIN_SECONDS: Final = 300.0
LONGEST_NOTE: Final = 1024
OF_THE_CLUSTER: Final = "default"
"""The namespace of events about objects that are in none (client-go's rule, which the API server enforces)."""

Heard = Callable[[dict[str, Any], str, str], None]
"""Hears of the object, the reason and the note."""


class Recorder:
    """Takes events at once, and sends them while `run` runs."""

    def __init__(self, client: Client, *, now: Callable[[], datetime], instance: str, chance: random.Random) -> None:
        self._client = client
        self._now = now
        self._instance = instance
        self._chance = chance
        self._waiting: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._wake = asyncio.Event()
        self._listeners: list[Heard] = []
        self.dropped = 0

    def on_event(self, listener: Heard) -> None:
        """Tell `listener` of each event, the moment it is told of here."""
        self._listeners.append(listener)

    def normal(self, regarding: dict[str, Any], reason: str, note: str) -> None:
        """Tell of something that is as it should be."""
        self._tell(regarding, "Normal", reason, note)

    def warning(self, regarding: dict[str, Any], reason: str, note: str) -> None:
        """Tell of something that wants somebody's attention."""
        self._tell(regarding, "Warning", reason, note)

    def _tell(self, regarding: dict[str, Any], kind: str, reason: str, note: str) -> None:
        for listener in self._listeners:
            listener(regarding, reason, note)
        identity = (regarding["metadata"]["uid"], reason, note)
        now = asyncio.get_running_loop().time()
        if now - self._told.get(identity, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._told.pop(identity, None)
        self._told[identity] = now
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self.dropped += len(self._waiting) == WAITING
        self._waiting.append(self._event(regarding, kind, reason, note))
        self._wake.set()

    def _event(self, regarding: dict[str, Any], kind: str, reason: str, note: str) -> dict[str, Any]:
        metadata = regarding["metadata"]
        subject = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        name = f"{metadata['name'][:200]}.{self._chance.getrandbits(64):016x}"
        now = self._now().astimezone(UTC)
        seconds = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "metadata": {"namespace": subject["namespace"] or OF_THE_CLUSTER, "name": name},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "firstTimestamp": seconds,
            "lastTimestamp": seconds,
            "count": 1,
            "type": kind,
            "reason": reason,
            "action": reason,
            "message": note[:LONGEST_NOTE],
            "involvedObject": subject,
            "source": {"component": MANAGED_BY},
            "reportingComponent": MANAGED_BY,
            "reportingInstance": self._instance,
        }

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                event = self._waiting.popleft()
                try:
                    await self._client.create(EVENTS, event["metadata"]["namespace"], event)
                except ApiError as error:
                    self.dropped += 1
                    log.debug("event not sent", reason=event["reason"], message=str(error))
