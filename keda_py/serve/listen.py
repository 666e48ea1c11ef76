"""Listening on an address for as long as a block runs; an address that is taken is one clear line."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from keda_py.settings import Address

_CLOSE_SECONDS = 2.0


class ListenError(Exception):
    """An address cannot be listened on; the message says which flag to change."""


@asynccontextmanager
async def listening(
    app: web.Application, address: Address | None, *, flag: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve `app` within the block and yield the port; without an address serve nothing and yield 0.

    `flag` is what a person changes when the address cannot be had (`ListenError`).
    """
    if address is None:
        yield 0
        return
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host or None, address.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            # asyncio puts the address in once more.
            why = os.strerror(error.errno) if error.errno else str(error)
            raise ListenError(f"cannot listen on {address}: {why}; change {flag}") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
