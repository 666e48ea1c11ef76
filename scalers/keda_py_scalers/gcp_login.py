"""Google's library as we use it: it makes tokens of what is in files, and asks through our connections.

Only `keda_py_scalers.gcp` imports this, on first use. The library waits for its answers, so it is in a thread, and what
it sends is sent by the event loop; it does not get to see what it would try again.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final

from google.auth.exceptions import GoogleAuthError, OAuthError, RefreshError

from keda_py.scaler import ScalerError
from keda_py_scalers.cloud_http import CloudHttp

_KINDS: Final = {
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
    "external_account": ("google.auth.identity_pool", "from_info"),
}
_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"
_REFUSALS: Final = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
    }
)
"""What a token server may say (RFC 6749, RFC 8693): nothing else of its words is quoted."""


_ODD: Final = (GoogleAuthError, AttributeError, KeyError, OSError, TypeError, ValueError)
"""What the library raises for what makes no sense; its words may repeat what is in a file."""


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the library sends requests with (google.auth.transport.Request)."""

    http: CloudHttp
    loop: asyncio.AbstractEventLoop

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> _Response:
        data = body.encode() if isinstance(body, str) else body
        sending = self.http.send(method, url, headers=headers, data=data)
        reply = asyncio.run_coroutine_threadsafe(sending, self.loop).result()
        return _Response(reply.status, reply.headers, reply.body)


async def log_in(
    info: Mapping[str, Any], scope: str, http: CloudHttp, *, now: Callable[[], datetime]
) -> tuple[str, float]:
    """Return a token for whom a file of credentials speaks, and for how many seconds it is good.

    Raise `ScalerError` saying what is wrong, `SourceUnavailable` if nobody can be asked.
    """
    request = _Request(http, asyncio.get_running_loop())
    try:
        token, expiry = await asyncio.to_thread(_refreshed, info, scope, request)
    except (RefreshError, OAuthError) as error:
        raise ScalerError(
            f"Google does not accept the login{_code(error)}: is the key or the federation still there, and not "
            "disabled, and the clock right?"
        ) from None
    except _ODD:
        raise ScalerError(
            "no token came of the Google credentials: is the address in them right, and does "
            "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES allow the program that they name, if any?"
        ) from None
    if not isinstance(token, str) or not token:
        raise ScalerError("Google answered the login without a token")
    seconds = (expiry.replace(tzinfo=UTC) - now()).total_seconds() if isinstance(expiry, datetime) else 0.0
    return token, max(seconds, 0.0)


def _refreshed(info: Mapping[str, Any], scope: str, request: _Request) -> tuple[Any, Any]:
    module, factory = _kind(info)
    try:
        credentials = getattr(import_module(module).Credentials, factory)(info, scopes=[scope])
    except _ODD:
        raise ScalerError("the Google credentials are not whole: make the key, or the file, anew") from None
    credentials.refresh(request)
    return credentials.token, credentials.expiry


def _kind(info: Mapping[str, Any]) -> tuple[str, str]:
    kind = str(info.get("type"))
    if kind not in _KINDS:
        raise ScalerError(f"the Google credentials are none of {', '.join(_KINDS)}")
    if kind == "external_account" and info.get("subject_token_type") == _AWS:
        return "google.auth.aws", "from_info"
    source = info.get("credential_source")
    if kind == "external_account" and isinstance(source, dict) and "executable" in source:
        return "google.auth.pluggable", "from_info"
    return _KINDS[kind]


def _code(error: GoogleAuthError) -> str:
    """Return what a token server says, if it is one of its words."""
    said = error.args[1] if len(error.args) > 1 else None
    try:
        answer = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError):
        answer = None
    code = answer.get("error") if isinstance(answer, dict) else None
    return f" ({code})" if isinstance(code, str) and code in _REFUSALS else ""
