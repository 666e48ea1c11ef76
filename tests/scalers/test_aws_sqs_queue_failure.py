"""The trigger `aws-sqs-queue` against servers that refuse, are silent, die, throttle, or are not the right ones."""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from keda_py_scalers.aws_client import FIRST_PAUSE, Pace
from keda_py_scalers.aws_http import LARGEST_BODY
from keda_py_scalers.aws_sqs_queue import IN_FLIGHT, VISIBLE

from keda_py.serve.certificate import Bundle, renewed
from tests.brokers.sqs import SERVERS
from tests.brokers.sqs_front import Front, cut, dropped, front, refused, said, silent
from tests.servers import free_port

from .asking import asking, read, value
from .sqs_world import PATIENCE, asked, length, queue, queues, started_servers, until_read, values

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    with started_servers(tmp_path_factory) as address:
        yield address


@pytest.fixture(params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, started: Callable[[str], str]) -> str:
    return started(request.param)


@pytest.fixture
def elasticmq(started: Callable[[str], str]) -> str:
    return started("elasticmq")


@pytest.fixture
def moto(started: Callable[[str], str]) -> str:
    return started("moto")


async def test_a_missing_queue_is_one_triggers_failure(server: str) -> None:
    async with queue(server) as one, front(server) as before:
        await one.send(1)
        missing = asked(before.url, f"{one.url}-none")
        async with asking(missing, asked(before.url, one.url)) as (nowhere, there):
            for _ in range(2):
                outcome = await nowhere.current()
                assert "no such queue; is queueURL right, and is awsRegion" in (outcome.failure or "")
                assert value(await there.current()) == 1
                await asyncio.sleep(0.02)
    assert before.asked["GetQueueAttributes"] == 4


@pytest.mark.parametrize(
    ("deed", "why", "left_alone"),
    [
        (refused("AccessDenied", message="c4nary"), "the identity needs sqs:GetQueueAttributes", False),
        (refused("AccessDeniedException", status=403), "the identity needs sqs:GetQueueAttributes", False),
        (refused("InvalidAddress"), "set awsRegion", False),
        (refused("KmsAccessDenied"), "answered KmsAccessDenied", False),
        (refused("c4nary c4nary", status=418), "answered 418", False),
        (refused("ThrottlingException", message="c4nary"), "asked too much or is unwell (ThrottlingException)", False),
        (refused("RequestThrottled"), "asked too much or is unwell (RequestThrottled)", False),
        (refused("ServiceUnavailable", status=503), "asked too much or is unwell (503)", False),
        (said("<h1>c4nary</h1>", status=502), "asked too much or is unwell (502)", False),
        (refused("ExpiredToken", status=403), "does not accept the credentials (ExpiredToken)", True),
        (refused("InvalidClientTokenId", status=403), "does not accept the credentials (InvalidClientTokenId)", True),
        (refused("SignatureDoesNotMatch", message="c4nary"), "does not accept the credentials", True),
        (cut, "broke off its answer", True),
        (dropped, "broke off its answer", True),
        (said(""), "no ApproximateNumberOfMessages", False),
        (said("<html>c4nary</html>"), "no ApproximateNumberOfMessages", False),
        (said("[]"), "did not answer as AWS does", False),
        (said("null"), "did not answer as AWS does", False),
        (said('{"Attributes": ["c4nary"]}'), "did not answer as AWS does", False),
        (said("{}"), "no ApproximateNumberOfMessages", False),
        (said(f'{{"Attributes": {{"{VISIBLE}": "5"}}}}'), f"no {IN_FLIGHT}", False),
        (said(f'{{"Attributes": {{"{VISIBLE}": "c4nary"}}}}'), "is no count", False),
        (said(f'{{"Attributes": {{"{VISIBLE}": "-1", "{IN_FLIGHT}": "1"}}}}'), "is no count", False),
        (said(f'{{"Attributes": {{"{VISIBLE}": "{"9" * 30}"}}}}'), "is no count", False),
        (said(" " * (LARGEST_BODY + 1)), "answered with more than 1 MiB", False),
    ],
)
async def test_a_failure_is_told_and_no_value(
    moto: str, caplog: pytest.LogCaptureFixture, deed: Any, why: str, left_alone: bool
) -> None:
    async with front(moto) as before:
        before.deed = deed
        async with asking(asked(before.url, "q")) as (live,):
            outcome = await live.current()
            assert not outcome.readings
            assert why in (outcome.failure or "")
            count = before.asked["GetQueueAttributes"]
            await asyncio.sleep(0.02)
            await live.current()
    assert (before.asked["GetQueueAttributes"] == count) is left_alone
    assert "c4nary" not in (outcome.failure or "") + caplog.text


async def test_silence_ends_at_the_deadline(moto: str) -> None:
    async with front(moto) as before:
        before.deed = silent
        outcome = await read(asked(before.url, "q"), seconds=2)
    assert re.search("within|in time", outcome.failure or "")
    assert not outcome.readings


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"awsRegion": "-"}, "awsRegion: not the name of a region"),
        ({"awsEndpoint": "localhost:4566"}, "no URL such as http://host:4566"),
        ({"awsEndpoint": "http://sqs.invalid"}, "sqs.invalid cannot be reached: no such host"),
        ({"awsEndpoint": f"http://user:c4nary@127.0.0.1:{free_port()}"}, "is that the right endpoint?"),
        ({"awsEndpoint": f"http://127.0.0.1:{free_port()}"}, "cannot be reached: connection refused"),
    ],
)
async def test_an_endpoint_that_is_none_is_told(changed: dict[str, str], why: str) -> None:
    outcome = await read(asked("http://127.0.0.1", "q", **changed))
    assert why in (outcome.failure or "")
    assert "c4nary" not in (outcome.failure or "")


async def test_a_connection_that_was_closed_meanwhile_is_no_failure(moto: str) -> None:
    async with queue(moto) as one, front(moto) as before:
        await one.send(1)
        once = iter([dropped])

        async def the_first_is_dropped(request: Any) -> Any:
            deed = next(once, None)
            return await deed(request) if deed else None

        before.deed = the_first_is_dropped
        assert value(await read(asked(before.url, one.url))) == 1
    assert before.asked["GetQueueAttributes"] == 2


@pytest.mark.parametrize("name", sorted(SERVERS))
async def test_a_server_that_died_is_read_again_when_it_is_back(name: str, tmp_path: Path) -> None:
    port = free_port()
    with SERVERS[name](tmp_path, port=port) as server:
        async with queue(server, "back") as one:
            await one.send(3)
            url = one.url
    async with asking(asked(f"http://127.0.0.1:{port}", url)) as (live,):
        assert (await live.current()).failure is not None
        with SERVERS[name](tmp_path, port=port) as server:
            async with queue(server, "back") as one:
                await one.send(2)
                await until_read(live, 2)
        until = time.monotonic() + PATIENCE
        while (outcome := await live.current()).failure is None:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        assert not outcome.readings


async def test_no_connection_is_left_behind(elasticmq: str) -> None:
    async with queue(elasticmq) as one, front(elasticmq) as before:
        await one.send(1)
        async with asking(*[asked(before.url, one.url)]) as (live,):
            for deed in [cut, refused("ExpiredToken"), said("<html>"), refused("SlowDown", status=503), dropped] * 2:
                before.deed = deed
                assert (await live.current()).failure is not None
                before.deed = Front().deed
                await until_read(live, 1)
                await asyncio.sleep(0.02)
            assert before.still_open() <= 1
        await asyncio.sleep(0.1)
        assert before.still_open() == 0


def server_tls(own: Bundle, folder: Path) -> ssl.SSLContext:
    (folder / "cert.pem").write_bytes(own.certificate)
    (folder / "key.pem").write_bytes(own.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_an_endpoints_certificate_is_checked(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = renewed(None, ["localhost"], datetime.now(UTC))
    assert own is not None
    (tmp_path / "ca.crt").write_bytes(own.authority)
    async with queue(moto) as one, front(moto, tls=server_tls(own, tmp_path)) as before:
        await one.send(1)
        there = asked(before.url.replace("127.0.0.1", "localhost"), one.url)
        assert "its certificate is not trusted" in str((await read(there)).failure)
        assert not before.sent
        assert value(await read(there, ca_paths=(str(tmp_path / "ca.crt"),))) == 1
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.crt"))
        assert value(await read(there)) == 1


# --- throttling -------------------------------------------------------------------------------------------------------


async def test_throttling_costs_some_answers_and_never_the_same(server: str) -> None:
    urls = await queues(server, 40)
    async with front(server) as before:
        number = 0

        async def every_other(request: Any) -> Any:
            nonlocal number
            number += 1
            return await refused("RequestThrottled")(request) if number % 2 else None

        before.deed = every_other
        unread = set(range(40))
        async with asking(*(asked(before.url, url) for url in urls)) as live:
            until = time.monotonic() + PATIENCE
            while unread:
                assert time.monotonic() < until, f"never read: {sorted(unread)}"
                asked_before = number
                for index, outcome in enumerate(await asyncio.gather(*(one.current() for one in live))):
                    if outcome.failure is None:
                        assert value(outcome) == length(index)
                        unread.discard(index)
                    else:
                        assert "asked too much" in outcome.failure
                # Whoever was refused waits for the next round.
                assert number - asked_before <= 40
            before.deed = Front().deed
            await asyncio.sleep(0.02)
            assert await values(live) == [length(index) for index in range(40)]


async def test_who_throttles_is_asked_less_and_then_as_before() -> None:
    pace = Pace(1.0)
    waits = []
    for _ in range(8):
        pace.slow_down()
        waits.append(pace.seconds)
    assert waits[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert waits[-2:] == [1.0, 1.0]
    for _ in range(120):
        pace.speed_up()
    assert pace.seconds == 0
