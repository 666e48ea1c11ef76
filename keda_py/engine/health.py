"""The failures of an object's triggers and its ``status.health``: what the one tells the other."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import fallback, hpa
from keda_py.engine.fallback import StandIn
from keda_py.engine.live import Live
from keda_py.engine.target import Targets, target_of
from keda_py.engine.trigger import BrokenTrigger
from keda_py.runtime.clock import Now

_EARLY: Final = 0.001
"""A timer may fire a hair early."""


def follow(
    live: Live,
    scaled_object: ScaledObject,
    told: Mapping[str, Any],
    *,
    found: dict[str, Any] | None,
    targets: Targets,
    now: Now,
) -> None:
    """Have failures counted as the spec says, going on from where ``status.health`` has `told` they are.

    `found`: the HPA, if there is one. It remembers the metrics of a trigger that could be built once and cannot be now.
    """
    spec = scaled_object.spec
    wanted = fallback.policy(spec.fallback, spec.modifiers)
    live.stand_in = None if wanted is None else StandIn(wanted, target_of(scaled_object), targets, now)
    for trigger in live.counted():
        if isinstance(trigger, BrokenTrigger):
            trigger.kept = hpa.kept_metrics(found, trigger.index)
            if wanted is not None and not trigger.kept and hpa.can_stand_in(trigger.type):
                trigger.kept = [hpa.stand_in(trigger.index, trigger.type, scaled_object.metadata.name)]
        enough = wanted.enough if wanted is not None and trigger.targets else 0
        trigger.tally.resume(enough, told, trigger.targets)


def learn(live: Live, told: Mapping[str, Any]) -> None:
    """Take over what another process has counted, and told in ``status.health``."""
    for trigger in live.counted():
        trigger.tally.count = None
        trigger.tally.resume(trigger.tally.enough, told, trigger.targets)


def count_broken(live: Live, interval: float) -> float | None:
    """Count a failure of each trigger that cannot be built, once in an interval; return when the next one counts."""
    now = asyncio.get_running_loop().time()
    due = []
    for trigger in live.broken():
        if not trigger.tally.enough or trigger.tally.full:
            continue
        if now >= trigger.next_failure - _EARLY:
            trigger.tally.note(failed=True)
            trigger.next_failure = now + interval
        if not trigger.tally.full:
            due.append(trigger.next_failure - now)
    return min(due, default=None)


def entries(live: Live, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``status.health`` is to say: of each metric whose failures count, and of no other.

    What it says changes with each failure until something stands in, and when a reading succeeds again. In between,
    however long that is, and while all goes well, it stays as it is: a steady cluster sees no writes.
    """
    if live.stand_in is None:
        return {}
    return {
        name: fallback.health(told.get(name), trigger.tally.count, live.stand_in.policy)
        for trigger in live.counted()
        if trigger.tally.count is not None
        for name in trigger.targets
    }
