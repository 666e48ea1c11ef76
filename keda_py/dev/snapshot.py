"""What there is to show, at one moment: plain values, so that what is shown of them is a pure function."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

SCALED_JOB: Final = "ScaledJob"


class Activity(Enum):
    """What a trigger says."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    FAILING = "failing"
    PENDING = "being read"
    UNREAD = "for the HPA only"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of a trigger: its value, None while it is not known, and what it is compared with.

    `per`: what the target is for one of, `replica` or `Job`; nothing where it is for all together.
    """

    value: float | None
    target: float
    per: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TriggerSeen:
    """One trigger, and why it fails if it does."""

    label: str
    activity: Activity
    measures: tuple[Measure, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas a target has and is told to have; None for what is not known.

    Of a ScaledJob: how many of its Jobs have begun, and how many are not finished.
    """

    ready: int | None
    wanted: int | None
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class ScaledSeen:
    """One scaled object: what it scales, how it fares."""

    kind: str
    namespace: str
    name: str
    target: str
    replicas: Replicas
    triggers: tuple[TriggerSeen, ...]
    state: str
    problem: str = ""
    cooldown: timedelta | None = None
    hpa: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it apart from all others."""
        return (self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened; `number` counts them."""

    number: int
    at: datetime
    who: str
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything there is to show."""

    at: datetime
    scaled: tuple[ScaledSeen, ...] = ()
    entries: tuple[Entry, ...] = ()
