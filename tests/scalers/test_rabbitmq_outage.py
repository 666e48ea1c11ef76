"""A broker that dies, hangs, cuts the line, or changes who may ask: nothing is made up, and nothing is left behind."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import pytest

from keda_py.engine.trigger import LiveTrigger, Outcome
from tests.brokers.certificate import Authority
from tests.brokers.rabbitmq import Broker, rabbitmq

from .asking import asking, read, value
from .rabbit import channel, eventually, open_files, ours, put, trigger

pytestmark = pytest.mark.e2e

SCHEMES = pytest.mark.parametrize("scheme", ["amqp", "http"])
SECONDS = 3.0
PATIENT = 20.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        running.call("PUT", "/api/queues/%2F/kept", {"durable": True})
        asyncio.run(_fill(running))
        yield running


async def _fill(broker: Broker) -> None:
    async with channel(broker) as client:
        await put(client, "kept", 4)


class Wire:
    """A line to a port of the broker that can be held or cut."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.port = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.serving: set[asyncio.Task[None] | None] = set()
        self.accepted = 0
        self.passes = asyncio.Event()
        self.passes.set()
        self.cut_after: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.serving.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        self.open |= {writer, back}
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer, answers=True))
        self.open -= {writer, back}

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16):
                await self.passes.wait()
                if answers and self.cut_after is not None:
                    writer.write(data[: self.cut_after])
                    await writer.drain()
                    self.cut()
                    return
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self.open:
            writer.close()


@asynccontextmanager
async def wired(port: int) -> AsyncIterator[Wire]:
    wire = Wire(port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    yield wire
    server.close()
    wire.passes.set()
    wire.cut()
    await asyncio.gather(*filter(None, wire.serving), return_exceptions=True)


def through(wire: Wire, scheme: str, queue: str = "kept") -> Any:
    return trigger(f"{scheme}://guest:guest@127.0.0.1:{wire.port}", queue)


async def until_it_reads(live: LiveTrigger) -> None:
    outcome = await eventually(live.current, lambda found: found.failure is None)
    assert value(outcome) == 4


async def until_it_fails(live: LiveTrigger, *words: str) -> Outcome:
    """Return the first failure that has one of the words; whatever is read until then is right."""

    async def current() -> Outcome:
        outcome = await live.current()
        assert outcome.failure is not None or value(outcome) == 4
        return outcome

    outcome: Outcome = await eventually(
        current, lambda found: found.failure is not None and any(word in found.failure for word in words)
    )
    assert not outcome.readings
    return outcome


async def settled(broker: Broker, count: int) -> None:
    """Wait until the broker knows of so many connections of ours."""
    await eventually(lambda: asyncio.to_thread(ours, broker), lambda found: len(found) == count)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("amqp://127.0.0.1:1/", "amqp://127.0.0.1:1: Connection refused"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1: Connection refused"),
        ("amqp://no-such-host.invalid/", "amqp://no-such-host.invalid:5672: Name or service not known"),
    ],
)
async def test_nobody_there(host: str, says: str) -> None:
    assert says in str((await read(trigger(host, "kept"), seconds=SECONDS)).failure)


@SCHEMES
async def test_a_line_that_is_cut_in_the_middle_of_an_answer(broker: Broker, scheme: str) -> None:
    async with wired(broker.ports[scheme]) as wire, asking(through(wire, scheme), seconds=SECONDS) as (live,):
        await until_it_reads(live)
        wire.cut_after = 5
        outcome = await until_it_fails(live, f"{scheme}://127.0.0.1:{wire.port}")
        assert outcome.active is None
        wire.cut_after = None
        await until_it_reads(live)


@SCHEMES
async def test_a_line_that_is_silent_is_given_up_and_taken_up_again(broker: Broker, scheme: str) -> None:
    async with wired(broker.ports[scheme]) as wire, asking(through(wire, scheme), seconds=1) as (live,):
        await until_it_reads(live)
        before, accepted = open_files(), wire.accepted
        wire.passes.clear()
        await until_it_fails(live, "does not answer")
        # While the source is down its connection is given up, and a new one is tried.
        await eventually(live.current, lambda _: wire.accepted > accepted)
        wire.passes.set()
        await until_it_reads(live)
        await eventually(lambda: asyncio.sleep(0, open_files()), lambda found: found <= before)


async def test_a_connection_that_was_lost_between_two_reads_is_no_failure(broker: Broker) -> None:
    async with asking(trigger(broker.host("amqp"), "kept"), seconds=PATIENT) as (live,):
        for _ in range(3):
            assert value(await live.current()) == 4
            (connection,) = await eventually(lambda: asyncio.to_thread(ours, broker), bool)
            path = f"/api/connections/{quote(connection['name'], safe='')}"
            await asyncio.to_thread(broker.call, "DELETE", path)
            await settled(broker, 0)


async def test_what_does_not_answer_costs_itself_only(broker: Broker) -> None:
    """A queue that is too busy to answer holds up its channel, and no other question."""
    broker.call("PUT", "/api/queues/%2F/stuck", {"durable": True})
    find = '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"stuck">>)), P = amqqueue:get_pid(Q)'
    broker.evaluate(f"{find}, sys:suspend(P).")
    try:
        asked = [trigger(broker.host("amqp"), queue) for queue in ["stuck", *["kept"] * 5]]
        async with asking(*asked, seconds=SECONDS) as live:
            for _ in range(3):
                outcomes = await asyncio.gather(*(one.current() for one in live))
                assert "no answer within" in str(outcomes[0].failure)
                assert [value(outcome) for outcome in outcomes[1:]] == [4] * 5
            (connection,) = await eventually(lambda: asyncio.to_thread(ours, broker), bool)
            assert connection["channels"] <= 5
    finally:
        broker.evaluate(f"{find}, sys:resume(P).")
    assert value(await read(asked[0], seconds=PATIENT)) == 0


async def test_another_password_counts_from_the_next_connection_on(broker: Broker) -> None:
    broker.add_user("changing", "0ld")
    asked = [trigger(broker.host(scheme, user="changing:0ld"), "kept") for scheme in ("amqp", "http")]
    async with asking(*asked, seconds=SECONDS) as (amqp, http):
        await until_it_reads(amqp)
        await until_it_reads(http)
        broker.add_user("changing", "n3w")
        failure = (await until_it_fails(http, "answered 401")).failure
        assert "0ld" not in str(failure)
        assert value(await amqp.current()) == 4
        (connection,) = await eventually(lambda: asyncio.to_thread(ours, broker), bool)
        path = f"/api/connections/{quote(connection['name'], safe='')}"
        await asyncio.to_thread(broker.call, "DELETE", path)
        await until_it_fails(amqp, "refuses the user name or the password")
        await settled(broker, 0)
        broker.add_user("changing", "0ld")
        await until_it_reads(amqp)
        await until_it_reads(http)


async def test_a_broker_that_stands_still(broker: Broker) -> None:
    asked = [trigger(broker.host(scheme), "kept") for scheme in ("amqp", "amqps", "http")]
    asked[1] = trigger(broker.host("amqps"), "kept", unsafeSsl="true")
    async with asking(*asked, seconds=1) as live:
        await asyncio.gather(*map(until_it_reads, live))
        await settled(broker, 2)
        before = open_files()
        broker.signal(signal.SIGSTOP)
        try:
            await asyncio.gather(*(until_it_fails(one, "does not answer") for one in live))
            # Connecting anew comes to nothing either.
            await asyncio.gather(*(until_it_fails(one, "no connection within", "does not answer") for one in live[:2]))
        finally:
            broker.signal(signal.SIGCONT)
        await asyncio.gather(*map(until_it_reads, live))
        await settled(broker, 2)
        await eventually(lambda: asyncio.sleep(0, open_files()), lambda found: found <= before)
    await settled(broker, 0)


async def test_a_broker_that_dies_and_comes_back_with_another_certificate(broker: Broker) -> None:
    trusting = {"tls": "enable", "ca": broker.authority.pem}
    asked = [trigger(broker.host(scheme), "kept") for scheme in ("amqp", "http")]
    asked.append(trigger(broker.host("amqps"), "kept", trusting))
    async with asking(*asked, seconds=SECONDS) as (amqp, http, amqps):
        for live in (amqp, http, amqps):
            await until_it_reads(live)
        broker.kill()
        await asyncio.gather(
            until_it_fails(amqp, f"amqp://127.0.0.1:{broker.ports['amqp']}: Connect"),
            until_it_fails(http, f"http://127.0.0.1:{broker.ports['http']}: Connect"),
            until_it_fails(amqps, f"amqps://127.0.0.1:{broker.ports['amqps']}: Connect"),
        )
        broker.certify(Authority())
        await asyncio.to_thread(broker.start)
        for live in (amqp, http):
            await until_it_reads(live)
        await until_it_fails(amqps, "its certificate is not trusted")
        await settled(broker, 1)
    await settled(broker, 0)
