"""RabbitMQ and the engine together, on an embedded cluster: what the page shows, passwords that change, an outage."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aio_pika.abc import AbstractChannel

from tests.brokers.rabbitmq import Broker, rabbitmq
from tests.pages import DOCS, Manifest, deployment, manifests, trying
from tests.scalers.rabbit import channel, eventually, ours, put

from .engine import OUTAGE_SECONDS, PATIENCE, WAIT_SECONDS, WORKER, is_complete, readings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PAGE = "triggers/rabbitmq.md"
QUEUES = ("busy", "idle")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        for queue in QUEUES:
            running.call("PUT", f"/api/queues/%2F/{queue}", {"durable": True})
        asyncio.run(_fill(running))
        yield running


async def _fill(broker: Broker) -> None:
    async with channel(broker) as client:
        await put(client, "busy", 50)


# --- the page -------------------------------------------------------------------------------------------------------


async def test_the_target_of_the_page_s_queue_wakes_and_sleeps(broker: Broker) -> None:
    vhost(broker, "orders", "orders")
    broker.add_user("page", "s3cret", vhosts=("orders",))
    assert (
        "RABBITMQ_URL          # amqp://user:password@rabbitmq.messaging.svc:5672/orders\n" in (DOCS / PAGE).read_text()
    )
    url = broker.host("amqp", user="page:s3cret", path="/orders")
    async with channel(broker, "orders") as client, trying(http_timeout=PATIENCE) as cluster:
        cluster.apply(deployment("order-worker", RABBITMQ_URL=url), named(manifests(PAGE), "orders"))
        await cluster.until(lambda: cluster.ready("orders")[0] == "True", WAIT_SECONDS)
        assert cluster.replicas("order-worker") == 0
        await put(client, "orders", 45)
        await cluster.until(lambda: cluster.replicas("order-worker") == 3, WAIT_SECONDS)
        await (await client.get_queue("orders")).purge()
        await cluster.until(lambda: cluster.replicas("order-worker") == 0, WAIT_SECONDS)


async def test_the_target_of_the_page_s_rates_wakes_and_sleeps(broker: Broker) -> None:
    vhost(broker, "shop", "orders.eu", "orders.us", "others")
    broker.add_user("keda", "s3cret", vhosts=("shop",))
    replaced = {"http://rabbitmq.messaging.svc:15672": f"http://127.0.0.1:{broker.ports['http']}"}
    found = manifests(PAGE, replaced | {"from-your-vault": "s3cret"})
    async with channel(broker, "shop") as client, trying(http_timeout=PATIENCE) as cluster:
        cluster.apply(*(one for one in found if one["metadata"]["name"] != "orders"))
        await cluster.until(lambda: cluster.ready("shop")[0] == "True", WAIT_SECONDS)
        assert cluster.replicas("shop-worker") == 0
        async with publishing(client, "orders.eu", "orders.us"):
            await cluster.until(lambda: cluster.replicas("shop-worker") >= 2, WAIT_SECONDS)
        for queue in ("orders.eu", "orders.us"):
            await (await client.get_queue(queue)).purge()
        await cluster.until(lambda: cluster.replicas("shop-worker") == 0, WAIT_SECONDS)
        assert cluster.ready("shop")[0] == "True"


async def test_the_scaled_job_of_its_page_has_a_job_for_each_message(broker: Broker, tmp_path: Path) -> None:
    """By the page's strategy: one that was taken does not count any more, and its Job does not either."""
    vhost(broker, "jobs", "orders")
    broker.add_user("jobs", "s3cret", vhosts=("jobs",))
    url, done = broker.host("amqp", user="jobs:s3cret", path="/jobs"), tmp_path / "done"
    command = [sys.executable, str(WORKER), "rabbitmq", url, "orders", str(done)]
    replaced = {
        "amqp://user:password@rabbitmq.messaging.svc:5672/orders": url,
        "[take-one-order]": json.dumps(command),
    }
    *others, scaled_job = manifests("scaledjob.md", replaced, heading="A first one")

    def polled(seconds: int) -> Manifest:
        """Return the ScaledJob, to be read now, and then at an interval."""
        return scaled_job | {"spec": scaled_job["spec"] | {"pollingInterval": seconds}}

    async with channel(broker, "jobs") as client, trying(http_timeout=PATIENCE, processes=True) as cluster:
        # Not read again before the Jobs have taken their messages.
        await put(client, "orders", 3)
        cluster.apply(*others, polled(3600))
        await taken(broker, 3)
        await put(client, "orders", 2)
        cluster.apply(polled(3601))
        await taken(broker, 5)
        cluster.apply(polled(1))
        await readings(cluster, 3)
        assert len(cluster.jobs("orders")) == 5
        done.touch()
        await cluster.until(lambda: all(map(is_complete, cluster.jobs("orders"))), WAIT_SECONDS)
        await readings(cluster, 3)
        assert len(cluster.jobs("orders")) == 5
        assert cluster.ready("orders", "ScaledJob")[0] == "True"
    await taken(broker, 0)


async def taken(broker: Broker, count: int) -> None:
    """Return when nothing waits in the queue of Jobs, and so many messages are out."""

    async def known() -> tuple[int, int]:
        found = await asyncio.to_thread(broker.call, "GET", "/api/queues/jobs/orders")
        return found.get("messages_ready", -1), found.get("messages_unacknowledged", -1)

    await eventually(known, lambda found: found == (0, count))


def vhost(broker: Broker, name: str, *queues: str) -> None:
    """Make a virtual host with some queues."""
    broker.call("PUT", f"/api/vhosts/{name}")
    for queue in queues:
        broker.call("PUT", f"/api/queues/{name}/{queue}", {"durable": True})


def named(found: list[Manifest], name: str) -> Manifest:
    (one,) = (one for one in found if one["metadata"]["name"] == name)
    return one


@asynccontextmanager
async def publishing(client: AbstractChannel, *queues: str) -> AsyncIterator[None]:
    """Publish within the block, as fast as the broker confirms but no faster than five hundred messages a second."""

    async def publish() -> None:
        while True:
            await asyncio.gather(asyncio.sleep(0.2), *(put(client, queue, 50) for queue in queues))

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def reads(name: str, host: str, queue: str, *, user: str, password: str) -> list[Manifest]:
    """Return a ScaledObject on a queue and a target of its own, and whom it asks as."""
    refs = [{"parameter": key, "name": name, "key": key} for key in ("host", "username", "password")]
    trigger = {
        "type": "rabbitmq",
        "metadata": {"queueName": queue, "mode": "QueueLength", "value": "20"},
        "authenticationRef": {"name": name},
    }
    spec = {"scaleTargetRef": {"name": name}, "triggers": [trigger]}
    keda = {"apiVersion": "keda.sh/v1alpha1", "metadata": {"name": name}}
    return [
        secret(name, host, user=user, password=password),
        {**keda, "kind": "TriggerAuthentication", "spec": {"secretTargetRef": refs}},
        {**keda, "kind": "ScaledObject", "spec": spec},
    ]


def secret(name: str, host: str, *, user: str, password: str) -> Manifest:
    content = {"host": host, "username": user, "password": password}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}


async def connections(broker: Broker, **wanted: int) -> dict[str, set[str]]:
    """Return our connections by user, as the broker calls them, when each of some users has so many."""

    async def known() -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for one in await asyncio.to_thread(ours, broker):
            found[one["user"]].add(one["name"])
        return found

    found: dict[str, set[str]] = await eventually(
        known, lambda found: {user: len(names) for user, names in found.items()} == wanted
    )
    return found


async def test_a_password_that_changes(broker: Broker) -> None:
    """First in the broker, then in the Secret; another user of the same broker does not notice."""
    amqp, http = (f"{scheme}://127.0.0.1:{broker.ports[scheme]}" for scheme in ("amqp", "http"))
    for user in ("alice", "bob"):
        broker.add_user(user, "0ld")
    async with trying(http_timeout=PATIENCE) as cluster:
        cluster.apply(
            *reads("alice-amqp", amqp, "busy", user="alice", password="0ld"),
            *reads("alice-http", http, "busy", user="alice", password="0ld"),
            *reads("bob-busy", amqp, "busy", user="bob", password="0ld"),
            *reads("bob-idle", amqp, "idle", user="bob", password="0ld"),
        )
        awake = ("alice-amqp", "alice-http", "bob-busy")
        await cluster.until(lambda: all(cluster.replicas(name) == 3 for name in awake), WAIT_SECONDS)
        await cluster.until(lambda: cluster.ready("bob-idle")[0] == "True", WAIT_SECONDS)
        before, generations = await connections(broker, alice=1, bob=1), cluster.generations()

        broker.add_user("alice", "n3w")
        await cluster.until(lambda: "answered 401" in cluster.ready("alice-http")[1], WAIT_SECONDS)
        # RabbitMQ asks for a password when a connection is opened, and never again.
        assert cluster.ready("alice-amqp")[0] == "True"
        (old,) = before["alice"]
        await asyncio.to_thread(broker.call, "DELETE", f"/api/connections/{quote(old, safe='')}")
        refused = f"{amqp}: the broker refuses the user name or the password"
        await cluster.until(lambda: refused in cluster.ready("alice-amqp")[1], WAIT_SECONDS)
        await asyncio.sleep(OUTAGE_SECONDS)
        for name in ("alice-amqp", "alice-http"):
            assert cluster.ready(name)[0] == "False"
            assert "0ld" not in cluster.ready(name)[1]
        assert cluster.ready("bob-busy")[0] == cluster.ready("bob-idle")[0] == "True"

        cluster.apply(secret("alice-amqp", amqp, user="alice", password="n3w"))
        cluster.apply(secret("alice-http", http, user="alice", password="n3w"))
        changed = asyncio.get_running_loop().time()
        await cluster.until(lambda: cluster.all_read_since(changed), WAIT_SECONDS)
        await cluster.until(lambda: cluster.ready("alice-amqp")[0] == cluster.ready("alice-http")[0] == "True")
        after = await connections(broker, alice=1, bob=1)
        assert after["bob"] == before["bob"]
        assert after["alice"] != before["alice"]
        assert cluster.generations() == generations
    await connections(broker)


async def test_a_broker_that_is_gone_for_a_while(broker: Broker) -> None:
    hosts = {scheme: f"{scheme}://127.0.0.1:{broker.ports[scheme]}" for scheme in ("amqp", "http")}
    names = [f"{queue}-{scheme}" for scheme in hosts for queue in QUEUES]
    guest = {"user": "guest", "password": "guest"}
    found = [
        one
        for scheme, host in hosts.items()
        for queue in QUEUES
        for one in reads(f"{queue}-{scheme}", host, queue, **guest)
    ]
    async with trying(http_timeout=PATIENCE) as cluster:
        cluster.apply(*found)
        await cluster.until(lambda: all(cluster.ready(name)[0] == "True" for name in names), WAIT_SECONDS)
        await cluster.until(lambda: [cluster.replicas(name) for name in names] == [3, 0, 3, 0], WAIT_SECONDS)
        await connections(broker, guest=1)
        before = cluster.generations()
        broker.kill()
        await asyncio.sleep(OUTAGE_SECONDS)
        for name in names:
            state, message = cluster.ready(name)
            assert state == "False"
            assert f"{hosts[name.partition('-')[2]]}: " in message
            assert "replicas are held" in message
        await asyncio.to_thread(broker.start)
        back = asyncio.get_running_loop().time()
        await cluster.until(lambda: cluster.all_read_since(back), WAIT_SECONDS)
        assert cluster.generations() == before
        await connections(broker, guest=1)
        async with channel(broker) as client:
            await (await client.get_queue("busy")).purge()
            await put(client, "idle", 50)
        await cluster.until(lambda: [cluster.replicas(name) for name in names] == [0, 3, 0, 3], WAIT_SECONDS)
        assert all(cluster.generations()[name] > before[name] for name in names)
