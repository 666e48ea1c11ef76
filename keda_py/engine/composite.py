"""The one metric that scaling modifiers make of those of all triggers, as it is at the moment.

The loop and the HPA get it from here, of the same outcomes. Triggers are all asked for it: one that fails leaves it
without a value, until `spec.fallback` stands in, be it for the metric as a whole or by a formula that takes nil.

Triggers are read at one moment, and their answers come one by one. Of two queues that grew together one may be known
to have grown before the other is: nothing is made of them before all have answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from keda_py.api.scaled_object import Fallback, ScaledObjectSpec, ScalingModifiers
from keda_py.decide import modifiers
from keda_py.decide.combine import Composed
from keda_py.decide.formula import Formula, FormulaError
from keda_py.engine.credentials.lookup import Unread
from keda_py.engine.fallback import StandIn
from keda_py.engine.trigger import AnyTrigger, BrokenTrigger, LiveTrigger, Outcome
from keda_py.quantity import handed_on
from keda_py.runtime.clock import Now
from keda_py.scaler import ScalerError

Outcomes = Sequence[tuple[AnyTrigger, Outcome | None]]
"""What came of reading each trigger, None of one that has not been read."""


class TriggersFailError(ScalerError):
    """There is no value because triggers fail; the message has a sentence for each."""


class _LeftToFallback(Exception):
    """What stands in is to say it: a trigger has failed often enough."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__()
        self.stand_in = stand_in


@dataclass(slots=True)
class Composite:
    """The metric of one object. `names`: how the formula calls each trigger, by its index."""

    modifiers: ScalingModifiers
    names: tuple[str, ...]
    fallback: Fallback | None
    formula: Formula = field(compare=False)
    now: Now = field(compare=False)
    value: float | None = field(default=None, compare=False)
    """The last one that was found, None if the last time there was none."""
    seen_active: datetime | None = field(default=None, compare=False)
    """When it was last found to keep the target awake."""
    said: Composed = field(default=Composed(), compare=False)
    """What it says of activity now."""
    _told: Composed | None = field(default=None, compare=False)
    """What the last decision was made with."""

    @classmethod
    def of(cls, spec: ScaledObjectSpec, now: Now) -> "Composite | None":
        """Return that of a spec that makes sense; None if each trigger counts by itself."""
        if spec.modifiers is None:
            return None
        formula = modifiers.compiled(spec.modifiers, spec.triggers)
        return cls(spec.modifiers, modifiers.names_of(spec.triggers), spec.fallback, formula, now)

    async def read(self, outcomes: Outcomes, stand_in: StandIn | None) -> float:
        """Return the value; raise `ScalerError` saying why there is none, `Unread` while a trigger is unread."""
        try:
            return self._made_of(outcomes, stand_in)
        except _LeftToFallback as left:
            return await left.stand_in.value(modifiers.metric(self.modifiers).target)

    async def look(self, outcomes: Outcomes, stand_in: StandIn | None) -> Composed:
        """Return what it says of activity, for a decision; what triggers fail of is theirs to tell."""
        if self._told is None or not _under_way(outcomes):
            try:
                self._note(self._made_of(outcomes, stand_in), outcomes)
            except _LeftToFallback as left:
                await self._note_stand_in(left.stand_in, outcomes)
            except (Unread, FormulaError, ScalerError) as error:
                self._note_none(error)
        self._told = self.said
        return self.said

    def hear(self, outcomes: Outcomes, stand_in: StandIn | None) -> bool:
        """Take in that a trigger was read; return whether it now says something else than at the last decision."""
        if _under_way(outcomes):
            return False
        try:
            self._note(self._made_of(outcomes, stand_in), outcomes)
        except _LeftToFallback:
            # That a trigger has failed often enough is news by itself; from then on the target is as awake as it was.
            if self.said.active:
                self.seen_active = _newest(outcomes)
        except (Unread, FormulaError, ScalerError) as error:
            self._note_none(error)
        return self.said != self._told

    def _made_of(self, outcomes: Outcomes, stand_in: StandIn | None) -> float:
        values = self._values(outcomes)
        if None in values.values() and stand_in is not None and stand_in.policy.stands_in:
            raise _LeftToFallback(stand_in)
        try:
            return modifiers.composite(self.formula, values, self.modifiers, fallback=self.fallback) / 1000
        except FormulaError as error:
            raise ScalerError(f"spec.advanced.scalingModifiers.formula: {error}") from error

    def _values(self, outcomes: Outcomes) -> dict[str, float | None]:
        """Return the triggers' values by name, None where one has failed often enough."""
        values: dict[str, float | None] = {}
        problems = []
        for trigger, outcome in outcomes:
            name = self.names[trigger.index]
            if isinstance(trigger, LiveTrigger) and not trigger.external_names:
                continue
            failure = str(trigger.error) if isinstance(trigger, BrokenTrigger) else outcome and outcome.failure
            if failure is None and outcome is None:
                raise Unread
            if failure is None and outcome is not None:
                # As in KEDA the last of several metrics is the trigger's.
                *_, last = outcome.readings.values()
                values[name] = handed_on(last.value)
            elif isinstance(trigger, LiveTrigger | BrokenTrigger) and trigger.tally.full:
                values[name] = None
            else:
                problems.append(f"{trigger.label}: {failure}")
        if problems:
            raise TriggersFailError("; ".join(problems))
        return values

    def _note(self, value: float, outcomes: Outcomes) -> None:
        self.value, self.said = value, Composed(value > modifiers.activation(self.modifiers))
        if self.said.active:
            self.seen_active = _newest(outcomes)

    async def _note_stand_in(self, stand_in: StandIn, outcomes: Outcomes) -> None:
        """Take in that something stands in: that keeps the target awake whatever it is, as of a single trigger."""
        self.said, self.seen_active = Composed(active=True), _newest(outcomes)
        try:
            self.value = await stand_in.value(modifiers.metric(self.modifiers).target)
        except ScalerError as error:
            self.value, self.said = None, Composed(active=True, failure=str(error))

    def _note_none(self, error: Exception) -> None:
        self.value = None
        # Of triggers each tells itself.
        self.said = Composed() if isinstance(error, Unread | TriggersFailError) else Composed(failure=str(error))


def _under_way(outcomes: Outcomes) -> bool:
    return any(isinstance(trigger, LiveTrigger) and trigger.under_way for trigger, _ in outcomes)


def _newest(outcomes: Outcomes) -> datetime | None:
    return max((outcome.seen for _, outcome in outcomes if outcome is not None), default=None)
