"""Triggers that are doors: each shows which password it was opened with, and how often."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from keda_py.scaler import (
    AUTH,
    ENV,
    TRIGGER,
    ExternalSpec,
    Metadata,
    MetricSpec,
    Platform,
    PodIdentity,
    Reading,
    Scaler,
    Trigger,
    param,
)
from keda_py.secret_store import SecretStore

from .world import SPACE, Embedded


class DoorMetadata(Metadata):
    """Parameters of a door that opens to a password."""

    door: str = param("door")
    password: str = param("password", order=(TRIGGER, AUTH, ENV), default="")


@dataclass
class Doors:
    """What scalers were given, and which connections they opened and closed."""

    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    passwords: dict[str, str] = field(default_factory=dict)
    identities: dict[str, PodIdentity] = field(default_factory=dict)

    def scaler(self) -> type[Scaler[Any]]:
        doors = self

        class DoorScaler(Scaler[DoorMetadata]):
            metadata = DoorMetadata

            @classmethod
            def source_key(cls, meta: DoorMetadata, trigger: Trigger) -> tuple[Hashable, ...]:
                return (meta.door, meta.password)

            @classmethod
            @asynccontextmanager
            async def connect(cls, meta: DoorMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[None]:
                doors.opened[meta.door] += 1
                doors.passwords[meta.door] = meta.password
                doors.identities[meta.door] = trigger.pod_identity
                yield
                doors.closed[meta.door] += 1

            @classmethod
            async def answer(cls, connection: None, question: str) -> float:
                await asyncio.sleep(0.01)
                return 1.0

            def metric_specs(self) -> list[MetricSpec]:
                return [ExternalSpec(f"door-{self.meta.door}", self.target(5))]

            async def get_metrics(self) -> list[Reading]:
                return [self.reading(await self.source.ask(self.meta.door), active=True)]

        return DoorScaler


class World(Embedded):
    """A cluster and a daemon whose triggers are doors."""

    def __init__(self, stores: Mapping[str, type[SecretStore[Any]]] | None = None, **settings: Any) -> None:
        self.doors = Doors()
        super().__init__({"door": self.doors.scaler()}, stores, **settings)

    def trigger(self, name: str, index: int = 0) -> Any:
        return self.daemon.live[SPACE, name].triggers[index]


def door(name: str, *, auth: str = "", kind: str = "", **metadata: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "door", "metadata": {"door": name, **metadata}}
    if auth:
        found["authenticationRef"] = {"name": auth} | ({"kind": kind} if kind else {})
    return found


def ref(name: str, key: str = "password", parameter: str = "password") -> list[dict[str, str]]:
    return [{"parameter": parameter, "name": name, "key": key}]
