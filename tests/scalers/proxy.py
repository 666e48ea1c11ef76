"""A proxy for HTTP as the environment names one: it passes requests on, and makes tunnels for those over TLS.

What it is asked for need not have a name in any DNS: everything leads to one port of this machine.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """What was asked of it, each with a request's first line; `wanted` is what `Proxy-Authorization` has to be."""

    def __init__(self, target: int, wanted: str = "") -> None:
        self.asked: list[str] = []
        self.url = ""
        self._target = target
        self._wanted = wanted

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection may end in the middle of anything.
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._pass(reader, writer)
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.asked.append(first)
        if self._wanted and f"Proxy-Authorization: {self._wanted}" not in fields:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            return
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            method, url, version = first.split()
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                # As an origin server wants it; what is for the proxy alone stays here.
                path = url.removeprefix(f"http://{urlsplit(url).netloc}")
                kept = [field for field in fields if not field.lower().startswith(("proxy-", "connection:"))]
                kept.insert(0, "Connection: close")
                upstream.write("\r\n".join([f"{method} {path} {version}", *kept]).encode("latin-1"))
            await _both_ways((reader, upstream), (upstream_reader, writer))
        finally:
            upstream.close()


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Copy until one side has nothing more to say."""
    sides = {asyncio.ensure_future(_copy(*way)) for way in ways}
    await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    for side in sides:
        side.cancel()
    await asyncio.gather(*sides, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def proxying(target: int, *, wanted: str = "") -> AsyncIterator[Proxy]:
    """Run a proxy within the block, behind which there is a port of this machine."""
    proxy = Proxy(target, wanted)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
