"""The ScaledJob (KEDA apis/keda/v1alpha1/scaledjob_types.go)."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from keda_py.api.meta import Model, ObjectMeta, StatusCondition
from keda_py.api.trigger import Count, Integer, Positive, ScaleTrigger, TriggerActivity

_JOB_SPEC = {
    "type": "object",
    "description": "The spec of a batch/v1 Job; checked by the API server when a Job is made of it.",
    "required": ["template"],
    "properties": {"template": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    "x-kubernetes-preserve-unknown-fields": True,
}
_OBJECTS = (("template",), ("template", "spec"), ("template", "metadata"), ("template", "metadata", "labels"))
"""What is written to when a Job is made of it, and so has to be there to be written to; the rest nobody looks at."""


def _writable(target: dict[str, Any]) -> dict[str, Any]:
    for path in _OBJECTS:
        found: Any = target
        for name in path:
            found = found.get(name) or {}
            if not isinstance(found, dict):
                # The path is this validator's to tell: the field is one to pydantic.
                raise ValueError(f"{'.'.join(path)} has to be an object")  # noqa: TRY004
    return target


class Rollout(Model):
    """What an edit does to running Jobs."""

    strategy: Literal["gradual", "immediate", "default"] | None = None
    """gradual lets them finish; default is immediate, as KEDA's documentation calls it."""
    propagation_policy: Literal["foreground", "background"] | None = None
    """How deleted Jobs take their pods along, background unless set."""


class ScalingStrategy(Model):
    """How the number of new Jobs follows from what waits and what runs."""

    strategy: Literal["default", "custom", "accurate", "eager"] | None = None
    """default unless set."""
    custom_scaling_queue_length_deduction: Integer | None = None
    """With custom: how much of what waits does not count."""
    custom_scaling_running_job_percentage: str = ""
    """With custom: which part of the running Jobs counts."""
    pending_pod_conditions: list[str] = Field(default_factory=list)
    """Conditions that a pod must have for its Job not to count as pending."""
    multiple_scalers_calculation: Literal["min", "avg", "sum", "max"] | None = None
    """What several triggers make together, max unless set."""


class ScaledJobSpec(Model):
    """What a ScaledJob asks for."""

    job_target_ref: Annotated[dict[str, Any], AfterValidator(_writable), WithJsonSchema(_JOB_SPEC)]
    polling_interval_seconds: Positive | None = Field(None, alias="pollingInterval")
    """How often to ask the sources, in seconds; 30 unless set."""
    successful_jobs_history_limit: Count | None = None
    """How many succeeded Jobs to keep, 100 unless set."""
    failed_jobs_history_limit: Count | None = None
    """How many failed Jobs to keep, 100 unless set."""
    rollout_strategy: Literal["gradual", "immediate"] | None = None
    """The older name of rollout.strategy."""
    rollout: Rollout | None = None
    env_source_container_name: str = ""
    """The container whose environment triggers refer to, the first unless set."""
    min_replica_count: Count | None = None
    """The fewest Jobs, 0 unless set."""
    max_replica_count: Positive | None = None
    """The most Jobs, 100 unless set."""
    scaling_strategy: ScalingStrategy | None = None
    triggers: Annotated[list[ScaleTrigger], Field(json_schema_extra={"minItems": 1})]
    """The event sources."""

    @property
    def polling_interval(self) -> timedelta:
        """How often to ask the sources, 30 s by default."""
        return timedelta(seconds=self.polling_interval_seconds or 30)

    @property
    def strategy(self) -> ScalingStrategy:
        """How the number of new Jobs is found."""
        return self.scaling_strategy or ScalingStrategy()

    @property
    def keeps_running(self) -> bool:
        """Whether an edit leaves the Jobs alone that there are; the older name wins, as in KEDA."""
        found = self.rollout_strategy or (self.rollout.strategy if self.rollout is not None else None)
        return found == "gradual"

    @property
    def propagation(self) -> str:
        """How Jobs that an edit replaces take their pods along, as the API server calls it."""
        wanted = self.rollout.propagation_policy if self.rollout is not None else None
        return "Foreground" if wanted == "foreground" else "Background"


class ScaledJobStatus(Model):
    """How a ScaledJob fares."""

    last_active_time: datetime | None = None
    """When a trigger was last found active."""
    conditions: list[StatusCondition] = Field(default_factory=list)
    """What is true of it."""
    paused: str = Field("", alias="Paused")
    """Not used."""
    triggers_types: str = ""
    """Types of the triggers."""
    authentications_types: str = ""
    """Names of the authentications."""
    external_metric_names: list[str] = Field(default_factory=list)
    """Metrics of the triggers."""
    triggers_activity: dict[str, TriggerActivity] = Field(default_factory=dict)
    """What asks for Jobs, by metric."""


class ScaledJob(Model):
    """A ScaledJob as the API server has it: makes Jobs by what happens elsewhere."""

    metadata: ObjectMeta
    spec: ScaledJobSpec
