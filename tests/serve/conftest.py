"""A front proxy of the test's own: authority, client certificate, and a server that knows it."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson

from keda_py.serve import external_metrics
from keda_py.serve.certificate import Bundle, renewed
from keda_py.serve.external_metrics import ReadMetric
from keda_py.serve.front_proxy import NAME, NAMESPACE, FrontProxy
from keda_py.serve.listen import listening
from keda_py.serve.tls import ServerTls
from keda_py.settings import Address

NOW = datetime.now(UTC)


def bundle(name: str) -> Bundle:
    made = renewed(None, [name], NOW)
    assert made is not None
    return made


class Server:
    """The external metrics server, with what it trusts and presents in the test's hand."""

    def __init__(self, read: ReadMetric) -> None:
        self.own = bundle("localhost")
        self.proxy = bundle("front-proxy-client")
        self.tls = ServerTls()
        self.tls.set_certificate(self.own.certificate, self.own.key)
        self.front_proxy = FrontProxy(self.tls.set_client_authority)
        self.app = external_metrics.application(read, admits=self.front_proxy.admits)
        self.port = 0

    def configure(self, authority: bytes, names: object) -> None:
        data = {
            "requestheader-client-ca-file": authority.decode(),
            "requestheader-allowed-names": names if isinstance(names, str) else orjson.dumps(names).decode(),
        }
        self.front_proxy.changed((NAMESPACE, NAME), None, {"data": data})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        async with listening(self.app, Address("127.0.0.1", 0), flag="--x", tls=self.tls.context) as self.port:
            yield self

    async def get(self, path: str, *, client: Bundle | None, authority: bytes = b"") -> tuple[int, dict[str, object]]:
        """Return status and body of one request on a connection of its own."""
        context = client_context((authority or self.own.authority).decode(), client)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.get(f"https://localhost:{self.port}{path}") as answer,
        ):
            return answer.status, orjson.loads(await answer.read())


def client_context(trusted: str, client: Bundle | None) -> ssl.SSLContext:
    """Return how a client speaks TLS that trusts an authority, and shows a certificate if it has one."""
    context = ssl.create_default_context(cadata=trusted)
    if client is not None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "crt").write_bytes(client.certificate)
            Path(folder, "key").write_bytes(client.key)
            context.load_cert_chain(Path(folder, "crt"), Path(folder, "key"))
    return context
