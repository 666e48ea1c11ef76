"""Triggers over HTTP: who they are to a real server, and whom they trust."""

import asyncio
import base64
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keda_py.scaler import MetadataError
from keda_py.serve.certificate import Bundle, renewed

from .asking import asking, read, value
from .http_world import JSON_VALUE, KINDS, Source, metrics_api, prometheus, serving

# They start servers.
pytestmark = pytest.mark.e2e
# --- who we are -----------------------------------------------------------------------------------------------------


def basic(pair: bytes) -> str:
    return f"Basic {base64.b64encode(pair).decode()}"


@KINDS
@pytest.mark.parametrize(
    ("modes", "auth", "sent"),
    [
        ("basic", {"username": "u", "password": "p:w"}, {"Authorization": basic(b"u:p:w")}),
        ("bearer", {"bearerToken": "t"}, {"Authorization": "Bearer t"}),
        ("apiKey", {"apiKey": "k"}, {"X-API-KEY": "k"}),
        ("apiKey", {"apiKey": "k", "keyParamName": "X-Mine"}, {"X-Mine": "k"}),
        ("custom", {"customAuthHeader": "X-C", "customAuthValue": "v"}, {"X-C": "v"}),
        (
            "custom,basic",
            {"customAuthHeader": "X-C", "customAuthValue": "v", "username": "u"},
            {"X-C": "v", "Authorization": basic(b"u:")},
        ),
    ],
)
async def test_credentials_are_sent(
    kind: Any, good: str, modes: str, auth: dict[str, str], sent: dict[str, str]
) -> None:
    async with serving() as source:
        source.says(good)
        assert value(await read(kind(source, auth, authModes=modes))) == 7
    assert sent == {name: source.asked[0].headers.get(name) for name in sent}


@pytest.mark.parametrize(("auth", "name"), [({}, "api_key"), ({"keyParamName": "key"}, "key")])
async def test_a_key_can_be_a_query_parameter(auth: dict[str, str], name: str) -> None:
    async with serving() as source:
        asked = metrics_api(source, {"apiKey": "s3cret", "method": "query", **auth}, authModes="apiKey")
        assert value(await read(asked)) == 7
        assert source.asked[0].query[name] == "s3cret"
        source.says("", 500)
        outcome = await read(asked)
    assert "s3cret" not in str(outcome.failure)


@pytest.mark.parametrize("mode", ["basic", "bearer", "tls", "custom", "apiKey", "oauth"])
def test_a_mode_without_its_credentials_is_told(mode: str) -> None:
    async def go() -> None:
        source = Source()
        source.url = "http://127.0.0.1:9"
        await read(metrics_api(source, authModes=mode))

    with pytest.raises(MetadataError, match=f"authModes: {mode} needs "):
        asyncio.run(go())


async def test_a_token_is_asked_for_once_and_again_when_it_is_refused() -> None:
    async with serving() as source:
        issued: list[web.Request] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/token":
                issued.append(request)
                return web.json_response({"access_token": f"t{len(issued)}", "expires_in": 3600})
            good = request.headers.get("Authorization") == f"Bearer t{max(len(issued), 1) if revoked else 1}"
            return web.Response(text=JSON_VALUE) if good else web.Response(status=401)

        revoked: list[bool] = []
        source.answer = answer
        auth = {
            "oauthTokenURI": f"{source.url}/token",
            "clientID": "id",
            "clientSecret": "secret",
            "scopes": "a,b",
            "endpointParams": "audience=x",
        }
        async with asking(metrics_api(source, auth, authModes="oauth")) as (trigger,):
            for _ in range(3):
                assert value(await trigger.current()) == 7
                await asyncio.sleep(0.02)
            assert len(issued) == 1
            revoked.append(True)
            issued.append(issued[0])
            assert value(await trigger.current()) == 7
        assert len(issued) == 3
    form = await issued[0].post()
    assert dict(form) == {"grant_type": "client_credentials", "audience": "x", "scope": "a b"}
    assert issued[0].headers["Authorization"] == basic(b"id:secret")


async def test_a_server_that_issues_no_token_is_told() -> None:
    async with serving() as source:
        source.says('{"error": "invalid_client"}', 401)
        auth = {"oauthTokenURI": f"{source.url}/token", "clientID": "id", "clientSecret": "hush"}
        outcome = await read(metrics_api(source, auth, authModes="oauth"))
    assert "no token: " in str(outcome.failure)
    assert "hush" not in str(outcome.failure)


# --- TLS ------------------------------------------------------------------------------------------------------------


def bundle(name: str) -> Bundle:
    made = renewed(None, [name], datetime.now(UTC))
    assert made is not None
    return made


def server_tls(own: Bundle, clients: Bundle | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "c").write_bytes(own.certificate)
        Path(folder, "k").write_bytes(own.key)
        context.load_cert_chain(Path(folder, "c"), Path(folder, "k"))
    if clients is not None:
        context.load_verify_locations(cadata=clients.authority.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@KINDS
async def test_a_servers_certificate_is_checked(kind: Any, good: str, tmp_path: Path) -> None:
    own = bundle("localhost")
    async with serving(server_tls(own)) as source:
        source.says(good)
        outcome = await read(kind(source))
        assert "certificate is not trusted" in str(outcome.failure)
        assert value(await read(kind(source, unsafeSsl="true"))) == 7
        (tmp_path / "ca.crt").write_bytes(own.authority)
        assert value(await read(kind(source), ca_paths=(str(tmp_path),))) == 7
        assert value(await read(kind(source), ca_paths=(str(tmp_path / "ca.crt"),))) == 7


@KINDS
async def test_a_client_certificate_is_shown(kind: Any, good: str) -> None:
    own, mine = bundle("localhost"), bundle("client")
    async with serving(server_tls(own, mine)) as source:
        source.says(good)
        auth = {"ca": own.authority.decode(), "cert": mine.certificate.decode(), "key": mine.key.decode()}
        assert value(await read(kind(source, auth, authModes="tls"))) == 7
        outcome = await read(kind(source, {"ca": own.authority.decode(), "token": "t"}, authModes="bearer"))
        assert outcome.failure is not None


@pytest.mark.parametrize("part", ["ca", "cert", "key"])
async def test_certificates_that_are_none_are_told_before_anything_is_asked(part: str) -> None:
    mine = bundle("client")
    auth = {"ca": mine.authority.decode(), "cert": mine.certificate.decode(), "key": mine.key.decode()}
    async with serving() as source:
        with pytest.raises(MetadataError, match=part):
            await read(metrics_api(source, auth | {part: "no PEM"}, authModes="tls"))
        with pytest.raises(MetadataError, match="belong together"):
            await read(metrics_api(source, auth | {"key": bundle("other").key.decode()}, authModes="tls"))
    assert not source.asked


async def test_prometheus_has_to_be_given_an_authority_beside_any_mode() -> None:
    async with serving() as source:
        with pytest.raises(MetadataError, match="ca"):
            await read(prometheus(source, {"ca": "no PEM", "token": "t"}, authModes="bearer"))
    assert not source.asked


@KINDS
async def test_a_named_file_of_authorities_that_went_bad_is_told(kind: Any, good: str, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no longer")
    async with serving() as source:
        source.says(good)
        outcome = await read(kind(source), ca_paths=(str(tmp_path / "ca.crt"),))
        assert f"{tmp_path}/ca.crt: no certificate in PEM form" in str(outcome.failure)
        outcome = await read(kind(source), ca_paths=(str(tmp_path),))
        assert outcome.failure is None, "in a folder it blinds no trigger"
