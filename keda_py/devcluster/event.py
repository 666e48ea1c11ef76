"""Events have two faces: events.k8s.io/v1, as they are written and kept, and core/v1, as ``kubectl`` reads them."""

from keda_py.devcluster.store import Object

_SAME = ("metadata", "type", "reason", "action")
_PAIRS = (("note", "message"), ("regarding", "involvedObject"), ("reportingController", "reportingComponent"))


def as_core(found: Object) -> Object:
    """Return an event as core/v1 shows it."""
    shown = {"apiVersion": "v1", "kind": "Event", **{name: found[name] for name in _SAME if name in found}}
    shown |= {core: found[ours] for ours, core in _PAIRS if ours in found}
    at = found.get("eventTime")
    shown |= {
        "eventTime": at,
        "reportingInstance": found.get("reportingInstance", ""),
        "source": {"component": found.get("reportingController", "")},
        "firstTimestamp": found.get("deprecatedFirstTimestamp") or at,
        "lastTimestamp": found.get("deprecatedLastTimestamp") or at,
        "count": found.get("deprecatedCount", 1),
    }
    return shown


def from_core(given: Object) -> Object:
    """Return an event that was written as core/v1, as it is kept."""
    kept = {"apiVersion": "events.k8s.io/v1", "kind": "Event", **{n: given[n] for n in _SAME if n in given}}
    kept |= {ours: given[core] for ours, core in _PAIRS if core in given}
    kept["eventTime"] = given.get("eventTime") or given.get("lastTimestamp")
    kept.setdefault("reportingController", (given.get("source") or {}).get("component", ""))
    if given.get("count"):
        kept["deprecatedCount"] = given["count"]
    return kept
