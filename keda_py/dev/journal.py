"""What happened, in the order it happened: what the daemon logs, what the HPA controller did, what was applied.

The daemon logs a line for each decision that changed something. Here these lines are not printed but kept, and all
told in one form: the name of a thing, what happened to it, a colon, and why. A line without a sentence of its own is
told by its fields, in that form too.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, NoReturn

import structlog

from keda_py.dev import words
from keda_py.dev.snapshot import Entry
from keda_py.devcluster.store import Change
from keda_py.runtime.clock import Now

KEPT: Final = 200
_EVENTS: Final = ("events.k8s.io", "events")
_SELECTOR: Final = re.compile(r"\(&LabelSelector\{.*?\},\}\)|\(nil\)")
"""How Go writes down what an external metric is selected by: whose it is, is told by the HPA's name."""
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
            about = event["regarding"]
            why = _SELECTOR.sub("", reason)
            self.add("HPA", f"{words.name(about['namespace'], about['name'])} -> {size}: {why}")


def _object(fields: Mapping[str, Any], kind: str = "", name: str = "") -> str:
    """Return what an object is called, or a thing of another kind in its namespace."""
    namespace, _, own = str(fields["object"]).partition("/")
    return words.name(namespace, f"{kind}/{name}" if kind else name or own)


def _scaled(fields: Mapping[str, Any]) -> str:
    names = f" ({', '.join(fields['triggers'])})" if fields["triggers"] else ""
    target = _object(fields, name=fields["target"])
    return f"{target} {fields['before']} -> {fields['after']}: {fields['why']}{names}"


def _created_jobs(fields: Mapping[str, Any]) -> str:
    pending = f", {fields['pending']} of them pending" if fields["pending"] else ""
    queue, running = f"queue {fields['queue']:g}", f"{fields['running']} running"
    return f"{_object(fields)} created {_jobs(fields)}: {queue}, {running}{pending}"


def _jobs(fields: Mapping[str, Any]) -> str:
    return f"{fields['jobs']} {'Job' if fields['jobs'] == 1 else 'Jobs'}"


def _hpa(fields: Mapping[str, Any]) -> str:
    why = f": {fields['why']}" if fields.get("why") else ""
    return f"{_object(fields, 'HPA', fields['hpa'])} {fields['event']}{why}"


def _ended(fields: Mapping[str, Any]) -> str:
    again = f", again in {fields['seconds']:g} s" if fields["seconds"] is not None else ""
    said = f": {fields['said']}" if fields["said"] else ""
    return f"Pod/{fields['pod']} ended with exit code {fields['code']}{again}{said}"


def _told(fields: Mapping[str, Any]) -> str:
    event = str(fields["event"])
    subject = f"{_object(fields)} " if "object" in fields else ""
    rest = [f"{name} {value}" for name, value in fields.items() if name not in _APART]
    error = fields.get("exc_info")
    why = [str(fields[name]) for name in ("why", "message") if fields.get(name)]
    why += [f"{type(error).__name__}: {error}"] if isinstance(error, Exception) else []
    about = f" ({', '.join(rest)})" if rest else ""
    reasons = f": {'; '.join(why)}" if why else ""
    return f"{subject}{event.removeprefix('ScaledObject ') if subject else event}{about}{reasons}"


_APART: Final = ("event", "object", "why", "message", "exc_info")
_SENTENCES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "scaled": _scaled,
    "ready": lambda fields: f"{_object(fields)} is ready",
    "not ready": lambda fields: f"{_object(fields)} is not ready: {fields['message']}",
    "created": _hpa,
    "updated": _hpa,
    "taken over": _hpa,
    "deleted": _hpa,
    "created jobs": _created_jobs,
    "not created": lambda fields: f"{_object(fields)} cannot create a Job: {fields['message']}",
    "replaced": lambda fields: f"{_object(fields)} deleted {_jobs(fields)}: {fields['why']}",
    "restored": lambda fields: f"{_object(fields, name=fields['target'])} -> {fields['replicas']}: {fields['why']}",
    "ended": _ended,
    "cannot run": lambda fields: f"Pod/{fields['pod']} cannot run {fields['command']}: {fields['reason']}",
}
