"""The way from the daemon to the embedded API server within one process: the same requests, without a wire."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from typing import Any

import orjson

from keda_py.devcluster.api import Api, Request
from keda_py.devcluster.rule import Refusal
from keda_py.devcluster.watch import events
from keda_py.kube.transport import Response


class LocalTransport:
    """Carries requests to an `Api` in this process (`keda_py.kube.transport.Transport`)."""

    def __init__(self, api: Api, *, within: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """`within`: a context in which each request is carried out, for who wants to know whose it is."""
        self._api = api
        self._within = within

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        seconds: float,  # noqa: ARG002  nothing here takes time
    ) -> Response:
        """Return the answer to one request (`Transport.request`)."""
        # As with any server, others get their turn while the answer is under way.
        await asyncio.sleep(0)
        decoded = orjson.loads(body) if body else None
        with self._within():
            answer = self._api.answer(Request(method, path, params, decoded, content_type))
        return Response(answer.status, orjson.dumps(answer.body))

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        silence: float,  # noqa: ARG002  no line is ever lost here
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """Open a stream of lines (`Transport.stream`)."""
        try:
            found = events(self._api, self._api.route(path), params)
        except Refusal as refusal:
            yield Response(refusal.status, orjson.dumps(refusal.body)), _nothing()
            return
        async with aclosing(_lines(found)) as lines:
            yield Response(200, b""), lines


async def _lines(found: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async for event in found:
        yield orjson.dumps(event) + b"\n"


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
