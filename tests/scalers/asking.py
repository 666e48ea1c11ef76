"""A trigger read as the engine reads it: through its shared source, with deadlines and as one outcome."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from keda_py.engine.trigger import LiveTrigger, Outcome
from keda_py.runtime.source import Sources, Tenancy
from keda_py.scaler import NOBODY, Inputs, Platform, PodIdentity, Scaler, Trigger, build


@dataclass(frozen=True)
class Asked:
    """One trigger."""

    type: type[Scaler[Any]]
    metadata: Mapping[str, str]
    auth: Mapping[str, str] = field(default_factory=dict)
    metric_type: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    pod_identity: PodIdentity = NOBODY


@asynccontextmanager
async def asking(
    *asked: Asked, kubernetes: Any = None, seconds: float = 20.0, **platform: Any
) -> AsyncIterator[list[LiveTrigger]]:
    """Yield the triggers at work; `current()` reads one."""
    about = Platform(lambda: datetime.now(UTC), kubernetes, http_timeout=timedelta(seconds=seconds), **platform)
    async with Sources(about, chance=random.Random(1)) as sources:
        live = [_live(one, index, sources, about) for index, one in enumerate(asked)]
        yield live
        for one in live:
            one.close()


def _live(asked: Asked, index: int, sources: Sources, platform: Platform) -> LiveTrigger:
    inputs = Inputs(asked.metadata, asked.auth, asked.env)
    trigger = Trigger("x", index, inputs, "ns", "app", metric_type=asked.metric_type, pod_identity=asked.pod_identity)
    rented: list[Tenancy | None] = []

    def rent(meta: Any) -> Tenancy | None:
        rented.append(sources.rent(asked.type, meta, trigger))
        return rented[0]

    scaler = build(asked.type, trigger, platform=platform, source=rent)
    return LiveTrigger(
        scaler, rented[0], interval=0.01, cached=False, now=lambda: datetime.now(UTC), changed=lambda _: None
    )


async def read(asked: Asked, **rest: Any) -> Outcome:
    """Return what comes of reading one trigger once."""
    async with asking(asked, **rest) as (live,):
        return await live.current()


def value(outcome: Outcome) -> float:
    """Return the one value of an outcome."""
    assert outcome.failure is None, outcome.failure
    (reading,) = outcome.readings.values()
    return reading.value


Reader = Callable[[Asked], Awaitable[Outcome]]
