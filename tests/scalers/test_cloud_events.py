"""Event sinks against a local server: an HTTP receiver, and Event Grid as it is documented. No Azure was asked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.cloud_events import EventGridTopic, HttpSink

from keda_py.event_sink import CloudEvent, Destination, EventSink
from keda_py.scaler import PodIdentity, ScalerError, SourceUnavailable
from tests.servers import free_port

from .azure_server import TENANT, Azure
from .cloud import CANARY, Cloud, cut, said, standing

# They start servers.
pytestmark = pytest.mark.e2e

EVENT = CloudEvent(
    id="1",
    source='/größe "%"/keda/keda',
    type="keda.scaledobject.ready.v1",
    subject="/prod/shop/scaledobject/orders",
    time=datetime(2026, 1, 1, 8, 0, 5, tzinfo=UTC),
    reason="ScaledObjectReady",
    message="bereit für alles",
)
TOPIC = "/api/events"


class Receiver:
    """Takes what it is sent, as Event Grid from who has its key or a token."""

    def __init__(self, azure: Azure | None = None) -> None:
        self.bodies: list[Any] = []
        self.azure = azure

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.azure is not None and request.path.endswith("/token"):
            return await self.azure.login(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.azure is not None and token in self.azure.tokens
        if request.path == TOPIC and request.headers.get("aeg-sas-key") != f"{CANARY}-key" and not known:
            return web.json_response({"error": {"code": "Unauthorized", "message": CANARY}}, status=401)
        self.bodies.append(await request.json())
        return web.Response(status=200)


class Near(EventGridTopic):
    """Topics of this machine."""

    near = ("localhost",)


@pytest.fixture
async def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Receiver, Cloud]]:
    made = Receiver(Azure())
    assert made.azure is not None
    async with standing(made.answer, tmp_path) as cloud:
        (tmp_path / "token").write_text(made.azure.federated)
        monkeypatch.setenv("AZURE_CLIENT_ID", "daemon")
        monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{cloud.url}/")
        yield made, cloud


def to(cloud: Cloud, path: str = "/hook?code=1", pod: PodIdentity | None = None, **parameters: str) -> Destination:
    return Destination(f"{cloud.url}{path}", cloud.platform(), parameters, pod or PodIdentity())


async def sent(sink: EventSink, times: int = 1) -> None:
    try:
        for _ in range(times):
            await sink.send(EVENT)
    finally:
        await sink.close()


async def failure(sink: EventSink) -> ScalerError:
    with pytest.raises(ScalerError) as raised:
        await sent(sink)
    assert CANARY not in f"{raised.value}{raised.value!r}{sink!r}{sink.to!r}"
    return raised.value


async def test_a_receiver_is_told_in_binary_mode_over_one_connection(receiver: tuple[Receiver, Cloud]) -> None:
    made, cloud = receiver
    await sent(HttpSink(to(cloud)), times=2)
    first, _ = cloud.seen
    assert (first.method, first.path) == ("POST", "/hook?code=1")
    assert {name.lower(): value for name, value in first.headers.items() if name.lower().startswith("ce-")} == {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/gr%C3%B6%C3%9Fe%20%22%25%22/keda/keda",
        "ce-type": "keda.scaledobject.ready.v1",
        "ce-subject": "/prod/shop/scaledobject/orders",
        "ce-time": "2026-01-01T08:00:05Z",
    }
    assert first.headers["Content-Type"] == "application/json"
    assert made.bodies == [{"reason": "ScaledObjectReady", "message": "bereit für alles"}] * 2
    assert len(cloud.connections) == 1
    await cloud.until_closed()


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_a_topic_is_told_with_its_key_or_a_token(receiver: tuple[Receiver, Cloud], kind: str) -> None:
    made, cloud = receiver
    pod = PodIdentity("azure-workload") if kind == "token" else None
    await sent(Near(to(cloud, TOPIC, pod, accessKey=f"{CANARY}-key\n")), times=2)
    asked = [seen for seen in cloud.seen if seen.path.startswith(TOPIC)]
    assert {seen.path for seen in asked} == {f"{TOPIC}?api-version=2018-01-01"}
    assert {seen.headers["Content-Type"] for seen in asked} == {"application/cloudevents-batch+json; charset=utf-8"}
    assert ("aeg-sas-key" in asked[0].headers) is (kind == "key")
    assert made.bodies[0] == [
        {
            "specversion": "1.0",
            "id": "1",
            "source": EVENT.source,
            "type": EVENT.type,
            "subject": EVENT.subject,
            "time": "2026-01-01T08:00:05Z",
            "datacontenttype": "application/json",
            "data": {"reason": "ScaledObjectReady", "message": "bereit für alles"},
        }
    ]
    logins = [seen for seen in cloud.seen if seen.path.endswith("/token")]
    assert len(logins) == (kind == "token")
    if logins:
        assert logins[0].form["scope"] == "https://eventgrid.azure.net/.default"


async def test_a_token_that_was_revoked_is_replaced(receiver: tuple[Receiver, Cloud]) -> None:
    made, cloud = receiver
    sink = Near(to(cloud, TOPIC, PodIdentity("azure-workload")))
    await sink.send(EVENT)
    assert made.azure is not None
    made.azure.tokens.clear()
    await sent(sink)
    assert (len(made.bodies), cloud.asked(f"/{TENANT}")) == (2, 2)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (500, "is asked too much or is unwell (500)"),
        (429, "is asked too much or is unwell (429)"),
        (404, "answered 404"),
        (307, "answered 307: nobody is followed to another address; give that"),
    ],
)
async def test_what_is_not_taken_says_so(receiver: tuple[Receiver, Cloud], status: int, says: str) -> None:
    _, cloud = receiver
    cloud.instead["/hook"] = said(f"{CANARY} is not welcome", status, Location=f"{cloud.url}/{CANARY}")
    assert str(await failure(HttpSink(to(cloud)))) == f"{cloud.url.removeprefix('https://')} {says}"
    assert cloud.asked("/") == 1


async def test_receivers_that_are_gone_or_break_off(receiver: tuple[Receiver, Cloud]) -> None:
    _, cloud = receiver
    cloud.instead["/hook"] = cut
    assert isinstance(await failure(HttpSink(to(cloud))), SourceUnavailable)
    gone = Destination(f"http://user:{CANARY}@127.0.0.1:{free_port()}/{CANARY}", cloud.platform())
    assert "cannot be reached" in str(await failure(HttpSink(gone)))


async def test_a_wrong_key_is_told_without_it(receiver: tuple[Receiver, Cloud]) -> None:
    _, cloud = receiver
    assert str(await failure(Near(to(cloud, TOPIC, accessKey=f"{CANARY}-wrong")))).endswith("answered 401")
    assert "characters that none may" in str(await failure(Near(to(cloud, TOPIC, accessKey=f"{CANARY}\n{CANARY}"))))


@pytest.mark.parametrize(
    ("sink", "address", "pod", "says"),
    [
        (HttpSink, "receiver:8080", "", "spec.destination.http.uri: expected http:// or https:// and a host"),
        (HttpSink, "http://[x", "", "spec.destination.http.uri: expected http:// or https:// and a host"),
        (HttpSink, "file:///etc/passwd", "", "spec.destination.http.uri: expected http:// or https:// and a host"),
        (EventGridTopic, "http://t.eventgrid.azure.net", "", "endpoint: expected https:// and a host"),
        (
            EventGridTopic,
            "https://t.eventgrid.azure.net",
            "",
            "a topic needs the parameter accessKey, or a podIdentity",
        ),
        (EventGridTopic, "https://t.eventgrid.azure.net", "aws", "podIdentity: Event Grid has no use for aws"),
        (EventGridTopic, "https://t.example", "azure-workload", "the daemon's token is not sent there"),
        (EventGridTopic, "https://eventgrid.azure.net.example", "azure-workload", "the daemon's token is not sent"),
    ],
)
def test_what_makes_no_sense_is_told_at_once(sink: type[EventSink], address: str, pod: str, says: str) -> None:
    platform = Cloud(said("")).platform()
    with pytest.raises(ScalerError, match=says.replace("(", r"\(")):
        sink(Destination(address, platform, {}, PodIdentity(pod) if pod else PodIdentity()))
