"""What tests of triggers over HTTP share: a source that answers what a test wants, and triggers that ask it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.metrics_api import MetricsAPIScaler
from keda_py_scalers.prometheus import PrometheusScaler

from .asking import Asked

JSON_VALUE = '{"value": 7}'
PROMETHEUS_VALUE = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}}'


class Source:
    """A server that answers what the test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._text(JSON_VALUE)
        self.port = 0
        self.connections: set[Any] = set()
        self.runner: web.AppRunner | None = None

    @staticmethod
    def _text(text: str, status: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(text=text, status=status)

        return answer

    def says(self, text: str, status: int = 200) -> None:
        self.answer = self._text(text, status)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(request)
        self.connections.add(request.transport)
        return await self.answer(request)

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=tls).start()
        self.port = self.runner.addresses[0][1]
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}"

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Source]:
    source = Source()
    await source.start(tls)
    yield source
    await source.stop()


def metrics_api(source: Source, auth: dict[str, str] | None = None, **metadata: str) -> Asked:
    given = {"url": f"{source.url}/value", "valueLocation": "value", "targetValue": "5"} | metadata
    return Asked(MetricsAPIScaler, given, auth or {})


def prometheus(source: Source, auth: dict[str, str] | None = None, **metadata: str) -> Asked:
    given = {"serverAddress": source.url, "query": "up", "threshold": "5", "ignoreNullValues": "false"} | metadata
    return Asked(PrometheusScaler, given, auth or {})


KINDS = pytest.mark.parametrize(("kind", "good"), [(metrics_api, JSON_VALUE), (prometheus, PROMETHEUS_VALUE)])
