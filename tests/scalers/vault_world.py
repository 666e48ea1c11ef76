"""What tests of the secret store `hashiCorpVault` share: a real Vault with something in it, and stores that read it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from keda_py_scalers.vault import Vault

from keda_py.api.authentication import HashiCorpVault
from keda_py.scaler import Platform
from keda_py.secret_store import Access, Values
from keda_py.testing import FakeKubernetes
from tests.vault.server import Vault as Server
from tests.vault.server import vault

PLATFORM = Platform(now=lambda: datetime.now(UTC), kubernetes=FakeKubernetes({}))


def wanted(path: str, key: str = "password", **rest: Any) -> dict[str, Any]:
    return {"parameter": key, "path": path, "key": key} | rest


@asynccontextmanager
async def opened(
    address: str, *secrets: dict[str, Any], trust: Platform | None = None, jwt: str = "", **spec: Any
) -> AsyncIterator[Vault]:
    """Open a store; with the token `t` unless the spec says how to log in."""
    given = {"authentication": "token", "credential": {"token": "t"}} | spec
    model = HashiCorpVault.model_validate({"address": address, "secrets": list(secrets), **given})
    credentials = {"serviceAccountToken": jwt} if jwt else {}
    store = Vault(Access(model, credentials, platform=trust or PLATFORM))
    try:
        yield store
    finally:
        await store.close()


async def read(server: Server, *secrets: dict[str, Any], **spec: Any) -> Values:
    async with opened(server.address, *secrets, **{"credential": {"token": server.token}} | spec) as store:
        return await store.read()


@asynccontextmanager
async def serving(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    running = TestServer(app, scheme="https" if tls else "http")
    await running.start_server(ssl=tls)
    try:
        yield str(running.make_url("")).rstrip("/")
    finally:
        await running.close()


@contextmanager
def filled(folder: Path) -> Iterator[Server]:
    """Run a Vault with something in its engines."""
    with vault(folder) as running:
        running.call("PUT", "kv1/queue", {"password": "v1-word", "user": "me", "count": 7})
        running.call("PUT", "kv1/brief", {"password": "brief", "ttl": "90s"})
        for word in ("old", "v2-word"):
            running.call("PUT", "kv2/data/queue", {"data": {"password": word}})
        running.call("PUT", "kv2/data/gone", {"data": {"password": "x"}})
        running.call("DELETE", "kv2/data/gone")
        yield running
