"""What this process remembers of the objects it works on. All of it may be lost at any instant.

What must survive a restart is in the objects' status; what is here is made again from the spec and from reading.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keda_py.api.scaled_object import ScaledObject, ScaleTrigger
from keda_py.decide.combine import TriggerState
from keda_py.decide.scale import Wakefulness
from keda_py.engine.registry import Registry
from keda_py.engine.trigger import BrokenTrigger, LiveTrigger
from keda_py.runtime.source import Sources, Tenancy, as_scaler_error
from keda_py.scaler import Inputs, Platform, ScalerError, Trigger, build

Key = tuple[str, str]
"""Namespace and name."""

AnyTrigger = LiveTrigger | BrokenTrigger


@dataclass(slots=True)
class Live:
    """One ScaledObject at work."""

    uid: str
    triggers: list[AnyTrigger] = field(default_factory=list)
    described: list["Described"] = field(default_factory=list)
    untold: list[AnyTrigger] = field(default_factory=list)
    """Triggers that are new, and that no event has told of yet."""
    memory: Wakefulness | None = None
    errors: int = 0
    reconcile_seconds: float = 0.0

    def trigger_of(self, metric: str) -> LiveTrigger | None:
        """Return the trigger that serves a metric, by the name the HPA uses; Kubernetes lowers no case, KEDA does."""
        wanted = metric.casefold()
        for trigger in self.working():
            if any(name.casefold() == wanted for name in trigger.external_names):
                return trigger
        return None

    def working(self) -> Iterator[LiveTrigger]:
        """Yield the triggers that could be built."""
        return (trigger for trigger in self.triggers if isinstance(trigger, LiveTrigger))

    def broken(self) -> Iterator[BrokenTrigger]:
        """Yield the triggers that could not be built."""
        return (trigger for trigger in self.triggers if isinstance(trigger, BrokenTrigger))

    def states(self) -> Iterator[TriggerState]:
        """Yield what each trigger says, for `decide`."""
        for trigger in self.triggers:
            if isinstance(trigger, BrokenTrigger):
                yield TriggerState(trigger.label, None, str(trigger.error))
            elif not trigger.external_names:
                yield TriggerState(trigger.label, {})
            elif trigger.outcome is None or not trigger.is_current():
                yield TriggerState(trigger.label, None)
            elif trigger.outcome.failure is not None:
                yield TriggerState(trigger.label, None, trigger.outcome.failure)
            else:
                yield TriggerState(trigger.label, {name: r.active for name, r in trigger.outcome.readings.items()})

    def seen_active(self) -> datetime | None:
        """Return when a trigger was last read and found active."""
        return max((t.seen_active for t in self.working() if t.seen_active is not None), default=None)

    def close(self) -> None:
        """Stop reading."""
        for trigger in self.triggers:
            trigger.close()
        self.triggers, self.described = [], []


@dataclass(frozen=True, slots=True)
class Described:
    """A trigger as the spec and what was resolved for it describe it; equal ones need no rebuilding."""

    trigger: Trigger
    interval: float
    cached: bool
    problem: str | None = None


def describe(scaled_object: ScaledObject, index: int, spec: ScaleTrigger) -> Described:
    """Return a trigger with everything that was resolved for it, or the problem with that."""
    trigger = Trigger(
        type=spec.type,
        index=index,
        inputs=Inputs(spec.metadata),
        namespace=scaled_object.metadata.namespace,
        owner=scaled_object.metadata.name,
        name=spec.name or None,
        metric_type=spec.metric_type or None,
    )
    problem = "authenticationRef is not supported yet; remove it" if spec.authentication_ref is not None else None
    interval = scaled_object.spec.polling_interval.total_seconds()
    return Described(trigger, interval, bool(spec.use_cached_metrics), problem)


class Builder:
    """Makes triggers work, and keeps those that an edit did not touch."""

    def __init__(self, registry: Registry, sources: Sources, platform: Platform) -> None:
        self._registry = registry
        self._sources = sources
        self._platform = platform

    def update(self, live: Live, scaled_object: ScaledObject, changed: Callable[[bool], None]) -> None:
        """Make `live` work as the spec says.

        New ones are built before old ones are closed, so that a connection both use stays open.
        """
        wanted = [describe(scaled_object, index, spec) for index, spec in enumerate(scaled_object.spec.triggers)]
        if wanted == live.described:
            return
        old = list(zip(live.described, live.triggers, strict=True))
        triggers, live.untold = [], []
        for described in wanted:
            same = next((trigger for known, trigger in old if known == described), None)
            if same is None:
                live.untold.append(same := self._build(described, changed))
            triggers.append(same)
        for _, trigger in old:
            if trigger not in triggers:
                trigger.close()
        live.triggers, live.described = triggers, wanted

    def _build(self, described: Described, changed: Callable[[bool], None]) -> AnyTrigger:
        trigger = described.trigger
        if described.problem is not None:
            return BrokenTrigger(trigger.index, trigger.type, ScalerError(described.problem))
        tenancy: Tenancy | None = None
        try:
            scaler_class = self._registry.load(trigger.type)

            def rent(meta: Any) -> Tenancy | None:
                nonlocal tenancy
                tenancy = self._sources.rent(scaler_class, meta, trigger)
                return tenancy

            scaler = build(scaler_class, trigger, platform=self._platform, source=rent)
            return LiveTrigger(
                scaler,
                tenancy,
                interval=described.interval,
                cached=described.cached,
                now=self._platform.now,
                changed=changed,
            )
        except Exception as error:  # noqa: BLE001  whatever a scaler does is this trigger's failure alone
            if tenancy is not None:
                tenancy.close()
            return BrokenTrigger(trigger.index, trigger.type, as_scaler_error(error))
