"""The length of queues at real servers: what is counted, and that many queues are little work."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keda_py_scalers.aws_http import CONNECTIONS
from keda_py_scalers.aws_sqs_queue import DELAYED, IN_FLIGHT, VISIBLE, AwsSqsQueueScaler, queue_name

from tests.brokers.sqs import REGION, SERVERS
from tests.brokers.sqs_front import front

from .asking import Asked, asking, read, value
from .sqs_world import asked, length, queue, queues, started_servers, values

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    with started_servers(tmp_path_factory) as address:
        yield address


@pytest.fixture(params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, started: Callable[[str], str]) -> str:
    return started(request.param)


@pytest.fixture
def moto(started: Callable[[str], str]) -> str:
    return started("moto")


# --- what is counted ------------------------------------------------------------------------------------------------


async def test_visible_in_flight_and_delayed_are_added_up_as_wanted(server: str) -> None:
    async with queue(server) as one, front(server) as before:
        await one.send(7)
        await one.receive(2)
        await one.send(4, delay=900)
        wanted = [
            ({}, 5 + 2),
            ({"scaleOnInFlight": "false"}, 5),
            ({"scaleOnDelayed": "true"}, 5 + 2 + 4),
            ({"scaleOnInFlight": "false", "scaleOnDelayed": "true"}, 5 + 4),
        ]
        async with asking(*(asked(before.url, one.url, **more) for more, _ in wanted)) as live:
            assert await values(live) == [length for _, length in wanted]
    assert before.asked == {"GetQueueAttributes": 1}


async def test_activation_is_strictly_above_its_threshold(server: str) -> None:
    async with queue(server) as one:
        await one.send(3)
        for threshold, active in (("2", True), ("3", False)):
            outcome = await read(asked(server, one.url, activationQueueLength=threshold))
            assert (value(outcome), outcome.active) == (3, active)


async def test_only_the_path_of_a_url_says_which_queue(server: str) -> None:
    async with queue(server) as one:
        await one.send(1)
        account, name = one.url.split("/")[-2:]
        away = f"https://sqs.{REGION}.amazonaws.com/{account}/{name}"
        assert value(await read(asked(server, away))) == 1


async def test_a_name_is_sent_as_it_is(moto: str) -> None:
    # AWS and moto take it in place of a URL, ElasticMQ does not.
    async with queue(moto, "orders") as one:
        await one.send(2)
        assert value(await read(asked(moto, "orders"))) == 2


async def test_the_url_may_be_in_the_targets_environment(server: str) -> None:
    async with queue(server) as one:
        await one.send(1)
        given = {"queueURLFromEnv": "QUEUE", "awsRegion": REGION, "awsEndpoint": server}
        env = {"QUEUE": one.url, "KEY": "AKIDTESTS", "SECRET": "c4nary"}
        keys = {"awsAccessKeyIDFromEnv": "KEY", "awsSecretAccessKeyFromEnv": "SECRET"}
        assert value(await read(Asked(AwsSqsQueueScaler, given | keys, env=env))) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123/my-q?x=/1", "my-q"),
        ("http://[::1]:9324/123/q", "q"),
        ("http://user:p%40@host:80/1/q", "q"),
        ("https://é.example/1/q", "q"),
        ("//1/q", None),
        ("*", None),
        ("https://host/1/q/", None),
        ("1a:b", "1a:b"),
        (":a", ":a"),
        ("https://a b/1/q", "https://a b/1/q"),
        ("https://host:x/1/q", "https://host:x/1/q"),
        ("https://host/1/%2", "https://host/1/%2"),
        ("https://[zz]/1/q", "https://[zz]/1/q"),
    ],
)
def test_what_is_a_url_and_what_a_name_is_gos_rule(text: str, name: str | None) -> None:
    assert queue_name(text) == name


STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "delay", "receive", "delete"]), st.integers(1, 4)), min_size=1, max_size=8
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_after_anything_the_value_is_the_servers_count(server: str, steps: list[tuple[str, int]]) -> None:
    sent = delayed = 0
    taken: list[str] = []
    async with queue(server) as one:
        for step, count in steps:
            if step == "send":
                await one.send(count)
                sent += count
            elif step == "delay":
                await one.send(count, delay=900)
                delayed += count
            elif step == "receive":
                found = min(count, sent)
                taken += await one.receive(found)
                sent -= found
            else:
                await one.delete(taken[:count])
                taken = taken[count:]
        counts = await one.counts()
        assert counts == {VISIBLE: sent, IN_FLIGHT: len(taken), DELAYED: delayed}
        both = (asked(server, one.url, scaleOnDelayed="true"), asked(server, one.url, scaleOnInFlight="false"))
        async with asking(*both) as live:
            assert await values(live) == [sum(counts.values()), counts[VISIBLE]]


# --- many queues ----------------------------------------------------------------------------------------------------


async def test_two_hundred_queues_share_one_client(server: str) -> None:
    urls = await queues(server, 200)
    async with front(server) as before:
        before.pause = 0.01
        async with asking(*(asked(before.url, url) for url in urls)) as live:
            for _ in range(2):
                assert await values(live) == [length(number) for number in range(200)]
                await asyncio.sleep(0.02)
        assert before.asked == {"GetQueueAttributes": 400}
        assert 1 < before.most_at_once <= CONNECTIONS
        assert len(before.connections) <= CONNECTIONS
