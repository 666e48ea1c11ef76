"""Triggers that are dials: each says what a test has turned it to, or fails as it is told to."""

import asyncio
from collections.abc import Mapping
from typing import Any

from keda_py.event_sink import EventSink
from keda_py.scaler import ExternalSpec, Metadata, MetricSpec, Reading, Scaler, ScalerError, param

from .world import SPACE, Embedded

KINDS = {"ScaledObject": "scaledobjects", "ScaledJob": "scaledjobs"}
API = "apis/keda.sh/v1alpha1"
INTERVAL = 10
DEAF_SECONDS = 2000
"""Longer than any test, and not for ever: it has to end."""


class DialMetadata(Metadata):
    """Which dial."""

    dial: str = param("dial")


class Dials:
    """What each dial says: a number, an error, or nothing for so long as `asleep` has it."""

    def __init__(self) -> None:
        self.says: dict[str, float | ScalerError] = {}
        self.asleep: set[str] = set()
        self.deaf = False
        """Whether a dial that sleeps does so also when it is told to wake up."""

    async def read(self, dial: str) -> float:
        began = asyncio.get_running_loop().time()
        while dial in self.asleep:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                if not self.deaf or asyncio.get_running_loop().time() - began > DEAF_SECONDS:
                    raise
        said = self.says.get(dial, 0.0)
        if isinstance(said, ScalerError):
            raise said
        return said

    def scaler(self) -> type[Scaler[Any]]:
        dials = self

        class DialScaler(Scaler[DialMetadata]):
            metadata = DialMetadata

            def metric_specs(self) -> list[MetricSpec]:
                return [ExternalSpec(f"dial-{self.meta.dial}", self.target(1))]

            async def get_metrics(self) -> list[Reading]:
                value = await dials.read(self.meta.dial)
                return [self.reading(value, active=value > 0)]

        return DialScaler


class World(Embedded):
    """A cluster and a daemon whose triggers are dials."""

    def __init__(self, sinks: Mapping[str, type[EventSink]] | None = None, **settings: Any) -> None:
        self.dials = Dials()
        super().__init__({"dial": self.dials.scaler()}, sinks=sinks, **settings)

    def make(self, kind: str, *triggers: dict[str, Any], lasts: int = 1000, **spec: Any) -> None:
        """Make an object called ``app`` of a kind, or edit it, with the dial ``a`` unless it is told otherwise."""
        if kind == "ScaledObject":
            if self.do("GET", f"/apis/apps/v1/namespaces/{SPACE}/deployments/app").get("kind") == "Status":
                self.deploy("app")
            wanted: dict[str, Any] = {"scaleTargetRef": {"name": "app"}, "cooldownPeriod": 0}
        else:
            container = {"name": "c", "image": "i", "command": ["sleep", str(lasts)]}
            wanted = {"jobTargetRef": {"template": {"spec": {"containers": [container]}}}}
        wanted |= {"pollingInterval": INTERVAL, "triggers": list(triggers or [dial("a")]), **spec}
        self.put(API, KINDS[kind], "app", spec=wanted)

    def annotate(self, kind: str, **annotations: str | None) -> None:
        named = {f"autoscaling.keda.sh/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.do("PATCH", self.path(kind), {"metadata": {"annotations": named}})

    def path(self, kind: str) -> str:
        return f"/{API}/namespaces/{SPACE}/{KINDS[kind]}/app"


def dial(name: str, /, **rest: Any) -> dict[str, Any]:
    return {"type": "dial", "metadata": {"dial": name}, **rest}
