"""What happened, in the order it happened: what the daemon logs, what the HPA controller did, what was applied.

The daemon logs a line for each decision that changed something. Here these lines are not printed but kept, and told
in a sentence; a line without a sentence of its own is told by its fields.
"""

from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, NoReturn

import structlog

from keda_py.dev.snapshot import Entry
from keda_py.devcluster.store import Change
from keda_py.runtime.clock import Now

KEPT: Final = 200
_EVENTS: Final = ("events.k8s.io", "events")
_UNTOLD: Final = ("started", "refused")
"""Who was refused was told why, and in full."""


class Journal:
    """Keeps the last entries."""

    def __init__(self, now: Now) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self._now = now
        self._number = 0

    def add(self, who: str, text: str, *, bad: bool = False) -> None:
        """Add an entry."""
        self._number += 1
        self.entries.append(Entry(self._number, self._now(), who, text, bad))

    def log(self, logger: Any, level: str, fields: MutableMapping[str, Any]) -> NoReturn:
        """Take a line of the log (a structlog processor, the last one, where loggers are but their names)."""
        event = str(fields.pop("event"))
        if event not in _UNTOLD:
            who = logger if logger == "kubelet" else "keda-py"
            self.add(who, _SENTENCES.get(event, _told)({**fields, "event": event}), bad=level != "info")
        raise structlog.DropEvent

    def notice(self, change: Change) -> None:
        """Take what the HPA controller tells (a listener of the store)."""
        event = change.after
        if change.place == _EVENTS and event is not None and event.get("reason") == "SuccessfulRescale":
            note = str(event["note"]).removeprefix("New size: ")
            size, _, reason = note.partition("; reason: ")
            self.add("HPA", f"{event['regarding']['name']} -> {size}: {reason}")


def _scaled(fields: Mapping[str, Any]) -> str:
    names = f" ({', '.join(fields['triggers'])})" if fields["triggers"] else ""
    return f"{fields['target']} {fields['before']} -> {fields['after']}: {fields['why']}{names}"


def _created_jobs(fields: Mapping[str, Any]) -> str:
    pending = f", {fields['pending']} of them pending" if fields["pending"] else ""
    queue, running = f"queue {fields['queue']:g}", f"{fields['running']} running"
    return f"{fields['object']}: created {fields['jobs']} Jobs: {queue}, {running}{pending}"


def _told(fields: Mapping[str, Any]) -> str:
    error = fields.get("exc_info")
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in ("event", "exc_info"))
    cause = f" {type(error).__name__}: {error}" if isinstance(error, Exception) else ""
    return f"{fields['event']} {rest}{cause}".rstrip()


_SENTENCES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "scaled": _scaled,
    "ready": lambda fields: f"{fields['object']} is ready",
    "not ready": lambda fields: f"{fields['object']} is not ready: {fields['message']}",
    "created": lambda fields: f"made the HPA {fields['namespace']}/{fields['hpa']}",
    "created jobs": _created_jobs,
    "not created": lambda fields: f"{fields['object']}: a Job cannot be created: {fields['message']}",
    "replaced": lambda fields: f"{fields['object']}: deleted {fields['jobs']} Jobs: {fields['why']}",
    "updated": lambda fields: f"changed the HPA {fields['hpa']} of {fields['object']}",
    "restored": lambda fields: f"{fields['target']} -> {fields['replicas']}: {fields['why']}",
    "cannot run": lambda fields: f"pod {fields['pod']} cannot run {fields['command']}: {fields['reason']}",
}
