"""The scale decision: between zero, idle and the minimum. From the minimum up, the HPA decides.

The rules are those of KEDA's pkg/scaling/executor/scale_scaledobjects.go (RequestScale):

    triggers  | replicas                          | what to do
    ----------+-----------------------------------+-------------------------------------------------------
    active    | 0, or idle in use and below min   | scale to max(min, 1)
    active    | otherwise                         | leave it to the HPA
    inactive  | above idle; or above 0 with min 0 | after the cooldown scale to idle, or to 0
    inactive  | below min, no idle                | scale to min
    inactive  | otherwise                         | nothing to do
    unknown   | any                               | hold

A direction that annotations pause is not taken; only below the minimum an inactive target is raised to it even so, as
KEDA does.

The cooldown counts from the last moment at which a trigger was active, or may have been: `last_active` carries the
clock on while triggers that were active cannot be read, so an outage is never taken for idleness.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from keda_py.decide.combine import Activity
from keda_py.decide.pause import NOTHING, Asked

_TICK: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The replica counts and periods of a ScaledObject's spec, KEDA's defaults applied."""

    minimum: int = 0
    idle: int | None = None
    cooldown: timedelta = timedelta(seconds=300)
    initial_cooldown: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the decision depends on, `now` excepted."""

    activity: Activity
    replicas: int
    limits: Limits
    created: datetime
    last_active: datetime | None
    asked: Asked = NOTHING


class Why(Enum):
    """What a decision rests on."""

    WAKE = "triggers are active"
    AWAKE = "triggers are active, the HPA scales"
    COOLING = "triggers are inactive, cooling down"
    SLEEP = "triggers were inactive for the whole cooldown"
    UNUSED = "triggers were never active, and the initial cooldown is over"
    RAISE = "below the minimum"
    REST = "nothing to do"
    HOLD = "triggers cannot be read, holding"
    FORCED = "activation is forced by annotation"
    PAUSED = "paused by annotation"


@dataclass(frozen=True, slots=True)
class Decision:
    """`replicas`: what to set the scale target to, None to leave it. `again`: when time alone changes the answer."""

    why: Why
    replicas: int | None = None
    again: timedelta | None = None


def decide(situation: Situation, now: datetime) -> Decision:
    """Return what to do about the scale target now."""
    replicas, limits, asked = situation.replicas, situation.limits, situation.asked
    if situation.activity is Activity.UNKNOWN:
        return Decision(Why.HOLD)
    if situation.activity is Activity.INACTIVE:
        return _decide_inactive(situation, now)
    asleep = replicas == 0 or (limits.idle is not None and replicas < limits.minimum)
    if not asleep:
        return Decision(Why.AWAKE)
    if asked.scale_out:
        return Decision(Why.PAUSED)
    return Decision(Why.FORCED if asked.forced else Why.WAKE, max(limits.minimum, 1))


def _decide_inactive(situation: Situation, now: datetime) -> Decision:
    replicas, limits = situation.replicas, situation.limits
    if (limits.idle is not None and replicas > limits.idle) or (replicas > 0 and limits.minimum == 0):
        if situation.asked.scale_in:
            return Decision(Why.PAUSED)
        awake_until = cooled_down_at(situation)
        # Strictly after: at the very end of the cooldown the target is still awake.
        if awake_until < now:
            why = Why.UNUSED if situation.last_active is None else Why.SLEEP
            return Decision(why, 0 if limits.idle is None else limits.idle)
        return Decision(Why.COOLING, again=awake_until - now + _TICK)
    if limits.idle is None and replicas < limits.minimum:
        return Decision(Why.RAISE, limits.minimum)
    return Decision(Why.REST)


def cooled_down_at(situation: Situation) -> datetime:
    """Return when the cooldown ends: of the last activity, or of the creation for an object that never was active."""
    if situation.last_active is None:
        return situation.created + situation.limits.initial_cooldown
    return situation.last_active + situation.limits.cooldown


@dataclass(frozen=True, slots=True)
class Wakefulness:
    """What is remembered of an object's activity from one decision to the next.

    `awake`: it was active when last known, so while it is unknown it may still be. None: this process does not know,
    it has just started.
    """

    awake: bool | None
    last_active: datetime | None


def remember(
    before: Wakefulness, activity: Activity, now: datetime, *, seen_active: datetime | None, was_active: bool
) -> Wakefulness:
    """Return what to remember after the triggers said `activity`.

    `seen_active`: when a trigger was last read and found active, by this process.
    `was_active`: whether the object's status leaves it open that it was active until this process started. Then it is
    taken to have been: the time between is unknown, and a cooldown may end late but never early.
    """
    awake = was_active if before.awake is None else before.awake
    latest = max(filter(None, (before.last_active, seen_active)), default=None)
    if activity is Activity.ACTIVE:
        return Wakefulness(awake=True, last_active=now)
    if activity is Activity.UNKNOWN:
        return Wakefulness(before.awake, now if awake else latest)
    unseen = before.awake is None and was_active
    return Wakefulness(awake=False, last_active=now if unseen else latest)
