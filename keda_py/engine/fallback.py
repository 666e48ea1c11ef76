"""Fallback at work: how often triggers failed in a row, and what stands in for one that failed often enough.

Who counts: a read does, be it a poll or one on the HPA's behalf, and it counts once however many are given its outcome.
A trigger that cannot even be built fails once in every polling interval. Only who acts on an object tells of counts in
its status; from there another process goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keda_py.decide import fallback
from keda_py.decide.fallback import Policy
from keda_py.engine.target import TargetError, TargetRef, Targets
from keda_py.kube.client import ApiError
from keda_py.runtime.clock import Now
from keda_py.scaler import ScalerError, Target


@dataclass(slots=True)
class Tally:
    """The failures in a row of one trigger.

    `enough`: how many it takes for `spec.fallback` to stand in; 0 if there is none, then nothing is counted. `count`:
    None while nothing is known.
    """

    enough: int = 0
    count: int | None = None

    @property
    def full(self) -> bool:
        """Whether there are enough of them."""
        return bool(self.enough) and (self.count or 0) >= self.enough

    def note(self, *, failed: bool) -> None:
        """Take in how a read went. Beyond enough it does not count on: nothing would follow from it."""
        if self.enough:
            self.count = min((self.count or 0) + 1, self.enough) if failed else 0

    def resume(self, enough: int, told: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Count up to `enough` from now on; what is not known, ``status.health`` has `told` by the metrics' names."""
        self.enough = enough
        known = [count for name in metrics if (count := fallback.failures(told.get(name))) is not None]
        if not enough:
            self.count = None
        elif self.count is None and known:
            self.count = min(max(known), enough)


@dataclass(frozen=True, slots=True)
class StandIn:
    """What stands in for the triggers of an object."""

    policy: Policy
    target: TargetRef
    targets: Targets
    now: Now

    async def value(self, compared: Target) -> float:
        """Return what stands in for a metric; raise `ScalerError` saying what would have to be known."""
        current = ready = None
        try:
            if fallback.needs_current(self.policy):
                current = (await self.targets.read(self.target)).replicas
            if fallback.needs_ready(self.policy, compared):
                ready = await self.targets.ready(self.target)
        except (TargetError, ApiError) as error:
            raise ScalerError(f"nothing stands in: {error}") from error
        value = fallback.value(self.policy, compared, current=current, ready=ready)
        if value is None:
            why = "no pod is ready to divide by" if ready == 0 else f"behavior {self.policy.behavior} leaves it open"
            raise ScalerError(f"nothing stands in: {why}")
        return value
