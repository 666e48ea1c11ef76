"""The body of an answer over HTTP, of bounded length: httpx's own decoders know no bound."""

import zlib
from typing import Final

import httpx

from keda_py.scaler import ScalerError

LARGEST_BODY: Final = 8 * 2**20
_GZIP: Final = 16 + zlib.MAX_WBITS


async def body_of(answer: httpx.Response, place: str) -> bytes:
    """Return the body, unpacked only so far as it may be large; raise `ScalerError` if it cannot be had.

    `place`: what a message says of the server.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise ScalerError(f"{place} answered {answer.status_code} in an encoding that was not asked for")
    unpacking = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    content = bytearray()
    try:
        async for chunk in answer.aiter_raw():
            content += unpacking.decompress(chunk, LARGEST_BODY + 1 - len(content)) if unpacking else chunk
            if len(content) > LARGEST_BODY:
                raise ScalerError(f"{place} answered more than {LARGEST_BODY >> 20} MiB")
    except zlib.error:
        raise ScalerError(f"{place} answered what cannot be unpacked") from None
    if unpacking is not None and (not unpacking.eof or unpacking.unused_data):
        raise ScalerError(f"{place} answered what cannot be unpacked")
    return bytes(content)
