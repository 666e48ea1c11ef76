"""What can go wrong between a client and the API server, done on purpose: for tests of whoever must live with it.

A `FaultyTransport` goes between a client and its way to the server, most often a `LocalTransport`. Its faults may be
changed at any time; where chance decides, it is the generator that is passed in.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from keda_py.kube.transport import Response, Transport

LATENCY_SECONDS: Final = 0.002
SLOW_SECONDS: Final = (0.1, 3.0)
RESET_SECONDS: Final = 2.0
"""How long an answer that is lost is waited for."""
THROTTLED: Final = Response(429, b'{"reason":"TooManyRequests","message":"slow down"}', retry_after=1.0)


@dataclass
class Faults:
    """What goes wrong, as chances from 0 to 1 of each request.

    `refused`: it does not get there. `lost`: it is carried out, and the answer does not come back. `throttled`: it is
    answered with 429. `slow`: it takes up to three seconds. `partitioned`: nothing gets through, in either direction.
    `lag`: by how many seconds at most what a watch tells is late. `cut_at`: watches opened before this loop time end.
    """

    refused: float = 0.0
    lost: float = 0.0
    throttled: float = 0.0
    slow: float = 0.0
    partitioned: bool = False
    lag: float = 0.0
    cut_at: float = 0.0

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self.refused = self.lost = self.throttled = self.slow = self.lag = 0.0
        self.partitioned = False


class FaultyTransport:
    """Carries requests as far as the faults let it, and none at all once the client is dead."""

    def __init__(self, way: Transport, faults: Faults, *, chance: random.Random) -> None:
        self._way = way
        self._faults = faults
        self._chance = chance
        self.dead = False
        """Set it to end the client as SIGKILL does: nothing of it gets out any more."""
        self.until_death: int | None = None
        """After so many more steps the client dies: before a request was carried out, or before its answer came."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,
    ) -> Response:
        """Return the answer to one request (`Transport.request`), unless something goes wrong."""
        faults, chance = self._faults, self._chance
        self._survive()
        if faults.partitioned:
            await asyncio.sleep(seconds)
            raise TimeoutError
        if chance.random() < faults.slow:
            await asyncio.sleep(min(seconds, chance.uniform(*SLOW_SECONDS)))
            self._survive()
        if chance.random() < faults.refused:
            raise ConnectionError("connection refused")
        if chance.random() < faults.throttled:
            return THROTTLED
        await asyncio.sleep(LATENCY_SECONDS)
        answer = await self._way.request(
            method, path, params=params, body=body, content_type=content_type, seconds=seconds
        )
        self._survive()
        if chance.random() < faults.lost:
            await asyncio.sleep(min(seconds, RESET_SECONDS))
            raise ConnectionError("connection reset")
        return answer

    def _survive(self) -> None:
        if self.until_death is not None and not self.dead:
            self.until_death -= 1
            self.dead = self.until_death <= 0
        if self.dead:
            raise ConnectionError("killed")

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """Open a stream of lines (`Transport.stream`), which ends when the way is cut."""
        if self.dead or self._faults.partitioned:
            raise ConnectionError("no way")
        opened = asyncio.get_running_loop().time()
        async with self._way.stream(path, params=params, silence=silence) as (answer, lines):
            yield answer, self._late(lines, opened)

    async def _late(self, lines: AsyncIterator[bytes], opened: float) -> AsyncIterator[bytes]:
        async for line in lines:
            if self.dead or self._faults.partitioned or self._faults.cut_at > opened:
                raise ConnectionError("cut")
            if self._faults.lag:
                await asyncio.sleep(self._faults.lag * self._chance.random())
            yield line
