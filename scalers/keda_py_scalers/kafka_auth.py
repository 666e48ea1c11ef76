"""Who a Kafka trigger is to its brokers: TLS, SASL, and where the tokens of OAUTHBEARER come from.

A `Login` holds all of it as plain values, so that triggers with the same one can share connections. `entered` makes of
it a way to connect, and keeps what that needs open for as long.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Final

from aiokafka.abc import AbstractTokenProvider

from keda_py.scaler import Platform, ScalerError, SourceUnavailable, Trigger
from keda_py_scalers.aws import Identity, open_account
from keda_py_scalers.kafka_connection import open_wire
from keda_py_scalers.transport import tls_context

MECHANISMS: Final = {
    "plaintext": "PLAIN",
    "scram_sha256": "SCRAM-SHA-256",
    "scram_sha512": "SCRAM-SHA-512",
    "oauthbearer": "OAUTHBEARER",
    "aws_msk_iam": "OAUTHBEARER",
    "gssapi": "GSSAPI",
}
"""The SASL mechanism that a value of `sasl` stands for."""
KERBEROS_MISSING: Final = "sasl gssapi needs the Python module {}; install it where keda-py runs (its extra kerberos)"
KERBEROS_BROKEN: Final = (
    "sasl gssapi: the Python module gssapi cannot be loaded; does the daemon's image have MIT Kerberos' libraries "
    "(Debian's libgssapi-krb5-2)?"
)

Connect = Callable[..., Awaitable[Any]]
"""Opens aiokafka's connection to a host and port, as kafka_connection.open_wire does."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is spoken."""

    ca: str = field(default="", repr=False)
    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)
    unsafe: bool = False

    @property
    def has_files(self) -> bool:
        """Whether there is a certificate or key of the trigger's own."""
        return bool(self.ca or self.cert or self.key)

    def context(self, platform: Platform) -> ssl.SSLContext:
        """Return it; raise `ScalerError` saying which certificate or key cannot be used."""
        pair = (self.cert, self.key) if self.cert and self.key else None
        return tls_context(
            platform, ca=self.ca, pair=pair, unsafe=self.unsafe, key_password=self.key_password, strict=True
        )


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where tokens are to be had by the client credentials grant."""

    url: str
    client: str = field(repr=False)
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class AwsLogin:
    """Who to be at AWS, for MSK's IAM access control."""

    identity: Identity
    region: str


@dataclass(frozen=True, slots=True)
class KerberosLogin:
    """Who to be to Kerberos; with a password, or else a keytab."""

    principal: str
    keytab: str = field(repr=False)
    config: str = field(repr=False)
    service: str


@dataclass(frozen=True, slots=True)
class Login:
    """Everything that who we are to a cluster depends on; equal ones may share connections."""

    sasl: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: Tls | None = None
    further: TokenEndpoint | AwsLogin | KerberosLogin | None = None

    @property
    def mechanism(self) -> str:
        """The SASL mechanism, empty for none."""
        return MECHANISMS.get(self.sasl, "")


@asynccontextmanager
async def entered(login: Login, platform: Platform, trigger: Trigger) -> AsyncIterator[Connect]:
    """Yield how to connect to a broker."""
    options: dict[str, Any] = {"security_protocol": "PLAINTEXT"}
    if login.tls is not None:
        options |= {"security_protocol": "SSL", "ssl_context": login.tls.context(platform)}
    if not login.sasl:
        yield partial(open_wire, **options)
        return
    options["security_protocol"] = "SASL_PLAINTEXT" if login.tls is None else "SASL_SSL"
    options["sasl_mechanism"] = login.mechanism
    async with _credentials(login, platform, trigger) as (connect, credentials):
        yield partial(connect, **options, **credentials)


@asynccontextmanager
async def _credentials(
    login: Login, platform: Platform, trigger: Trigger
) -> AsyncIterator[tuple[Connect, dict[str, Any]]]:
    match login.further:
        case None:
            pair = {"sasl_plain_username": login.username, "sasl_plain_password": login.password}
            yield open_wire, pair
        case KerberosLogin() as kerberos:
            yield _kerberos(kerberos, login.password), {}
        case AwsLogin() as aws:
            token = await _tokens_of_aws(aws, platform)
            yield open_wire, {"sasl_oauth_token_provider": _provider(token, {})}
        case TokenEndpoint() as endpoint:
            # Only few clusters want such tokens, and an HTTP client is large.
            from keda_py_scalers.kafka_token import tokens_of  # noqa: PLC0415

            async with tokens_of(
                platform,
                trigger,
                url=endpoint.url,
                client=endpoint.client,
                secret=endpoint.secret,
                scopes=endpoint.scopes,
            ) as token:
                provider = _provider(token, dict(endpoint.extensions))
                yield open_wire, {"sasl_oauth_token_provider": provider}


def _kerberos(login: KerberosLogin, password: str) -> Connect:
    try:
        # Compiled against MIT Kerberos, which is not everywhere.
        import_module("gssapi")
    except ModuleNotFoundError as error:
        raise SourceUnavailable(KERBEROS_MISSING.format(error.name)) from None
    except ImportError:
        raise SourceUnavailable(KERBEROS_BROKEN) from None
    from keda_py_scalers.kafka_kerberos import Kerberos  # noqa: PLC0415  few clusters want it

    return Kerberos(
        principal=login.principal,
        password=password,
        keytab=login.keytab,
        config=login.config,
        service=login.service,
    ).connect


def _provider(token: Callable[[], Awaitable[str]], extensions: Mapping[str, str]) -> Any:
    class Provider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types, and asks for this class
        async def token(self) -> str:
            try:
                return await token()
            except ScalerError as error:
                # Without a token nothing on this cluster can be read.
                raise SourceUnavailable(str(error)) from None

        def extensions(self) -> dict[str, str]:
            return dict(extensions)

    return Provider()


async def _tokens_of_aws(login: AwsLogin, platform: Platform) -> Callable[[], Awaitable[str]]:
    account = await open_account(login.identity, region=login.region, platform=platform)
    # AWS's library is large, and there now.
    from keda_py_scalers.kafka_msk import token_for  # noqa: PLC0415

    async def token() -> str:
        return token_for(await account.keys(), login.region)

    return token
