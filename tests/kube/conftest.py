"""An API server in the test's hand: a real HTTP server that says what the test wants said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from keda_py.kube.client import Client, Resource
from keda_py.kube.transport import HttpTransport

THINGS = Resource("example.com", "v1", "things", "Thing")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def thing(name: str, version: int, **rest: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
        **rest,
    }


def status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code, headers=headers)


class Script:
    """Answers in order; the last one again and again. Keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.watches: list[Answer] = []
        self.asked: list[web.Request] = []
        self.watched: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if request.query.get("watch"):
            self.watched.append(dict(request.query))
            return await self._next(self.watches)(request)
        self.asked.append(request)
        return await self._next(self.answers)(request)

    @staticmethod
    def _next(answers: list[Answer]) -> Answer:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def says(self, *responses: web.Response | dict[str, Any]) -> None:
        for response in responses:
            self.answers.append(_always(response))

    def streams(self, *events: dict[str, Any] | bytes, then: str = "close") -> None:
        """Answer the next watch with events; then close it, cut it off, or stay silent."""

        async def stream(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            for event in events:
                await answer.write(event if isinstance(event, bytes) else orjson.dumps(event) + b"\n")
            if then == "hang":
                await asyncio.sleep(3600)
            if then == "cut":
                await asyncio.sleep(0.1)
                assert request.transport is not None
                request.transport.abort()
            return answer

        self.watches.append(stream)

    def refuses_watch(self, response: web.Response) -> None:
        self.watches.append(_always(response))


def _always(response: web.Response | dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        if isinstance(response, dict):
            return web.json_response(response)
        return web.Response(body=response.body, status=response.status, headers=response.headers)

    return answer


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def client(script: Script) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    async def no_token() -> None:
        return None

    transport = HttpTransport(f"http://127.0.0.1:{port}", None, no_token)
    yield Client(transport)
    await transport.close()
    await runner.cleanup()


def page(*items: dict[str, Any], version: int, following: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version), "continue": following}, "items": list(items)}


def event(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": found}
