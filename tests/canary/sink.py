"""Canaries in what CloudEvents are sent with: in the address of a receiver, and as the key of an Event Grid topic."""

from collections.abc import Mapping
from typing import Final

from .garden import Garden

DOORS: Final = {"parrot": "True", "scold": "answered 401", "refuses": "cannot be reached"}
"""What each source comes to say of sending there."""


def plant_sinks(garden: Garden, addresses: Mapping[tuple[str, str], str]) -> None:
    """Plant receivers that take events, refuse them, or are not there."""
    canaries = garden.canaries
    for door, says in DOORS.items():
        password, code = (canaries.hatch(f"CloudEvents: {what} for {door}") for what in ("a password", "a code"))
        # The manifest says them; a person should have put them elsewhere, and still nobody else is to be told.
        canaries.shown |= {canaries.planted[password], canaries.planted[code]}
        uri = f"http://keda:{password}@{addresses['http', door]}/events?code={code}"
        garden.receiver({"http": {"uri": uri}}, says=says)
    key = canaries.hatch("CloudEvents: a topic's key")
    topic = {"endpoint": f"https://{addresses['http', 'refuses']}/api/events"}
    garden.receiver({"azureEventGridTopic": topic}, {"accessKey": key}, says=DOORS["refuses"])
