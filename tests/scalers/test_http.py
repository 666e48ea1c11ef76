"""Triggers over HTTP against real servers: what they ask, what they make of the answer, and how it goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.http_body import LARGEST_BODY

from keda_py.engine.trigger import LiveTrigger
from keda_py.scaler import ScalerError

from .asking import asking, read, value
from .http_world import JSON_VALUE, KINDS, PROMETHEUS_VALUE, Source, metrics_api, prometheus, serving

# They start servers.
pytestmark = pytest.mark.e2e
# --- the value ------------------------------------------------------------------------------------------------------


@KINDS
async def test_a_value_is_read(kind: Any, good: str) -> None:
    async with serving() as source:
        source.says(good)
        outcome = await read(kind(source))
    assert value(outcome) == 7
    assert outcome.active


async def test_prometheus_is_asked_with_everything_the_manifest_says() -> None:
    async with serving() as source:
        source.says(PROMETHEUS_VALUE)
        extra = {"namespace": "team a", "queryParameters": "x=1,y=a b", "customHeaders": "X-Scope=one,X-Two=2"}
        asked = prometheus(source, query="sum(rate(x[1m])) > 0", serverAddress=f"{source.url}/base/", **extra)
        assert value(await read(asked)) == 7
    (request,) = source.asked
    assert (request.method, request.path) == ("GET", "/base/api/v1/query")
    assert dict(request.query) == {"query": "sum(rate(x[1m])) > 0", "namespace": "team a", "x": "1", "y": "a b"}
    assert (request.headers["X-Scope"], request.headers["X-Two"]) == ("one", "2")


async def test_the_url_of_metrics_api_is_kept_as_it_is() -> None:
    async with serving() as source:
        assert value(await read(metrics_api(source, url=f"{source.url}/a%2Fb?q=1&q=2"))) == 7
    (request,) = source.asked
    assert request.raw_path == "/a%2Fb?q=1&q=2"


async def test_activation_is_strictly_above_its_threshold() -> None:
    async with serving() as source:
        outcome = await read(metrics_api(source, activationTargetValue="7"))
        assert outcome.active is False
        outcome = await read(metrics_api(source, activationTargetValue="6.9"))
        assert outcome.active is True


async def test_equal_requests_are_sent_once_on_one_connection() -> None:
    async with serving() as source:
        source.says('{"value": 7, "other": 8}')
        same = [metrics_api(source), metrics_api(source, valueLocation="other"), metrics_api(source)]
        async with asking(*same, metrics_api(source, url=f"{source.url}/else")) as triggers:
            outcomes = await asyncio.gather(*(trigger.current() for trigger in triggers))
        assert [value(outcome) for outcome in outcomes] == [7, 8, 7, 7]
        assert sorted(request.path for request in source.asked) == ["/else", "/value"]


async def test_other_credentials_are_another_connection() -> None:
    async with serving() as source:
        asked = [metrics_api(source, {"token": token}, authModes="bearer") for token in ("a", "b")]
        async with asking(*asked) as triggers:
            for trigger in triggers:
                await trigger.current()
        assert [request.headers["Authorization"] for request in source.asked] == ["Bearer a", "Bearer b"]
        assert len(source.connections) == 2


EMPTY = {
    "no result": '{"data": {"resultType": "vector", "result": []}}',
    "no value": '{"data": {"resultType": "vector", "result": [{"value": []}]}}',
    "null": '{"data": {"resultType": "vector", "result": [{"value": [1, null]}]}}',
    "NaN": '{"data": {"resultType": "vector", "result": [{"value": [1, "NaN"]}]}}',
    "+Inf": '{"data": {"resultType": "scalar", "result": [1, "+Inf"]}}',
}
# --- empty, and what is made of it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY.keys())
async def test_an_empty_query_is_zero_only_if_the_manifest_says_so(body: str) -> None:
    async with serving() as source:
        source.says(body)
        refused = await read(prometheus(source))
        assert refused.failure is not None
        assert "with ignoreNullValues that counts as 0" in refused.failure
        outcome = await read(prometheus(source, ignoreNullValues="true"))
        (reading,) = outcome.readings.values()
        assert (reading.value, reading.active, reading.empty) == (0, False, True)


async def test_several_results_are_an_error() -> None:
    async with serving() as source:
        source.says('{"data": {"resultType": "vector", "result": [{"value": [1, "1"]}, {"value": [1, "2"]}]}}')
        outcome = await read(prometheus(source, ignoreNullValues="true"))
    assert "the query has 2 results" in str(outcome.failure)


# --- whatever goes wrong: unknown is never zero ---------------------------------------------------------------------


async def _slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def _large(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(10):
        await answer.write(b" " * 2**20)
    return answer


async def _cut(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b'{"value": 7')
    assert request.transport is not None
    request.transport.close()
    return answer


async def _loop(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.path)


def _answer(text: str, status: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return Source._text(text, status)


async def recovered(trigger: LiveTrigger) -> float:
    """Return what a trigger reads once it can be read again."""
    async with asyncio.timeout(30):
        while (await trigger.current()).failure is not None:
            await asyncio.sleep(0.1)
    return value(await trigger.current())


FAULTS: dict[str, tuple[Callable[[web.Request], Awaitable[web.StreamResponse]], str]] = {
    "500": (_answer("overloaded\nsorry", 500), "answered 500: overloaded sorry"),
    "404": (_answer("", 404), "answered 404"),
    "no body": (_answer(""), "not"),
    "garbage": (_answer("<html>login</html>"), "not"),
    "another JSON": (_answer('{"error": "x"}'), "not"),
    "a list": (_answer("[]"), "not"),
    "10 MB": (_large, f"answered more than {LARGEST_BODY >> 20} MiB"),
    "slow": (_slow, "within 0.5"),
    "cut off": (_cut, "127.0.0.1"),
    "redirected for ever": (_loop, "redirected more than 10 times"),
}


@KINDS
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_a_failure_with_a_reason_and_passes(kind: Any, good: str, fault: str) -> None:
    answer, says = FAULTS[fault]
    async with serving() as source:
        source.answer = answer
        async with asking(kind(source), seconds=0.5 if fault == "slow" else 20) as (trigger,):
            outcome = await trigger.current()
            assert outcome.failure is not None
            assert says in outcome.failure
            assert (outcome.readings, outcome.active) == ({}, None)
            source.says(good)
            assert await recovered(trigger) == 7


@KINDS
async def test_a_source_that_is_down_is_told_and_found_again(kind: Any, good: str) -> None:
    async with serving() as source:
        source.says(good)
        async with asking(kind(source)) as (trigger,):
            assert value(await trigger.current()) == 7
            await source.stop()
            await asyncio.sleep(0.02)
            outcome = await trigger.current()
            assert str(outcome.failure).endswith(f"http://127.0.0.1:{source.port}: Connection refused")
            await source.start()
            assert await recovered(trigger) == 7


@KINDS
@pytest.mark.parametrize("address", ["ftp://x", "nonsense", "http://", "http://[::1", "http://a b/"])
async def test_an_address_that_is_none_is_told(kind: Any, good: str, address: str) -> None:
    async with serving() as source:
        outcome = await read(kind(source, url=address, serverAddress=address))
    assert outcome.failure is not None
    assert "unexpected" not in outcome.failure


async def test_a_redirect_is_followed() -> None:
    async with serving() as source:

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/value":
                raise web.HTTPFound("/there")
            return web.Response(text=JSON_VALUE)

        source.answer = answer
        assert value(await read(metrics_api(source))) == 7


async def test_the_proxy_of_the_environment_is_used_and_its_exceptions_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        source = Source()
        source.url = "http://queue.invalid:8080"
        assert value(await read(metrics_api(source))) == 7
        assert proxy.asked[0].headers["Host"] == "queue.invalid:8080"
        monkeypatch.setenv("no_proxy", "queue.invalid")
        outcome = await read(metrics_api(source))
        assert "http://queue.invalid:8080" in str(outcome.failure)
        assert len(proxy.asked) == 1


# --- the endpoints of a Service -------------------------------------------------------------------------------------


class Slices:
    """A cluster that knows the endpoints of one Service."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self.found = found

    async def get(self, *_: Any) -> Any:
        raise ScalerError("not here")

    async def list(self, api_version: str, plural: str, namespace: str, *, label_selector: str = "") -> Any:
        assert (api_version, plural, namespace) == ("discovery.k8s.io/v1", "endpointslices", "shop")
        assert label_selector == "kubernetes.io/service-name=orders"
        return self.found


def endpoints(port: int, *addresses: str, ready: bool | None = None) -> dict[str, Any]:
    conditions = {} if ready is None else {"conditions": {"ready": ready}}
    return {"ports": [{"port": port}], "endpoints": [{"addresses": [address], **conditions} for address in addresses]}


@pytest.mark.parametrize(("how", "total"), [("average", 2), ("sum", 4), ("max", 3), ("min", 1)])
async def test_the_endpoints_of_a_service_are_aggregated(how: str, total: float) -> None:
    async with serving() as source:

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.json_response({"value": {"127.0.0.1": 1, "127.0.0.2": 3}[request.url.host or ""]})

        source.answer = answer
        second = web.TCPSite(source.runner, "127.0.0.2", source.port)  # type: ignore[arg-type]
        await second.start()
        slices = Slices(
            endpoints(source.port, "127.0.0.1", "127.0.0.2", ready=True),
            endpoints(source.port, "127.0.0.1"),
            endpoints(source.port, "127.0.0.3", ready=False),
        )
        url = f"http://orders.shop.svc:{source.port}/value"
        asked = metrics_api(source, url=url, aggregateFromKubeServiceEndpoints="true", aggregationType=how)
        assert value(await read(asked, kubernetes=slices)) == total
        assert len(source.asked) == 2
        # One of them gone: what the others say still is an average or a bound, but no sum.
        await second.stop()
        outcome = await read(asked, kubernetes=slices)
        assert (outcome.failure is not None) == (how == "sum")


@pytest.mark.parametrize(
    ("url", "slices", "says"),
    [
        ("http://orders.shop.svc/x", Slices(), "the Service shop/orders has no ready endpoints"),
        ("http://orders/x", Slices(), "must be that of a Service"),
    ],
)
async def test_a_service_without_endpoints_is_no_zero(url: str, slices: Slices, says: str) -> None:
    async with serving() as source:
        asked = metrics_api(source, url=url, aggregateFromKubeServiceEndpoints="true")
        outcome = await read(asked, kubernetes=slices)
    assert says in str(outcome.failure)
