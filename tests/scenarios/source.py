"""Event sources that answer, keep silent, fail and lie, as a scenario wants; and a record of what they answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from keda_py.scaler import (
    ExternalSpec,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    SourceUnavailable,
    Trigger,
    normalize,
    param,
)


@dataclass
class Truth:
    """What each queue holds, and what is wrong with asking for it."""

    values: dict[str, float] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.01
    """How long an answer takes."""


class QueueMetadata(Metadata):
    """Parameters of a scenario's trigger."""

    address: str = param("address")
    queue: str = param("queue")
    length: float = param("length")
    activation: float = param("activation", default=0.0)


@dataclass(frozen=True)
class Heard:
    """What a trigger was told: the value, None for an error; when the source said so, and when it was told."""

    owner: str
    place: str
    value: float | None
    active: bool
    at: float
    told: float


@dataclass(frozen=True)
class Asker:
    """One daemon's way to the sources."""

    truth: Truth
    heard: Callable[[Heard], None]
    answered: dict[str, float] = field(default_factory=dict)
    """When by loop time each place last gave a value."""

    async def open(self, address: str) -> None:
        match self.truth.down.get(address):
            case "refuses":
                raise SourceUnavailable("connection refused")
            case "hangs":
                await asyncio.sleep(3600.0)

    async def ask(self, address: str, queue: str) -> Any:
        if address in self.truth.down:
            raise SourceUnavailable("connection lost")
        outcome = await self._ask(queue)
        self.answered[place_of(address, queue)] = asyncio.get_running_loop().time()
        return outcome

    async def _ask(self, queue: str) -> Any:
        match self.truth.faults.get(queue):
            case "slow":
                await asyncio.sleep(2.0)
            case "hangs":
                await asyncio.sleep(3600.0)
            case "fails":
                raise ScalerError(f"no such queue {queue}")
            case "lies":
                return "many"
            case "dies":
                raise SourceUnavailable("connection reset")
            case "surprises":
                raise KeyError(queue)
            case _:
                await asyncio.sleep(self.truth.seconds)
        return self.truth.values.get(queue, 0.0)


def place_of(address: str, queue: str) -> str:
    """Return a name for a queue of a source."""
    return f"{address}/{queue}"


def scaler(asker: Asker, *, batched: bool) -> type[Scaler[Any]]:
    """Return a scaler class that asks the scenario's sources."""

    class QueueScaler(Scaler[QueueMetadata]):
        metadata = QueueMetadata

        @classmethod
        def source_key(cls, meta: QueueMetadata, trigger: Trigger) -> tuple[Hashable, ...]:
            return (meta.address,)

        @classmethod
        @asynccontextmanager
        async def connect(cls, meta: QueueMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[str]:
            await asker.open(meta.address)
            yield meta.address

        @classmethod
        async def answer(cls, connection: str, question: str) -> Any:
            return await asker.ask(connection, question)

        @classmethod
        async def answer_all(cls, connection: str, questions: Sequence[str]) -> Sequence[Any]:
            return await asyncio.gather(*(asker.ask(connection, q) for q in questions), return_exceptions=True)

        def metric_specs(self) -> list[MetricSpec]:
            return [ExternalSpec(normalize(f"q-{self.meta.queue}"), self.target(self.meta.length))]

        async def get_metrics(self) -> list[Reading]:
            value: Any = None
            try:
                value = await self.source.ask(self.meta.queue)
                if not isinstance(value, float):
                    raise ScalerError("no number")
                active = value > self.meta.activation
                return [self.reading(value, active=active)]
            finally:
                self._tell(value if isinstance(value, float) else None)

        def _tell(self, value: float | None) -> None:
            place = place_of(self.meta.address, self.meta.queue)
            active = value is not None and value > self.meta.activation
            at, told = asker.answered.get(place, 0.0), asyncio.get_running_loop().time()
            asker.heard(Heard(self.trigger.owner, place, value, active, at, told))

    QueueScaler.batched = batched
    return QueueScaler
