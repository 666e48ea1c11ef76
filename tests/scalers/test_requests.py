"""What a platform is told of the HTTP requests of scalers, whichever client sends them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.aws_sqs_queue import AwsSqsQueueScaler
from keda_py_scalers.cloud_http import CloudHttp

from keda_py.scaler import Platform, ScalerError
from tests.servers import free_port

from .asking import Asked, asking, read, value
from .http_world import JSON_VALUE, Source, metrics_api, serving

# They start servers.
pytestmark = pytest.mark.e2e


class Told:
    """What a platform was told."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self.seconds: list[float] = []

    def __call__(self, status: int | None, seconds: float) -> None:
        self.statuses.append(status)
        self.seconds.append(seconds)


@pytest.mark.parametrize(("status", "fails"), [(200, False), (404, True), (503, True)])
async def test_each_answer_is_told_by_its_status(status: int, fails: bool) -> None:
    told = Told()
    async with serving() as source:
        source.says(JSON_VALUE, status)
        outcome = await read(metrics_api(source), requested=told)
    assert (outcome.failure is not None) is fails
    assert told.statuses == [status]
    assert 0 < told.seconds[0] < 20


async def test_without_an_answer_there_is_no_status() -> None:
    told = Told()
    gone = Source()
    gone.url = f"http://127.0.0.1:{free_port()}"
    assert (await read(metrics_api(gone), requested=told)).failure is not None
    async with serving() as source:
        silent = asyncio.Event()

        async def answer(_: web.Request) -> web.StreamResponse:
            await silent.wait()
            return web.Response()

        source.answer = answer
        outcome = await read(metrics_api(source), seconds=0.3, requested=told)
        silent.set()
    assert outcome.failure is not None
    assert "within 0.3" in outcome.failure
    assert told.statuses == [None, None]
    assert told.seconds[1] >= 0.25


async def test_where_a_redirect_leads_is_a_request_too_and_so_is_a_login() -> None:
    told = Told()
    async with serving() as source:

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/token":
                return web.json_response({"access_token": "t", "expires_in": 3600})
            if request.path == "/value":
                return web.Response(status=307, headers={"Location": "/there"})
            return web.Response(text=JSON_VALUE)

        source.answer = answer
        auth = {"oauthTokenURI": f"{source.url}/token", "clientID": "me", "clientSecret": "x"}
        outcome = await read(metrics_api(source, auth, authModes="oauth"), requested=told)
    assert value(outcome) == 7
    assert told.statuses == [200, 307, 307, 200]


async def test_aws_and_clouds_tell_of_theirs() -> None:
    told = Told()
    counts = {"ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "0"}
    async with serving() as source:

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response({"Attributes": counts}, content_type="application/x-amz-json-1.0")

        source.answer = answer
        given = {"queueURL": f"{source.url}/1/q", "awsRegion": "eu-west-1", "awsEndpoint": source.url}
        keys = {"awsAccessKeyID": "id", "awsSecretAccessKey": "secret"}
        async with asking(Asked(AwsSqsQueueScaler, given, keys), requested=told) as (live,):
            assert value(await live.current()) == 3
        assert told.statuses == [200]
        source.says("no", 403)
        nothing: Any = None
        http = CloudHttp(Platform(nothing, nothing, requested=told))
        assert (await http.send("GET", f"{source.url}/x")).status == 403
        with pytest.raises(ScalerError):
            await http.send("GET", f"http://127.0.0.1:{free_port()}")
        await http.aclose()
    assert told.statuses == [200, 403, None]
