"""Watched copies of single objects, in virtual time: what is kept of them, and for how long."""

import asyncio
import base64
import gc
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from keda_py.devcluster.api import Request
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.credentials.lookup import Named, Unread
from keda_py.engine.credentials.watched import Watched
from keda_py.kube.client import Client
from keda_py.runtime.clock import loop_clock

pytestmark = pytest.mark.looptime

USER, WORD, NONE = (Named("Secret", "default", "s", key) for key in ("user", "word", "none"))
MINE, OTHER = ("default", "mine"), ("default", "other")


@asynccontextmanager
async def watching() -> AsyncIterator[Watched]:
    """Yield what watches a cluster with one Secret."""
    chance = random.Random(1)
    cluster = DevCluster(now=loop_clock(datetime(2026, 1, 5, tzinfo=UTC)), chance=chance)
    data = {key: base64.b64encode(f"the-{key}-of-s".encode()).decode() for key in ("user", "word")}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}
    assert cluster.api.answer(Request("POST", "/api/v1/namespaces/default/secrets", {}, body)).status == 201
    async with asyncio.TaskGroup() as tasks:
        watched = Watched(Client(LocalTransport(cluster.api)), chance=chance, tasks=tasks, wake=lambda _: None)
        try:
            yield watched
        finally:
            watched.close()


async def look(watched: Watched, owner: tuple[str, str], *wanted: Named) -> list[str | None]:
    """Use just these, and return them once they are read."""
    while True:
        with watched.renewing(owner) as value:
            found = [read(value, named) for named in wanted]
        if "" not in found:
            return found
        await asyncio.sleep(0.1)


def read(value: Callable[[Named], str | None], named: Named) -> str | None:
    """Return an entry, empty while it is not read."""
    try:
        return value(named)
    except Unread:
        return ""


def kept(key: str) -> bool:
    """Return whether any dictionary of this process holds the decoded value of an entry."""
    # The collector itself does not track a dictionary of nothing but texts; what refers to it leads there.
    dictionaries = [found for found in gc.get_referents(*gc.get_objects()) if type(found) is dict]
    wanted = f"the-{key}-of-s"
    return any(type(value) is str and value == wanted for found in dictionaries for value in list(found.values()))


async def test_an_entry_is_forgotten_with_its_last_user_while_the_others_stay() -> None:
    async with watching() as watched:
        assert await look(watched, MINE, USER, WORD, NONE) == ["the-user-of-s", "the-word-of-s", None]
        assert await look(watched, OTHER, WORD) == ["the-word-of-s"]
        assert await look(watched, MINE, USER) == ["the-user-of-s"]
        assert kept("word"), "somebody still uses it"
        watched.forget(OTHER)
        assert (kept("user"), kept("word")) == (True, False)
        # Nor does it count as missing: whoever wants it again has it read again.
        with watched.renewing(OTHER) as value:
            assert [read(value, named) for named in (USER, WORD)] == ["the-user-of-s", ""]
        assert await look(watched, OTHER, USER, WORD, NONE) == ["the-user-of-s", "the-word-of-s", None]
