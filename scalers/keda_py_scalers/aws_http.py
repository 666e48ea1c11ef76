"""How requests to AWS are sent: one pool of connections, our own trust and limits, honest failures.

aiobotocore's own way reads answers of any length, and behind a proxy it checks no certificate.
"""

import os
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from yarl import URL

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.aws import Throttled
from keda_py_scalers.transport import proxy_for, telling

CONNECTIONS: Final = 16
"""How many requests of one client are under way at once; further ones wait for their turn."""
IDLE_SECONDS: Final = 20.0
"""How long an idle connection is kept; shorter than AWS keeps it, or requests would be sent into closing ones."""
LARGEST_BODY: Final = 2**20
_UNWELL: Final = frozenset({429, 500, 502, 503, 504})


def place_of(url: str) -> str:
    """Return the host and port of a URL: what a message may say of it."""
    return urlsplit(url).netloc.rpartition("@")[2]


class Http:
    """What requests of the library go through: trusted certificates of the platform, bounds on everything, no retry."""

    def __init__(self, platform: Platform, tls: ssl.SSLContext, **_: Any) -> None:
        self._platform = platform
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        seconds = self._platform.http_timeout.total_seconds()
        lasting: dict[str, Any] = {"keepalive_timeout": IDLE_SECONDS} if self._platform.keep_alive else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, ssl=self._tls, force_close=not self._platform.keep_alive, **lasting
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds),
            skip_auto_headers=("Content-Type",),
            auto_decompress=False,
            middlewares=telling(self._platform),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Any) -> AioAWSResponse:
        """Return the answer to a prepared request; raise `SourceUnavailable` if there was none."""
        place = place_of(request.url)
        try:
            try:
                return await self._send(request)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
                # An idle connection may be closed at the very moment it is used; nothing was answered, so ask anew.
                return await self._send(request)
        except aiohttp.ClientConnectorCertificateError as error:
            raise SourceUnavailable(f"{place}: its certificate is not trusted: {error.certificate_error}") from None
        except aiohttp.ClientConnectorError as error:
            raise SourceUnavailable(f"{place} cannot be reached: {_reason(error.os_error)}") from None
        except TimeoutError:
            raise SourceUnavailable(f"{place} did not answer in time") from None
        except aiohttp.ClientError as error:
            raise SourceUnavailable(f"{place} broke off its answer ({type(error).__name__})") from None

    async def _send(self, request: Any) -> AioAWSResponse:
        assert self._session is not None, "sent within the client's context"  # noqa: S101  the library's own order
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        async with self._session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body,
            headers=headers | {"Accept-Encoding": "identity"},
            proxy=proxy_for(request.url),
            allow_redirects=False,
        ) as answer:
            if answer.status in _UNWELL:
                # Whoever says so, AWS or something before it, says the rest in its own language.
                raise Throttled(place_of(request.url), str(answer.status))
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise ScalerError(f"{place_of(request.url)} answered with more than {LARGEST_BODY >> 20} MiB")
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return AioAWSResponse(str(answer.url), answer.status, fields, _Body(bytes(body)))


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes = field(repr=False)

    async def read(self) -> bytes:
        return self.content


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    return os.strerror(error.errno).lower() if error.errno else "no connection"
