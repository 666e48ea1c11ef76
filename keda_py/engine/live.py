"""What this process remembers of the objects it works on. All of it may be lost at any instant.

What must survive a restart is in the objects' status; what is here is made again from the spec and from reading.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from keda_py.decide.combine import TriggerState
from keda_py.decide.pause import NOTHING, Asked
from keda_py.decide.scale import Wakefulness
from keda_py.engine.composite import Composite
from keda_py.engine.credentials.resolver import Described, Resolver
from keda_py.engine.fallback import StandIn
from keda_py.engine.registry import Registry
from keda_py.engine.scalable import Scalable
from keda_py.engine.trigger import AnyTrigger, BrokenTrigger, LiveTrigger, Outcome, WaitingTrigger
from keda_py.runtime.source import Sources, Tenancy, as_scaler_error
from keda_py.scaler import Platform, ScalerError, build

Key = tuple[str, str]
"""Namespace and name."""

OVERDUE: Final = "not read lately: a read does not end, nor heed its deadline; restart the daemon, and tell its author"
PAUSED: Final = -1
"""No generation: what is read again after a pause is told of as what is new."""


@dataclass(slots=True)
class Live:
    """One object at work, a ScaledObject or a ScaledJob."""

    uid: str
    triggers: list[AnyTrigger] = field(default_factory=list)
    described: list[Described] = field(default_factory=list)
    untold: list[AnyTrigger] = field(default_factory=list)
    """Triggers that are new, and that no event has told of yet."""
    told: int | None = None
    """The generation whose triggers this process has told of; None for none yet, `PAUSED` after a pause."""
    generation: int | None = None
    """Of a ScaledJob: the generation that its triggers were last read for."""
    seen_before: datetime | None = None
    """When what has been replaced since was last read and found active."""
    memory: Wakefulness | None = None
    hpa_made: str = ""
    """The HPA that this process has made for it, by its name."""
    asked: Asked = NOTHING
    """What its annotations ask for."""
    stand_in: StandIn | None = None
    """What stands in for triggers that fail, if `spec.fallback` says so."""
    composite: Composite | None = None
    """The one metric made of all triggers, if scaling modifiers say so."""
    failed_before: int = 0
    """How many passes failed, and reads of triggers that are replaced."""

    @property
    def failures(self) -> int:
        """How often a pass or a read has failed since it is at work; what cannot be built fails each interval."""
        return self.failed_before + sum(trigger.errors for trigger in self.triggers)

    def trigger_of(self, metric: str) -> tuple[str, LiveTrigger | BrokenTrigger] | None:
        """Return a metric's name as we write it, and its trigger; Kubernetes lowers no case, KEDA does."""
        wanted = metric.casefold()
        return next(
            ((name, trigger) for trigger in self.counted() for name in trigger.targets if name.casefold() == wanted),
            None,
        )

    def counted(self) -> Iterator[LiveTrigger | BrokenTrigger]:
        """Yield the triggers that can fail: all but those whose credentials are not known yet."""
        return (trigger for trigger in self.triggers if not isinstance(trigger, WaitingTrigger))

    def working(self) -> Iterator[LiveTrigger]:
        """Yield the triggers that could be built."""
        return (trigger for trigger in self.triggers if isinstance(trigger, LiveTrigger))

    def broken(self) -> Iterator[BrokenTrigger]:
        """Yield the triggers that could not be built."""
        return (trigger for trigger in self.triggers if isinstance(trigger, BrokenTrigger))

    def waiting(self) -> Iterator[WaitingTrigger]:
        """Yield the triggers whose credentials are not known yet."""
        return (trigger for trigger in self.triggers if isinstance(trigger, WaitingTrigger))

    def states(self) -> Iterator[TriggerState]:
        """Yield what each trigger says, for `decide`."""
        for trigger in self.triggers:
            if isinstance(trigger, BrokenTrigger):
                yield self._failing(trigger, str(trigger.error))
            elif isinstance(trigger, WaitingTrigger):
                yield TriggerState(trigger.label, None)
            elif not trigger.external_names:
                yield TriggerState(trigger.label, {})
            elif trigger.outcome is None or not trigger.is_current():
                yield self._failing(trigger, OVERDUE) if trigger.overdue else TriggerState(trigger.label, None)
            elif trigger.outcome.failure is not None:
                yield self._failing(trigger, trigger.outcome.failure)
            else:
                yield TriggerState(trigger.label, {name: r.active for name, r in trigger.outcome.readings.items()})

    def failed_enough(self) -> list[str]:
        """Return the triggers that have failed often enough for `spec.fallback`, as a person finds them."""
        return [trigger.label for trigger in self.counted() if trigger.tally.full]

    def _failing(self, trigger: LiveTrigger | BrokenTrigger, failure: str) -> TriggerState:
        if trigger.tally.full and self.stand_in is not None:
            return TriggerState(trigger.label, dict.fromkeys(trigger.targets, True), failure, replaced=True)
        return TriggerState(trigger.label, None, failure)

    def late(self) -> float:
        """Return how many seconds after its time the last poll began, of the trigger that was latest."""
        return max((trigger.late for trigger in self.working()), default=0.0)

    def seen_active(self) -> datetime | None:
        """Return when activity was last read, be it of a trigger or a formula that an edit has replaced."""
        seen = [trigger.seen_active for trigger in self.working()]
        if self.composite is not None:
            seen = [self.composite.seen_active]
        return max(filter(None, (self.seen_before, *seen)), default=None)

    def compose(self, composite: Composite | None) -> None:
        """Make one metric of all triggers from now on, or of each its own; one like that at work stays."""
        if composite != self.composite:
            self.seen_before = self.seen_active()
            self.composite = composite

    def outcomes(self) -> list[tuple[AnyTrigger, Outcome | None]]:
        """Return what came of reading each trigger in this interval."""
        return [
            (trigger, trigger.outcome if isinstance(trigger, LiveTrigger) and trigger.is_current() else None)
            for trigger in self.triggers
        ]

    def close(self) -> None:
        """Stop reading."""
        self.failed_before = self.failures
        for trigger in self.triggers:
            trigger.close()
        self.triggers, self.described, self.composite = [], [], None


class Builder:
    """Makes triggers work, and keeps those that an edit did not touch."""

    def __init__(
        self, live: dict[Key, Live], registry: Registry, resolver: Resolver, sources: Sources, platform: Platform
    ) -> None:
        """`live`: where the objects of one kind are kept that are at work."""
        self._live = live
        self._registry = registry
        self._resolver = resolver
        self._sources = sources
        self._platform = platform

    def remembered(self, raw: dict[str, Any]) -> Live:
        """Return an object at work; one that has only the name of one before begins anew."""
        metadata = raw["metadata"]
        key = (metadata["namespace"], metadata["name"])
        live = self._live.get(key)
        if live is None or live.uid != metadata["uid"]:
            self.forget(key)
            live = self._live[key] = Live(metadata["uid"])
        return live

    def update(self, live: Live, scalable: Scalable, changed: Callable[[bool], None]) -> None:
        """Make `live` work as the spec says, with credentials as they are now.

        New ones are built before old ones are closed, so that a connection both use stays open.
        """
        wanted = self._resolver.describe(scalable)
        if wanted == live.described:
            return
        old = list(zip(live.described, live.triggers, strict=True))
        triggers: list[AnyTrigger] = []
        fresh: list[AnyTrigger] = []
        for described in wanted:
            same = next((trigger for known, trigger in old if known == described), None)
            if same is None:
                fresh.append(same := self._build(described, changed))
            triggers.append(same)
        for _, trigger in old:
            if trigger not in triggers:
                live.failed_before += trigger.errors
                trigger.close()
        live.seen_before = live.seen_active()
        # What it said, it said of others.
        live.composite = None
        live.untold = [trigger for trigger in live.untold if trigger in triggers] + fresh
        live.triggers, live.described = triggers, wanted
        working = list(live.working())
        for trigger in working if scalable.together else ():
            trigger.phase = working[0].phase

    def forget(self, key: Key) -> None:
        """End the work of an object that is gone, and forget what it needed."""
        if (live := self._live.pop(key, None)) is not None:
            live.close()
        self._resolver.forget(key)

    def _build(self, described: Described, changed: Callable[[bool], None]) -> AnyTrigger:
        trigger = described.trigger
        if described.waits:
            return WaitingTrigger(trigger.index, trigger.type)
        if described.problem is not None:
            return BrokenTrigger(trigger.index, trigger.type, ScalerError(described.problem), described.interval)
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
            return BrokenTrigger(trigger.index, trigger.type, as_scaler_error(error), described.interval)
