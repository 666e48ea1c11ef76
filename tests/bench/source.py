"""The event source of the benchmark, in a process of its own: numbers by name, and how often it was asked for each.

``python -m tests.bench.source PORT``
"""

import re
import sys
from collections import Counter

from aiohttp import web


def application() -> web.Application:
    """Return /value/<name>, Prometheus' query API, /set/<name>/<value>, /all/<value>, /stats and /reset."""
    values: dict[str, float] = {}
    usual = [5.0]
    asked: Counter[str] = Counter()

    async def value(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        asked[name] += 1
        return web.json_response({"value": values.get(name, usual[0])})

    async def query(request: web.Request) -> web.Response:
        (name,) = re.findall(r"m\d+", request.query["query"])
        asked[name] += 1
        sample = {"metric": {}, "value": [0, str(values.get(name, usual[0]))]}
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": [sample]}})

    async def set_one(request: web.Request) -> web.Response:
        values[request.match_info["name"]] = float(request.match_info["value"])
        return web.Response()

    async def set_all(request: web.Request) -> web.Response:
        usual[0] = float(request.match_info["value"])
        values.clear()
        return web.Response()

    async def stats(_: web.Request) -> web.Response:
        return web.json_response({"requests": asked.total(), "names": len(asked)})

    async def reset(_: web.Request) -> web.Response:
        asked.clear()
        return web.Response()

    app = web.Application()
    app.add_routes(
        [
            web.get("/value/{name}", value),
            web.get("/api/v1/query", query),
            web.get("/set/{name}/{value}", set_one),
            web.get("/all/{value}", set_all),
            web.get("/stats", stats),
            web.get("/reset", reset),
        ]
    )
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
