"""Sources that are up to no good: that answer with all that they were told, credentials among it, or not at all.

They pass for the servers of scalers as well as for secret stores: what is told back is put wherever any of these has
its words, and quotes them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from tests.servers import free_port

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

DOORS: Final = ("well", "parrot", "scold", "refuses", "mute")
"""Sources: one that answers well, two that answer with what they were told, with success and without, nobody, and one
that only listens."""
_USUAL: Final = frozenset(
    {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type"}
)


def telling(status: int) -> Answer:
    """Answer with what was told."""

    async def tell(request: web.Request) -> web.Response:
        told = [value for name, value in request.headers.items() if name not in _USUAL]
        body = (await request.read()).decode(errors="replace")
        text = f"{told} {request.path} {request.query_string} {body}"
        # Of OAuth 2, of Vault, of AWS, of Google and Azure.
        named = {"error": text, "error_description": text, "errors": [text], "__type": text, "message": text}
        return web.json_response(named | {"status": "error", "data": text}, status=status)

    return tell


def answering(token: str) -> Answer:
    """Answer as whatever is asked for; with that token to who wants one."""
    queue = {"name": "q", "messages": 3, "messages_ready": 3, "messages_unacknowledged": 0, "reductions": 1}
    sqs = dict.fromkeys(("", "NotVisible", "Delayed"), "1")
    sample = {"metric": {}, "value": [1, "3"]}
    known: dict[str, Any] = {
        "n": 3,
        "status": "success",
        "data": {"resultType": "vector", "result": [sample]},
        "Attributes": {f"ApproximateNumberOfMessages{key}": value for key, value in sqs.items()},
        "access_token": token,
        "expires_in": 60,
        **queue,
    }

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(known)

    return answer


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Run a server over HTTP; yield its host and port."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def doors(token: str) -> AsyncIterator[dict[tuple[str, str], str]]:
    """Open sources; yield the address of each, by "http" or "tcp" and what it does. `token`: what "well" issues."""
    async with AsyncExitStack() as stack:
        found = {(kind, "refuses"): f"127.0.0.1:{free_port()}" for kind in ("http", "tcp")}
        for name, answer in (("well", answering(token)), ("parrot", telling(200)), ("scold", telling(401))):
            found["http", name] = await stack.enter_async_context(serving(answer))
        for name, handle in (("parrot", _echo), ("scold", _echo), ("mute", _listen), ("well", _listen)):
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            stack.callback(server.close)
            found["tcp", name] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found["http", "mute"] = found["tcp", "mute"]
        yield found
