"""What all scalers that ask over HTTP have in common: authentication, TLS, one pooled client, and honest failures.

Triggers that talk to one origin with the same credentials share a client; equal requests are sent once. The rules are
those of KEDA's pkg/scalers/authentication. Messages name the origin and never a path's query, a header or a body's
secret: what a server says of itself is quoted, what we sent is not.
"""

import base64
import html
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, unquote, unquote_plus

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
from keda_py_scalers.cloud_http import Bearer, CloudHttp, Reply, issued
from keda_py_scalers.http_body import body_of
from keda_py_scalers.transport import proxy_for, reason_of, telling, tls_context

CONNECTIONS: Final = 32
REDIRECTS: Final = 10
QUOTED: Final = 200
_REQUESTS: Final = 4096
IDLE_SECONDS: Final = 90.0
"""How long an idle connection is kept, as KEDA does: longer than the usual polling interval."""


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

    def tls(self, platform: Platform) -> ssl.SSLContext:
        """Return how TLS is spoken; raise `ScalerError` saying which certificate or key cannot be used."""
        pair = (self.cert, self.key) if self.has_tls_of_its_own and self.cert and self.key else None
        return tls_context(platform, ca=self.ca, pair=pair, unsafe=self.unsafe_ssl, strict=self.has_tls_of_its_own)

    @property
    def has_tls_of_its_own(self) -> bool:
        """Whether the authentication says how TLS is spoken, with certificates that have to be some."""
        return "tls" in self.auth_modes

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

    def login(self, trigger: Trigger, http: CloudHttp, platform: Platform) -> Bearer | None:  # noqa: ARG002  a hook
        """Return the tokens of a pod identity, None without one; raise `ScalerError` if it cannot be had."""
        return None

    def signing(self, trigger: Trigger, platform: Platform, session: aiohttp.ClientSession) -> "Signing | None":  # noqa: ARG002  a hook
        """Return what signs and sends requests, None if they are not signed; raise `ScalerError` if it cannot be."""
        return None

    def query(self) -> dict[str, str]:
        """Return the query parameters that say who we are."""
        if "apiKey" in self.auth_modes and self.method == "query":
            return {self.key_param_name or "api_key": self.api_key}
        return {}


H = TypeVar("H", bound=HttpMetadata)


@dataclass(frozen=True, slots=True)
class Get:
    """One GET request: the question that triggers over HTTP ask. It stays out of `repr`: a URL may hold a token too."""

    url: str = field(repr=False)
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Signing(httpx.AsyncBaseTransport):
    """What signs requests and sends them, exactly as they were signed."""

    def secrets(self) -> frozenset[str]:
        """Return what was sent and must not be quoted."""
        raise NotImplementedError


class StatusError(ScalerError):
    """An answer that is no success; `status` is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class HttpConnection:
    """A pooled client with one identity."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        transport: httpx.AsyncBaseTransport,
        meta: HttpMetadata,
        login: Bearer | None = None,
        sent: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """`transport`: that of `client`, for requests that need no more of it. `login`: tokens of a pod identity.

        `sent`: what a signature needs and nothing may quote.
        """
        self._client = client
        self._transport = transport
        self._meta = meta
        # The same questions come up at each poll; building a request costs a third of sending it.
        self._request = lru_cache(maxsize=_REQUESTS)(self._build)
        self._sent = sent
        self._tokens = login or (Bearer(self._new_token) if "oauth" in meta.auth_modes else None)
        self._own = {origin(meta.address), origin(meta.oauth_token_uri)}

    async def get(self, question: Get) -> bytes:
        """Return the body of a successful answer; raise `SourceUnavailable` if there was none, else `ScalerError`."""
        token = await self.bearer()
        status, body = await self._send(question, token)
        if status == httpx.codes.UNAUTHORIZED and self._tokens:
            # Revoked before its time. Who finds out first drops it; the others do not drop the one that follows.
            self._tokens.drop(token)
            status, body = await self._send(question, await self.bearer())
        if not httpx.codes.is_success(status):
            raise StatusError(f"{origin(question.url)} answered {status}{self._quoted(body)}", status)
        return body

    async def _send(self, question: Get, token: str) -> tuple[int, bytes]:
        with _as_scaler_error(question.url):
            request = self._request(question, token)
            with self._unavailable(request):
                answer = await self._transport.handle_async_request(request)
                try:
                    if not answer.has_redirect_location:
                        return answer.status_code, await body_of(answer, _place(request.url))
                finally:
                    await answer.aclose()
            # Rare enough to be asked once more: the client knows what may be sent to another host.
            return await self._follow(request)

    def _build(self, question: Get, token: str) -> httpx.Request:
        # Names in any case are one header, and values may be any text.
        headers = httpx.Headers(question.headers, encoding="utf-8")
        for name, value in self._meta.headers().items():
            headers[name] = value
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = httpx.URL(question.url)
        if params := (*question.params, *self._meta.query().items()):
            url = url.copy_merge_params([*url.params.multi_items(), *params])
        return self._client.build_request("GET", url, headers=headers)

    async def _post(self, url: str, form: Mapping[str, Any], headers: httpx.Headers) -> tuple[int, bytes]:
        with _as_scaler_error(url):
            return await self._follow(self._client.build_request("POST", url, headers=headers, data=form))

    async def _follow(self, request: httpx.Request) -> tuple[int, bytes]:
        """Send a request and whatever it is redirected to; httpx itself would read a redirect's body without bound."""
        following: httpx.Request | None = request
        for _ in range(REDIRECTS + 1):
            with self._unavailable(request):
                answer = await self._client.send(request, stream=True)
                try:
                    following = answer.next_request
                    if following is None:
                        return answer.status_code, await body_of(answer, _place(request.url))
                finally:
                    await answer.aclose()
            request = following
        raise ScalerError(f"{_place(request.url)} redirected more than {REDIRECTS} times")

    @contextmanager
    def _unavailable(self, request: httpx.Request) -> Iterator[None]:
        """Raise for a request that got no answer; of another host than this source's it says nothing about the source.

        Another host is an endpoint of a Service, or where a redirect led.
        """
        try:
            yield
        except httpx.UnsupportedProtocol:
            raise
        except httpx.TransportError as error:
            failure = SourceUnavailable if _place(request.url) in self._own else ScalerError
            raise failure(f"{_place(request.url)}: {reason_of(error)}") from None

    async def bearer(self) -> str:
        """Return a token of the OAuth 2 client credentials grant or of a pod identity; empty if neither is wanted."""
        try:
            return await self._tokens.token() if self._tokens else ""
        except ScalerError as error:
            # Without it nothing can be asked.
            raise SourceUnavailable(str(error)) from None

    async def _new_token(self) -> tuple[str, float]:
        meta = self._meta
        form: dict[str, str | list[str]] = {"grant_type": "client_credentials", **meta.endpoint_params}
        if scopes := [scope for scope in meta.scopes if scope]:
            form["scope"] = " ".join(scopes)
        # Quoted, as RFC 6749 section 2.3.1 has it.
        pair = f"{quote_plus(meta.client_id)}:{quote_plus(meta.client_secret)}".encode()
        headers = httpx.Headers({"Authorization": f"Basic {base64.b64encode(pair).decode()}"})
        status, body = await self._post(meta.oauth_token_uri, form, headers)
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            # Some servers take the client's credentials in the form only.
            form |= {"client_id": meta.client_id, "client_secret": meta.client_secret}
            status, body = await self._post(meta.oauth_token_uri, form, httpx.Headers())
        if not httpx.codes.is_success(status):
            raise SourceUnavailable(f"no token: {origin(meta.oauth_token_uri)} answered {status}{self._quoted(body)}")
        return issued(Reply(origin(meta.oauth_token_uri), status, {}, body))

    def _quoted(self, body: bytes) -> str:
        """Return how a server's words begin, or nothing of them if they repeat, in whatever quoting, what is secret."""
        meta = self._meta
        secrets = {
            self._tokens.kept if self._tokens else "",
            meta.bearer_token,
            meta.password,
            meta.api_key,
            meta.client_secret,
            *self._sent(),
        }
        secrets |= {value for values in meta.endpoint_params.values() for value in values}
        secrets |= {meta.custom_auth_value, *(value.rpartition(" ")[2] for value in meta.headers().values())}
        # More than is shown, so that no secret is cut in two and not found.
        text = body[: QUOTED * 32].decode(errors="replace")
        views = (text, unquote(text), unquote_plus(text), html.unescape(text), text.replace("\\", ""))
        if any(secret in view for secret in secrets if secret for view in views):
            return ", in words that repeat a secret"
        shown = " ".join(text[: QUOTED * 4].split())[:QUOTED]
        return f": {shown}" if shown else ""


@contextmanager
def _as_scaler_error(url: str) -> Iterator[None]:
    """Raise `ScalerError` for what cannot be a request."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise ScalerError(f"{origin(url)} cannot be asked: is it http:// or https:// and a host?") from None
    except ValueError:
        raise ScalerError(f"{origin(url)} cannot be asked: a header has characters that none may have") from None


class HttpScaler(Scaler[H]):
    """Base of scalers over HTTP: `self.source.ask(Get(…))` is the body of the answer."""

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the authentication."""
        yield from super().check()
        problems = list(self.meta.problems())
        yield from problems
        # All authorities of the system are read for a context: only if there is something to find out.
        if self.meta.has_tls_of_its_own and not problems:
            try:
                self.meta.tls(self.platform)
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
            ssl=meta.tls(platform),
            limit=CONNECTIONS,
            force_close=not platform.keep_alive,
            keepalive_timeout=IDLE_SECONDS if platform.keep_alive else None,
        )
        # Not by trust_env: that would read the environment and ~/.netrc again for each request, in a thread.
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(meta.address),
            middlewares=telling(platform),
        )
        async with session, aclosing(CloudHttp(platform)) as cloud:
            signing = meta.signing(trigger, platform, session)
            transport = signing or AiohttpTransport(verify=False, client=session)
            async with httpx.AsyncClient(
                transport=transport,
                # Deadlines are the engine's, one for each question.
                timeout=None,  # noqa: S113
                headers={"Accept-Encoding": "gzip"},
                # Cookies would tie the triggers of a source together, and pile up.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            ) as client:
                login = meta.login(trigger, cloud, platform)
                yield HttpConnection(client, transport, meta, login, signing.secrets if signing else frozenset)

    @classmethod
    async def answer(cls, connection: HttpConnection, question: Get) -> bytes:
        """Return the body of a successful answer."""
        return await connection.get(question)


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, fit for a message: no user, path or query."""
    try:
        return _place(httpx.URL(url))
    except (httpx.InvalidURL, ValueError):
        return "the address"


def _place(url: httpx.URL) -> str:
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}" if url.host else "the address"
