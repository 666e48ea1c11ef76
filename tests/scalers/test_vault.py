"""The secret store `hashiCorpVault` against a real Vault; where only a server that misbehaves shows it, against one."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from tests.brokers.certificate import Authority
from tests.vault.server import Vault as Server
from tests.vault.server import vault

from .vault_world import PLATFORM, filled, opened, read, serving, wanted

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with filled(tmp_path_factory.mktemp("vault")) as running:
        yield running


# --- paths and keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "value"),
    [
        (wanted("kv1/queue"), "v1-word"),
        (wanted("kv1/queue", type="secret"), "v1-word"),
        (wanted("/kv1/queue", type=""), "v1-word"),
        (wanted("kv2/data/queue"), "v2-word"),
        (wanted("kv2/data/queue", type="secretV2"), "v2-word"),
    ],
)
async def test_the_engines_of_both_versions_are_read(server: Server, secret: dict[str, Any], value: str) -> None:
    found = await read(server, secret, wanted("kv1/queue", "user"))
    assert found.parameters == {"password": value, "user": "me"}
    assert value not in repr(found)


async def test_the_lease_of_version_1_is_how_long_it_is_good_for(server: Server) -> None:
    paths = ("kv1/brief", "kv1/queue", "kv2/data/queue")
    brief, lasting, other = [await read(server, wanted(path)) for path in paths]
    assert brief.good_for is not None
    assert 60 < brief.good_for <= 90
    assert lasting.good_for is not None
    assert lasting.good_for > 86400
    assert other.good_for is None


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (wanted("kv1/none"), "kv1/none: there is nothing; correct the path"),
        (wanted("kv2/queue"), "404"),
        (wanted("kv2/data/gone"), "kv2/data/gone: the newest version of the secret is deleted"),
        (wanted("none/x"), "none/x"),
        (wanted("kv1/queue", "other"), "kv1/queue has no key 'other'"),
        (wanted("kv2/data/queue", "other"), "kv2/data/queue has no key 'other'"),
        (wanted("kv2/data/queue", "password", type="secret"), "has no key 'password'"),
        (wanted("kv1/queue", type="secretV2"), "kv1/queue: there is no secret of a KV engine version 2"),
        (wanted("kv1/queue", "count"), "the key 'count' is no text"),
        (wanted("pki/issue/none", "certificate", type="pki", pkiData={"commonName": "a"}), "unknown role: none"),
        (wanted("pki/issue/web", "nothing", type="pki", pkiData={"commonName": "a"}), "has no key 'nothing'"),
    ],
)
async def test_what_is_not_there_is_an_error_that_names_it(server: Server, secret: dict[str, Any], says: str) -> None:
    with pytest.raises(ScalerError) as error:
        await read(server, secret)
    assert says in str(error.value) or secret["path"] in str(error.value)
    assert not isinstance(error.value, SourceUnavailable)
    for value in ("v1-word", "v2-word", server.token):
        assert value not in str(error.value)


# --- certificates ---------------------------------------------------------------------------------------------------


def issued(ttl: str) -> list[dict[str, Any]]:
    data = {"commonName": "queue.shop", "altNames": "other.shop", "ipSans": "10.0.0.1", "ttl": ttl}
    keys = ("certificate", "private_key", "issuing_ca", "ca_chain", "serial_number")
    return [wanted("pki/issue/web", key, type="pki", pkiData=data) for key in keys]


async def test_a_certificate_is_issued_once_for_all_its_keys_and_kept(server: Server) -> None:
    async with opened(server.address, *issued("1h"), credential={"token": server.token}) as store:
        first, again = await store.read(), await store.read()
    assert first.parameters == again.parameters
    assert first.good_for is not None
    assert 3000 < first.good_for <= 3600
    found = first.parameters
    certificate = x509.load_pem_x509_certificate(found["certificate"].encode())
    key = load_pem_private_key(found["private_key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    assert found["ca_chain"] == found["issuing_ca"]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["other.shop", "queue.shop"]


async def test_a_certificate_is_issued_anew_before_it_ends(server: Server) -> None:
    async with opened(server.address, *issued("4s"), credential={"token": server.token}) as store:
        first = await store.read()
        assert first.good_for is not None
        assert first.good_for <= 4
        await asyncio.sleep(3)
        assert (await store.read()).parameters["serial_number"] != first.parameters["serial_number"]


# --- the way there --------------------------------------------------------------------------------------------------


async def test_a_vault_that_is_away_or_sealed_is_unavailable(tmp_path: Path) -> None:
    with vault(tmp_path) as server:
        server.call("PUT", "kv1/queue", {"password": "x"})
        async with opened(server.address, wanted("kv1/queue"), credential={"token": server.token}) as store:
            assert (await store.read()).parameters == {"password": "x"}
            server.call("PUT", "sys/seal")
            with pytest.raises(SourceUnavailable, match="answered 503 to kv1/queue: Vault is sealed"):
                await store.read()
    with pytest.raises(SourceUnavailable, match=f"{server.address}: .*"):
        await read(server, wanted("kv1/queue"))


@pytest.mark.parametrize("address", ["vault:8200", "ftp://vault", "http://", "unix:///x"])
async def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(ScalerError, match="cannot be asked"):
        async with opened(address, wanted("a")) as store:
            await store.read()


def answering(data: dict[str, Any], seen: list[Any] | None = None) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request.headers)
        return web.json_response(data)

    return handle


async def test_the_namespace_is_the_manifests_or_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    async with serving(answering({"data": {"password": "x"}}, seen)) as address:
        monkeypatch.setenv("VAULT_NAMESPACE", "theirs")
        for spec in ({"namespace": "mine"}, {}):
            async with opened(address, wanted("a"), **spec) as store:
                await store.read()
    assert [headers.get("X-Vault-Namespace") for headers in seen] == ["mine"] * 2 + ["theirs"] * 2
    assert {headers["X-Vault-Token"] for headers in seen} == {"t"}
    assert {headers["X-Vault-Request"] for headers in seen} == {"true"}


async def test_certificates_are_checked_against_the_daemons_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    pair = authority.issue("vault")
    for name, content in zip(("cert", "key", "ca"), (*pair, authority.pem), strict=True):
        (tmp_path / name).write_text(content)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    async with serving(answering({"data": {"password": "x"}}), tls) as address:

        async def reads(trust: Platform | None = None) -> bool:
            async with opened(address, wanted("a"), trust=trust) as store:
                return bool((await store.read()).parameters)

        with pytest.raises(SourceUnavailable, match="its certificate is not trusted: unable to get local issuer"):
            await reads()
        assert await reads(replace(PLATFORM, ca_paths=(str(tmp_path / "ca"),)))
        for name, value in (
            ("VAULT_CACERT", str(tmp_path / "ca")),
            ("VAULT_CACERT_BYTES", authority.pem),
            ("VAULT_SKIP_VERIFY", "true"),
        ):
            monkeypatch.setenv(name, value)
            assert await reads()
            monkeypatch.delenv(name)
        monkeypatch.setenv("VAULT_TLS_SERVER_NAME", "another.name")
        with pytest.raises(SourceUnavailable, match=r"another\.name"):
            await reads(replace(PLATFORM, ca_paths=(str(tmp_path / "ca"),)))
        monkeypatch.delenv("VAULT_TLS_SERVER_NAME")

        async def insecure(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:1/v1/a")

        async with serving(insecure, tls) as other, opened(
            other, wanted("a"), trust=replace(PLATFORM, ca_paths=(str(tmp_path / "ca"),))
        ) as store:  # fmt: skip
            with pytest.raises(ScalerError, match="redirects from https to http"):
                await store.read()


async def test_a_standby_leads_to_the_active_server_and_no_further(server: Server) -> None:
    hops = 1

    async def standby(request: web.Request) -> web.Response:
        nonlocal hops
        hops -= 1
        raise web.HTTPTemporaryRedirect(f"{server.address if hops >= 0 else ''}{request.path}")

    async with (
        serving(standby) as address,
        opened(address, wanted("kv1/queue"), credential={"token": server.token}) as store,
    ):
        hops = 2
        assert (await store.read()).parameters == {"password": "v1-word"}
        hops = -1
        with pytest.raises(ScalerError, match="answered 307"):
            await store.read()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (web.Response(text="no vault"), "is that a Vault"),
        (web.Response(text="[]"), "is that a Vault"),
        (web.Response(status=400, text=json.dumps({"errors": ["bad secret-token here"]})), "answered 400"),
        (web.Response(text="x" * (2**20 + 1)), "more than 1 MiB"),
    ],
)
async def test_answers_that_make_no_sense_are_told_and_repeat_nothing(answer: web.Response, says: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=answer.status, body=answer.body)

    async with (
        serving(handle) as address,
        opened(address, wanted("a"), credential={"token": "secret-token"}) as store,
    ):
        with pytest.raises(ScalerError, match=says) as error:
            await store.read()
        assert "secret-token" not in str(error.value)
        assert "secret-token" not in repr(store.access)


async def test_credentials_with_a_lease_are_kept_and_end_with_the_login() -> None:
    made = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal made
        if "lookup-self" in request.path:
            return web.json_response({"data": {"ttl": 600, "renewable": False}})
        if "broken" in request.path:
            return web.json_response({"errors": []}, status=404)
        made += 1
        lease = {"lease_id": "database/creds/x/1", "lease_duration": 3600, "renewable": True}
        return web.json_response({"data": {"password": f"p{made}"}, **lease})

    async with serving(handle) as address:
        async with opened(address, wanted("database/creds/x")) as store:
            first, again = await store.read(), await store.read()
        assert first.parameters == again.parameters == {"password": "p1"}
        assert first.good_for is not None
        assert first.good_for <= 600
        # Nor are they made again and again while another path fails.
        async with opened(address, wanted("database/creds/x"), wanted("broken")) as store:
            for _ in range(2):
                with pytest.raises(ScalerError, match="broken: there is nothing"):
                    await store.read()
        assert made == 2
