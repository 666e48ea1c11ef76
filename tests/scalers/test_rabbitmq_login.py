"""The trigger `rabbitmq` against a real broker: who it is to it, whom it trusts, what it may not see."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from keda_py.scaler import MetadataError
from tests.brokers.certificate import Authority
from tests.brokers.rabbitmq import Broker, rabbitmq

from .asking import asking, read, value
from .rabbit import SECONDS, channel, declare, eventually, ours, trigger

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


# --- TLS ------------------------------------------------------------------------------------------------------------


async def test_amqps_needs_to_know_the_authority(broker: Broker) -> None:
    declare(broker, "tls")
    host = broker.host("amqps")
    outcome = await read(trigger(host, "tls"), seconds=SECONDS)
    place = f"amqps://127.0.0.1:{broker.ports['amqps']}"
    assert outcome.failure == f"{place}: its certificate is not trusted: self-signed certificate in certificate chain"
    # What the daemon's own files say is no manifest's business.
    named = f"{host}/?cacertfile={broker.folder}/authority.pem"
    assert "not trusted" in str((await read(trigger(named, "tls"), seconds=SECONDS)).failure)
    trusting = {"tls": "enable", "ca": broker.authority.pem}
    for asked in (trigger(host, "tls", trusting), trigger(host, "tls", unsafeSsl="true")):
        assert value(await read(asked, seconds=SECONDS)) == 0


async def test_a_certificate_with_an_encrypted_key_says_who_we_are(broker: Broker) -> None:
    declare(broker, "mtls")
    broker.add_user("worker", "not-used")
    certificate, key = broker.authority.issue("worker", password="k3y-secret")
    auth = {"tls": "enable", "ca": broker.authority.pem, "cert": certificate, "key": key, "keyPassword": "k3y-secret"}
    port = broker.ports["amqps"]
    async with asking(trigger(f"amqps://127.0.0.1:{port}", "mtls", auth), seconds=SECONDS) as (live,):
        assert value(await live.current()) == 0
        (connection,) = await eventually(lambda: asyncio.to_thread(ours, broker), bool)
        name = quote(connection["name"], safe="")
        found = await asyncio.to_thread(broker.call, "GET", f"/api/connections/{name}")
        assert (found["user"], found["auth_mechanism"], found["ssl"]) == ("worker", "EXTERNAL", True)
    with pytest.raises(MetadataError, match="keyPassword") as raised:
        await read(trigger(f"amqps://127.0.0.1:{port}", "mtls", auth | {"keyPassword": "wr0ng"}))
    assert "wr0ng" not in str(raised.value)


async def test_the_management_api_may_want_a_certificate(broker: Broker) -> None:
    declare(broker, "https")
    certificate, key = broker.authority.issue("anybody", password="k3y-secret")
    auth = {"tls": "enable", "ca": broker.authority.pem}
    pair = {"cert": certificate, "key": key, "keyPassword": "k3y-secret"}
    asked = trigger(broker.host("https"), "https", auth | pair)
    outcome = await eventually(lambda: read(asked, seconds=SECONDS), lambda found: found.failure is None)
    assert value(outcome) == 0
    place = f"https://127.0.0.1:{broker.ports['https']}"
    for refused in (auth, {}, auth | {"ca": Authority().pem} | pair):
        outcome = await read(trigger(broker.host("https"), "https", refused), seconds=SECONDS)
        assert str(outcome.failure).startswith(place)


SECRET = "c4nary-s3cret"
# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["amqp", "http", "amqps"])
async def test_nothing_that_is_said_has_the_password(
    broker: Broker, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker.add_user("watched", SECRET, vhosts=())
    wrong = [
        trigger(broker.host(scheme, user=f"guest:{SECRET}"), "q"),
        trigger(broker.host(scheme), "q", {"username": "guest", "password": SECRET}),
        trigger(broker.host(scheme, user=f"watched:{SECRET}"), "q"),
        trigger(broker.host(scheme, user=f"guest:{SECRET}", path="/none"), "q"),
        trigger(f"{scheme}://guest:{SECRET}@127.0.0.1:1", "q"),
        trigger(f"{scheme}://guest:{SECRET}@no-such-host.invalid", "q"),
        trigger(f"{scheme}://guest:{SECRET}@127.0.0.1:{broker.ports['epmd']}", "q"),
    ]
    for asked in wrong:
        outcome = await read(asked, seconds=SECONDS)
        assert outcome.failure is not None
        assert f"{scheme}://" in outcome.failure
        assert "unexpected" not in outcome.failure
        assert SECRET not in outcome.failure
    for text in (f"{scheme}://guest:{SECRET}@h:p", f"{scheme}://guest:{SECRET}%@h", f"guest:{SECRET}"):
        with pytest.raises(MetadataError) as raised:
            await read(trigger(text, "q"))
        assert SECRET not in str(raised.value)
    assert SECRET not in caplog.text


async def test_who_may_not_is_told_so(broker: Broker) -> None:
    broker.call("PUT", "/api/vhosts/closed")
    broker.add_user("limited", "p")
    broker.call("PUT", "/api/users/plain", {"password": "p", "tags": ""})
    declare(broker, "seen")
    amqp, http = (f"{scheme}://127.0.0.1:{broker.ports[scheme]}" for scheme in ("amqp", "http"))
    cases = [
        (broker.host("amqp", user="guest:wrong"), f"{amqp}: the broker refuses the user name or the password"),
        (broker.host("amqp", user="limited:p", path="/closed"), f"{amqp}: the broker refuses the virtual host closed"),
        (broker.host("amqp", path="/none"), f"{amqp}: the broker refuses the virtual host none"),
        (broker.host("http", user="guest:wrong"), f"{http} answered 401"),
        (broker.host("http", user="limited:p", path="/closed"), "may it use closed?"),
        (broker.host("http", user="plain:p"), "Not management user"),
        (broker.host("http", path="/none"), f"no queue seen in the virtual host none of {http}"),
    ]
    for host, says in cases:
        assert says in str((await read(trigger(host, "seen"), seconds=SECONDS)).failure), host


@pytest.mark.parametrize("scheme", ["amqp", "http"])
async def test_a_missing_queue_costs_nobody_else_anything(broker: Broker, scheme: str) -> None:
    declare(broker, "there")
    queues = ["there", "missing", "x" * 256, "there"]
    async with asking(*(trigger(broker.host(scheme), queue) for queue in queues), seconds=SECONDS) as live:

        async def outcomes() -> list[Any]:
            return await asyncio.gather(*(one.current() for one in live))

        found = await eventually(outcomes, lambda found: found[0].failure is None)
        assert value(found[0]) == value(found[3]) == 0
        assert "no queue missing in the virtual host / of" in str(found[1].failure)
        assert found[2].failure is not None


async def test_an_exclusive_queue_is_seen_over_http_only(broker: Broker) -> None:
    async with channel(broker) as client:
        await client.declare_queue("mine", exclusive=True)
        outcome = await read(trigger(broker.host("amqp"), "mine"), seconds=SECONDS)
        assert "queue mine is exclusive to another connection" in str(outcome.failure)
        asked = trigger(broker.host("http"), "mine")
        await eventually(lambda: read(asked, seconds=SECONDS), lambda found: found.failure is None)
