"""What the HPA controller would do: for the embedded cluster, and for whoever wants to know beforehand.

The rules are those of Kubernetes 1.36, pkg/controller/podautoscaler (horizontal.go, replica_calculator.go) and of the
defaults of autoscaling/v2. What is remembered between two looks, a `History`, goes in and comes out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

_TOLERANCE: Final = 0.1
_LARGEST: Final = 2**31 - 1
_DOWN_WINDOW: Final = timedelta(seconds=300)
_UP_FACTOR: Final = 2
_UP_LEAST: Final = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """So many pods, or such a percentage of them, may come or go within a period."""

    percent: bool
    value: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """How fast replicas may move in one direction. `select`: ``Max``, ``Min`` or ``Disabled``."""

    window: timedelta
    policies: tuple[Policy, ...]
    select: str = "Max"
    tolerance: float = _TOLERANCE


_SHORT: Final = timedelta(seconds=15)
UP: Final = Rules(timedelta(0), (Policy(False, 4, _SHORT), Policy(True, 100, _SHORT)))  # noqa: FBT003
DOWN: Final = Rules(_DOWN_WINDOW, (Policy(True, 100, _SHORT),))  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions."""

    up: Rules = UP
    down: Rules = DOWN


Events = tuple[tuple[datetime, int], ...]
"""Times, and how many replicas were recommended, came or went then."""


@dataclass(frozen=True, slots=True)
class History:
    """What was recommended and done lately: times and replicas, the changes as how many came or went."""

    recommended: Events = ()
    ups: Events = ()
    downs: Events = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the spec of the HPA says about any number of replicas; without a behavior older rules hold."""

    minimum: int
    maximum: int
    behavior: Behavior | None


Words = tuple[str, str]
"""Reason and message of a condition."""


@dataclass(frozen=True, slots=True)
class Normalized:
    """A number of replicas that may be set now, and why it is not what the metrics ask for."""

    replicas: int
    able: Words
    limited: bool
    limits: Words


def parse_behavior(given: Mapping[str, Any] | None, *, number: Callable[[Any], float]) -> Behavior | None:
    """Return ``spec.behavior`` with its defaults; `number` reads a quantity."""
    if given is None:
        return None
    return Behavior(_rules(given.get("scaleUp"), UP, number), _rules(given.get("scaleDown"), DOWN, number))


def _rules(given: Mapping[str, Any] | None, default: Rules, number: Callable[[Any], float]) -> Rules:
    given = given or {}
    policies = given.get("policies")
    window, tolerance = given.get("stabilizationWindowSeconds"), given.get("tolerance")
    return Rules(
        default.window if window is None else timedelta(seconds=window),
        default.policies if not policies else tuple(map(_policy, policies)),
        given.get("selectPolicy") or "Max",
        default.tolerance if tolerance is None else number(tolerance),
    )


def _policy(given: Mapping[str, Any]) -> Policy:
    return Policy(given["type"] == "Percent", given["value"], timedelta(seconds=given["periodSeconds"]))


# --- what metrics ask for -------------------------------------------------------------------------------------------


def by_average(usage: float, target: float, pods: int, behavior: Behavior | None) -> int:
    """Return the replicas for a metric that is compared per pod; `pods`: how many the target's status counts."""
    if pods > 0 and _tolerable(usage / (target * pods), behavior):
        return pods
    return min(_LARGEST, math.ceil(usage / target))


def by_value(usage: float, target: float, *, replicas: int, ready: int, behavior: Behavior | None) -> int:
    """Return the replicas for a metric that is compared as a whole; `ready`: how many pods work on it."""
    ratio = usage / target
    if replicas == 0:
        return min(_LARGEST, math.ceil(ratio))
    if _tolerable(ratio, behavior):
        return replicas
    return min(_LARGEST, math.ceil(ratio * ready))


def _tolerable(ratio: float, behavior: Behavior | None) -> bool:
    either = behavior or Behavior()
    return 1.0 - either.down.tolerance <= ratio <= 1.0 + either.up.tolerance


def highest(proposals: Sequence[int | None], replicas: int) -> int | None:
    """Return what several metrics ask for together; None to hold.

    None among the proposals is a metric that cannot be had: with one, replicas never go down.
    """
    known = [proposal for proposal in proposals if proposal is not None]
    if not known or (len(known) < len(proposals) and max(known) < replicas):
        return None
    return max(known)


# --- what may be set ------------------------------------------------------------------------------------------------


def normalize(
    wanted: int, replicas: int, bounds: Bounds, history: History, now: datetime
) -> tuple[Normalized, History]:
    """Return what replicas may be set now of what metrics ask for, and what to remember."""
    behavior = bounds.behavior
    if behavior is None:
        stable = max([wanted, *(value for at, value in history.recommended if at >= now - _DOWN_WINDOW)])
        limit, words = _limited_simply(stable, replicas, bounds)
    else:
        stable = _stabilized(wanted, replicas, behavior, history, now)
        limit, words = _limited_by_rate(stable, replicas, bounds, _Rates(behavior, replicas, history, now))
    # Without a behavior only the way down is held back, and that is what is said whichever way it goes.
    up = behavior is not None and wanted >= replicas
    result = Normalized(limit, _able(wanted, stable, up=up), limit != stable, words)
    longest = _DOWN_WINDOW if behavior is None else max(behavior.up.window, behavior.down.window)
    kept = tuple(item for item in history.recommended if item[0] >= now - longest)
    return result, History((*kept, (now, wanted)), history.ups, history.downs)


def moved(history: History, before: int, after: int, behavior: Behavior | None, now: datetime) -> History:
    """Return what to remember once replicas were set."""
    if behavior is None:
        return history
    if after > before:
        ups = _remembered(history.ups, (now, after - before), behavior.up)
        return History(history.recommended, ups, history.downs)
    downs = _remembered(history.downs, (now, before - after), behavior.down)
    return History(history.recommended, history.ups, downs)


def _remembered(events: Events, event: tuple[datetime, int], rules: Rules) -> Events:
    # It takes the place of the last one that is too old for these rules: of the others, which may still be young
    # enough for those of the other direction, none is forgotten.
    longest = max(policy.period for policy in rules.policies)
    old = [index for index, (at, _) in enumerate(events) if at < event[0] - longest]
    return (*events[: old[-1]], event, *events[old[-1] + 1 :]) if old else (*events, event)


def _able(wanted: int, stable: int, *, up: bool) -> Words:
    if stable == wanted:
        return "ReadyForNewScale", "recommended size matches current size"
    if up:
        kind, which = "ScaleUpStabilized", ("lower", "lowest")
    else:
        kind, which = "ScaleDownStabilized", ("higher", "highest")
    told = f"recent recommendations were {which[0]} than current one, applying the {which[1]} recent recommendation"
    return kind, told


def _stabilized(wanted: int, replicas: int, behavior: Behavior, history: History, now: datetime) -> int:
    ups = [value for at, value in history.recommended if at > now - behavior.up.window]
    downs = [value for at, value in history.recommended if at > now - behavior.down.window]
    return min(max(replicas, min([wanted, *ups])), max([wanted, *downs]))


_WITHIN: Final = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY: Final = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW: Final = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_UP_LIMIT: Final = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_DOWN_LIMIT: Final = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


def _limited_simply(wanted: int, replicas: int, bounds: Bounds) -> tuple[int, Words]:
    rate = max(_UP_FACTOR * replicas, _UP_LEAST)
    if wanted < bounds.minimum:
        return bounds.minimum, _TOO_FEW
    if wanted > min(bounds.maximum, rate):
        return min(bounds.maximum, rate), _UP_LIMIT if bounds.maximum > rate else _TOO_MANY
    return wanted, _WITHIN


def _limited_by_rate(wanted: int, replicas: int, bounds: Bounds, rates: "_Rates") -> tuple[int, Words]:
    if wanted > replicas:
        rate = max(replicas, rates.up())
        if wanted > min(bounds.maximum, rate):
            return min(bounds.maximum, rate), _UP_LIMIT if bounds.maximum > rate else _TOO_MANY
    elif wanted < replicas:
        rate = min(replicas, rates.down())
        if wanted < max(bounds.minimum, rate):
            return max(bounds.minimum, rate), _DOWN_LIMIT if bounds.minimum < rate else _TOO_FEW
    return wanted, _WITHIN


@dataclass(frozen=True, slots=True)
class _Rates:
    """How far the policies let replicas go."""

    behavior: Behavior
    replicas: int
    history: History
    now: datetime

    def up(self) -> int:
        rules = self.behavior.up
        if rules.select == "Disabled":
            return self.replicas
        reached = [self._reach(policy, up=True) for policy in rules.policies]
        return min(reached) if rules.select == "Min" else max(reached)

    def down(self) -> int:
        rules = self.behavior.down
        if rules.select == "Disabled":
            return self.replicas
        reached = [self._reach(policy, up=False) for policy in rules.policies]
        # The smallest change is the highest number here.
        return max(reached) if rules.select == "Min" else min(reached)

    def _reach(self, policy: Policy, *, up: bool) -> int:
        came = sum(count for at, count in self.history.ups if at > self.now - policy.period)
        went = sum(count for at, count in self.history.downs if at > self.now - policy.period)
        start = self.replicas - came + went
        sign = 1 if up else -1
        if not policy.percent:
            return start + sign * policy.value
        share = start * (1 + sign * policy.value / 100)
        # Up is rounded up, or one replica could never become two; down is cut off.
        return math.ceil(share) if up else int(share)
