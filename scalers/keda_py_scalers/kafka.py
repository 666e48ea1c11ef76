"""Trigger type `kafka`: how many records of Kafka topics wait for a consumer group.

All triggers of one cluster and login share its connections, and what they ask goes out together (`kafka_client`). What
an answer means is decided in `kafka_lag`. The type `apache-kafka` differs in parameters only, and lives beside this.
"""

import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple
from datetime import timedelta
from typing import Any, Final, TypeVar

from keda_py.scaler import (
    AUTH,
    ENV,
    TRIGGER,
    ExternalSpec,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
    normalize,
    param,
)
from keda_py_scalers.aws import identity_of
from keda_py_scalers.kafka_auth import AwsLogin, KerberosLogin, Login, Tls, TokenEndpoint, entered
from keda_py_scalers.kafka_brokers import Brokers
from keda_py_scalers.kafka_client import KafkaConnection, Positions, Question
from keda_py_scalers.kafka_lag import Lag, Place, Rules, measure

ROUND: Final = 4
"""A read may take so many times as long as one answer of a broker: metadata, coordinator, commits, ends."""
LONGEST_NAME: Final = 2**15 - 1
"""Names have a length of 16 bits in Kafka's protocol. One that does not fit would fail what others ask beside it."""
UNSENDABLE: Final = f"expected at most {LONGEST_NAME} bytes of text"
_VERSION: Final = re.compile(r"0(\.[0-9]+){3}|[1-9][0-9]*(\.[0-9]+){2}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")


class LagMetadata(Metadata):
    """Parameters that both types have."""

    bootstrap_servers: list[str] = param("bootstrapServers", order=(TRIGGER, ENV))
    consumer_group: str = param("consumerGroup", order=(TRIGGER, ENV))
    lag_threshold: int = param("lagThreshold", default=10, gt=0)
    activation_lag_threshold: int = param("activationLagThreshold", default=0, ge=0)
    offset_reset_policy: str = param("offsetResetPolicy", default="latest", enum=("latest", "earliest"))
    allow_idle_consumers: bool = param("allowIdleConsumers", default=False)
    exclude_persistent_lag: bool = param("excludePersistentLag", default=False)
    scale_to_zero_on_invalid_offset: bool = param("scaleToZeroOnInvalidOffset", default=False)
    limit_to_partitions_with_lag: bool = param("limitToPartitionsWithLag", default=False)
    ensure_even_distribution: bool = param("ensureEvenDistributionOfPartitions", default=False)
    tls: str = param("tls", order=(TRIGGER, AUTH), default="disable", enum=("enable", "disable"))
    ca: str = param("ca", order=(AUTH,), default="")
    cert: str = param("cert", order=(AUTH,), default="")
    key: str = param("key", order=(AUTH,), default="")
    key_password: str = param("keyPassword", order=(AUTH,), default="")
    username: str = param("username", order=(AUTH,), default="")
    password: str = param("password", order=(AUTH,), default="")
    aws_region: str = param("awsRegion", default="")

    @property
    @abstractmethod
    def topics(self) -> tuple[str, ...]:
        """The topics that count; none for all in which the group has committed."""

    @property
    @abstractmethod
    def partitions(self) -> tuple[range, ...] | None:
        """The only partitions that count; None for all. Raise ValueError for what is no list of them."""

    @abstractmethod
    def login(self, trigger: Trigger) -> Login:
        """Return who we are to the brokers; raise `ScalerError` if an AWS identity is wanted and lacks something."""

    @property
    def rules(self) -> Rules:
        """How to count."""
        return Rules(
            threshold=self.lag_threshold,
            earliest=self.offset_reset_policy == "earliest",
            zero_on_invalid=self.scale_to_zero_on_invalid_offset,
            allow_idle=self.allow_idle_consumers,
            exclude_persistent=self.exclude_persistent_lag,
            limit_to_lagging=self.limit_to_partitions_with_lag,
            even=self.ensure_even_distribution,
        )

    @property
    def question(self) -> Question:
        """What to ask the brokers."""
        from_start = self.rules.earliest and not self.rules.zero_on_invalid
        return Question(self.consumer_group, self.topics, self.partitions, from_start)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each combination that makes no sense."""
        names = {"topic": self.topics, "consumerGroup": (self.consumer_group,)}
        yield from (f"{what}: {UNSENDABLE}" for what, some in names.items() if not all(map(_can_be_sent, some)))
        if self.allow_idle_consumers and self.limit_to_partitions_with_lag:
            yield "allowIdleConsumers and limitToPartitionsWithLag exclude each other"
        if self.limit_to_partitions_with_lag and not self.topics:
            yield "limitToPartitionsWithLag: needs a topic"
        if self.tls == "enable" and bool(self.cert) != bool(self.key):
            yield "cert, key: one without the other"

    def missing(self, what: str, **needed: str) -> Iterator[str]:
        """Yield a sentence if something that `what` needs was not given."""
        if absent := [name for name, value in needed.items() if not value]:
            yield f"{what}: needs {' and '.join(absent)}"


class KafkaMetadata(LagMetadata):
    """Parameters of a `kafka` trigger (KEDA pkg/scalers/kafka_scaler.go)."""

    topic: str = param("topic", order=(TRIGGER, ENV), default="")
    partition_limitation: str = param("partitionLimitation", default="")
    # Taken, and without effect: only the metadata of the topics that are asked about is ever fetched.
    full_metadata: bool = param("fullMetadata", default=True)
    # Taken, and without effect: brokers say themselves what they understand.
    version: str = param("version", default="")
    unsafe_ssl: bool = param("unsafeSsl", default=False)
    sasl: str = param(
        "sasl",
        order=(TRIGGER, AUTH),
        default="",
        enum=("none", "plaintext", "scram_sha256", "scram_sha512", "oauthbearer", "gssapi"),
    )
    bearer_source: str = param("saslTokenProvider", order=(TRIGGER, AUTH), default="", enum=("bearer", "aws_msk_iam"))
    scopes: str = param("scopes", order=(AUTH,), default="")
    oauth_token_endpoint_uri: str = param("oauthTokenEndpointUri", order=(AUTH,), default="")
    oauth_extensions: str = param("oauthExtensions", order=(AUTH,), default="")
    keytab: str = param("keytab", order=(AUTH,), default="", binary=True)
    realm: str = param("realm", order=(AUTH,), default="")
    kerberos_config: str = param("kerberosConfig", order=(AUTH,), default="")
    kerberos_service_name: str = param("kerberosServiceName", order=(AUTH,), default="")
    # Taken, and without effect: MIT Kerberos negotiates it.
    kerberos_disable_fast: bool = param("kerberosDisableFAST", order=(AUTH,), default=False)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topic, if there is one."""
        return (self.topic,) if self.topic else ()

    @property
    def partitions(self) -> tuple[range, ...] | None:
        """The only partitions that count: all without a topic."""
        limits = tuple(
            _range(piece.strip()) for piece in self.partition_limitation.split(",") if self.partition_limitation
        )
        return limits if limits and self.topic else None

    def login(self, trigger: Trigger) -> Login:
        """Return who we are to the brokers."""
        sasl = "" if self.sasl == "none" else self.sasl
        return Login(
            sasl=sasl,
            username=self.username if sasl else "",
            password=self.password if sasl else "",
            tls=tls_of(self, unsafe=self.unsafe_ssl),
            further=self._further(trigger),
        )

    def _further(self, trigger: Trigger) -> TokenEndpoint | AwsLogin | KerberosLogin | None:
        if self.sasl == "gssapi":
            principal = f"{self.username}@{self.realm}"
            return KerberosLogin(principal, self.keytab, self.kerberos_config, self.kerberos_service_name)
        if self.sasl != "oauthbearer":
            return None
        if self.bearer_source == "aws_msk_iam":
            return AwsLogin(identity_of(trigger), self.aws_region)
        scopes = tuple(self.scopes.split(","))
        return TokenEndpoint(self.oauth_token_endpoint_uri, self.username, self.password, scopes, self._extensions)

    @property
    def _extensions(self) -> tuple[tuple[str, str], ...]:
        pairs = [pair.split("=") for pair in self.oauth_extensions.split(",") if self.oauth_extensions]
        return tuple((key, value) for key, value in pairs)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each combination that makes no sense."""
        yield from super().problems()
        if self.ensure_even_distribution:
            if not self.topic:
                yield "ensureEvenDistributionOfPartitions: needs a topic"
            if self.limit_to_partitions_with_lag:
                yield "limitToPartitionsWithLag and ensureEvenDistributionOfPartitions exclude each other"
        if not self.full_metadata and not self.topic:
            yield "fullMetadata: false needs a topic"
        if self.version and not _VERSION.fullmatch(self.version):
            yield "version: expected a version of Kafka, such as 2.5.0 or 0.11.0.2"
        try:
            _ = self.partitions
        except ValueError as error:
            yield f"partitionLimitation: {error}"
        yield from self._problems_of_sasl()

    def _problems_of_sasl(self) -> Iterator[str]:
        user = {"username": self.username, "password": self.password}
        match self.sasl:
            case "plaintext" | "scram_sha256" | "scram_sha512":
                yield from self.missing(f"sasl {self.sasl}", **user)
            case "oauthbearer" if self.bearer_source == "aws_msk_iam":
                if self.tls != "enable":
                    yield "saslTokenProvider aws_msk_iam: needs tls enable"
                yield from self.missing("saslTokenProvider aws_msk_iam", awsRegion=self.aws_region)
            case "oauthbearer":
                yield from self.missing("sasl oauthbearer", **user, oauthTokenEndpointUri=self.oauth_token_endpoint_uri)
                try:
                    _ = self._extensions
                except ValueError:
                    yield "oauthExtensions: expected key=value, separated by commas"
            case "gssapi":
                needed = {"username": self.username, "realm": self.realm, "kerberosConfig": self.kerberos_config}
                yield from self.missing("sasl gssapi", **needed)
                if bool(self.password) == bool(self.keytab):
                    yield "sasl gssapi: needs either password or keytab"


def tls_of(meta: LagMetadata, *, unsafe: bool = False) -> Tls | None:
    """Return how a trigger wants TLS to be spoken, None for not at all."""
    if meta.tls != "enable":
        return None
    return Tls(ca=meta.ca, cert=meta.cert, key=meta.key, key_password=meta.key_password, unsafe=unsafe)


def _can_be_sent(name: str) -> bool:
    try:
        return len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _range(text: str) -> range:
    bounds = text.split("-") if "-" in text else [text, text]
    if len(bounds) != 2 or not all(_NUMBER.fullmatch(bound.strip()) for bound in bounds):  # noqa: PLR2004  two ends
        raise ValueError("expected partitions such as 1,2,10-12")
    first, last = (int(bound) for bound in bounds)
    if not -(2**31) <= first < 2**31 or not -(2**31) <= last < 2**31:
        raise ValueError("a partition is a number of 32 bits")
    return range(first, last + 1)


L = TypeVar("L", bound=LagMetadata)


class LagScaler(Scaler[L]):
    """The lag of a consumer group, whatever the trigger is called."""

    batched = True

    def __init__(self, meta: L, trigger: Trigger, *, platform: Platform) -> None:
        super().__init__(meta, trigger, platform=platform)
        self._rules = meta.rules
        self._question: Question | None = None
        self._last: tuple[Positions, Lag] | None = None

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the combination of parameters, and with certificates and keys."""
        yield from super().check()
        problems = list(self.meta.problems())
        yield from problems
        if not problems:
            try:
                login = self.meta.login(self.trigger)
                # All authorities of the system are read for a context: only if there is something to find out.
                if login.tls is not None and login.tls.has_files:
                    login.tls.context(self.platform)
            except ScalerError as error:
                yield str(error)

    @property
    def deadline(self) -> timedelta:
        """How long one read may take."""
        return ROUND * self.platform.http_timeout

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after the topics or else the group."""
        topics = self.meta.topics
        name = ",".join(topics) if topics else f"{self.meta.consumer_group}-topics"
        return [ExternalSpec(normalize(f"kafka-{name}"), self.target(self.meta.lag_threshold))]

    async def get_metrics(self) -> list[Reading]:
        """Return the lag; active if there is more to do than activationLagThreshold."""
        if self._question is None:
            self._question = self.meta.question
        lag = self._measured(await self.source.ask(self._question))
        return [self.reading(lag.value, active=lag.whole > self.meta.activation_lag_threshold)]

    def _measured(self, positions: Positions) -> Lag:
        """Return what positions mean after those before; the same answer twice is no group that stands still."""
        if self._last is None or self._last[0] is not positions:
            before: Mapping[Place, int | None] = {}
            if self._last is not None:
                before = {place: position.committed for place, position in self._last[0].items()}
            self._last = (positions, measure(positions, self._rules, before=before))
        return self._last[1]

    @classmethod
    def source_key(cls, meta: L, trigger: Trigger) -> tuple[Any, ...]:
        """Return the servers, and who we are to them."""
        return (tuple(sorted(meta.bootstrap_servers)), *astuple(meta.login(trigger)))

    @classmethod
    @asynccontextmanager
    async def connect(cls, meta: L, trigger: Trigger, platform: Platform) -> AsyncIterator[KafkaConnection]:
        """Connect to the first bootstrap server that answers."""
        login, seconds = meta.login(trigger), platform.http_timeout.total_seconds()
        async with (
            entered(login, platform, trigger) as connect,
            Brokers(meta.bootstrap_servers, connect, mechanism=login.mechanism, seconds=seconds) as brokers,
        ):
            yield KafkaConnection(brokers)

    @classmethod
    async def answer_all(
        cls, connection: KafkaConnection, questions: Sequence[Question]
    ) -> Sequence[Positions | ScalerError]:
        """Return where groups and partitions stand."""
        return await connection.answer(questions)


class KafkaScaler(LagScaler[KafkaMetadata]):
    """The type `kafka`."""

    metadata = KafkaMetadata
