"""The embedded API server over HTTP, for kubectl: the requests of `api`, and what the wire adds to them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import orjson
import yaml
from aiohttp import web

from keda_py.devcluster import admission
from keda_py.devcluster.api import APPLY, JSON, Answer, Api, Request
from keda_py.devcluster.rule import Refusal, bad_request
from keda_py.devcluster.watch import events

Proxied = Callable[[Request], Awaitable[Answer | None]]
"""Answers what another server of the cluster stands for, such as external metrics; None for everything else."""

LARGEST_BODY: Final = 8 * 2**20
_PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_NOT_JSON: Final = (
    "the embedded cluster reads JSON and not protobuf, which this command sends: add --dry-run=client --output=yaml, "
    "and pipe that into kubectl apply -f -"
)
_OPENAPI_V2: Final = b"\x0a\x032.0\x12\x0d\x0a\x07keda-py\x12\x02v1"
"""An openapi.v2.Document as protobuf has it: of that version, with a title, and without any schema."""


def application(api: Api, *, proxied: Proxied) -> web.Application:
    """Return the API server."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            asked = await _read(request)
        except Refusal as refusal:
            return _json(Answer(refusal.status, refusal.body))
        if (other := await proxied(asked)) is not None:
            return _json(other)
        if asked.flag("watch") and asked.method == "GET":
            return await _stream(api, asked, request)
        return _json(await admission.answer(api, asked))

    app = web.Application(client_max_size=LARGEST_BODY)
    for path in ("/healthz", "/livez", "/readyz"):
        app.router.add_get(path, _healthy)
    app.router.add_get("/openapi/v2", _no_schemas)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _no_schemas(_: web.Request) -> web.Response:
    # What kubectl asks for before it applies a List: with it, it leaves checking fields to the server.
    return web.Response(body=_OPENAPI_V2, content_type="application/com.github.proto-openapi.spec.v2.v1.0+protobuf")


async def _read(request: web.Request) -> Request:
    content_type = request.content_type
    if content_type == _PROTOBUF:
        raise Refusal(415, "UnsupportedMediaType", _NOT_JSON)
    data = await request.read()
    try:
        # What kubectl applies on the server's side is YAML; everything else here is JSON.
        body = (yaml.safe_load(data) if content_type == APPLY else orjson.loads(data)) if data else None
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the request body cannot be read: {error}") from None
    accepts = request.headers.get("Accept", "")
    return Request(
        request.method,
        request.path,
        dict(request.query),
        body,
        content_type if data else JSON,
        as_table="as=Table" in accepts,
    )


async def _stream(api: Api, asked: Request, request: web.Request) -> web.StreamResponse:
    try:
        route = api.route(asked.path)
        found = events(api, route, asked.params, as_table=asked.as_table)
    except Refusal as refusal:
        return _json(Answer(refusal.status, refusal.body))
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(request)
    await _pour(found, response)
    return response


async def _pour(found: AsyncGenerator[dict[str, Any], None], response: web.StreamResponse) -> None:
    async with aclosing(found) as open_:
        try:
            async for event in open_:
                await response.write(orjson.dumps(event) + b"\n")
        except ConnectionError:
            # Whoever watched has gone.
            return


def _json(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(text=answer.body, status=answer.status)
    response = web.Response(body=orjson.dumps(answer.body), status=answer.status, content_type=JSON)
    for text in answer.warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        # 299: of lasting matter; "-": by a server without a name (RFC 7234).
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response
