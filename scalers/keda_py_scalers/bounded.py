"""Streams whose answers have a largest size, for protocols in which the server announces how long an answer is.

The client libraries wait for as many bytes as were announced, and keep them all. A server that is wrong (`HTTP` read as
a number is more than a gigabyte) or hostile would fill the memory of the daemon, and so end the scaling of everyone.
"""

import asyncio
from typing import Final

MOST_MEBIBYTES: Final = 64
"""Far above what anybody sends: the commits in a million partitions are a third of it, a frame of AMQP is 128 KiB."""


class OversizedError(ConnectionError):
    """A server announced more than is ever read; what follows on its connection is not to be understood."""


class BoundedReader:
    """Reads from a stream what the libraries read from one, up to the largest size at a time."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    async def readexactly(self, count: int) -> bytes:
        """Return so many bytes; raise `OversizedError` before the first is read if they are too many, or below none."""
        if not 0 <= count <= MOST_MEBIBYTES * 2**20:
            raise OversizedError(f"answered more than {MOST_MEBIBYTES} MiB")
        return await self._stream.readexactly(count)

    def at_eof(self) -> bool:
        """Return whether the stream ended, and all of it was read."""
        return self._stream.at_eof()
