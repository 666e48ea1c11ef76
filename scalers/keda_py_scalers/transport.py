"""How connections over HTTP are made: which TLS is spoken, through which proxy, who is told of their requests.

All is decided once for a source, when it is opened. The rules are those of KEDA's pkg/util/tls_config.go and of Go's
http.ProxyFromEnvironment, which KEDA's clients use.
"""

import binascii
import ipaddress
import os
import socket
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientHandlerType,
    ClientHttpProxyError,
    ClientMiddlewareType,
    ClientRequest,
    ClientResponse,
)

from keda_py.authority import AuthorityError, trust
from keda_py.scaler import Platform, ScalerError

_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) has for a URL, None for none.

    As Go has it (httpproxy.Config): this machine and the networks of NO_PROXY are asked directly.
    """
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        # What is no URL is told when it is asked.
        return None
    proxy = getproxies().get(scheme)
    if not proxy or not host or host == "localhost" or proxy_bypass(host) or _in_a_spared_network(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _in_a_spared_network(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    spared = [address.is_loopback]
    for part in getproxies().get("no", "").split(","):
        with suppress(ValueError):
            spared.append(address in ipaddress.ip_network(part.strip(), strict=False))
    return any(spared)


def tls_context(
    platform: Platform,
    *,
    ca: str,
    pair: tuple[str, str] | None,
    unsafe: bool,
    key_password: str = "",
    strict: bool = False,
) -> ssl.SSLContext:
    """Return how TLS is spoken; raise `ScalerError` saying which certificate or key cannot be used.

    `ca`: a further trusted certificate. `pair`: our own certificate and its key. All in PEM form. `key_password`: that
    of an encrypted key. `strict`: whether `ca` has to be a certificate even where there is no pair.
    """
    context = ssl.create_default_context()
    context.minimum_version = _TLS_VERSIONS[platform.min_tls]
    # Authorities in clusters often lack the extensions that the strict mode of newer Pythons wants.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if platform.ciphers:
        context.set_ciphers(platform.ciphers)
    try:
        trust(context, platform.ca_paths)
    except AuthorityError as error:
        raise ScalerError(str(error)) from None
    if unsafe:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca:
        _load_authority(context, ca, strict=strict or pair is not None)
    if pair is not None:
        _load_pair(context, pair, key_password)
    return context


def telling(platform: Platform) -> tuple[ClientMiddlewareType]:
    """Return the middlewares of a session whose requests the platform is told of."""

    async def tell(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        # Not by the loop's clock: uvloop's stands still between two rounds, and knows whole milliseconds only.
        began, status = perf_counter(), None
        try:
            answer = await send(request)
            status = answer.status
            return answer
        finally:
            platform.requested(status, perf_counter() - began)

    return (tell,)


def reason_of(error: Exception) -> str:
    """Return why there was no answer; aiohttp's own words name the host again, and no more than that."""
    cause = error.__cause__
    if isinstance(cause, ClientConnectorCertificateError):
        return f"its certificate is not trusted: {getattr(cause.certificate_error, 'verify_message', 'unknown')}"
    if isinstance(cause, ClientHttpProxyError):
        return f"the proxy answered {cause.status}"
    if isinstance(cause, ClientConnectorError):
        return in_words(cause.os_error)
    return type(cause or error).__name__


def in_words(error: OSError) -> str:
    """Return the system's words for why there is no connection: asyncio's have the address again, as Python has it."""
    # These two have numbers of their own.
    if isinstance(error, socket.gaierror | ssl.SSLError) or not error.errno:
        return error.strerror or str(error) or "cannot connect"
    return os.strerror(error.errno)


def _load_authority(context: ssl.SSLContext, ca: str, *, strict: bool) -> None:
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError):
        # KEDA looks at it with authModes tls only: manifests may carry anything there otherwise.
        if strict:
            raise ScalerError("ca: no certificate in PEM form") from None


def _load_pair(context: ssl.SSLContext, pair: tuple[str, str], password: str) -> None:
    # The ssl module reads keys from files only; the folder is ours alone, and gone at once.
    with tempfile.TemporaryDirectory(prefix="keda-py-") as folder:
        paths = Path(folder, "cert"), Path(folder, "key")
        for path, content in zip(paths, pair, strict=True):
            path.touch(mode=0o600)
            path.write_text(content)
        try:
            context.load_cert_chain(*paths, password=password)
        except (ssl.SSLError, ValueError, binascii.Error):
            wrong = ", or keyPassword is not that of the key" if password else ""
            raise ScalerError(f"cert, key: no certificate and key in PEM form that belong together{wrong}") from None
