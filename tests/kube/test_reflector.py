"""Watched copies: right in the end, whatever the API server does, and never asking it in a tight loop."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keda_py.kube.client import Client
from keda_py.kube.reflector import Reflector, Store

from .conftest import THINGS, Script, event, page, status, thing

pytestmark = pytest.mark.looptime


def store() -> Store:
    return Store(lambda found: {"metadata": found["metadata"], "spec": found.get("spec")})


@asynccontextmanager
async def reflecting(client: Client, kept: Store, **options: Any) -> AsyncIterator[None]:
    reflector = Reflector(client, THINGS, kept, chance=random.Random(1), **options)
    task = asyncio.create_task(reflector.run())
    try:
        yield
    finally:
        assert not task.done(), "it never gives up"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(60_000):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 3000 s")


async def test_it_follows_what_happens(client: Client, script: Script) -> None:
    script.says(page(thing("a", 1), thing("b", 2), version=5))
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    script.streams(event("ADDED", thing("c", 6)), event("DELETED", thing("a", 7)), bookmark, then="close")
    script.streams(then="hang")
    kept = store()
    async with reflecting(client, kept):
        await until(lambda: len(script.watched) == 2)
    assert sorted(name for _, name in list(kept.keys())) == ["b", "c"]
    assert [query["resourceVersion"] for query in script.watched] == ["5", "9"], "it goes on from the bookmark"
    assert script.watched[0]["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("how", ["in the stream", "at its start"])
async def test_an_expired_watch_lists_anew_and_finds_what_it_missed(client: Client, script: Script, how: str) -> None:
    script.says(page(thing("a", 1), thing("b", 2), version=5), page(thing("b", 8), version=9))
    if how == "in the stream":
        script.streams(event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"}))
    else:
        script.refuses_watch(status(410, "Expired", "too old"))
    script.streams(then="hang")
    kept = store()
    changes: list[Any] = []
    kept.on_change(lambda key, old, new: changes.append((key[1], new is not None)))
    async with reflecting(client, kept):
        await until(lambda: len(script.watched) == 2)
    assert changes == [("a", True), ("b", True), ("b", True), ("a", False)]


async def test_half_a_line_is_no_event(client: Client, script: Script) -> None:
    script.says(page(version=5))
    script.streams(event("ADDED", thing("a", 6)), b'{"type":"ADDED","object":{"metadata":{"name":"half"')
    script.streams(then="hang")
    kept = store()
    async with reflecting(client, kept):
        await until(lambda: len(script.watched) == 2)
    assert [name for _, name in list(kept.keys())] == ["a"]
    assert script.watched[1]["resourceVersion"] == "6"


async def test_a_stream_cut_off_goes_on_from_where_it_was(client: Client, script: Script) -> None:
    script.says(page(version=5))
    script.streams(event("ADDED", thing("a", 6)), then="cut")
    script.streams(event("ADDED", thing("b", 7)), then="hang")
    kept = store()
    async with reflecting(client, kept):
        await until(lambda: len(kept) == 2)
    assert script.watched[1]["resourceVersion"] == "6"
    assert len(script.asked) == 1


@pytest.mark.parametrize("answer", ["closes at once", "503", "403", "no json"])
async def test_a_server_that_misbehaves_is_not_asked_in_a_tight_loop(
    client: Client, script: Script, answer: str
) -> None:
    script.says(page(version=5))
    match answer:
        case "closes at once":
            script.streams()
        case "503":
            script.refuses_watch(status(503, "Unavailable", "starting"))
        case "403":
            script.refuses_watch(status(403, "Forbidden", "no"))
        case _:
            script.streams(b"garbage\n")
    async with reflecting(client, store()):
        await asyncio.sleep(600)
    assert 10 < len(script.watched) + len(script.asked) < 100


async def test_a_list_that_fails_is_tried_again_and_nothing_is_forgotten_meanwhile(
    client: Client, script: Script
) -> None:
    script.says(page(thing("a", 1), version=5), status(500, "InternalError", "etcd"), page(thing("a", 1), version=6))
    script.refuses_watch(status(410, "Expired", "too old"))
    script.streams(then="hang")
    kept = store()
    changes: list[Any] = []
    kept.on_change(lambda *change: changes.append(change))
    async with reflecting(client, kept):
        await until(lambda: len(script.watched) == 2)
    assert len(changes) == 1


@pytest.mark.e2e
async def test_a_silent_stream_is_taken_for_dead(client: Client, script: Script) -> None:
    script.says(page(version=5))
    script.streams(then="hang")
    async with reflecting(client, store()):
        await until(lambda: len(script.watched) == 3)


async def test_who_wants_to_hear_is_told_of_lists_and_of_refusals(client: Client, script: Script) -> None:
    script.says(page(version=5), status(403, "Forbidden", "no list"), page(version=6))
    script.refuses_watch(status(403, "Forbidden", "no watch"))
    script.streams(then="hang")
    heard: list[str] = []
    async with reflecting(client, store(), heard=lambda error: heard.append(str(error))):
        await until(lambda: len(script.watched) == 2)
    assert heard == ["None", "no watch", "no list", "None"]


def test_an_older_copy_never_replaces_a_newer_one() -> None:
    kept = store()
    kept.put(thing("a", 7, spec=2))
    kept.put(thing("a", 6, spec=1))
    assert kept.get(("ns", "a")) == {"metadata": thing("a", 7)["metadata"], "spec": 2}


def test_an_object_made_again_under_its_name_does() -> None:
    kept = store()
    kept.put(thing("a", 7))
    again = thing("a", 3)
    again["metadata"]["uid"] = "another"
    kept.put(again)
    found = kept.get(("ns", "a"))
    assert found is not None
    assert found["metadata"]["uid"] == "another"


def test_a_list_of_one_namespace_says_nothing_of_others() -> None:
    kept = store()
    other = thing("b", 2)
    other["metadata"]["namespace"] = "other"
    kept.replace([thing("a", 1)], namespace="ns")
    kept.replace([other], namespace="other")
    assert len(kept) == 2
    kept.replace([], namespace="ns")
    assert kept.keys() == [("other", "b")]
