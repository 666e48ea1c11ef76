"""The contract of event sinks: where the events of a CloudEventSource go.

A sink is a class registered under the entry point group ``keda_py.event_sinks`` by the manifest's name of its
destination, such as ``http``. It sends one event when it is told to. It has no logger, retry, deadline or queue: the
engine wraps every call, once for all sinks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from keda_py.scaler import NOBODY, Platform, PodIdentity

ENTRY_POINTS: Final = "keda_py.event_sinks"


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """What happened to an object, in the words of CloudEvents 1.0; `time` is aware UTC."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    reason: str
    message: str

    def attributes(self) -> dict[str, str]:
        """Return its context attributes by their names."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat().replace("+00:00", "Z"),
        }

    def data(self) -> dict[str, str]:
        """Return its content, KEDA's EmitData (pkg/eventemitter/eventemitter.go)."""
        return {"reason": self.reason, "message": self.message}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go, and who sends them; `address` and `parameters`, from an authenticationRef, stay out of `repr`.

    `platform`: what the daemon offers, the same for all.
    """

    address: str = field(repr=False)
    platform: Platform = field(repr=False, compare=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    pod_identity: PodIdentity = NOBODY


class EventSink(ABC):
    """A receiver: one for each source, made when its manifest changes, and closed at last.

    Making one raises `ScalerError` (keda_py.scaler) saying what of the manifest makes no sense.
    """

    def __init__(self, to: Destination) -> None:
        self.to = to

    @abstractmethod
    async def send(self, event: CloudEvent) -> None:
        """Send an event; raise `ScalerError` if it was not taken, saying why, and never a value."""

    async def close(self) -> None:  # noqa: B027  one that opened nothing closes nothing
        """Close what was opened."""
