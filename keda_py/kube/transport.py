"""How requests reach the API server; the seam at which another server, in this process, can take its place.

kubernetes-asyncio finds the cluster and its credentials; aiohttp carries the requests.
"""

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from keda_py import __version__

_CONNECTIONS: Final = 100
_READ_BUFFER: Final = 2**21
_CONNECT_SECONDS: Final = 5.0
_USUAL: Final = "~/.kube/config"
_SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


class ConfigError(Exception):
    """There is no usable way to a cluster; the message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its whole body."""

    status: int
    body: bytes
    retry_after: float | None = None


class Transport(Protocol):
    """Carries requests to an API server; every call raises OSError or TimeoutError when it cannot."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,
    ) -> Response:
        """Return the answer to one request, after at most `seconds`."""
        ...

    def stream(
        self, path: str, *, params: Mapping[str, str], silence: float
    ) -> AbstractAsyncContextManager[tuple[Response, AsyncIterator[bytes]]]:
        """Open a stream of lines; a gap of `silence` seconds between two ends it with TimeoutError."""
        ...


class HttpTransport:
    """A transport over HTTP; close it after use."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        token: Callable[[], Awaitable[str | None]],
        *,
        proxy: str | None = None,
        server_name: str | None = None,
    ) -> None:
        """`server_name`: whom the certificate has to be of, unless it is the host of the URL."""
        self._token = token
        self._server_name = server_name
        self.host = urlsplit(url).netloc.rpartition("@")[2]

        def session(limit: int) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                url if url.endswith("/") else f"{url}/",
                connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True, limit=limit),
                headers={"User-Agent": f"keda-py/{__version__}", "Accept": "application/json"},
                read_bufsize=_READ_BUFFER,
                # Not trust_env: that would read the environment and ~/.netrc again for each request, in a thread.
                proxy=proxy,
            )

        self._session = session(_CONNECTIONS)
        # A stream keeps its connection, and there may be many: they must not take those of requests.
        self._streams = session(0)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._streams.close()

    async def _headers(self) -> dict[str, str]:
        token = await self._token()
        return {"Authorization": token.strip()} if token else {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,
    ) -> Response:
        """Return the answer to one request (`Transport.request`)."""
        headers = await self._headers() | ({"Content-Type": content_type} if body is not None else {})
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        with _failing_as_os_error():
            async with self._session.request(
                method,
                path.lstrip("/"),
                params=params,
                data=body,
                headers=headers,
                timeout=timeout,
                server_hostname=self._server_name,
            ) as answer:
                return Response(answer.status, await answer.read(), _retry_after(answer))

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """Open a stream of lines (`Transport.stream`)."""
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=silence)
        headers = await self._headers()
        with _failing_as_os_error():
            async with self._streams.get(
                path.lstrip("/"), params=params, headers=headers, timeout=timeout, server_hostname=self._server_name
            ) as answer:
                body = b"" if answer.status == 200 else await answer.read()  # noqa: PLR2004  HTTP's own number
                yield Response(answer.status, body, _retry_after(answer)), aiter(answer.content)


@contextmanager
def _failing_as_os_error() -> Iterator[None]:
    """Raise what `Transport` promises: aiohttp's error of an answer that is cut off in the middle is no OSError."""
    try:
        yield
    except aiohttp.ClientError as error:
        if isinstance(error, OSError):
            raise
        raise ConnectionError(str(error) or type(error).__name__) from error


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


async def connect(kubeconfig: str) -> HttpTransport:
    """Return a transport to the cluster that `kubeconfig` names, else the pod's own, else ~/.kube/config's.

    Raises `ConfigError` in one line when there is none.
    """
    # A quarter of a second, wanted here only; yaml comes with it.
    from kubernetes_asyncio import client, config  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    settings = client.Configuration()
    try:
        if not kubeconfig and _in_cluster():
            config.incluster_config.InClusterConfigLoader(
                token_filename=f"{_SERVICE_ACCOUNT}/token", cert_filename=f"{_SERVICE_ACCOUNT}/ca.crt"
            ).load_and_set(settings)
        else:
            paths = kubeconfig or _USUAL
            _check_exists(paths)
            await config.load_kube_config(config_file=paths, client_configuration=settings, persist_config=False)
        url = str(settings.host)
        tls = _tls(settings) if url.startswith("https") else None
    except (config.ConfigException, YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        tried = f"kubeconfig {kubeconfig}" if kubeconfig else f"this pod's service account and {_USUAL}"
        said = _not_yaml(error) if isinstance(error, YAMLError) else _not_usable(error)
        raise ConfigError(f"no cluster to work on: tried {tried}: {said}; set --kubeconfig or KUBECONFIG") from error

    async def token() -> str | None:
        key: str | None = await settings.get_api_key_with_prefix("BearerToken")
        return key

    host = urlsplit(url).hostname or ""
    proxy = None if proxy_bypass(host) else getproxies().get("https" if tls else "http")
    return HttpTransport(url, tls, token, proxy=proxy, server_name=settings.tls_server_name if tls else None)


def _check_exists(paths: str) -> None:
    """Raise `ValueError` if there is none of the files; kubectl too takes those that there are."""
    names = [path for path in paths.split(os.pathsep) if path]
    if not any(Path(path).expanduser().exists() for path in names):
        raise ValueError("the file does not exist" if len(names) == 1 else "none of these files exists")


def _not_yaml(error: Exception) -> str:
    # Where, and not what: there are tokens in it.
    mark = getattr(error, "problem_mark", None)
    return "it is no YAML" if mark is None else f"it is no YAML, see line {mark.line + 1}"


def _not_usable(error: Exception) -> str:
    if isinstance(error, TypeError | KeyError | AttributeError):
        return "it is no kubeconfig, or lacks what one needs"
    # kubernetes-asyncio names a place by all that stands there, tokens among it.
    return " ".join(str(error).partition("/{")[0].split())


def _in_cluster() -> bool:
    return Path(_SERVICE_ACCOUNT, "token").exists()


def _tls(settings: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Clusters' own authorities often lack the extensions that the strict mode of newer Pythons wants.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context
