"""Queries to Amazon Managed Service for Prometheus: each is signed (KEDA pkg/scalers/aws/aws_sigv4.go).

A signature is good for one request to one host, and the key that made it is not sent: so it may go wherever a manifest
says. What is signed is what is sent, byte for byte, which is why nothing lies between this and the connection.
"""

import asyncio
import os
import re
from typing import Final
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from yarl import URL

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.aws import Account, Identity, Keys, open_account
from keda_py_scalers.http import Signing, StatusError, origin

SERVICE: Final = "aps"
_REFUSED: Final = frozenset({401, 403})


def region_of(given: str) -> str:
    """Return the region to sign for: that of the manifest, else the daemon's own; raise `ScalerError` without any."""
    region = given.strip() or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if not region:
        raise ScalerError("awsRegion: required to sign for AWS; set it to the region of the workspace, as eu-west-1")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,63}", region):
        raise ScalerError("awsRegion: not the name of a region; set it to the region of the workspace, as eu-west-1")
    return region


class AwsSigning(Signing):
    """Signs with an identity's credentials of the moment: they are replaced before they end."""

    def __init__(self, identity: Identity, *, region: str, platform: Platform, session: aiohttp.ClientSession) -> None:
        """`session`: what requests are sent with; whoever gave it closes it."""
        self._identity = identity
        self._region = region
        self._platform = platform
        self._session = session
        self._account: Account | None = None
        self._opening = asyncio.Lock()
        self._used = Keys("", "")

    def secrets(self) -> frozenset[str]:
        """Return the credentials that were used last."""
        return frozenset({self._used.access_key, self._used.secret_key, self._used.session_token})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to a request; raise `SourceUnavailable` without credentials, `StatusError` for a refusal.

        AWS's words for that are not quoted: those about a wrong signature repeat the request, session token included.
        """
        answer = await self._send(request)
        place = origin(str(request.url))
        if answer.has_redirect_location:
            await answer.aclose()
            raise ScalerError(f"{place} redirects, but a signature is good for one address; set serverAddress to that")
        if answer.status_code in _REFUSED:
            await answer.aclose()
            raise StatusError(
                f"{place} answered {answer.status_code} to a request signed for {SERVICE} in {self._region}: may the "
                "identity aps:QueryMetrics on the workspace, and are awsRegion, the keys and the clock right?",
                answer.status_code,
            )
        return answer

    async def _send(self, request: httpx.Request) -> httpx.Response:
        url = canonical(request.url)
        headers = await self._headers(request, url)
        with map_aiohttp_exceptions():
            sending = self._session.request(
                request.method,
                # As it is: otherwise it would be put into another form than was signed.
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
            answer = await sending.__aenter__()
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=AiohttpResponseStream(answer), request=request
        )

    async def _headers(self, request: httpx.Request, url: str) -> list[tuple[str, str]]:
        try:
            self._used = keys = await (await self._opened()).keys()
        except ScalerError as error:
            # Without credentials nothing can be asked.
            raise SourceUnavailable(str(error)) from None
        # AWS's library is large, and there now.
        from keda_py_scalers.aws_signature import signed_headers  # noqa: PLC0415

        headers = request.headers.copy()
        # A signature is for where the request goes, whatever a manifest's customHeaders say.
        headers["Host"] = request.url.netloc.decode()
        amazons = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
        headers.update(signed_headers(keys, SERVICE, self._region, method=request.method, url=url, headers=amazons))
        return [(name.decode("ascii"), value.decode()) for name, value in headers.raw]

    async def _opened(self) -> Account:
        async with self._opening:
            if self._account is None:
                self._account = await open_account(self._identity, region=self._region, platform=self._platform)
            return self._account


def canonical(url: httpx.URL) -> str:
    """Return a URL with its query as AWS encodes it: everything but RFC 3986's unreserved characters is escaped."""
    pairs = (f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in url.params.multi_items())
    path = url.raw_path.decode("ascii").partition("?")[0]
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}?{'&'.join(pairs)}"
