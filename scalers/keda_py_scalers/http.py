"""What all scalers that ask over HTTP have in common: authentication, TLS, one pooled client, and honest failures.

Triggers that talk to one origin with the same credentials share a client; equal requests are sent once. The rules are
those of KEDA's pkg/scalers/authentication. Messages name the origin and never a path's query, a header or a body's
secret: what a server says of itself is quoted, what we sent is not.
"""

import asyncio
import base64
import binascii
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from keda_py.scaler import (
    AUTH,
    TRIGGER,
    Metadata,
    Platform,
    QueryValues,
    Scaler,
    ScalerError,
    SourceUnavailable,
    Trigger,
    param,
)

LARGEST_BODY: Final = 8 * 2**20
CONNECTIONS: Final = 32
REDIRECTS: Final = 10
QUOTED: Final = 200
_TOKEN_MARGIN_SECONDS: Final = 10.0
_TOKEN_LIFE_SECONDS: Final = 3600.0
_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class HttpMetadata(Metadata):
    """Parameters that every trigger over HTTP has (KEDA pkg/scalers/authentication/authentication_types.go)."""

    auth_modes: list[str] = param(
        "authModes",
        "authMode",
        order=(TRIGGER, AUTH),
        default=[],
        enum=("apiKey", "basic", "tls", "bearer", "custom", "oauth"),
        exclusive=("bearer", "basic", "oauth"),
    )
    bearer_token: str = param("bearerToken", "token", order=(AUTH,), default="")
    username: str = param("username", order=(AUTH,), default="")
    password: str = param("password", order=(AUTH,), default="")
    cert: str = param("cert", order=(AUTH,), default="")
    key: str = param("key", order=(AUTH,), default="")
    ca: str = param("ca", order=(AUTH,), default="")
    oauth_token_uri: str = param("oauthTokenURI", order=(AUTH,), default="")
    scopes: list[str] = param("scopes", "scope", order=(AUTH,), default=[])
    client_id: str = param("clientID", order=(AUTH,), default="")
    client_secret: str = param("clientSecret", order=(AUTH,), default="")
    endpoint_params: QueryValues = param("endpointParams", order=(AUTH,), default={})
    custom_auth_header: str = param("customAuthHeader", order=(AUTH,), default="")
    custom_auth_value: str = param("customAuthValue", order=(AUTH,), default="")
    api_key: str = param("apiKey", order=(TRIGGER, AUTH), default="")
    method: str = param("method", order=(TRIGGER, AUTH), default="header", enum=("header", "query"))
    key_param_name: str = param("keyParamName", order=(TRIGGER, AUTH), default="")
    unsafe_ssl: bool = param("unsafeSsl", default=False)
    timeout: timedelta = param("timeout", default=timedelta(0))

    @property
    def address(self) -> str:
        """The URL of the server; triggers of one origin and one identity share a client."""
        raise NotImplementedError

    @property
    def identity(self) -> tuple[Any, ...]:
        """Everything that who we are to the server depends on."""
        shared = HttpMetadata.model_fields.keys() - {"timeout"}
        return tuple((name, repr(getattr(self, name))) for name in sorted(shared))

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each mode of authentication that lacks something."""
        needed = {
            "bearer": {"bearerToken": self.bearer_token},
            "basic": {"username": self.username},
            "tls": {"cert": self.cert, "key": self.key},
            "oauth": {"oauthTokenURI": self.oauth_token_uri, "clientID": self.client_id},
            "custom": {"customAuthHeader": self.custom_auth_header, "customAuthValue": self.custom_auth_value},
            "apiKey": {"apiKey": self.api_key},
        }
        for mode in self.auth_modes:
            missing = [name for name, value in needed[mode].items() if not value]
            if missing:
                yield f"authModes: {mode} needs {' and '.join(missing)} from the TriggerAuthentication"

    def headers(self) -> dict[str, str]:
        """Return the headers that say who we are."""
        found: dict[str, str] = {}
        if "apiKey" in self.auth_modes and self.method == "header":
            found[self.key_param_name or "X-API-KEY"] = self.api_key
        if "custom" in self.auth_modes:
            found[self.custom_auth_header] = self.custom_auth_value
        if "basic" in self.auth_modes:
            pair = f"{self.username}:{self.password}".encode()
            found["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if "bearer" in self.auth_modes:
            found["Authorization"] = f"Bearer {self.bearer_token}"
        return found

    def query(self) -> dict[str, str]:
        """Return the query parameters that say who we are."""
        if "apiKey" in self.auth_modes and self.method == "query":
            return {self.key_param_name or "api_key": self.api_key}
        return {}


H = TypeVar("H", bound=HttpMetadata)


@dataclass(frozen=True, slots=True)
class Get:
    """One GET request: the question that triggers over HTTP ask. Parameters and headers stay out of `repr`."""

    url: str
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class HttpConnection:
    """A pooled client with one identity."""

    def __init__(self, client: httpx.AsyncClient, meta: HttpMetadata) -> None:
        self._client = client
        self._meta = meta
        self._token = ""
        self._token_until = 0.0
        self._token_lock = asyncio.Lock()

    async def get(self, question: Get) -> bytes:
        """Return the body of a successful answer; raise `SourceUnavailable` if there was none, else `ScalerError`."""
        status, body = await self._send(question)
        if status == httpx.codes.UNAUTHORIZED and self._token:
            # The token may have been revoked before its time.
            self._token = ""
            status, body = await self._send(question)
        if not httpx.codes.is_success(status):
            raise ScalerError(f"{origin(question.url)} answered {status}{_quoted(body)}")
        return body

    async def _send(self, question: Get) -> tuple[int, bytes]:
        headers = dict(question.headers) | self._meta.headers()
        if "oauth" in self._meta.auth_modes:
            headers["Authorization"] = f"Bearer {await self._bearer()}"
        try:
            url = _url(question.url, (*question.params, *self._meta.query().items()))
            return await self._read(self._client.build_request("GET", url, headers=headers))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
            raise ScalerError(
                f"{origin(question.url)} cannot be asked: is it http:// or https:// and a host?"
            ) from None

    async def _read(self, request: httpx.Request) -> tuple[int, bytes]:
        try:
            answer = await self._client.send(request, stream=True)
            try:
                return answer.status_code, await _body(answer)
            finally:
                await answer.aclose()
        except httpx.TooManyRedirects:
            raise ScalerError(f"{_place(request.url)} redirected more than {REDIRECTS} times") from None
        except httpx.TransportError as error:
            if isinstance(error, httpx.UnsupportedProtocol):
                raise
            raise SourceUnavailable(f"{_place(request.url)}: {_reason(error)}") from None

    async def _bearer(self) -> str:
        """Return a token of the OAuth 2 client credentials grant, asked for once until it is about to end."""
        loop = asyncio.get_running_loop()
        async with self._token_lock:
            if not self._token or loop.time() >= self._token_until:
                self._token, seconds = await self._new_token()
                self._token_until = loop.time() + max(0.0, seconds - _TOKEN_MARGIN_SECONDS)
            return self._token

    async def _new_token(self) -> tuple[str, float]:
        meta = self._meta
        form: dict[str, str | list[str]] = {"grant_type": "client_credentials", **meta.endpoint_params}
        if scopes := [scope for scope in meta.scopes if scope]:
            form["scope"] = " ".join(scopes)
        pair = f"{meta.client_id}:{meta.client_secret}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        request = self._client.build_request("POST", meta.oauth_token_uri, data=form, headers=headers)
        status, body = await self._read(request)
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            # Some servers take the client's credentials in the form only.
            form |= {"client_id": meta.client_id, "client_secret": meta.client_secret}
            status, body = await self._read(self._client.build_request("POST", meta.oauth_token_uri, data=form))
        if not httpx.codes.is_success(status):
            raise ScalerError(f"no token: {origin(meta.oauth_token_uri)} answered {status}{_quoted(body)}")
        try:
            found = httpx.Response(200, content=body).json()
            return str(found["access_token"]), float(found.get("expires_in") or _TOKEN_LIFE_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ScalerError(f"no token: {origin(meta.oauth_token_uri)} answered without one") from None


@lru_cache(maxsize=4096)
def _url(url: str, params: tuple[tuple[str, str], ...]) -> httpx.URL:
    """Return a URL with further parameters; the same ones come up at each read."""
    parsed = httpx.URL(url)
    return parsed.copy_merge_params([*parsed.params.multi_items(), *params]) if params else parsed


async def _body(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise ScalerError(f"{_place(answer.url)} answered more than {LARGEST_BODY >> 20} MiB")
    return bytes(content)


class HttpScaler(Scaler[H]):
    """Base of scalers over HTTP: `self.source.ask(Get(…))` is the body of the answer."""

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the authentication."""
        yield from super().check()
        yield from self.meta.problems()
        if "tls" in self.meta.auth_modes:
            try:
                tls_context(self.meta, self.platform)
            except ScalerError as error:
                yield str(error)

    @property
    def deadline(self) -> timedelta:
        """How long one read may take."""
        return self.meta.timeout or self.platform.http_timeout

    @classmethod
    def source_key(cls, meta: H, trigger: Trigger) -> tuple[Any, ...]:
        """Return the origin, and who we are to it."""
        return (origin(meta.address), *meta.identity)

    @classmethod
    @asynccontextmanager
    async def connect(cls, meta: H, trigger: Trigger, platform: Platform) -> AsyncIterator[HttpConnection]:
        """Open a pool of connections."""
        connector = aiohttp.TCPConnector(
            ssl=tls_context(meta, platform), limit=CONNECTIONS, force_close=not platform.keep_alive
        )
        # Not by trust_env: that would read the environment and ~/.netrc again for each request, in a thread.
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy_for(meta.address)
        )
        transport = AiohttpTransport(verify=False, client=session)
        # Deadlines are the engine's, one for each question.
        async with httpx.AsyncClient(
            transport=transport,
            timeout=None,  # noqa: S113
            follow_redirects=True,
            max_redirects=REDIRECTS,
        ) as client:
            yield HttpConnection(client, meta)

    @classmethod
    async def answer(cls, connection: HttpConnection, question: Get) -> bytes:
        """Return the body of a successful answer."""
        return await connection.get(question)


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) has for a URL, None for none."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        # What is no URL is told when it is asked.
        return None
    return getproxies().get(scheme) if host and not proxy_bypass(host) else None


def tls_context(meta: HttpMetadata, platform: Platform) -> ssl.SSLContext:
    """Return how TLS is spoken for a trigger; raise `ScalerError` saying which certificate or key cannot be used."""
    context = ssl.create_default_context()
    context.minimum_version = _TLS_VERSIONS[platform.min_tls]
    # Authorities in clusters often lack the extensions that the strict mode of newer Pythons wants.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if platform.ciphers:
        context.set_ciphers(platform.ciphers)
    for path in map(Path, platform.ca_paths):
        for file in sorted(path.iterdir()) if path.is_dir() else [path] * path.is_file():
            if file.is_file():
                context.load_verify_locations(cafile=str(file))
    if meta.unsafe_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if meta.ca:
        _load_authority(context, meta)
    if "tls" in meta.auth_modes:
        _load_pair(context, meta)
    return context


def _load_authority(context: ssl.SSLContext, meta: HttpMetadata) -> None:
    try:
        context.load_verify_locations(cadata=meta.ca)
    except (ssl.SSLError, ValueError, TypeError):
        # KEDA looks at it with authModes tls only: manifests may carry anything there otherwise.
        if "tls" in meta.auth_modes:
            raise ScalerError("ca: no certificate in PEM form") from None


def _load_pair(context: ssl.SSLContext, meta: HttpMetadata) -> None:
    # The ssl module reads keys from files only; the folder is ours alone, and gone at once.
    with tempfile.TemporaryDirectory(prefix="keda-py-") as folder:
        paths = Path(folder, "cert"), Path(folder, "key")
        for path, content in zip(paths, (meta.cert, meta.key), strict=True):
            path.touch(mode=0o600)
            path.write_text(content)
        try:
            context.load_cert_chain(*paths, password="")
        except (ssl.SSLError, ValueError, binascii.Error):
            raise ScalerError("cert, key: no certificate and key in PEM form that belong together") from None


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, fit for a message: no user, path or query."""
    try:
        return _place(httpx.URL(url))
    except (httpx.InvalidURL, ValueError):
        return "the address"


def _place(url: httpx.URL) -> str:
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}" if url.host else "the address"


def _reason(error: httpx.TransportError) -> str:
    """Return why there was no answer; aiohttp's own words name the host again, and no more than that."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {getattr(cause.certificate_error, 'verify_message', 'unknown')}"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return cause.os_error.strerror or str(cause.os_error) or "cannot connect"
    return type(cause or error).__name__


def _quoted(body: bytes) -> str:
    text = " ".join(body[:QUOTED].decode(errors="replace").split())
    return f": {text}" if text else ""
