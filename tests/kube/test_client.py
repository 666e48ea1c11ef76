"""Calls: every status checked, the API server's own words kept, patience where it is asked for."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from keda_py.kube.client import ApiError, Client, Conflict, Gone, NotFound, Unreachable
from keda_py.kube.discovery import Discovery, DiscoveryError
from keda_py.kube.transport import ConfigError, HttpTransport, connect

from .conftest import THINGS, Script, page, status, thing


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [(404, "NotFound", NotFound), (409, "Conflict", Conflict), (410, "Expired", Gone), (403, "Forbidden", ApiError)],
)
async def test_a_refusal_keeps_the_servers_words(
    client: Client, script: Script, code: int, reason: str, kind: type[ApiError]
) -> None:
    script.says(status(code, reason, "things.example.com is forbidden: because"))
    with pytest.raises(kind, match="is forbidden: because") as caught:
        await client.get(THINGS, "ns", "a")
    assert (caught.value.status, caught.value.reason) == (code, reason)


async def test_an_answer_that_is_no_json_is_an_error_too(client: Client, script: Script) -> None:
    script.says(web.Response(text="<html>bad gateway</html>", status=502))
    with pytest.raises(ApiError, match="bad gateway"):
        await client.get(THINGS, "ns", "a")


async def test_a_success_without_an_object_is_none(client: Client, script: Script) -> None:
    script.says(web.Response(text="ok"))
    with pytest.raises(ApiError):
        await client.get(THINGS, "ns", "a")


async def test_it_comes_back_when_it_is_told_to(client: Client, script: Script) -> None:
    script.says(status(429, "TooManyRequests", "later", **{"Retry-After": "0"}), thing("a", 1))
    assert (await client.get(THINGS, "ns", "a"))["metadata"]["name"] == "a"
    assert len(script.asked) == 2


async def test_but_not_beyond_its_deadline(client: Client, script: Script) -> None:
    script.says(status(429, "TooManyRequests", "much later", **{"Retry-After": "60"}))
    with pytest.raises(ApiError, match="much later"):
        await client.get(THINGS, "ns", "a")
    assert len(script.asked) == 1


async def test_streams_do_not_take_the_connections_of_requests(client: Client, script: Script) -> None:
    script.says(thing("a", 1))
    script.streams(then="hang")
    async with AsyncExitStack() as open_streams:
        for _ in range(150):
            stream = client.transport.stream("/watch", params={"watch": "1"}, silence=60)
            answer, _ = await open_streams.enter_async_context(stream)
            assert answer.status == 200
        assert (await client.get(THINGS, "ns", "a"))["metadata"]["name"] == "a"


async def test_nobody_there_is_said_so() -> None:
    async def no_token() -> None:
        return None

    transport = HttpTransport("http://127.0.0.1:9", None, no_token)
    with pytest.raises(Unreachable, match="did not answer"):
        await Client(transport).get(THINGS, "ns", "a")
    await transport.close()


async def test_a_list_is_read_in_pages(client: Client, script: Script) -> None:
    script.says(page(thing("a", 1), version=7, following="more"), page(thing("b", 2), version=7))
    items, version = await client.list(THINGS, label_selector="x=y")
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert version == "7"
    assert [request.query.get("continue") for request in script.asked] == [None, "more"]
    assert {request.query["labelSelector"] for request in script.asked} == {"x=y"}


async def test_a_list_keeps_of_an_object_what_it_is_trimmed_to(client: Client, script: Script) -> None:
    script.says(page(thing("a", 1), version=7, following="more"), page(thing("b", 2), version=7))
    items, _ = await client.list(THINGS, trim=lambda found: {"is": found["metadata"]["name"]})
    assert items == [{"is": "a"}, {"is": "b"}]


async def test_a_list_that_expires_between_its_pages_is_begun_again(client: Client, script: Script) -> None:
    expired = status(410, "Expired", "the continue token is too old")
    script.says(page(thing("a", 1), version=7, following="more"), expired, page(thing("a", 9), version=9))
    assert await client.list(THINGS) == ([thing("a", 9)], "9")


async def test_a_scale_is_set_only_while_the_target_is_the_version_that_was_seen(
    client: Client, script: Script
) -> None:
    script.says(thing("a", 8, spec={"replicas": 3}))
    await client.patch_scale(THINGS, "ns", "a", 3, resource_version="7")
    (request,) = script.asked
    assert request.path == "/apis/example.com/v1/namespaces/ns/things/a/scale"
    assert request.content_type == "application/merge-patch+json"
    assert await request.json() == {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}}


NO_KUBECONFIG = "it is no kubeconfig, or lacks what one needs"
USABLE_BUT_FOR_ITS_USER = """
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: a, token: s3cret}]
"""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [", "it is no YAML, see line 1"),
        (b"a: 1\n\ttoken: s3cret\n", "it is no YAML, see line 2"),
        (b"\x00s3cret", "it is no YAML"),
        (b"\xff\xfe", "codec can't decode"),
        (b"s3cret", NO_KUBECONFIG),
        (b"", NO_KUBECONFIG),
        (b"[s3cret]", NO_KUBECONFIG),
        (b"current-context: a\ncontexts: 3", NO_KUBECONFIG),
        (b"users: []", "Expected key current-context"),
        (USABLE_BUT_FOR_ITS_USER.encode(), "Expected key user in"),
    ],
)
async def test_a_kubeconfig_that_is_none_is_one_clear_line(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "config").write_bytes(content)
    with pytest.raises(ConfigError, match=r"no cluster to work on: tried kubeconfig .*config: ") as caught:
        await connect(str(tmp_path / "config"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_kubeconfig_that_does_not_exist_is_told_as_that(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"tried kubeconfig .*missing: the file does not exist; set --kubeconfig"):
        await connect(missing)
    with pytest.raises(ConfigError, match=r": none of these files exists; set --kubeconfig"):
        await connect(os.pathsep.join([missing, f"{missing}-too"]))
    (tmp_path / "there").write_text(USABLE_BUT_FOR_ITS_USER.replace("token: s3cret", "user: {token: abc}"))
    # One of them is enough, as for kubectl.
    await (await connect(os.pathsep.join([missing, str(tmp_path / "there")]))).close()


@pytest.mark.parametrize("name", ["../../other/things/a", "..", ".", "a/status", "a?b", "a%2Fb", "a#b", "a b"])
async def test_a_name_leads_to_no_other_place(client: Client, script: Script, name: str) -> None:
    with pytest.raises(NotFound, match="that is no name"):
        await client.get_scale(THINGS, "ns", name)
    with pytest.raises(NotFound, match="that is no name"):
        await client.get(THINGS, name, "a")


@pytest.mark.parametrize("version", ["../../api/v1", "apps/../v1", "a/b/c", "apps/v1?x", "Apps/v1", ""])
async def test_an_api_version_leads_to_no_other_place(client: Client, script: Script, version: str) -> None:
    with pytest.raises(DiscoveryError, match="is no API version"):
        await Discovery(client).scalable(version, "Thing")
