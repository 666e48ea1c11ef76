"""Kafka triggers against a real broker with TLS and SASL: who they are, and whom they trust."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.apache_kafka import ApacheKafkaScaler
from keda_py_scalers.kafka import KafkaScaler

from tests.brokers.certificate import Authority
from tests.brokers.kafka import PASSWORD, USER, Broker, Listener, certified, kafka, sasl
from tests.brokers.kafka_admin import administered

from .asking import Asked, asking, read, value
from .kafka_world import SECONDS, left, said, until, warmed_up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
"""Starting a JVM takes its time on a slow machine, and the first time of all Kafka is fetched."""
AUTHORITY = Authority()
TLS, SASL = "TLS", "SASL"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    secure = certified(folder, AUTHORITY, trusted=AUTHORITY)
    listeners = [Listener(TLS, "SSL", secure | {"ssl.client.auth": "required"}), sasl(SASL, secure)]
    with kafka(folder, [listeners]) as (broker,):
        asyncio.run(warmed_up(broker))
        yield broker


LOGIN = {"username": USER, "password": PASSWORD, "ca": AUTHORITY.pem}


def secured(broker: Broker, listener: str, auth: dict[str, str], **metadata: str) -> Asked:
    given = {"bootstrapServers": f"localhost:{broker.listeners[listener].port}", "consumerGroup": "secured"}
    return Asked(KafkaScaler, given | {"topic": "secured", "tls": "enable"} | metadata, auth)


@pytest.fixture(scope="module")
def secured_topic(broker: Broker) -> None:
    async def make() -> None:
        async with administered(broker.address) as admin:
            await admin.topic("secured")
            await admin.produce("secured", 0, 5)
            await admin.commit("secured", {("secured", 0): 2})

    asyncio.run(make())


MECHANISMS = pytest.mark.parametrize("mechanism", ["plaintext", "scram_sha256", "scram_sha512"])


@MECHANISMS
@pytest.mark.usefixtures("secured_topic")
async def test_sasl_with_a_password(broker: Broker, mechanism: str) -> None:
    assert value(await read(secured(broker, SASL, LOGIN, sasl=mechanism), seconds=SECONDS)) == 3
    wrong = await read(secured(broker, SASL, LOGIN | {"password": "w0rse"}, sasl=mechanism), seconds=SECONDS)
    assert "refused the credentials" in str(wrong.failure)
    assert "w0rse" not in str(wrong.failure)
    apache = secured(broker, SASL, LOGIN, sasl=mechanism)
    assert value(await read(Asked(ApacheKafkaScaler, apache.metadata, apache.auth), seconds=SECONDS)) == 3
    await left(broker, 0, SASL)


@pytest.mark.parametrize("password", ["", "k3y-password"])
@pytest.mark.usefixtures("secured_topic")
async def test_a_certificate_of_our_own(broker: Broker, password: str) -> None:
    cert, key = AUTHORITY.issue("client", password=password)
    auth = {"ca": AUTHORITY.pem, "cert": cert, "key": key, "keyPassword": password}
    assert value(await read(secured(broker, TLS, auth), seconds=SECONDS)) == 3
    without = await read(secured(broker, TLS, {"ca": AUTHORITY.pem}), seconds=SECONDS)
    assert "TLS failed" in str(without.failure) or "closed the connection" in str(without.failure)
    await left(broker, 0, TLS)


@pytest.mark.usefixtures("secured_topic")
async def test_whom_we_trust(broker: Broker) -> None:
    stranger = LOGIN | {"ca": Authority("somebody else").pem}
    refused = await read(secured(broker, SASL, stranger, sasl="plaintext"), seconds=SECONDS)
    assert "its certificate is not trusted" in str(refused.failure)
    careless = secured(broker, SASL, stranger, sasl="plaintext", unsafeSsl="true")
    assert value(await read(careless, seconds=SECONDS)) == 3
    plain = secured(broker, SASL, LOGIN, tls="disable")
    assert "are tls and sasl what its listener expects?" in str((await read(plain, seconds=SECONDS)).failure)
    nobody = secured(broker, SASL, LOGIN)
    assert "are tls and sasl what its listener expects?" in str((await read(nobody, seconds=SECONDS)).failure)


def unsigned(subject: str) -> str:
    """Return a token as Kafka takes it where nobody signs them."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + 600})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join(encoded) + "."


@asynccontextmanager
async def token_endpoint(token: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append({"authorization": request.headers.get("Authorization"), **await request.post()})
        return web.json_response({"access_token": token, "expires_in": 300})

    app = web.Application()
    app.router.add_post("/token", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token", asked
    finally:
        await runner.cleanup()


@pytest.mark.usefixtures("secured_topic")
async def test_tokens(broker: Broker) -> None:
    async with token_endpoint(unsigned("carol")) as (url, asked):
        auth = LOGIN | {"oauthTokenEndpointUri": url, "scopes": "read,write", "oauthExtensions": "tenant=a,zone=b"}
        assert value(await read(secured(broker, SASL, auth, sasl="oauthbearer"), seconds=SECONDS)) == 3
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert asked == [{"authorization": f"Basic {basic}", "grant_type": "client_credentials", "scope": "read write"}]
    async with token_endpoint("no-token-at-all") as (url, _):
        auth = LOGIN | {"oauthTokenEndpointUri": url}
        outcome = await read(secured(broker, SASL, auth, sasl="oauthbearer"), seconds=SECONDS)
        assert "refused the credentials (SASL OAUTHBEARER)" in str(outcome.failure)
    auth = LOGIN | {"oauthTokenEndpointUri": "http://127.0.0.1:1/token"}
    outcome = await read(secured(broker, SASL, auth, sasl="oauthbearer"), seconds=SECONDS)
    assert "http://127.0.0.1:1: " in str(outcome.failure)


@pytest.mark.usefixtures("secured_topic")
async def test_a_certificate_that_changes(broker: Broker) -> None:
    """The broker comes back with a certificate of another authority: nobody is trusted who was not named."""
    other = Authority("the next authority")
    folder = Path(broker.listeners[SASL].config["ssl.keystore.location"]).parent
    asked = secured(broker, SASL, LOGIN, sasl="plaintext")
    async with asking(asked, seconds=2) as (live,):
        assert await until(live, 3)
        broker.kill()
        certified(folder, other, trusted=AUTHORITY)
        broker.start()
        await asyncio.to_thread(broker.wait_ready)
        assert await said(live, "its certificate is not trusted")
        renewed = secured(broker, SASL, LOGIN | {"ca": other.pem}, sasl="plaintext")
        async with asking(renewed, seconds=SECONDS) as (follower,):
            assert await until(follower, 3)
        broker.kill()
        certified(folder, AUTHORITY, trusted=AUTHORITY)
        broker.start()
        await asyncio.to_thread(broker.wait_ready)
        assert await until(live, 3)
    await left(broker, 0, SASL)
