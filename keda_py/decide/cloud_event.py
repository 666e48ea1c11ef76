"""Which of our events are CloudEvents, of what they are about, and who wants to hear of them.

The types, and what is a source and a subject, are facts of KEDA (apis/eventing/v1alpha1/cloudevent_types.go, and
pkg/eventemitter/eventhelper.go).
"""

from collections.abc import Mapping
from typing import Any, Final

from keda_py.api.cloud_event_source import EventSubscription, EventType
from keda_py.naming import EventReason, Reason

TYPES: Final[Mapping[str, EventType]] = {
    Reason.READY: "keda.scaledobject.ready.v1",
    Reason.CHECK_FAILED: "keda.scaledobject.failed.v1",
    EventReason.UPDATE_FAILED: "keda.scaledobject.failed.v1",
    EventReason.DELETED: "keda.scaledobject.removed.v1",
    EventReason.PAUSED: "keda.scaledobject.paused.v1",
    EventReason.UNPAUSED: "keda.scaledobject.unpaused.v1",
    Reason.JOB_READY: "keda.scaledjob.ready.v1",
    Reason.JOB_CHECK_FAILED: "keda.scaledjob.failed.v1",
    EventReason.JOB_UPDATE_FAILED: "keda.scaledjob.failed.v1",
    EventReason.JOB_DELETED: "keda.scaledjob.removed.v1",
    EventReason.JOB_PAUSED: "keda.scaledjob.paused.v1",
    EventReason.JOB_UNPAUSED: "keda.scaledjob.unpaused.v1",
    EventReason.ROLLOUT_STARTED: "keda.scaledjob.rolloutcleanup.started.v1",
    EventReason.ROLLOUT_COMPLETED: "keda.scaledjob.rolloutcleanup.completed.v1",
    EventReason.ROLLOUT_FAILED: "keda.scaledjob.rolloutcleanup.failed.v1",
    EventReason.AUTHENTICATION_ADDED: "keda.authentication.triggerauthentication.created.v1",
    EventReason.AUTHENTICATION_UPDATED: "keda.authentication.triggerauthentication.updated.v1",
    EventReason.AUTHENTICATION_DELETED: "keda.authentication.triggerauthentication.removed.v1",
    EventReason.CLUSTER_AUTHENTICATION_ADDED: "keda.authentication.clustertriggerauthentication.created.v1",
    EventReason.CLUSTER_AUTHENTICATION_UPDATED: "keda.authentication.clustertriggerauthentication.updated.v1",
    EventReason.CLUSTER_AUTHENTICATION_DELETED: "keda.authentication.clustertriggerauthentication.removed.v1",
}
"""By the reason of the event; other events are none."""


def wanted(subscription: EventSubscription | None, event_type: EventType) -> bool:
    """Return whether a source is told of events of a type; without a subscription, of all (eventfilter.go)."""
    if subscription is None:
        return True
    if subscription.included_event_types:
        return event_type in subscription.included_event_types
    return event_type not in subscription.excluded_event_types


def source(cluster: str, namespace: str) -> str:
    """Return who tells of an event: the daemon of a cluster, in a namespace."""
    return f"/{cluster}/{namespace}/keda"


def subject(cluster: str, regarding: Mapping[str, Any]) -> str:
    """Return which object an event is about; a cluster's has nothing for a namespace."""
    metadata = regarding["metadata"]
    place = f"{metadata.get('namespace', '')}/{regarding['kind'].lower()}"
    return f"/{cluster}/{place}/{metadata['name'].lower()}"
