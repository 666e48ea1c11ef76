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


class QueueMetadata(Metadata):
    """Parameters of a scenario's trigger."""

    address: str = param("address")
    queue: str = param("queue")
    length: float = param("length")
    activation: float = param("activation", default=0.0)


Heard = Callable[[str, float | None], None]
"""Told of each answer as it is given: the queue, and its value or None for an error."""


def scaler(truth: Truth, heard: Heard, *, batched: bool) -> type[Scaler[Any]]:
    """Return a scaler class that asks the scenario's sources."""

    async def ask(queue: str) -> Any:
        match truth.faults.get(queue):
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
                await asyncio.sleep(0.01)
        return truth.values.get(queue, 0.0)

    def noted(queue: str, outcome: Any) -> Any:
        heard(queue, outcome if isinstance(outcome, float) else None)
        return outcome

    async def ask_one(queue: str) -> Any:
        try:
            return noted(queue, await ask(queue))
        except BaseException:
            noted(queue, None)
            raise

    class QueueScaler(Scaler[QueueMetadata]):
        metadata = QueueMetadata

        @classmethod
        def source_key(cls, meta: QueueMetadata, trigger: Trigger) -> tuple[Hashable, ...]:
            return (meta.address,)

        @classmethod
        @asynccontextmanager
        async def connect(cls, meta: QueueMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[str]:
            match truth.down.get(meta.address):
                case "refuses":
                    raise SourceUnavailable("connection refused")
                case "hangs":
                    await asyncio.sleep(3600.0)
            yield meta.address

        @classmethod
        async def answer(cls, connection: str, question: str) -> Any:
            if connection in truth.down:
                raise SourceUnavailable("connection lost")
            return await ask_one(question)

        @classmethod
        async def answer_all(cls, connection: str, questions: Sequence[str]) -> Sequence[Any]:
            if connection in truth.down:
                raise SourceUnavailable("connection lost")
            return await asyncio.gather(*map(ask_one, questions), return_exceptions=True)

        def metric_specs(self) -> list[MetricSpec]:
            return [ExternalSpec(normalize(f"q-{self.meta.queue}"), self.target(self.meta.length))]

        async def get_metrics(self) -> list[Reading]:
            value = await self.source.ask(self.meta.queue)
            if not isinstance(value, float):
                raise ScalerError("no number")
            return [self.reading(value, active=value > self.meta.activation)]

    QueueScaler.batched = batched
    return QueueScaler
