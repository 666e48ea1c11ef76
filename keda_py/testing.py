"""For authors of scalers: what every scaler must keep to, as one function, and stand-ins for what the engine gives it.

from keda_py.testing import FakeSource, contract

def test_it_keeps_the_contract():
    contract(QueueScaler, {"address": "http://queue", "password": "s3cret"}, secrets=["s3cret"])

async def test_it_counts():
    scaler = made(QueueScaler, {"queue": "orders"}, source=FakeSource({"orders": 7}))
    assert [reading.value for reading in await scaler.get_metrics()] == [7]
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from keda_py.naming import normalize
from keda_py.scaler import ExternalSpec, Inputs, Platform, ResourceSpec, Scaler, ScalerError, Trigger, build

__all__ = ["FakeKubernetes", "FakeSource", "contract", "made"]


@dataclass(slots=True)
class FakeSource:
    """A source that answers from a mapping, and counts what it is asked; an exception in it is raised."""

    answers: Mapping[Hashable, Any]
    asked: list[Hashable] = field(default_factory=list)

    async def ask(self, question: Hashable) -> Any:
        """Return the answer to a question; raise `ScalerError` for one that has none."""
        self.asked.append(question)
        if question not in self.answers:
            raise ScalerError(f"the fake source has no answer to {question!r}")
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass(frozen=True, slots=True)
class FakeKubernetes:
    """A cluster of the given objects, by plural; selectors are not looked at."""

    objects: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    async def get(self, api_version: str, plural: str, namespace: str, name: str) -> Mapping[str, Any]:
        """Return one object; raise `ScalerError` if it is not there."""
        for found in await self.list(api_version, plural, namespace):
            if found["metadata"]["name"] == name:
                return found
        raise ScalerError(f"{plural} {namespace}/{name} not found in {api_version}")

    async def list(
        self, api_version: str, plural: str, namespace: str, *, label_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a plural in a namespace."""
        del api_version, label_selector
        found = self.objects.get(plural, ())
        return [item for item in found if item.get("metadata", {}).get("namespace", namespace) == namespace]


def made(
    scaler: type[Scaler[Any]],
    metadata: Mapping[str, str],
    *,
    auth: Mapping[str, str] | None = None,
    source: FakeSource | None = None,
    kubernetes: FakeKubernetes | None = None,
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    **trigger: Any,
) -> Scaler[Any]:
    """Return a scaler for a trigger as the engine would build it; raise `MetadataError` saying all that is wrong.

    `trigger`: further fields of `keda_py.scaler.Trigger`, such as ``metric_type``.
    """
    usual = {"type": "tested", "index": 0, "namespace": "default", "owner": "app"}
    given: dict[str, Any] = usual | trigger
    about = Trigger(**given, inputs=Inputs(metadata, auth or {}))
    platform = Platform(now=lambda: now, kubernetes=kubernetes or FakeKubernetes())
    return build(scaler, about, platform=platform, source=lambda _: source)


def contract(
    scaler: type[Scaler[Any]],
    metadata: Mapping[str, str],
    *,
    auth: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    **trigger: Any,
) -> None:
    """Raise AssertionError if a scaler breaks a rule that can be seen without its source.

    `metadata`, `auth`: parameters of a good trigger. `secrets`: texts in them that nobody may get to see.
    """
    one, other = (made(scaler, metadata, auth=auth, **trigger) for _ in range(2))
    _specs(one, other)
    key = scaler.source_key(one.meta, one.trigger)
    again = scaler.source_key(other.meta, other.trigger)
    assert key == again, "equal triggers must have equal source keys"
    if key is not None:
        hash(key)
        assert repr(key) == repr(again), "a source key is told apart by its repr: it must not depend on an address"
    for secret in secrets:
        for shown in (one.meta, one.trigger, one, one.metric_specs()):
            assert secret not in repr(shown), f"a secret shows in the repr of {type(shown).__name__}"
    assert one.deadline.total_seconds() > 0, "every read has a deadline"


def _specs(one: Scaler[Any], other: Scaler[Any]) -> None:
    specs = list(one.metric_specs())
    assert specs == list(other.metric_specs()) == list(one.metric_specs()), "metric_specs must depend on nothing else"
    names = [spec.name for spec in specs if isinstance(spec, ExternalSpec)]
    assert len(set(names)) == len(names), "the metrics of a trigger need names of their own"
    for spec in specs:
        assert isinstance(spec, (ExternalSpec, ResourceSpec)), f"{spec!r} is no metric spec"
    for name in names:
        assert name == normalize(name), f"the metric name {name} must be normalized"
        assert name, "a metric needs a name"
