"""Triggers that ask as the daemon by Azure's or Google's identity, against local servers that speak their HTTP APIs.

These are Microsoft Entra ID's token endpoint and Google's metadata server as they are documented, a query of Prometheus
and a queue of RabbitMQ's management API. No cloud was asked.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.prometheus import PrometheusScaler
from keda_py_scalers.rabbitmq import RabbitMQScaler

from keda_py.engine.trigger import Outcome
from keda_py.scaler import PodIdentity

from .asking import Asked, asking, read, value
from .cloud import CANARY, Cloud, said, standing

# They start servers.
pytestmark = pytest.mark.e2e

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AZURE, GOOGLE = PodIdentity("azure-workload"), PodIdentity("gcp")
SAMPLE = {"data": {"resultType": "vector", "result": [{"value": [0, "7"]}]}}
QUEUE = {"messages": 7, "messages_ready": 7, "messages_unacknowledged": 0}


class Clouds:
    """Logins, and what only those with a token are told; `answers` counts by whom."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self._issued = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/token"):
            self._issued += 1
            token = f"{CANARY}-{self._issued}"
            self.tokens.add(token)
            body = {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}
            return web.json_response(body, headers={"Metadata-Flavor": "Google"})
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.Response(status=401)
        return web.json_response(SAMPLE if request.path.endswith("/query") else QUEUE)


@pytest.fixture
def clouds() -> Clouds:
    return Clouds()


@pytest.fixture
async def cloud(clouds: Clouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """The server, and a daemon with the identities of both clouds."""
    (tmp_path / "token").write_text(f"{CANARY}-federated")
    async with (
        standing(clouds.answer, tmp_path) as server,
        standing(clouds.answer, tmp_path, tls=False) as metadata,
    ):
        monkeypatch.setenv("AZURE_CLIENT_ID", "daemon")
        monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{server.url}/")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
        monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "localhost")
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.url.removeprefix("http://"))
        yield server


def prometheus(server: Cloud, pod: PodIdentity, /, **metadata: str) -> Asked:
    azure = {"cloud": "Private", "azureManagedPrometheusResourceURL": "https://localhost"} if pod is AZURE else {}
    given = {"serverAddress": server.url, "query": "up", "threshold": "5"} | azure
    return Asked(PrometheusScaler, given | metadata, pod_identity=pod)


def rabbitmq(cloud: Cloud, pod: PodIdentity = AZURE, **auth: str) -> Asked:
    given = {"host": f"{cloud.url}/orders", "queueName": "q", "mode": "QueueLength", "value": "5"}
    return Asked(RabbitMQScaler, given, {"workloadIdentityResource": "api://broker"} | auth, pod_identity=pod)


async def outcome(cloud: Cloud, asked: Asked) -> Outcome:
    found = await read(asked, ca_paths=(str(cloud.authority),))
    assert CANARY not in str(found.failure)
    return found


TRIGGERS = pytest.mark.parametrize(
    "made",
    [
        lambda cloud: prometheus(cloud, AZURE),
        lambda cloud: prometheus(cloud, GOOGLE),
        rabbitmq,
    ],
    ids=["azure", "google", "rabbitmq"],
)


@TRIGGERS
async def test_the_daemon_asks_with_a_token_that_is_replaced_when_it_was_revoked(
    clouds: Clouds, cloud: Cloud, made: Any
) -> None:
    async with asking(made(cloud), made(cloud), ca_paths=(str(cloud.authority),)) as live:
        assert [value(await one.current()) for one in live] == [7, 7]
        assert len(clouds.tokens) == 1
        clouds.tokens.clear()
        assert value(await read(made(cloud), ca_paths=(str(cloud.authority),))) == 7
        assert value(await live[0].current()) == 7


async def test_what_azure_is_asked_for(cloud: Cloud) -> None:
    await outcome(
        cloud, rabbitmq(cloud, PodIdentity("azure-workload", identity_id="orders", tenant_id="contoso.example"))
    )
    login, question = cloud.seen
    assert login.path == "/contoso.example/oauth2/v2.0/token"
    assert (login.form["client_id"], login.form["scope"]) == ("orders", "api://broker/.default")
    assert login.form["client_assertion"] == f"{CANARY}-federated"
    assert question.path.startswith("/api/queues/orders/q")


async def test_triggers_of_two_identities_share_nothing(clouds: Clouds, cloud: Cloud) -> None:
    other = PodIdentity("azure-workload", identity_id="orders")
    both = (rabbitmq(cloud), rabbitmq(cloud, other))
    async with asking(*both, ca_paths=(str(cloud.authority),)) as live:
        assert [value(await one.current()) for one in live] == [7, 7]
    assert len(clouds.tokens) == 2


@pytest.mark.parametrize(
    ("metadata", "pod", "why"),
    [
        ({"serverAddress": "https://evil.example"}, AZURE, "not https and below localhost"),
        ({"serverAddress": "http://localhost"}, AZURE, "not https and below localhost"),
        ({"serverAddress": "https://notlocalhost"}, GOOGLE, "not https and below localhost"),
        ({"serverAddress": "https://[", "cloud": ""}, AZURE, "not https and below prometheus.monitor.azure.com"),
        ({"cloud": "AzureUSGovernmentCloud"}, AZURE, "not https and below prometheus.monitor.azure.us"),
        ({"cloud": "AzureMoonCloud"}, AZURE, "cloud: expected AzurePublicCloud"),
        ({"azureManagedPrometheusResourceURL": ""}, AZURE, "Private needs azureManagedPrometheusResourceURL"),
    ],
)
async def test_the_daemons_token_is_sent_nowhere_else(
    cloud: Cloud, metadata: dict[str, str], pod: PodIdentity, why: str
) -> None:
    found = await outcome(cloud, prometheus(cloud, pod, **metadata))
    assert why in str(found.failure)
    assert not found.readings
    assert cloud.seen == []


@TRIGGERS
async def test_a_login_that_is_refused_is_told_and_nothing_asked(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, made: Any, tmp_path: Path
) -> None:
    cloud.instead[f"/{TENANT}"] = said({"error_description": f"AADSTS70021: {CANARY}"}, 400)
    async with standing(said(CANARY, 404, **{"Metadata-Flavor": "Google"}), tmp_path, tls=False) as metadata:
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.url.removeprefix("http://"))
        found = await outcome(cloud, made(cloud))
    assert "(AADSTS70021)" in str(found.failure) or "has no Google identity" in str(found.failure)
    assert not found.readings
    assert not any("Authorization" in seen.headers for seen in cloud.seen)


async def test_a_daemon_without_azures_identity_says_what_it_lacks(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE")
    for one in (prometheus(cloud, AZURE), rabbitmq(cloud)):
        assert "it lacks AZURE_FEDERATED_TOKEN_FILE" in str((await outcome(cloud, one)).failure)
    assert cloud.seen == []
