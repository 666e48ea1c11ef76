"""The ScaledObject (KEDA apis/keda/v1alpha1/scaledobject_types.go), with the defaults that KEDA applies in code."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from keda_py.api.meta import Model, ObjectMeta, StatusCondition
from keda_py.api.schema import QuantityText, server_default, structural
from keda_py.api.trigger import AuthenticationRef, Count, Integer, Name, Positive, ScaleTrigger, TriggerActivity
from keda_py.naming import default_hpa_name

__all__ = ["AuthenticationRef", "ScaleTrigger", "ScaledObject", "ScaledObjectSpec", "ScaledObjectStatus"]


class ScaleTargetRef(Model):
    """What to scale."""

    name: Name
    """Its name."""
    api_version: str = ""
    """Its API version, apps/v1 unless set."""
    kind: str = ""
    """Its kind, Deployment unless set; anything with a /scale subresource."""
    env_source_container_name: str = ""
    """The container whose environment triggers refer to, the first unless set."""


class _ScalingPolicy(Model):
    """One bound on how fast replicas change."""

    type: str
    """Pods or Percent."""
    value: Integer
    """How much may change."""
    period_seconds: Integer
    """Within how many seconds."""


class _ScalingRules(Model):
    """How fast the HPA changes replicas in one direction."""

    stabilization_window_seconds: Integer | None = None
    """How many seconds of earlier recommendations count."""
    select_policy: str | None = None
    """Max, Min or Disabled."""
    policies: Annotated[list[_ScalingPolicy] | None, Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})] = (
        None
    )
    """The bounds."""
    tolerance: QuantityText = None
    """How far from the target a metric may be without a change."""


class _Behavior(Model):
    """The HPA's spec.behavior."""

    scale_up: _ScalingRules | None = None
    """Upwards."""
    scale_down: _ScalingRules | None = None
    """Downwards."""


class HpaConfig(Model):
    """What the HPA is told besides metrics."""

    name: str = ""
    """Its name, keda-hpa-<name of the ScaledObject> unless set."""
    behavior: Annotated[dict[str, Any], WithJsonSchema(structural(_Behavior))] | None = None
    """How fast it scales; passed on as it is."""


class ScalingModifiers(Model):
    """One metric made of those of all triggers."""

    formula: str = ""
    """How, with triggers by their names."""
    target: str = ""
    """What one replica is to have of it."""
    activation_target: str = ""
    """Above which value the target is awake."""
    metric_type: Literal["AverageValue", "Value"] | None = None
    """AverageValue unless set."""


class Advanced(Model):
    """Rarer settings."""

    restore_to_original_replica_count: bool = False
    """Give the target its replicas of before back, when the ScaledObject is deleted."""
    horizontal_pod_autoscaler_config: HpaConfig | None = None
    scaling_modifiers: ScalingModifiers | None = None


class Fallback(Model):
    """What to do while a trigger cannot be read."""

    failure_threshold: Count
    """After how many failures in a row."""
    replicas: Count
    """How many replicas to have then."""
    behavior: Literal[
        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"
    ] = server_default("static")
    """Whether these replicas, or those that there are."""


class ScaledObjectSpec(Model):
    """What a ScaledObject asks for. Fields are as written; properties have KEDA's defaults applied."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "message": "minReplicaCount must be less than or equal to maxReplicaCount",
                    "rule": "!has(self.minReplicaCount) || "
                    "self.minReplicaCount <= (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)",
                }
            ]
        }
    )

    scale_target_ref: ScaleTargetRef
    polling_interval_seconds: Positive | None = Field(None, alias="pollingInterval")
    """How often to ask the sources, in seconds; 30 unless set."""
    initial_cooldown_seconds: Count | None = Field(None, alias="initialCooldownPeriod")
    """How long after its creation an object that never was active is left as it is, in seconds."""
    cooldown_seconds: Count | None = Field(None, alias="cooldownPeriod")
    """How long after the last activity to wait before scaling to zero, in seconds; 300 unless set."""
    idle_replica_count: Count | None = None
    """How many replicas to have while nothing is active, instead of minReplicaCount."""
    min_replica_count: Count | None = None
    """The fewest replicas, 0 unless set."""
    max_replica_count: Annotated[Count, Field(json_schema_extra={"minimum": 1})] | None = None
    """The most replicas, 100 unless set."""
    advanced: Advanced | None = None
    triggers: Annotated[list[ScaleTrigger], Field(json_schema_extra={"minItems": 1})]
    """The event sources; the one that wants the most replicas wins."""
    fallback: Fallback | None = None

    @property
    def polling_interval(self) -> timedelta:
        """How often triggers are read, 30 s by default."""
        return timedelta(seconds=30 if self.polling_interval_seconds is None else self.polling_interval_seconds)

    @property
    def cooldown_period(self) -> timedelta:
        """How long after the last activity to wait before scaling to zero, 300 s by default."""
        return timedelta(seconds=300 if self.cooldown_seconds is None else self.cooldown_seconds)

    @property
    def initial_cooldown_period(self) -> timedelta:
        """How long after creation to wait before scaling an object to zero that never was active."""
        return timedelta(seconds=self.initial_cooldown_seconds or 0)

    @property
    def min_replicas(self) -> int:
        """The fewest replicas while active, 0 by default."""
        return self.min_replica_count or 0

    @property
    def max_replicas(self) -> int:
        """The most replicas, 100 by default."""
        return 100 if self.max_replica_count is None else self.max_replica_count

    @property
    def hpa_config(self) -> HpaConfig:
        """What the HPA is told besides metrics."""
        config = self.advanced.horizontal_pod_autoscaler_config if self.advanced is not None else None
        return config or HpaConfig()

    @property
    def modifiers(self) -> ScalingModifiers | None:
        """What makes one metric of those of all triggers; None if each counts by itself."""
        given = self.advanced.scaling_modifiers if self.advanced is not None else None
        return None if given == ScalingModifiers() else given

    @property
    def restores(self) -> bool:
        """Whether the target gets its original replicas back when the object is deleted."""
        return self.advanced is not None and self.advanced.restore_to_original_replica_count


class Health(Model):
    """How reading a metric went lately."""

    number_of_failures: Integer | None = None
    """Failures in a row."""
    status: str = ""
    """Happy or Failing."""


class ResourceId(Model):
    """A kind as the API addresses it."""

    group: str
    """Its group."""
    version: str
    """Its version."""
    kind: str
    """Its kind."""
    resource: str
    """Its plural name."""


class ScaledObjectStatus(Model):
    """How a ScaledObject fares."""

    scale_target_kind: str = ""
    """What is scaled: group/version.Kind."""
    scale_target_gvkr: ResourceId | None = Field(None, alias="scaleTargetGVKR")
    """The same, part by part."""
    original_replica_count: Integer | None = None
    """The target's replicas when it was first seen."""
    last_active_time: datetime | None = None
    """When a trigger was last found active."""
    external_metric_names: list[str] = Field(default_factory=list)
    """Metrics served to the HPA."""
    resource_metric_names: list[str] = Field(default_factory=list)
    """Metrics that the HPA takes from elsewhere."""
    composite_scaler_name: str = ""
    """The metric made by a formula."""
    conditions: list[StatusCondition] = Field(default_factory=list)
    """What is true of it."""
    health: dict[str, Health] = Field(default_factory=dict)
    """How reading went lately, by metric."""
    triggers_activity: dict[str, TriggerActivity] = Field(default_factory=dict)
    """What keeps the target awake, by metric."""
    paused_replica_count: Integer | None = None
    """How many replicas it is paused at."""
    hpa_name: str = ""
    """The HPA in use."""
    triggers_types: str = ""
    """Types of the triggers."""
    authentications_types: str = ""
    """Names of the authentications."""


class ScaledObject(Model):
    """A ScaledObject as the API server has it: scales a workload by what happens elsewhere."""

    metadata: ObjectMeta
    spec: ScaledObjectSpec

    @property
    def hpa_name(self) -> str:
        """The name of the object's HPA."""
        return self.spec.hpa_config.name or default_hpa_name(self.metadata.name)
