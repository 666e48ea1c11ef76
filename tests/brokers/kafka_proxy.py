"""Stands before a Kafka broker: counts requests, hides versions as an older broker would, breaks connections."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

API_VERSIONS: Final = 18
OFFSET_FETCH: Final = 9
FIND_COORDINATOR: Final = 10
METADATA: Final = 3
LIST_OFFSETS: Final = 2


class Proxy:
    """Counts what passes. `hidden`: the highest version of an API that is let be known. `cut`: break off the next
    answer to this API in its middle."""

    def __init__(self, port: int, target: int) -> None:
        self.requests: Counter[int] = Counter()
        self.hidden: Mapping[int, int] = {}
        self.cut: int | None = None
        self.connections = 0
        self._port = port
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def close(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.close()
        while self._writers:
            await asyncio.sleep(0.01)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        self.connections += 1
        # A connection may end in the middle of anything, and this one then ends too.
        with suppress(OSError, asyncio.IncompleteReadError):
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            writers.add(upstream)
            self._writers |= writers
            keys: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
            up, down = self._up(reader, upstream, keys), self._down(upstream_reader, writer, keys)
            sides = {asyncio.ensure_future(up), asyncio.ensure_future(down)}
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in sides:
                side.cancel()
            await asyncio.gather(*sides, return_exceptions=True)
        for one in writers:
            one.close()
        self._writers -= writers
        self.connections -= 1

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: "asyncio.Queue[tuple[int, int]]"
    ) -> None:
        while True:
            frame = await _frame(reader)
            key, version = struct.unpack_from(">hh", frame, 4)
            self.requests[key] += 1
            keys.put_nowait((key, version))
            writer.write(frame)

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: "asyncio.Queue[tuple[int, int]]"
    ) -> None:
        while True:
            frame = bytearray(await _frame(reader))
            key, _ = await keys.get()
            if key == API_VERSIONS:
                self._hide(frame)
            if key == self.cut:
                self.cut = None
                writer.write(frame[: len(frame) // 2])
                await writer.drain()
                return
            writer.write(frame)

    def _hide(self, frame: bytearray) -> None:
        """Change the answer in place: after length, correlation and error come triples of numbers (versions 0 to 2)."""
        (count,) = struct.unpack_from(">i", frame, 10)
        for index in range(count):
            at = 14 + 6 * index
            key, lowest, highest = struct.unpack_from(">hhh", frame, at)
            struct.pack_into(">hhh", frame, at, key, lowest, min(highest, self.hidden.get(key, highest)))


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(*struct.unpack(">i", head))


@asynccontextmanager
async def proxied(port: int, target: int) -> AsyncIterator[Proxy]:
    """Listen on a port, for a broker at another."""
    proxy = Proxy(port, target)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
