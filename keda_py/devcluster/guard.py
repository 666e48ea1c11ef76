"""Ends the processes of pods when the cluster itself is killed and cannot: nobody else would know of them.

A process of its own reads which process groups there are, and kills them when its input ends, however that came about.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

_PROGRAM: Final = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guard:
    """Outlives this process by a moment."""

    def __init__(self) -> None:
        self._process: asyncio.Task[asyncio.subprocess.Process] | None = None

    async def keep(self, group: int) -> None:
        """Have a process group killed if this process ends before it."""
        if self._process is None:
            self._process = asyncio.create_task(_started(), name="guard")
        await self._write("+", group)

    async def forget(self, group: int) -> None:
        """Leave alone a process group that has ended."""
        await self._write("-", group)

    async def close(self) -> None:
        """End it, once all groups have ended."""
        if self._process is not None:
            process = await self._process
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _write(self, sign: str, group: int) -> None:
        if self._process is None:
            return
        process = await asyncio.shield(self._process)
        # Whoever killed it wants no guard.
        with suppress(ConnectionError):
            if process.stdin is not None:
                process.stdin.write(f"{sign}{group}\n".encode())
                await process.stdin.drain()


async def _started() -> asyncio.subprocess.Process:
    command = (sys.executable, "-I", "-S", "-c", _PROGRAM)
    # In a session of its own: Ctrl-C is not meant for it.
    return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, start_new_session=True)
