"""The scaler contract: all that a scaler is made of, and all that it may use.

A scaler is a class registered under the entry point group ``keda_py.scalers`` with its trigger type as the name. It
declares its parameters as a `Metadata` model, says what goes into the HPA (`metric_specs`) and reads its metrics
(`get_metrics`). It has no logger, retry, timeout or cache: the engine wraps every call, once for all scalers.

Triggers that talk to the same place share one connection. `source_key` says what the same place is, `connect` opens
it, `answer` (or `answer_all`, for a source that can be asked many things in one round trip) asks it. In `get_metrics`
a scaler puts its question with ``await self.source.ask(question)``; equal questions are asked once.

    class QueueScaler(Scaler[QueueMetadata]):
        metadata = QueueMetadata

        @classmethod
        def source_key(cls, meta, trigger):
            return (meta.address, meta.password)

        @classmethod
        @asynccontextmanager
        async def connect(cls, meta, trigger, platform):
            async with Client(meta.address, meta.password) as client:
                yield client

        @classmethod
        async def answer(cls, connection, question):
            return await connection.length(question)

        def metric_specs(self):
            return [ExternalSpec(normalize(f"queue-{self.meta.queue}"), self.target(self.meta.length))]

        async def get_metrics(self):
            length = await self.source.ask(self.meta.queue)
            return [self.reading(length, active=length > self.meta.activation_length)]
"""

from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from keda_py.naming import normalize
from keda_py.parameter import (
    AUTH,
    ENV,
    TRIGGER,
    Inputs,
    Metadata,
    MetadataError,
    Origin,
    QueryValues,
    ScalerError,
    param,
    read,
)
from keda_py.quantity import Quantity, QuantityError, from_float, from_int
from keda_py.quantity import parse as parse_quantity

__all__ = [
    "AUTH",
    "ENTRY_POINTS",
    "ENV",
    "TRIGGER",
    "EmptyAnswer",
    "ExternalSpec",
    "Inputs",
    "KubernetesReader",
    "Metadata",
    "MetadataError",
    "MetricSpec",
    "Origin",
    "Platform",
    "PodIdentity",
    "Quantity",
    "QuantityError",
    "QueryValues",
    "Reading",
    "ResourceSpec",
    "Scaler",
    "ScalerError",
    "Source",
    "SourceUnavailable",
    "Target",
    "Trigger",
    "build",
    "normalize",
    "param",
    "parse_quantity",
]

ENTRY_POINTS: Final = "keda_py.scalers"


class SourceUnavailable(ScalerError):
    """The source itself cannot be reached: its connection is recycled, and it is left alone for a while.

    Raise it from `connect` or `answer` for a refused connection, a failed handshake, rejected credentials; for a
    question that fails alone (no such queue, a bad query) raise `ScalerError`.
    """


class EmptyAnswer(ScalerError):
    """The source answered, and had nothing to say where a value was expected."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric is compared with in the HPA: a quantity, or for `Utilization` a whole percentage."""

    kind: str
    amount: str


@dataclass(frozen=True, slots=True)
class ExternalSpec:
    """A metric that we serve; `name` is without the ``s<index>-`` prefix that the engine adds."""

    name: str
    target: Target


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """A metric that the HPA controller takes from the metrics server itself: `cpu` or `memory`."""

    resource: str
    target: Target
    container: str | None = None


MetricSpec = ExternalSpec | ResourceSpec


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric's value now, and whether it keeps the target awake.

    `empty` marks a value that stands for an answer without content, where the manifest says that this counts as 0.
    """

    metric: str
    value: float
    active: bool
    empty: bool = False


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who to be by the means of a cloud, as the authentication of a trigger says; by default nobody.

    `provider`: ``aws``, ``azure-workload``, ``gcp`` and the like. `role_arn`: the role to assume, that of the
    workload's own ServiceAccount if this is what the manifest asks for.
    """

    provider: str = "none"
    identity_id: str = ""
    tenant_id: str = ""
    authority_host: str = ""
    role_arn: str = ""
    external_id: str = ""

    def __bool__(self) -> bool:
        return self.provider not in ("", "none")


NOBODY: Final = PodIdentity()


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of ``spec.triggers`` with everything that was resolved for it; secrets stay out of `repr`."""

    type: str
    index: int
    inputs: Inputs
    namespace: str
    owner: str
    kind: str = "ScaledObject"
    name: str | None = None
    metric_type: str | None = None
    pod_identity: PodIdentity = NOBODY
    in_formula: bool = False


class KubernetesReader(Protocol):
    """Read access to the cluster for scalers whose source is Kubernetes itself; every call has a deadline."""

    async def get(self, api_version: str, plural: str, namespace: str, name: str) -> Mapping[str, Any]:
        """Return one object; raise `ScalerError` if it does not exist or may not be read."""
        ...

    async def list(
        self, api_version: str, plural: str, namespace: str, *, label_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects that match; raise `ScalerError` if they cannot be listed."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """What the daemon offers a scaler.

    `now`: the wall clock, aware UTC. `http_timeout`: the deadline of one read unless the trigger sets its own.
    `ca_paths`: files or folders of further trusted certificates. `min_tls`: ``TLS12``-style lowest version.
    `ciphers`: OpenSSL cipher list for TLS 1.2, empty for the default. `keep_alive`: whether connections are reused.
    `requested`: to be told of each HTTP request that a connection sends, for `/metrics`: the status of its answer, None
    without one, and after how many seconds that was known.
    """

    now: Callable[[], datetime]
    kubernetes: KubernetesReader
    http_timeout: timedelta = timedelta(seconds=3)
    ca_paths: tuple[str, ...] = ()
    min_tls: str = "TLS12"
    ciphers: str = ""
    keep_alive: bool = True
    requested: Callable[[int | None, float], None] = lambda _status, _seconds: None


class Source(Protocol):
    """A trigger's place at the source that it shares with others."""

    async def ask(self, question: Hashable) -> Any:
        """Return the answer to `question`, asked now or young enough; raise what `answer` raised."""
        ...


M = TypeVar("M", bound=Metadata)


class Scaler(Generic[M]):
    """Base of all scalers; a subclass sets `metadata` and implements `metric_specs` and `get_metrics`."""

    metadata: ClassVar[type[Metadata]]
    batched: ClassVar[bool] = False
    """True for a class that implements `answer_all`: all questions pending on a source are one call."""

    source: Source
    """Set by `build` once everything about the trigger was found right; not there for a scaler without a source key."""

    def __init__(self, meta: M, trigger: Trigger, *, platform: Platform) -> None:
        self.meta = meta
        self.trigger = trigger
        self.platform = platform

    # --- what it says about itself, without I/O ---------------------------------------------------------------------

    def check(self) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong beyond a single parameter."""
        if self.trigger.metric_type == "Utilization":
            yield "metricType Utilization is only for cpu and memory triggers; use AverageValue or Value"

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return what goes into the HPA; empty for a scaler that only activates."""
        raise NotImplementedError

    @property
    def deadline(self) -> timedelta:
        """How long one read may take."""
        return self.platform.http_timeout

    def target(self, amount: float) -> Target:
        """Return the HPA target of the trigger's metric type: a whole number as it is, a float to three decimals."""
        text = from_int(amount) if isinstance(amount, int) else from_float(amount)
        return Target(self.trigger.metric_type or "AverageValue", str(text))

    def reading(self, value: float, *, active: bool, empty: bool = False) -> Reading:
        """Return the reading of a scaler that has a single external metric."""
        return Reading(self._metric, value, active, empty)

    @cached_property
    def _metric(self) -> str:
        (spec,) = (spec for spec in self.metric_specs() if isinstance(spec, ExternalSpec))
        return spec.name

    # --- reading ----------------------------------------------------------------------------------------------------

    async def get_metrics(self) -> Sequence[Reading]:
        """Return a reading for each external metric; raise `ScalerError` when there is no value to be had."""
        raise NotImplementedError

    # --- the shared source ------------------------------------------------------------------------------------------

    @classmethod
    def source_key(cls, meta: M, trigger: Trigger) -> tuple[Hashable, ...] | None:
        """Return who is talked to, credentials included; None for a scaler that talks to nobody.

        Keys are digested at once and never kept or printed as they are.
        """
        return None

    @classmethod
    def connect(cls, meta: M, trigger: Trigger, platform: Platform) -> AbstractAsyncContextManager[Any]:
        """Open the connection that all triggers of one source key share; `meta` is the first one's."""
        return _nothing()

    @classmethod
    async def answer(cls, connection: Any, question: Any) -> Any:
        """Return the answer to one question."""
        raise NotImplementedError

    @classmethod
    async def answer_all(cls, connection: Any, questions: Sequence[Any]) -> Sequence[Any]:
        """Return an answer, or the exception that stands for it, for each of several questions, in their order."""
        raise NotImplementedError


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield None


def build(
    scaler: type[Scaler[Any]],
    trigger: Trigger,
    *,
    platform: Platform,
    source: Callable[[Any], Source | None],
) -> Scaler[Any]:
    """Return a scaler for a trigger; raise `MetadataError` with everything that is wrong.

    `source` is called with the filled metadata, last: a trigger that makes no sense opens nothing.
    """
    built = scaler(read(scaler.metadata, trigger.inputs), trigger, platform=platform)
    if problems := list(built.check()):
        raise MetadataError(problems)
    if (shared := source(built.meta)) is not None:
        built.source = shared
    return built
