"""The embedded API server over HTTP, for kubectl: the requests of `api`, and what the wire adds to them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import orjson
import yaml
from aiohttp import web

from keda_py.devcluster import admission, negotiation
from keda_py.devcluster.api import JSON, Answer, Api, Request
from keda_py.devcluster.negotiation import Form
from keda_py.devcluster.rule import Refusal
from keda_py.devcluster.watch import events

Proxied = Callable[[Request], Awaitable[Answer | None]]
"""Answers what another server of the cluster stands for, such as external metrics; None for everything else."""

LARGEST_BODY: Final = 8 * 2**20
_AS_JSON: Final = Form()
_NOBODY: Final = "unknown"
"""Who writes without saying who."""
_OPENAPI_V2: Final = b"\x0a\x032.0\x12\x0d\x0a\x07keda-py\x12\x02v1"
"""An openapi.v2.Document as protobuf has it: of that version, with a title, and without any schema."""


def application(api: Api, *, proxied: Proxied) -> web.Application:
    """Return the API server."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            asked, form = await _read(request)
        except Refusal as refusal:
            return _written(Answer(refusal.status, refusal.body))
        if (other := await proxied(asked)) is not None:
            return _written(other, form)
        if asked.flag("watch") and asked.method == "GET":
            return await _stream(api, asked, request)
        return _written(await admission.answer(api, asked), form)

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


async def _read(request: web.Request) -> tuple[Request, Form]:
    form = negotiation.form(request.headers.get("Accept", ""))
    data = await request.read()
    # Without saying what it is, it is JSON.
    content_type = request.content_type if "Content-Type" in request.headers else JSON
    if data:
        negotiation.check_type(request.method, content_type)
    asked = Request(
        request.method,
        request.path,
        {"fieldValidation": "Warn"} | dict(request.query),
        negotiation.body(content_type, data),
        content_type,
        shown_as=form.shown_as,
        writer=request.query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0] or _NOBODY,
    )
    return asked, form


async def _stream(api: Api, asked: Request, request: web.Request) -> web.StreamResponse:
    try:
        route = api.route(asked.path)
        found = events(api, route, asked.params, shown_as=asked.shown_as)
    except Refusal as refusal:
        return _written(Answer(refusal.status, refusal.body))
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


def _written(answer: Answer, form: Form = _AS_JSON) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(text=answer.body, status=answer.status)
    body = orjson.dumps(answer.body)
    if form.media == negotiation.YAML:
        body = yaml.safe_dump(answer.body).encode()
    response = web.Response(body=body, status=answer.status, content_type=form.media)
    for text in answer.warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        # 299: of lasting matter; "-": by a server without a name (RFC 7234).
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response
