"""Leadership: one at a time, handed over when it is given up, lost or silent; never two, whatever the API does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keda_py.kube.client import Client
from keda_py.kube.lease import Lease
from keda_py.kube.transport import Response
from keda_py.runtime.clock import loop_clock
from keda_py.settings import Leadership
from tests.memory import MemoryApi

pytestmark = pytest.mark.looptime

PATH = "/apis/coordination.k8s.io/v1/namespaces/keda/leases/operator.keda.sh"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Line:
    """One daemon's line to a shared API server, which can be cut or left without an answer."""

    def __init__(self, shared: MemoryApi) -> None:
        self.shared = shared
        self.stream = shared.stream
        self.cut = False
        self.frozen = False

    async def request(self, method: str, path: str, **rest: Any) -> Response:
        if self.cut:
            raise OSError("connection refused")
        if self.frozen:
            await asyncio.sleep(3600)
        return await self.shared.request(method, path, **rest)


class Candidate:
    def __init__(self, name: str, shared: MemoryApi, *, clock_off_by: timedelta = timedelta(0)) -> None:
        self.line = Line(shared)
        now = loop_clock(START + clock_off_by)
        self.turns: list[tuple[float, bool]] = []
        self.lease = Lease(
            Client(self.line),
            namespace="keda",
            identity=name,
            now=now,
            leadership=Leadership(elect=True),
            changed=self._changed,
        )
        self.task = asyncio.create_task(self.lease.run())

    def _changed(self, held: bool) -> None:
        self.turns.append((asyncio.get_running_loop().time(), held))


@asynccontextmanager
async def candidates(*names: str, **rest: Any) -> AsyncIterator[list[Candidate]]:
    shared = MemoryApi()
    everyone = []
    for name in names:
        everyone.append(Candidate(name, shared, **rest))
        await asyncio.sleep(0.1)
    yield everyone
    for one in everyone:
        one.task.cancel()


def spec(one: Candidate) -> Mapping[str, Any]:
    found: dict[str, Any] = one.line.shared.objects[PATH]["spec"]
    return found


async def never_two(everyone: list[Candidate], seconds: float) -> None:
    for _ in range(int(seconds * 10)):
        assert sum(one.lease.held for one in everyone) <= 1
        await asyncio.sleep(0.1)


async def test_one_of_two_leads_and_keeps_it() -> None:
    async with candidates("a", "b") as everyone:
        await never_two(everyone, 120)
        a, b = everyone
        assert (a.lease.held, b.lease.held, a.turns[1:], b.turns) == (True, False, [], [])
        assert (spec(a)["holderIdentity"], spec(a)["leaseTransitions"]) == ("a", 0)
        assert spec(a)["acquireTime"] == "2026-01-01T00:00:00.001000Z" or spec(a)["acquireTime"] < spec(a)["renewTime"]


async def test_who_goes_silent_is_followed_once_its_lease_has_run_out() -> None:
    async with candidates("a", "b") as (a, b):
        await asyncio.sleep(20)
        a.task.cancel()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(12)
        assert not b.lease.held
        await asyncio.sleep(10)
        assert b.lease.held
        assert 13 <= b.turns[0][0] - began <= 19
        assert (spec(b)["holderIdentity"], spec(b)["leaseTransitions"]) == ("b", 1)


async def test_who_gives_it_up_is_followed_at_once() -> None:
    async with candidates("a", "b") as (a, b):
        await asyncio.sleep(20)
        a.task.cancel()
        await a.lease.release()
        assert not a.lease.held
        await asyncio.sleep(2.5)
        assert b.lease.held


@pytest.mark.parametrize("fault", ["cut", "frozen"])
async def test_who_cannot_renew_stops_before_another_starts(fault: str) -> None:
    async with candidates("a", "b") as (a, b):
        await asyncio.sleep(20)
        setattr(a.line, fault, True)
        await never_two([a, b], 60)
        assert not a.lease.held
        assert b.lease.held
        (lost, held) = a.turns[-1]
        assert not held
        assert lost < b.turns[0][0] - 3


async def test_a_short_outage_costs_nothing() -> None:
    async with candidates("a") as (a,):
        await asyncio.sleep(10)
        a.line.cut = True
        await asyncio.sleep(7)
        a.line.cut = False
        await asyncio.sleep(30)
        assert [held for _, held in a.turns] == [True]


async def test_after_a_long_outage_the_same_daemon_goes_on() -> None:
    async with candidates("a") as (a,):
        await asyncio.sleep(10)
        a.line.cut = True
        await asyncio.sleep(60)
        assert not a.lease.held
        a.line.cut = False
        await asyncio.sleep(3)
        assert a.lease.held
        assert spec(a)["leaseTransitions"] == 0


async def test_a_clock_that_is_an_hour_off_neither_takes_nor_loses_the_lease() -> None:
    shared = MemoryApi()
    a = Candidate("a", shared)
    await asyncio.sleep(1)
    b = Candidate("b", shared, clock_off_by=timedelta(hours=1))
    await never_two([a, b], 60)
    assert a.lease.held
    for one in (a, b):
        one.task.cancel()


async def test_a_lease_that_somebody_edits_is_not_lost() -> None:
    async with candidates("a") as (a,):
        await asyncio.sleep(10)
        found = a.line.shared.objects[PATH]
        a.line.shared.put(PATH, found | {"metadata": {"labels": {"seen": "yes"}}})
        await asyncio.sleep(20)
        assert [held for _, held in a.turns] == [True]


async def test_a_lease_taken_by_force_is_left() -> None:
    async with candidates("a") as (a,):
        await asyncio.sleep(10)
        found = a.line.shared.objects[PATH]
        a.line.shared.put(PATH, {**found, "spec": found["spec"] | {"holderIdentity": "root"}})
        await asyncio.sleep(3)
        assert not a.lease.held
        await asyncio.sleep(20)
        assert a.lease.held


async def test_two_that_start_together_do_not_both_win() -> None:
    shared = MemoryApi()
    everyone = [Candidate(name, shared) for name in "abcde"]
    await never_two(everyone, 30)
    assert sum(one.lease.held for one in everyone) == 1
    for one in everyone:
        one.task.cancel()
