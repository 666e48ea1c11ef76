"""Logging in to a real Vault: with a token, and as a ServiceAccount whose token it has an API server review."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keda_py.scaler import ScalerError
from tests.vault.server import Vault as Server

from .vault_world import filled, opened, read, serving, wanted

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with filled(tmp_path_factory.mktemp("vault")) as running:
        yield running


ACCOUNT = "system:serviceaccount:shop:reader"


async def test_a_token_is_renewed_before_it_ends(server: Server) -> None:
    token = server.login(ttl="8s", policies=["reads"], explicit_max_ttl="60s")
    async with opened(server.address, wanted("kv1/queue"), credential={"token": token}) as store:
        for _ in range(3):
            assert (await store.read()).parameters == {"password": "v1-word"}
            await asyncio.sleep(5.6)
        assert server.call("GET", "auth/token/lookup-self", token=token)["data"]["last_renewal"]


async def test_a_token_that_ended_is_told(server: Server) -> None:
    token = server.login(ttl="1s", policies=["reads"], renewable=False)
    async with opened(server.address, wanted("kv1/queue"), credential={"token": token}) as store:
        await asyncio.sleep(2)
        with pytest.raises(ScalerError, match="answered 403 to auth/token/lookup-self") as error:
            await store.read()
    assert token not in str(error.value)


async def test_a_token_may_not_be_allowed_everything(server: Server) -> None:
    token = server.login(ttl="1h", policies=["default"])
    with pytest.raises(ScalerError, match="permission denied; does a policy of the role or token allow it"):
        await read(server, wanted("kv1/queue"), credential={"token": token})


async def test_the_daemons_own_token_comes_first(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", server.token)
    assert (await read(server, wanted("kv1/queue"), credential={"token": "not it"})).parameters
    assert (await read(server, wanted("kv1/queue"), credential=None)).parameters
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(ScalerError, match=r"credential\.token is missing"):
        await read(server, wanted("kv1/queue"), credential=None)


def token_of(subject: str, number: int = 0) -> str:
    """Return what looks like a ServiceAccount's token; whether it is one, Vault asks the API server."""
    bound = {"namespace": "shop", "serviceaccount": {"name": "reader", "uid": "u"}}
    claims = {"sub": subject, "kubernetes.io": bound, "jti": str(number), "nbf": 1, "iat": 1, "exp": 9999999999}
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(b"signature").decode().rstrip("=")])


@asynccontextmanager
async def reviewing(server: Server, **role: Any) -> AsyncIterator[None]:
    """Let Vault ask an API server that knows the token of one ServiceAccount."""

    async def review(request: web.Request) -> web.Response:
        known = (await request.json())["spec"]["token"] == token_of(ACCOUNT)
        user = {"username": ACCOUNT, "uid": "u", "groups": ["system:serviceaccounts"]} if known else {}
        return web.json_response({"status": {"authenticated": known, "user": user}}, status=201)

    async with serving(review) as api:
        await asyncio.to_thread(server.call, "POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        config = {"kubernetes_host": api, "token_reviewer_jwt": token_of(ACCOUNT, 1), "disable_local_ca_jwt": True}
        await asyncio.to_thread(server.call, "POST", "auth/kubernetes/config", config)
        bound = {"bound_service_account_names": "reader", "bound_service_account_namespaces": "shop"}
        rules = bound | {"policies": "reads", "ttl": "1h", "alias_name_source": "serviceaccount_name"} | role
        await asyncio.to_thread(server.call, "POST", "auth/kubernetes/role/keda", rules)
        try:
            yield
        finally:
            await asyncio.to_thread(server.call, "DELETE", "sys/auth/kubernetes")


AS_ACCOUNT: dict[str, Any] = {
    "authentication": "kubernetes",
    "mount": "kubernetes",
    "role": "keda",
    "credential": {"serviceAccountName": "reader"},
}


async def test_a_service_account_logs_in_once_and_anew_when_its_login_was_revoked(server: Server) -> None:
    async with (
        reviewing(server),
        opened(server.address, wanted("kv1/queue"), jwt=token_of(ACCOUNT), **AS_ACCOUNT) as store,
    ):
        assert (await store.read()).parameters == {"password": "v1-word"}
        (session,) = [store._session]
        await store.read()
        assert store._session is session
        assert session is not None
        assert session.token not in repr(session)
        await asyncio.to_thread(server.call, "POST", "auth/token/revoke", {"token": session.token})
        assert (await store.read()).parameters == {"password": "v1-word"}
        assert store._session is not session


async def test_a_login_that_cannot_be_renewed_any_more_is_followed_by_a_new_one(server: Server) -> None:
    async with (
        reviewing(server, ttl="3s", max_ttl="4s"),
        opened(server.address, wanted("kv1/queue"), jwt=token_of(ACCOUNT), **AS_ACCOUNT) as store,
    ):
        tokens = set()
        for _ in range(4):
            assert (await store.read()).parameters
            assert store._session is not None
            tokens.add(store._session.token)
            await asyncio.sleep(2.2)
        assert len(tokens) > 1


async def test_a_service_account_logs_in_by_a_file(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    spec = AS_ACCOUNT | {"credential": {"serviceAccount": str(file)}}
    async with reviewing(server):
        file.write_text(f"{token_of(ACCOUNT)}\n")
        assert (await read(server, wanted("kv1/queue"), **spec)).parameters
        for content in (b"hush-hush", token_of("somebody").encode(), token_of(ACCOUNT).encode() + b"\xff"):
            file.write_bytes(content)
            with pytest.raises(ScalerError, match="does not hold the token of a ServiceAccount") as error:
                await read(server, wanted("kv1/queue"), **spec)
            assert content.decode(errors="replace") not in str(error.value)
        file.unlink()
        with pytest.raises(ScalerError, match="is no file in the daemon's container"):
            await read(server, wanted("kv1/queue"), **spec)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"role": "other"}, 'invalid role name "other"'),
        ({"role": ""}, "role is missing"),
        ({"mount": ""}, "mount is missing"),
        ({"mount": "elsewhere"}, "answered 403 to auth/elsewhere/login"),
        ({"credential": {}}, "credential has neither serviceAccountName nor serviceAccount"),
        ({"jwt": token_of(ACCOUNT, 5)}, "answered 403 to auth/kubernetes/login"),
    ],
)
async def test_a_login_that_fails_is_told(server: Server, change: dict[str, Any], says: str) -> None:
    async with reviewing(server):
        with pytest.raises(ScalerError) as error:
            await read(server, wanted("kv1/queue"), **{"jwt": token_of(ACCOUNT)} | AS_ACCOUNT | change)
    assert says in str(error.value)
    assert "eyJ" not in str(error.value)
