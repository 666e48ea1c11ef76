"""CloudEventSource and ClusterCloudEventSource (KEDA apis/eventing/v1alpha1): who is told what happens."""

from typing import Literal

from pydantic import Field

from keda_py.api.meta import Model, StatusCondition
from keda_py.api.trigger import AuthenticationRef

EventType = Literal[
    "keda.scaledobject.ready.v1",
    "keda.scaledobject.failed.v1",
    "keda.scaledobject.removed.v1",
    "keda.scaledobject.paused.v1",
    "keda.scaledobject.unpaused.v1",
    "keda.scaledjob.ready.v1",
    "keda.scaledjob.failed.v1",
    "keda.scaledjob.removed.v1",
    "keda.scaledjob.paused.v1",
    "keda.scaledjob.unpaused.v1",
    "keda.scaledjob.rolloutcleanup.started.v1",
    "keda.scaledjob.rolloutcleanup.completed.v1",
    "keda.scaledjob.rolloutcleanup.failed.v1",
    "keda.authentication.triggerauthentication.created.v1",
    "keda.authentication.triggerauthentication.updated.v1",
    "keda.authentication.triggerauthentication.removed.v1",
    "keda.authentication.clustertriggerauthentication.created.v1",
    "keda.authentication.clustertriggerauthentication.updated.v1",
    "keda.authentication.clustertriggerauthentication.removed.v1",
]


class HttpSink(Model):
    """An HTTP receiver."""

    uri: str
    """Its address."""


class EventGridTopic(Model):
    """An Azure Event Grid topic."""

    endpoint: str
    """Its address."""


class Destination(Model):
    """Where events go."""

    http: HttpSink | None = None
    azure_event_grid_topic: EventGridTopic | None = None


class EventSubscription(Model):
    """Which events go there."""

    included_event_types: list[EventType] = Field(default_factory=list)
    """These and no others."""
    excluded_event_types: list[EventType] = Field(default_factory=list)
    """All but these."""


class CloudEventSourceSpec(Model):
    """What is told to whom."""

    cluster_name: str = ""
    """How the cluster is called in events."""
    destination: Destination
    authentication_ref: AuthenticationRef | None = None
    event_subscription: EventSubscription | None = None


class CloudEventSourceStatus(Model):
    """How telling goes."""

    conditions: list[StatusCondition] = Field(default_factory=list)
    """What is true of it."""
