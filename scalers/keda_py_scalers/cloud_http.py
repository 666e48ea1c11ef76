"""Requests to the APIs of clouds: one pool of connections, tokens that are kept until they end, bounds on everything.

A login and what it is for are two places, so that proxies are chosen for each request. Nobody is followed to where a
redirect leads, for a token would go along. Messages name the host and never what was sent or answered.
"""

import asyncio
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.transport import proxy_for, telling, tls_context

CONNECTIONS: Final = 16
IDLE_SECONDS: Final = 90.0
"""How long an idle connection is kept: longer than secrets go unread."""
LARGEST_BODY: Final = 2**20
USUAL_LIFE_SECONDS: Final = 3600.0
"""How long a token is good for if nobody says."""
LONGEST_LIFE_SECONDS: Final = 86400.0
TOKEN_MARGIN_SECONDS: Final = 60.0
"""So long before its end a token is replaced."""
_UNWELL: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; what is in it stays out of `repr`."""

    place: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Mapping[str, Any]:
        """Return the object that the answer is; raise `ScalerError` if it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ScalerError(f"{self.place} did not answer as its API does: is that the right address?")
        return found

    def text(self, *path: str) -> str:
        """Return a text somewhere in the object that the answer is; empty if it is not there."""
        try:
            found: Any = self.json()
        except ScalerError:
            return ""
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, str) else ""


class CloudHttp:
    """A pool of connections, opened by the first request."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Mapping[str, str] | None = None,
        direct: bool = False,
    ) -> Reply:
        """Return what a URL answers, whatever its status says.

        `data`: a body, or the fields of a form. `direct`: through no proxy. Raise `SourceUnavailable` if there is no
        answer, or one that asks for less or tells of trouble there; `ScalerError` for an answer that is too long.
        """
        try:
            target = URL(url, encoded=True)
        except ValueError:
            raise ScalerError("an address is no URL such as https://host") from None
        place = _place(target)
        try:
            async with self._opened().request(
                method,
                target,
                headers=headers,
                data=data,
                proxy=None if direct else proxy_for(url),
                allow_redirects=False,
            ) as answer:
                if answer.status in _UNWELL:
                    raise SourceUnavailable(f"{place} is asked too much or is unwell ({answer.status})")
                return Reply(place, answer.status, dict(answer.headers), await _body(answer, place))
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "unknown")
            raise SourceUnavailable(f"{place}: its certificate is not trusted: {why}") from None
        except aiohttp.ClientConnectorError as error:
            raise SourceUnavailable(f"{place} cannot be reached: {_reason(error.os_error)}") from None
        except TimeoutError:
            raise SourceUnavailable(f"{place} did not answer in time") from None
        except (aiohttp.InvalidURL, ValueError):
            raise ScalerError(
                f"{place} cannot be asked: a header or the address has characters that none may"
            ) from None
        except aiohttp.ClientError as error:
            raise SourceUnavailable(f"{place} broke off its answer ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            seconds = self._platform.http_timeout.total_seconds()
            lasting: dict[str, Any] = {"keepalive_timeout": IDLE_SECONDS} if self._platform.keep_alive else {}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=tls_context(self._platform, ca="", pair=None, unsafe=False),
                    limit=CONNECTIONS,
                    force_close=not self._platform.keep_alive,
                    **lasting,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # The engine has a deadline for the whole read; what a thread waits for has to end by itself.
                timeout=aiohttp.ClientTimeout(total=seconds),
                headers={"Accept-Encoding": "identity"},
                middlewares=telling(self._platform),
            )
        return self._session


class Bearer:
    """A token that is asked for when it is first needed, and again shortly before it ends."""

    def __init__(self, ask: Callable[[], Awaitable[tuple[str, float]]]) -> None:
        """`ask`: return a new token, and for how many seconds it is good."""
        self._ask = ask
        self._token = ""
        self._until = 0.0
        self._lock = asyncio.Lock()

    @property
    def kept(self) -> str:
        """The token that was used last, empty for none."""
        return self._token

    async def token(self) -> str:
        """Return a token; raise what asking for one raised."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if not self._token or loop.time() >= self._until:
                self._token, seconds = await self._ask()
                # One that is good for less than twice the margin is used for half its time.
                self._until = loop.time() + max(seconds - TOKEN_MARGIN_SECONDS, seconds / 2)
            return self._token

    def drop(self, token: str) -> None:
        """Ask for another one next time, for this one was not accepted; one that followed it meanwhile stays."""
        if self._token == token:
            self._token = ""


def issued(reply: Reply) -> tuple[str, float]:
    """Return the token in a token server's answer (RFC 6749 section 5.1), and for how many seconds it is good."""
    try:
        answer = reply.json()
        token, seconds = answer.get("access_token"), float(answer.get("expires_in") or USUAL_LIFE_SECONDS)
    except (ScalerError, TypeError, ValueError):
        token, seconds = None, 0.0
    # It goes into a header.
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise ScalerError(f"no token: {reply.place} answered without one")
    return token, min(max(seconds, 0.0), LONGEST_LIFE_SECONDS)


def host_of(url: str, name: str) -> str:
    """Return host and port of a URL that secrets are sent to; raise `ScalerError` unless it is https and no more."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
        raise ScalerError(f"{name}: expected https:// and a host, and nothing after it")
    return f"{parts.hostname}:{port}" if port else parts.hostname


def _place(url: URL) -> str:
    """Return the host and port of a URL: what a message may say of it."""
    port = "" if url.is_default_port() or url.port is None else f":{url.port}"
    return f"{url.raw_host or 'the address'}{port}"


async def _body(answer: aiohttp.ClientResponse, place: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ScalerError(f"{place} answered with more than {LARGEST_BODY >> 20} MiB")
    return bytes(body)


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    return os.strerror(error.errno).lower() if error.errno else "no connection"
