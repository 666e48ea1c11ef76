"""Events have two faces: events.k8s.io/v1, as they are written and kept, and core/v1, as ``kubectl`` reads them.

Of what the newer one calls deprecated, nothing is lost on the way (kubernetes pkg/apis/events/v1 conversion).
"""

from typing import Any, Final

from keda_py.devcluster.store import Object

PLACE: Final = ("events.k8s.io", "events")
_SAME: Final[tuple[str, ...]] = (
    "metadata",
    "type",
    "reason",
    "action",
    "eventTime",
    "series",
    "related",
    "reportingInstance",
)
_PAIRS: Final[tuple[tuple[str, str], ...]] = (
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)
_ALWAYS: Final[dict[str, Any]] = {
    "eventTime": None,
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
_ALWAYS_NEW: Final[dict[str, Any]] = {
    "eventTime": None,
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
}
"""What each shows of every event."""


def as_new(found: Object) -> Object:
    """Return an event as events.k8s.io/v1 shows it."""
    return {**_ALWAYS_NEW, **found, "apiVersion": "events.k8s.io/v1"}


def as_core(found: Object) -> Object:
    """Return an event as core/v1 shows it."""
    shown = {name: found[name] for name in _SAME if name in found}
    shown |= {core: found[ours] for ours, core in _PAIRS if ours in found}
    return {"apiVersion": "v1", "kind": "Event", **_ALWAYS, **shown}


def from_core(given: Object) -> Object:
    """Return an event that was written as core/v1, as it is kept."""
    kept = {name: given[name] for name in _SAME if name in given}
    kept |= {ours: given[core] for ours, core in _PAIRS if core in given}
    return {"apiVersion": "events.k8s.io/v1", "kind": "Event", **kept}
