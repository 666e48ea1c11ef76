"""The ScaledObject (KEDA apis/keda/v1alpha1/scaledobject_types.go), with the defaults that KEDA applies in code."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from keda_py.api.meta import Model, ObjectMeta, manifest_error
from keda_py.naming import default_hpa_name

Count = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]


Behavior = Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"]


class ScaleTargetRef(Model):
    """What to scale."""

    name: Annotated[str, Field(min_length=1)]
    api_version: str = ""
    kind: str = ""
    env_source_container_name: str = ""


class AuthenticationRef(Model):
    """Where a trigger's credentials are."""

    name: str
    kind: str = ""


class ScaleTrigger(Model):
    """One event source."""

    type: Annotated[str, Field(min_length=1)]
    name: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    metric_type: str = ""
    use_cached_metrics: bool = False
    authentication_ref: AuthenticationRef | None = None


class HpaConfig(Model):
    """What the HPA is told besides metrics; `behavior` goes there as it is."""

    name: str = ""
    behavior: dict[str, Any] | None = None


class Advanced(Model):
    """Rarer settings."""

    restore_to_original_replica_count: bool = False
    horizontal_pod_autoscaler_config: HpaConfig | None = None


class Fallback(Model):
    """What to do while a trigger cannot be read."""

    failure_threshold: Count
    replicas: Count
    behavior: Literal[
        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"
    ] = "static"


class ScaledObjectSpec(Model):
    """What a ScaledObject asks for. Fields are as written; properties have KEDA's defaults applied."""

    scale_target_ref: ScaleTargetRef
    polling_interval_seconds: Positive | None = Field(None, alias="pollingInterval")
    initial_cooldown_seconds: Count | None = Field(None, alias="initialCooldownPeriod")
    cooldown_seconds: Count | None = Field(None, alias="cooldownPeriod")
    idle_replica_count: Count | None = None
    min_replica_count: Count | None = None
    max_replica_count: Count | None = None
    advanced: Advanced | None = None
    triggers: list[ScaleTrigger]
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
    def restores(self) -> bool:
        """Whether the target gets its original replicas back when the object is deleted."""
        return self.advanced is not None and self.advanced.restore_to_original_replica_count


class ScaledObject(Model):
    """A ScaledObject as the API server has it."""

    metadata: ObjectMeta
    spec: ScaledObjectSpec

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Self:
        """Return the object of a decoded manifest; raise `ManifestError` saying all that is wrong and where."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise manifest_error(error) from None

    @property
    def hpa_name(self) -> str:
        """The name of the object's HPA."""
        return self.spec.hpa_config.name or default_hpa_name(self.metadata.name)
