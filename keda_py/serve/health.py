"""Health for the kubelet: alive is whoever answers; ready is who has seen the whole cluster and serves its metrics."""

from collections.abc import Callable, Mapping

from aiohttp import web


def application(conditions: Mapping[str, Callable[[], bool]]) -> web.Application:
    """Return /healthz and /readyz; `conditions` say what is wrong while one does not hold."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(_: web.Request) -> web.Response:
        missing = [wrong for wrong, holds in conditions.items() if not holds()]
        if missing:
            return web.Response(text=f"not ready: {'; '.join(missing)}", status=503)
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready)])
    return app
