"""A server in front of a real one: passes requests on, counts them, or does with them what a test wants."""

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

HOP_BY_HOP: Final = {"host", "connection", "content-length", "transfer-encoding", "date", "server"}


@dataclass(frozen=True)
class Sent:
    """One request; `form` has the parameters of STS."""

    operation: str
    headers: dict[str, str]
    form: dict[str, str]

    @property
    def signer(self) -> str:
        """The access key it was signed with, empty for none."""
        found = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        return found[1] if found else ""


Deed = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""What is done with a request; None passes it on."""


async def passed_on(_: web.Request) -> None:
    return None


def refused(code: str, *, status: int = 400, message: str = "") -> Deed:
    """Refuse as SQS does, with a code."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        body = {"__type": f"com.amazonaws.sqs#{code}", "message": message}
        return web.json_response(body, status=status, content_type="application/x-amz-json-1.0")

    return refuse


def said(text: str, *, status: int = 200) -> Deed:
    """Answer with some text."""

    async def say(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return say


async def silent(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection in the middle of an answer."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"Attributes": {')
    assert request.transport is not None
    request.transport.abort()
    return answer


async def dropped(request: web.Request) -> web.StreamResponse:
    """Close the connection before any answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Front:
    """What was asked, on how many connections and how much at once; `deed` is done with each request."""

    def __init__(self) -> None:
        self.behind = ""
        self.url = ""
        self.deed: Deed = passed_on
        self.deeds: dict[str, Deed] = {}
        self.rewrite: Callable[[bytes], bytes] = bytes
        self.asked: Counter[str] = Counter()
        self.sent: list[Sent] = []
        self.connections: set[Any] = set()
        self.at_once = 0
        self.most_at_once = 0
        self.pause = 0.0
        self._http: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sent = _sent(request, body)
        self.asked[sent.operation] += 1
        self.sent.append(sent)
        self.connections.add(request.transport)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.pause)
            deed = self.deeds.get(sent.operation, self.deed)
            return await deed(request) or await self._pass_on(request, body)
        finally:
            self.at_once -= 1

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert self._http is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._http.request(request.method, self.behind, data=body, headers=headers) as answer:
            given = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=given, body=self.rewrite(await answer.read()))

    def still_open(self) -> int:
        """Return how many connections of clients are open."""
        return sum(not transport.is_closing() for transport in self.connections)

    @asynccontextmanager
    async def running(self, behind: str, *, tls: ssl.SSLContext | None = None) -> AsyncIterator["Front"]:
        """Listen within the block; leaving it closes every connection."""
        self.behind = behind
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._http:
                yield self
        finally:
            await runner.cleanup()


def _sent(request: web.Request, body: bytes) -> Sent:
    """Return what is asked: to SQS in a header, to STS in a form."""
    headers = dict(request.headers)
    if target := request.headers.get("X-Amz-Target"):
        return Sent(target.rpartition(".")[2], headers, {})
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return Sent(form.get("Action", "?"), headers, form)


@asynccontextmanager
async def front(behind: str, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Front]:
    """Yield a front of a server."""
    async with Front().running(behind, tls=tls) as standing:
        yield standing
