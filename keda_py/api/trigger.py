"""Triggers: what ScaledObject and ScaledJob have in common (KEDA apis/keda/v1alpha1)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from keda_py.api.meta import Model

Count = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Integer = Annotated[int, Field(gt=-(2**31) - 1, lt=2**31)]
Name = Annotated[str, Field(min_length=1)]


class AuthenticationRef(Model):
    """Where a trigger's credentials are."""

    name: str
    """Name of the TriggerAuthentication or ClusterTriggerAuthentication."""
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] | None = None
    """TriggerAuthentication, of the same namespace, unless set."""


class ScaleTrigger(Model):
    """One event source."""

    # The API server insists on metadata, if only an empty one; what is already in the cluster is taken as it is.
    model_config = ConfigDict(json_schema_extra={"required": ["metadata", "type"]})

    type: Name
    """Which scaler: kafka, prometheus, cron and so on."""
    name: str = ""
    """A name of its own, for formulas and metrics."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """The scaler's parameters."""
    metric_type: str = ""
    """AverageValue, Value, or for cpu and memory Utilization."""
    use_cached_metrics: bool = False
    """Give the HPA the value of the last poll, instead of asking the source again."""
    authentication_ref: AuthenticationRef | None = None


class TriggerActivity(Model):
    """Whether a metric keeps the target awake."""

    is_active: bool = False
    """Whether it does."""
