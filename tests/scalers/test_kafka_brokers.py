"""Which brokers of a cluster there are connections to, without a cluster."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.commit import OffsetFetchRequest_v1
from keda_py_scalers.kafka_brokers import Address, Brokers, SilentError
from keda_py_scalers.kafka_wire import FetchOffsets

from keda_py.scaler import ScalerError

A, B, C = (("a", 1), ("b", 1), ("c", 1))
SECONDS = 1.0
"""Waited once, for a broker that is silent; others answer at once."""


class Cluster:
    """Opens connections in memory; each answers with the brokers that there are, or is silent."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = addresses
        self.silent: set[Address] = set()
        self.open: list[Address] = []

    async def connect(self, host: str, port: int, **_: Any) -> Any:
        self.open.append((host, port))
        return Connection(self, (host, port))

    @property
    def metadata(self) -> Any:
        return SimpleNamespace(brokers=[(number, *address) for number, address in enumerate(self.addresses)])


class Connection:
    def __init__(self, cluster: Cluster, address: Address) -> None:
        self.cluster = cluster
        self.address = address

    def connected(self) -> bool:
        return True

    def close(self, reason: object) -> None:
        self.cluster.open.remove(self.address)

    async def send(self, request: Any) -> Any:
        if self.address in self.cluster.silent:
            await asyncio.Event().wait()
        if isinstance(request, FetchOffsets | OffsetFetchRequest_v1):
            request.encode()
        return self.cluster.metadata


def brokers(cluster: Cluster) -> Brokers:
    return Brokers(["seed:1"], cluster.connect, mechanism="", seconds=SECONDS)


async def test_brokers_that_are_gone_leave_no_connection_behind() -> None:
    cluster = Cluster(A, B)
    async with brokers(cluster) as some:
        # The bootstrap server's address is nobody's.
        assert cluster.open == []
        for address in (A, B):
            await some.ask(address, "anything")
        assert cluster.open == [A, B]
        cluster.addresses = (B, C)
        some.learn(await some.ask_any("metadata"))
        assert cluster.open == [B]
        await some.ask(C, "anything")
        assert cluster.open == [B, C]
    assert cluster.open == []


async def test_nothing_is_kept_about_a_broker_that_was_silent_and_is_gone() -> None:
    cluster = Cluster(A, B)
    async with brokers(cluster) as some:
        cluster.silent = {A}
        with pytest.raises(SilentError):
            await some.ask(A, "anything")
        assert some._suspects == {A}
        cluster.addresses = (B,)
        some.learn(await some.ask_any("metadata"))
        assert some._suspects == set()
        assert list(some._opening) == []


@pytest.mark.parametrize(
    "request_", [FetchOffsets({"\ud800": None}), OffsetFetchRequest_v1("g" * 2**15, [])], ids=["no text", "too long"]
)
async def test_a_request_that_cannot_be_encoded_fails_alone(request_: Any) -> None:
    cluster = Cluster(A)
    async with brokers(cluster) as some:
        with pytest.raises(ScalerError, match="broker a:1 cannot be asked: a name does not fit a request"):
            await some.ask(A, request_)
        assert await some.ask(A, "anything")
        assert cluster.open == [A]
