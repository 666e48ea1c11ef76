"""Requests to a HashiCorp Vault: JSON in and out, honest failures, and what the daemon's environment says of Vaults.

The environment is that of Vault's own client (github.com/hashicorp/vault/api, Config.ReadEnvironment), which KEDA uses.
Messages name the server, the path and Vault's own words, and never a token.
"""

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urljoin

import httpx

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.http import origin
from keda_py_scalers.transport import proxy_for, tls_context

LARGEST_BODY: Final = 2**20
QUOTED: Final = 300
_IN_PATHS: Final = "/:@!$&'()*+,;=~"
_UNWELL: Final = frozenset({429, 472, 473, 500, 502, 503, 504})
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


class Refused(ScalerError):
    """Vault answered, and gave nothing; `status` is its HTTP status, `answer` what else it said."""

    def __init__(self, text: str, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.status = status
        self.answer = answer


class VaultClient:
    """A client of one server and one namespace; the token is given with each request."""

    def __init__(self, address: str, namespace: str, platform: Platform) -> None:
        """Raise `ScalerError` for an address that is none, or certificates of the environment that cannot be used."""
        self.place = origin(address)
        self._root = f"{address.rstrip('/')}/v1/"
        self._extensions = {"sni_hostname": name} if (name := os.environ.get("VAULT_TLS_SERVER_NAME")) else {}
        headers = {"X-Vault-Request": "true", "Accept-Encoding": "identity"}
        if space := namespace or os.environ.get("VAULT_NAMESPACE", ""):
            headers["X-Vault-Namespace"] = space
        # Deadlines are the engine's. Not by trust_env: that would read ~/.netrc.
        self._client = httpx.AsyncClient(
            verify=_tls(platform),
            trust_env=False,
            proxy=proxy_for(address),
            timeout=None,  # noqa: S113
            headers=httpx.Headers(headers, encoding="utf-8"),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def read(self, path: str, token: str) -> dict[str, Any]:
        """Return what is at a path; raise `Refused`, or `SourceUnavailable` without an answer."""
        return await self._call("GET", path, token, None)

    async def write(self, path: str, token: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write to a path and return what comes back."""
        return await self._call("PUT", path, token, body)

    async def _call(self, method: str, path: str, token: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        url = self._root + quote(path.lstrip("/"), safe=_IN_PATHS)
        status, content, location = await self._send(method, url, token, body)
        if location is not None:
            # A standby names the active server. Once, and never from https to http, as Vault's client does.
            if url.startswith("https:") and not location.startswith("https:"):
                raise ScalerError(f"{self.place} redirects from https to http")
            status, content, _ = await self._send(method, location, token, body)
        answer = _decoded(content)
        if 200 <= status < 300:  # noqa: PLR2004  HTTP's own numbers
            return answer
        text = f"{self.place} answered {status} to {path}{self._words(answer, token, body)}"
        raise SourceUnavailable(text) if status in _UNWELL else Refused(text, status, answer)

    async def _send(
        self, method: str, url: str, token: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes, str | None]:
        try:
            request = self._client.build_request(
                method, url, json=body, headers={"X-Vault-Token": token} if token else {}, extensions=self._extensions
            )
            answer = await self._client.send(request, stream=True)
            try:
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > LARGEST_BODY:
                        raise ScalerError(f"{self.place} answered more than {LARGEST_BODY >> 20} MiB")
            finally:
                await answer.aclose()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ScalerError(f"{self.place} cannot be asked: is it http:// or https:// and a host?") from None
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{self.place}: {_reason(error)}") from None
        except ValueError:
            raise ScalerError("the token or the namespace has characters that no header may have") from None
        location = answer.headers.get("Location") if answer.status_code in (301, 302, 307, 308) else None
        return answer.status_code, bytes(content), urljoin(url, location) if location else None

    @staticmethod
    def _words(answer: Mapping[str, Any], token: str, body: Mapping[str, Any] | None) -> str:
        """Return Vault's own words, or nothing of them if they repeat what we sent."""
        errors = answer.get("errors")
        text = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        sent = [token, *(str(value) for name, value in (body or {}).items() if name == "jwt")]
        if not text or any(secret in text for secret in sent if secret):
            return ""
        return f": {' '.join(text.split())[:QUOTED]}"


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tls(platform: Platform) -> ssl.SSLContext:
    given = os.environ.get
    trusted = tuple(filter(None, (given("VAULT_CACERT") or given("VAULT_CAPATH"),)))
    ca = given("VAULT_CACERT_BYTES", "")
    pair = (given("VAULT_CLIENT_CERT", ""), given("VAULT_CLIENT_KEY", ""))
    return tls_context(
        replace(platform, ca_paths=(*platform.ca_paths, *trusted)),
        ca=ca,
        pair=(_file(pair[0]), _file(pair[1])) if all(pair) else None,
        unsafe=given("VAULT_SKIP_VERIFY", "") in _TRUE,
        strict=bool(ca),
    )


def _file(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        raise ScalerError(f"{path}, which VAULT_CLIENT_CERT or VAULT_CLIENT_KEY names, cannot be read") from None


def _reason(error: httpx.TransportError) -> str:
    """Return why there was no answer, from the first cause that says so."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return str(error).lower() or type(error).__name__


NOT_FOUND: Final = HTTPStatus.NOT_FOUND
FORBIDDEN: Final = HTTPStatus.FORBIDDEN
