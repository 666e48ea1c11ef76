"""Sources that are hostile, careless or half gone, seen by a `metrics-api` trigger: each costs itself and no more.

What all triggers over HTTP do with an ordinary source is in test_http.py.
"""

import asyncio
import base64
import gzip
import html
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.http_body import LARGEST_BODY
from keda_py_scalers.transport import proxy_for

from .asking import asking, read, value
from .http_world import JSON_VALUE, metrics_api, serving
from .test_http import Slices, endpoints

# --- what a server may make us hold ---------------------------------------------------------------------------------

ZEROS = gzip.compress(b" " * (2 * LARGEST_BODY))
PACKED = {
    "packed": ("gzip", gzip.compress(JSON_VALUE.encode()), None),
    "not packed, and says so": ("identity", JSON_VALUE.encode(), None),
    "large when unpacked": ("gzip", ZEROS, "more than 8 MiB"),
    "packed twice": ("gzip, gzip", gzip.compress(ZEROS), "answered 200 in an encoding that was not asked for"),
    "another encoding": ("br", b"?", "answered 200 in an encoding that was not asked for"),
    "not what it says": ("gzip", JSON_VALUE.encode(), "cannot be unpacked"),
    "cut off": ("gzip", gzip.compress(JSON_VALUE.encode())[:-4], "cannot be unpacked"),
    "something behind it": ("gzip", gzip.compress(b'{"value": 7') + b"}", "cannot be unpacked"),
}


@pytest.mark.parametrize(("encoding", "body", "says"), PACKED.values(), ids=PACKED.keys())
async def test_a_packed_answer_is_unpacked_within_bounds_and_whole_or_not_at_all(
    encoding: str, body: bytes, says: str | None
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with serving() as source:
        source.answer = answer
        outcome = await read(metrics_api(source))
        assert source.asked[0].headers["Accept-Encoding"] == "gzip"
    if says is None:
        assert value(outcome) == 7
    else:
        assert says in str(outcome.failure)


async def test_what_comes_with_a_redirect_is_not_read() -> None:
    async with serving() as source:
        endless: list[asyncio.Task[None] | None] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/there":
                return web.Response(text=JSON_VALUE)
            started = web.StreamResponse(status=302, headers={"Location": "/there"})
            await started.prepare(request)
            endless.append(asyncio.current_task())
            while True:
                try:
                    await started.write(b" " * 2**16)
                except ConnectionError:
                    return started

        source.answer = answer
        # Whoever read that to its end would never get to the value.
        assert value(await read(metrics_api(source))) == 7
        # Asked for the value, and again by what may follow to another place.
        assert len(endless) == 2


async def test_cookies_are_not_kept() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        said = web.Response(text=JSON_VALUE)
        said.set_cookie("session", "x")
        return said

    async with serving() as source:
        source.answer = answer
        async with asking(metrics_api(source), metrics_api(source, url=f"{source.url}/else")) as triggers:
            for trigger in triggers:
                assert value(await trigger.current()) == 7
        assert [request.headers.get("Cookie") for request in source.asked] == [None, None]


# --- secrets --------------------------------------------------------------------------------------------------------


KEY = 's3cr+t/"&'
REPEATED: dict[str, Callable[[web.Request], object]] = {
    "raw": lambda request: "\n".join(request.headers.values()),
    "as JSON": lambda request: json.dumps(dict(request.headers)),
    "as HTML": lambda request: html.escape(str(list(request.headers.values()))),
    "the address": lambda request: request.raw_path,
}


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED.keys())
@pytest.mark.parametrize(
    ("modes", "auth"),
    [
        ("bearer", {"token": KEY}),
        ("basic", {"username": "u", "password": KEY}),
        ("custom", {"customAuthHeader": "X-C", "customAuthValue": KEY}),
        ("apiKey", {"apiKey": KEY}),
        ("apiKey", {"apiKey": KEY, "method": "query"}),
    ],
)
async def test_a_server_that_repeats_what_it_was_sent_tells_no_secret(
    repeated: Callable[[web.Request], object], modes: str, auth: dict[str, str]
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text=f"you said {repeated(request)}")

    async with serving() as source:
        source.answer = answer
        failure = str((await read(metrics_api(source, auth, authModes=modes))).failure)
    assert "answered 500" in failure
    forms = ["s3cr", base64.b64encode(f"u:{KEY}".encode()).decode()[:12]]
    assert not [form for form in forms if form in failure]


async def test_a_header_may_have_any_text_but_no_line_end() -> None:
    async with serving() as source:
        named = {"customAuthHeader": "X-C", "customAuthValue": "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"}
        assert value(await read(metrics_api(source, named, authModes="custom"))) == 7
        assert source.asked[0].headers["X-C"] == named["customAuthValue"]
        outcome = await read(metrics_api(source, named | {"customAuthValue": "s3cret\nX: y"}, authModes="custom"))
        assert "a header has characters that none may have" in str(outcome.failure)
        assert "s3cret" not in str(outcome.failure)


# --- tokens ---------------------------------------------------------------------------------------------------------


def oauth(url: str) -> dict[str, str]:
    return {"oauthTokenURI": url, "clientID": "a:b", "clientSecret": "p+w%/="}


async def test_a_revoked_token_is_replaced_once_for_all_that_used_it() -> None:
    async with serving() as source:
        issued: list[str] = []
        refused: set[str] = set()

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/token":
                issued.append(f"t{len(issued)}")
                return web.json_response({"access_token": issued[-1], "expires_in": 3600})
            # Refusals come back one after the other: the last ones when the next token is long there.
            await asyncio.sleep(int(request.query["n"]) * 0.01)
            token = request.headers["Authorization"].removeprefix("Bearer ")
            return web.Response(status=401) if token in refused else web.Response(text=JSON_VALUE)

        source.answer = answer
        auth = oauth(f"{source.url}/token")
        asked = [metrics_api(source, auth, authModes="oauth", url=f"{source.url}/value?n={n}") for n in range(10)]
        async with asking(*asked, seconds=5.0) as triggers:
            for token in ("t0", "t1"):
                outcomes = await asyncio.gather(*(trigger.current() for trigger in triggers))
                assert {value(outcome) for outcome in outcomes} == {7}
                refused.add(token)
                await asyncio.sleep(0.02)
    assert issued == ["t0", "t1"]


async def test_the_clients_name_and_secret_are_quoted_for_the_token_server() -> None:
    async with serving() as source:

        async def answer(request: web.Request) -> web.StreamResponse:
            pair = base64.b64encode(b"a%3Ab:p%2Bw%25%2F%3D").decode()
            if request.path == "/token" and request.headers["Authorization"] == f"Basic {pair}":
                return web.json_response({"access_token": "t"})
            return web.Response(text=JSON_VALUE) if request.path == "/value" else web.Response(status=403)

        source.answer = answer
        assert value(await read(metrics_api(source, oauth(f"{source.url}/token"), authModes="oauth"))) == 7


@pytest.mark.parametrize("token", ['{"access_token": null}', '{"access_token": ""}', "{}", "[]", "t", "[" * 100_000])
async def test_no_token_is_no_token(token: str) -> None:
    async with serving() as source:

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(text=token if request.path == "/token" else JSON_VALUE)

        source.answer = answer
        outcome = await read(metrics_api(source, oauth(f"{source.url}/token"), authModes="oauth"))
        assert "no token: " in str(outcome.failure)
        assert "/value" not in {request.path for request in source.asked}


async def test_an_address_of_a_token_server_that_is_none_is_told() -> None:
    async with serving() as source:
        outcome = await read(metrics_api(source, oauth("nonsense"), authModes="oauth"))
    assert "cannot be asked" in str(outcome.failure)


# --- the endpoints of a Service, one of them gone -------------------------------------------------------------------


@pytest.mark.parametrize(("how", "total"), [("average", 1), ("max", 1), ("min", 1), ("sum", None)])
async def test_an_endpoint_that_is_gone_costs_no_other_endpoint(how: str, total: float | None) -> None:
    alive = [f"127.0.0.{n}" for n in range(1, 41)]
    async with serving() as source:
        source.says('{"value": 1}')
        assert source.runner is not None
        for address in alive[1:]:
            await web.TCPSite(source.runner, address, source.port).start()
        slices = Slices(endpoints(source.port, "127.0.0.99", *alive))
        url = f"http://orders.shop.svc:{source.port}/value"
        asked = metrics_api(source, url=url, aggregateFromKubeServiceEndpoints="true", aggregationType=how)
        async with asking(asked, kubernetes=slices, seconds=5.0) as (trigger,):
            for reads in (1, 2):
                outcome = await trigger.current()
                assert len(source.asked) == reads * len(alive)
                assert str(outcome.failure).startswith("1 of 41 endpoints failed") if total is None else True
                assert total is None or value(outcome) == total
                await asyncio.sleep(0.02)


# --- proxies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://queue.example", "http://proxy:3128"),
        ("http://172.16.0.1:9090", "http://proxy:3128"),
        ("http://10.1.2.3:9090", None),
        ("http://[fd00::1]:9090", None),
        ("http://queue.shop.svc", None),
        ("http://localhost:9090", None),
        ("http://127.0.0.9:9090", None),
        ("http://[::1]:9090", None),
        ("https://queue.example", None),
        ("nonsense", None),
    ],
)
def test_which_hosts_are_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch, url: str, proxy: Any) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, fd00::/8,.svc")
    assert proxy_for(url) == proxy
