"""What ScaledObjects and ScaledJobs say of their triggers, in one form, so that one way of reading serves both."""

from collections.abc import Sequence
from dataclasses import dataclass

from keda_py.api.pod import PodSpec
from keda_py.api.scaled_job import ScaledJob
from keda_py.api.scaled_object import ScaledObject
from keda_py.api.trigger import ScaleTrigger
from keda_py.engine.target import TargetRef, target_of

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scalable:
    """The triggers of an object, how often to read them in seconds, and whose environment they may refer to.

    `pods`: the pods, or the target to ask for its template. `container`: which container, the first if empty.
    `together`: whether all triggers are read at one moment, because one decision is made of them all.
    `in_formula`: whether one metric is made of them all.
    """

    key: Key
    triggers: Sequence[ScaleTrigger]
    interval: float
    pods: PodSpec | TargetRef
    container: str = ""
    together: bool = False
    in_formula: bool = False


def of_scaled_object(scaled_object: ScaledObject) -> Scalable:
    """Return what a ScaledObject says."""
    spec = scaled_object.spec
    return Scalable(
        (scaled_object.metadata.namespace, scaled_object.metadata.name),
        spec.triggers,
        spec.polling_interval.total_seconds(),
        target_of(scaled_object),
        container=spec.scale_target_ref.env_source_container_name,
        together=spec.modifiers is not None,
        in_formula=spec.modifiers is not None,
    )


def of_scaled_job(scaled_job: ScaledJob) -> Scalable:
    """Return what a ScaledJob says; raise `ManifestError` for a pod template that cannot be understood."""
    spec = scaled_job.spec
    template = spec.job_target_ref.get("template")
    found = template.get("spec") if isinstance(template, dict) else None
    pods = PodSpec.parse(found or {}, at="spec.jobTargetRef.template.spec")
    return Scalable(
        (scaled_job.metadata.namespace, scaled_job.metadata.name),
        spec.triggers,
        spec.polling_interval.total_seconds(),
        pods,
        container=spec.env_source_container_name,
        together=True,
    )
