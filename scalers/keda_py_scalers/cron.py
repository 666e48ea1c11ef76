"""Trigger type `cron`: keeps replicas up between two schedules. Talks to nobody."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, model_validator

from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, normalize, param
from keda_py_scalers.schedule import Schedule, load_zone

_LETTERS = str.maketrans({" ": "", "*": "x", "/": "Sl", "?": "Qm", ",": "Cm"})


class _Cron(str):
    """A schedule's text together with what it means."""

    __slots__ = ("schedule",)
    schedule: Schedule


def _cron(text: str) -> _Cron:
    cron = _Cron(text)
    cron.schedule = Schedule.parse(text)
    if cron.schedule.next(datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ValueError("never fires; correct day of month and month")
    return cron


CronText = Annotated[_Cron, BeforeValidator(_cron)]
ZoneName = Annotated[str, BeforeValidator(lambda name: load_zone(name) and name)]


class CronMetadata(Metadata):
    """Parameters of a `cron` trigger."""

    start: CronText = param("start")
    end: CronText = param("end")
    timezone: ZoneName = param("timezone")
    desired_replicas: int = param("desiredReplicas")

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end must not be the same")
        if self.desired_replicas == 0:
            raise ValueError("desiredReplicas must not be 0")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The zone both schedules are in."""
        return load_zone(self.timezone)


class CronScaler(Scaler[CronMetadata]):
    """Active from when `start` fires until `end` does (KEDA pkg/scalers/cron_scaler.go)."""

    metadata = CronMetadata

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after zone and schedules, with one replica for each unit of it."""
        start, end = (text.translate(_LETTERS) for text in (self.meta.start, self.meta.end))
        return [ExternalSpec(normalize(f"cron-{self.meta.timezone}-{start}-{end}"), self.target(1))]

    async def get_metrics(self) -> list[Reading]:
        """Return the desired replicas within the window, and 0 outside of it."""
        active = self.is_within(self.platform.now())
        return [self.reading(float(self.meta.desired_replicas) if active else 0.0, active=active)]

    def is_within(self, moment: datetime) -> bool:
        """Whether `end` is the next to fire; when both fire together the window is open until they do."""
        local: datetime = moment.astimezone(self.meta.zone)
        start: Any = self.meta.start.schedule.next(local)
        end: Any = self.meta.end.schedule.next(local)
        return start is None or (end is not None and end <= start)
