"""Queries by a Google service account's key, against a server that checks what the key signed as Google does."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.prometheus import PrometheusScaler
from keda_py_scalers.prometheus_identity import GOOGLES_SCOPE

from keda_py.engine.trigger import Outcome
from keda_py.scaler import PodIdentity, ScalerError
from keda_py.testing import FakeSource, made

from .amp_server import SAMPLE
from .asking import Asked, asking, read, value
from .cloud import CANARY, Cloud, standing
from .google_server import PEM, Google


@pytest.fixture
def google() -> Google:
    found = Google()
    found.scope = GOOGLES_SCOPE
    return found


@pytest.fixture
async def cloud(google: Google, tmp_path: Path) -> AsyncIterator[Cloud]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/query"):
            return await google.answer(request)
        let_in = request.headers.get("Authorization", "").removeprefix("Bearer ") in google.tokens
        return web.json_response(SAMPLE) if let_in else web.Response(status=401)

    async with standing(answer, tmp_path) as server:
        yield server


def key(cloud: Cloud, **other: Any) -> str:
    # Without a project: only Secret Manager asks for one.
    whole = {
        "type": "service_account",
        "client_email": "keda@orders.iam.gserviceaccount.com",
        "private_key_id": CANARY,
        "private_key": PEM,
        "token_uri": f"{cloud.url}/token",
    }
    return json.dumps(whole | other)


def asked(cloud: Cloud, auth: dict[str, str], env: dict[str, str] | None = None, **metadata: str) -> Asked:
    given = {"serverAddress": cloud.url, "query": "up", "threshold": "5"}
    return Asked(PrometheusScaler, given | metadata, auth, env=env or {})


async def outcome(cloud: Cloud, one: Asked) -> Outcome:
    found = await read(one, ca_paths=(str(cloud.authority),))
    assert CANARY not in str(found.failure)
    return found


async def test_a_key_of_the_authentication_signs_in_once(google: Google, cloud: Cloud) -> None:
    one = asked(cloud, {"GoogleApplicationCredentials": key(cloud)})
    async with asking(one, one, ca_paths=(str(cloud.authority),)) as live:
        assert [value(await trigger.current()) for trigger in live] == [7, 7]
        assert cloud.asked("/token") == 1
        google.tokens.clear()
        assert value(await live[0].current()) == 7


async def test_a_key_of_the_targets_environment_signs_in_where_the_authentication_has_none(cloud: Cloud) -> None:
    env = {"GOOGLE": key(cloud)}
    assert value(await outcome(cloud, asked(cloud, {}, env, credentialsFromEnv="GOOGLE"))) == 7
    other = {"GoogleApplicationCredentials": key(cloud, client_email="other@orders.iam.gserviceaccount.com")}
    found = await outcome(cloud, asked(cloud, other, env, credentialsFromEnv="GOOGLE"))
    assert "Google does not accept the login (invalid_grant)" in str(found.failure)


async def test_triggers_with_two_keys_share_nothing(google: Google, cloud: Cloud) -> None:
    both = [asked(cloud, {"GoogleApplicationCredentials": key(cloud, private_key_id=name)}) for name in "ab"]
    async with asking(*both, ca_paths=(str(cloud.authority),)) as live:
        assert [value(await trigger.current()) for trigger in live] == [7, 7]
    assert len(google.tokens) == 2


async def test_nothing_of_a_key_is_logged(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert value(await outcome(cloud, asked(cloud, {"GoogleApplicationCredentials": key(cloud)}))) == 7
    assert CANARY not in caplog.text
    assert PEM.splitlines()[1] not in caplog.text


GIVEN = {"serverAddress": "http://a", "query": "up", "threshold": "5"}


@pytest.mark.parametrize(
    ("auth", "metadata", "says"),
    [
        (CANARY, {}, "GoogleApplicationCredentials: no key of a service account in JSON form"),
        ('{"type": "external_account"}', {}, "GoogleApplicationCredentials: no key of a service account"),
        ('{"type": "service_account", "private_key": "c4nary"}', {}, "has no client_email, token_uri"),
        ("", {"credentialsFromEnv": "NONE"}, "credentialsFromEnv: the target's environment has no such variable"),
        ("", {"credentialsFromEnvFile": "FILE"}, "credentialsFromEnvFile: a manifest cannot name the daemon's files"),
    ],
)
def test_what_is_no_key_is_told_at_once(auth: str, metadata: dict[str, str], says: str) -> None:
    given = {"GoogleApplicationCredentials": auth}
    with pytest.raises(ScalerError, match=says) as raised:
        made(PrometheusScaler, GIVEN | metadata, auth=given, source=FakeSource({}))
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("metadata", "pod"), [({"authModes": "apiKey"}, "none"), ({}, "gcp")], ids=["authModes", "pod identity"]
)
def test_a_key_that_is_not_used_is_not_looked_at(metadata: dict[str, str], pod: str) -> None:
    auth = {"GoogleApplicationCredentials": CANARY, "apiKey": "k"}
    made(PrometheusScaler, GIVEN | metadata, auth=auth, source=FakeSource({}), pod_identity=PodIdentity(pod))
