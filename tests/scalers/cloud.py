"""A local server over TLS for tests of what talks to a cloud, and how a secret store is opened on it."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from keda_py.scaler import Platform, ScalerError
from keda_py.secret_store import SecretStore
from keda_py.serve.certificate import renewed
from keda_py.testing import FakeKubernetes

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
CANARY: Final = "c4nary"
"""Part of whatever must not be seen."""


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass
class Cloud:
    """What was asked, on which connections; what is in `instead`, by the beginning of a path, answers first."""

    answer: Answer
    url: str = ""
    authority: Path | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    instead: dict[str, Answer] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.seen.append(Seen(request.method, request.path_qs, dict(request.headers), form))
        self.connections.add(request.transport)
        for beginning, answer in self.instead.items():
            if request.path.startswith(beginning):
                return await answer(request)
        return await self.answer(request)

    def asked(self, beginning: str) -> int:
        """Return how many requests there were to paths that begin so."""
        return sum(seen.path.startswith(beginning) for seen in self.seen)

    async def until_closed(self) -> None:
        """Wait until no connection is open; raise `TimeoutError` if one stays so."""
        async with asyncio.timeout(20):
            while not all(transport.is_closing() for transport in self.connections):
                await asyncio.sleep(0.01)

    def platform(self, seconds: float = 20.0) -> Platform:
        """Return what a daemon offers that trusts this server."""
        return Platform(
            lambda: datetime.now(UTC),
            FakeKubernetes(),
            http_timeout=timedelta(seconds=seconds),
            ca_paths=(str(self.authority),) if self.authority else (),
        )


@asynccontextmanager
async def standing(answer: Answer, folder: Path, *, tls: bool = True, host: str = "localhost") -> AsyncIterator[Cloud]:
    """Run a server within the block; leaving it closes every connection. `host`: how it is called."""
    cloud = Cloud(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", cloud.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_tls(cloud, folder, host) if tls else None).start()
    cloud.url = f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    try:
        yield cloud
    finally:
        await runner.cleanup()


def _tls(cloud: Cloud, folder: Path, host: str) -> ssl.SSLContext:
    own = renewed(None, [host], datetime.now(UTC))
    assert own is not None
    cloud.authority = folder / "authority.crt"
    cloud.authority.write_bytes(own.authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as place:
        Path(place, "c").write_bytes(own.certificate)
        Path(place, "k").write_bytes(own.key)
        context.load_cert_chain(Path(place, "c"), Path(place, "k"))
    return context


@asynccontextmanager
async def opened(store: SecretStore[Any]) -> AsyncIterator[SecretStore[Any]]:
    """Close a store after the block."""
    try:
        yield store
    finally:
        await store.close()


async def read(store: SecretStore[Any]) -> dict[str, str]:
    """Return what a store says, and close it."""
    async with opened(store) as one:
        return dict((await one.read()).parameters)


async def failure(store: SecretStore[Any]) -> ScalerError:
    """Return why a store cannot be read; no secret is in it, nor in how the store describes itself."""
    with pytest.raises(ScalerError) as raised:
        await read(store)
    assert CANARY not in f"{raised.value}{raised.value!r}{store!r}{store.access!r}{raised.value.__cause__}"
    return raised.value


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON, or with a text as it is."""

    async def answer(_: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(text=body, status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection in the middle of an answer."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"value": "')
    assert request.transport is not None
    request.transport.abort()
    return answer
