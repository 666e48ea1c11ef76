"""Trigger type `rabbitmq`: the length of queues, or how fast their messages come and go.

Triggers that mean one virtual host of one broker as one user share a connection, over AMQP or to the management API.
"""

import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote_plus

from pydantic import model_validator

from keda_py.scaler import (
    AUTH,
    ENV,
    TRIGGER,
    ExternalSpec,
    Metadata,
    MetricSpec,
    Platform,
    QueryValues,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
    normalize,
    param,
)
from keda_py_scalers.rabbitmq_amqp import AmqpConnection
from keda_py_scalers.rabbitmq_http import ManagementConnection, ManagementMetadata, management
from keda_py_scalers.rabbitmq_rule import (
    AMQP,
    AUTO,
    HTTP,
    OPERATIONS,
    RATE_MODES,
    UNKNOWN,
    Address,
    Question,
    address,
    aim,
    composed,
    measured,
    protocol_of,
)
from keda_py_scalers.transport import tls_context


class RabbitMQMetadata(Metadata):
    """Parameters of a `rabbitmq` trigger; `protocol`, `mode` and `value` as they come out of all of them together."""

    queue_name: str = param("queueName")
    mode: str = param("mode", default=UNKNOWN)
    queue_length: float = param("queueLength", default=0.0)
    value: float = param("value", default=0.0)
    activation_value: float = param("activationValue", default=0.0)
    host: str = param("host", order=(TRIGGER, AUTH, ENV))
    protocol: str = param("protocol", order=(TRIGGER, AUTH), default=AUTO)
    vhost_name: str = param("vhostName", order=(TRIGGER, AUTH), default="")
    use_regex: bool = param("useRegex", default=False)
    exclude_unacknowledged: bool = param("excludeUnacknowledged", default=False)
    page_size: int = param("pageSize", default=100, ge=1)
    operation: str = param("operation", default="sum")
    timeout: timedelta = param("timeout", default=timedelta(0))
    username: str = param("username", order=(AUTH, ENV), default="")
    password: str = param("password", order=(AUTH, ENV), default="")
    tls: str = param("tls", order=(AUTH,), default="disable")
    ca: str = param("ca", order=(AUTH,), default="")
    cert: str = param("cert", order=(AUTH,), default="")
    key: str = param("key", order=(AUTH,), default="")
    key_password: str = param("keyPassword", order=(AUTH,), default="")
    unsafe_ssl: bool = param("unsafeSsl", default=False)
    workload_identity_resource: str = param("workloadIdentityResource", order=(AUTH,), default="")
    oauth_token_uri: str = param("oauthTokenURI", order=(AUTH,), default="")
    scopes: list[str] = param("scopes", "scope", order=(AUTH,), default=[])
    client_id: str = param("clientID", order=(AUTH,), default="")
    client_secret: str = param("clientSecret", order=(AUTH,), default="")
    endpoint_params: QueryValues = param("endpointParams", order=(AUTH,), default={})

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fill in the protocol, which may follow from the host, and the mode and value, which have three spellings."""
        if "host" not in given:
            return given
        protocol = given.get("protocol", AUTO)
        if protocol not in (AMQP, HTTP, AUTO):
            raise ValueError(f"protocol: must be {AMQP}, {HTTP} or {AUTO}")
        if protocol == AUTO:
            protocol = protocol_of(given["host"])
        mode, value = aim(
            given.get("mode", UNKNOWN),
            given.get("value", 0.0),
            given.get("queueLength", 0.0),
            protocol=protocol,
            has_timeout=bool(given.get("timeout")),
        )
        return {**given, "protocol": protocol, "mode": mode, "value": value}

    @property
    def address(self) -> Address:
        """Whom the trigger means."""
        return address(self.host, self.protocol, vhost=self.vhost_name, username=self.username, password=self.password)

    @property
    def has_tls_of_its_own(self) -> bool:
        """Whether the authentication says how TLS is spoken."""
        return self.tls == "enable"

    def management(self) -> ManagementMetadata:
        """Return how the management API is asked."""
        who = self.address
        pair = {"ca": self.ca, "cert": self.cert, "key": self.key, "keyPassword": self.key_password}
        tokens = self.oauth_token_uri or self.workload_identity_resource
        modes = {"oauth": bool(self.oauth_token_uri), "basic": who.username is not None and not tokens}
        given: dict[str, Any] = {
            "url": who.queues,
            "authModes": [mode for mode, used in modes.items() if used],
            "username": who.username or "",
            "password": who.password,
            "oauthTokenURI": self.oauth_token_uri,
            "scopes": self.scopes,
            "clientID": self.client_id,
            "clientSecret": self.client_secret,
            "endpointParams": self.endpoint_params,
            "unsafeSsl": self.unsafe_ssl,
            "workloadIdentityResource": self.workload_identity_resource,
        }
        return ManagementMetadata(**given, **(pair if self.has_tls_of_its_own else {}))

    def ssl_context(self, platform: Platform) -> ssl.SSLContext:
        """Return how TLS is spoken; raise `ScalerError` saying which certificate or key cannot be used."""
        if not self.has_tls_of_its_own:
            return tls_context(platform, ca="", pair=None, unsafe=self.unsafe_ssl)
        pair = (self.cert, self.key) if self.cert else None
        password = self.key_password
        return tls_context(platform, ca=self.ca, pair=pair, unsafe=self.unsafe_ssl, key_password=password, strict=True)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each thing that does not go together (KEDA's Validate)."""
        oauth = {"oauthTokenURI": self.oauth_token_uri, "clientID": self.client_id, "clientSecret": self.client_secret}
        needs_http = {
            "useRegex": self.use_regex,
            "excludeUnacknowledged": self.exclude_unacknowledged,
            "workloadIdentityResource": self.workload_identity_resource,
            **oauth,
        }
        wrong = {
            "tls: must be enable or disable": self.tls not in ("enable", "disable"),
            "cert, key: needed together": bool(self.cert) != bool(self.key),
            "username, password: needed together": bool(self.username) != bool(self.password),
            f"operation: must be one of {', '.join(OPERATIONS)}": self.use_regex and self.operation not in OPERATIONS,
            # The addresses of Microsoft's own APIs: whoever is the broker would be given a token for them.
            "workloadIdentityResource: expected the id of the broker's own application, or api:// and that": bool(
                re.match("(?!api://)[a-z]+://", self.workload_identity_resource, re.IGNORECASE)
            ),
            f"{', '.join(oauth)}: needed together": any(oauth.values()) and not all(oauth.values()),
            "oauthTokenURI: not together with username and password or workloadIdentityResource": any(oauth.values())
            and bool(self.username or self.workload_identity_resource),
        }
        wrong |= {
            f"{name}: only with protocol http": self.protocol == AMQP and bool(needs_http[name]) for name in needs_http
        }
        yield from (text for text, is_wrong in wrong.items() if is_wrong)
        try:
            _ = self.address
        except ValueError as error:
            yield str(error)


class RabbitMQScaler(Scaler[RabbitMQMetadata]):
    """Queues of a broker (KEDA pkg/scalers/rabbitmq_scaler.go)."""

    metadata = RabbitMQMetadata
    batched = True

    def check(self) -> Iterator[str]:
        """Yield what does not go together, and which certificate or key cannot be used."""
        yield from super().check()
        yield from self.meta.problems()
        if self.meta.has_tls_of_its_own and bool(self.meta.cert) == bool(self.meta.key):
            try:
                self.meta.ssl_context(self.platform)
            except ScalerError as error:
                yield str(error)

    @property
    def deadline(self) -> timedelta:
        """How long one read may take."""
        return self.meta.timeout or self.platform.http_timeout

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after the queue."""
        return [ExternalSpec(normalize(f"rabbitmq-{quote_plus(self.meta.queue_name)}"), self.target(self.meta.value))]

    async def get_metrics(self) -> list[Reading]:
        """Return what the mode makes of the queue, or of what several queues come to."""
        meta = self.meta
        states: Sequence[Any] = await self.source.ask(
            Question(
                meta.queue_name,
                self.deadline.total_seconds(),
                pattern=meta.use_regex,
                page_size=meta.page_size,
                rates=meta.mode in RATE_MODES,
            )
        )
        state = composed(states, meta.operation)
        messages = state.ready if meta.exclude_unacknowledged else state.messages
        value, active = measured(meta.mode, state, messages=messages, activation=meta.activation_value)
        return [self.reading(value, active=active)]

    @classmethod
    def source_key(cls, meta: RabbitMQMetadata, trigger: Trigger) -> tuple[Any, ...]:
        """Return the virtual host of the broker, and who we are to it."""
        who = meta.address
        tls = (meta.tls, meta.ca, meta.cert, meta.key, meta.key_password, meta.unsafe_ssl)
        azure = (meta.workload_identity_resource, trigger.pod_identity if meta.workload_identity_resource else None)
        oauth = (meta.oauth_token_uri, meta.client_id, meta.client_secret, meta.scopes, meta.endpoint_params)
        # Not the address itself: two of one broker are equal where all of this is.
        return (str(who), who.path, who.vhost, who.username, who.password, *tls, *azure, *map(repr, oauth))

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, meta: RabbitMQMetadata, trigger: Trigger, platform: Platform
    ) -> AsyncIterator[AmqpConnection | ManagementConnection]:
        """Connect to the broker, or open a pool of connections to its management API."""
        who = meta.address
        if meta.protocol == HTTP:
            async with management(meta.management(), who, trigger, platform=platform) as connection:
                yield connection
            return
        # As with KEDA: a certificate says who we are where nobody gave a password.
        external = meta.has_tls_of_its_own and bool(meta.cert) and not who.password
        tls = meta.ssl_context(platform) if who.scheme == "amqps" else None
        amqp = AmqpConnection(who, tls, external=external)
        await amqp.open()
        try:
            yield amqp
        finally:
            await amqp.close()

    @classmethod
    async def answer_all(
        cls, connection: AmqpConnection | ManagementConnection, questions: Sequence[Any]
    ) -> Sequence[Any]:
        """Return the states of the queues that each question means."""
        return await connection.answer_all(cast("Sequence[Question]", questions))
