"""Google Cloud Secret Manager against local servers that speak its HTTP APIs as documented. No Google was asked."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.cloud_http import LARGEST_BODY
from keda_py_scalers.gcp_secret_manager import ENDPOINT, GcpSecretManager, crc32c

from keda_py.api.authentication import GcpSecretManager as Spec
from keda_py.scaler import PodIdentity, ScalerError, SourceUnavailable
from keda_py.secret_store import Access

from .cloud import CANARY, Answer, Cloud, cut, failure, opened, read, said, standing
from .google_server import PEM, SCOPE, Google

# They start servers.
pytestmark = pytest.mark.e2e

DAEMON = PodIdentity("gcp")


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
async def cloud(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """The server, and a daemon that has no identity by itself."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CORE_PROJECT", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    async with standing(google.answer, tmp_path) as standing_cloud:
        monkeypatch.setenv(ENDPOINT, f"{standing_cloud.url}/")
        yield standing_cloud


@pytest.fixture
async def metadata(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return google.metadata(request)

    async with standing(answer, tmp_path, tls=False) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
        yield server


def key(cloud: Cloud, **more: Any) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "orders",
        "private_key_id": "1",
        "private_key": PEM,
        "client_email": "keda@orders.iam.gserviceaccount.com",
        "token_uri": f"{cloud.url}/token",
        **more,
    }


def section(*secrets: dict[str, str]) -> Spec:
    return Spec.model_validate({"secrets": list(secrets) or [{"parameter": "password", "id": "db-password"}]})


def store(
    cloud: Cloud, spec: Spec | None = None, pod: PodIdentity | None = None, secret: str | None = None
) -> GcpSecretManager:
    given = {} if pod else {"clientSecret": json.dumps(key(cloud)) if secret is None else secret}
    return GcpSecretManager(Access(spec or section(), given, pod or PodIdentity(), cloud.platform()))


PASSWORD = {"password": f"{CANARY}-2"}

# --- what is read ---------------------------------------------------------------------------------------------------


async def test_secrets_are_read_by_id_and_version_the_latest_unless_named(cloud: Cloud) -> None:
    spec = section(
        {"parameter": "password", "id": "db-password"},
        {"parameter": "former", "id": "db-password", "version": "1"},
        {"parameter": "again", "id": "db-password", "version": "latest"},
    )
    assert await read(store(cloud, spec)) == PASSWORD | {"former": f"{CANARY}-1", "again": f"{CANARY}-2"}
    assert sorted(one.path for one in cloud.seen) == [
        "/token",
        "/v1/projects/orders/secrets/db-password/versions/1:access",
        "/v1/projects/orders/secrets/db-password/versions/latest:access",
    ]


async def test_a_second_read_shows_the_new_value_with_the_same_token_and_connection(
    google: Google, cloud: Cloud
) -> None:
    async with opened(store(cloud)) as one:
        first = await one.read()
        google.secrets["db-password"]["latest"] = "rotated, ünd in UTF-8"
        second = await one.read()
        assert (first.parameters, second.parameters) == (PASSWORD, {"password": "rotated, ünd in UTF-8"})
        assert cloud.asked("/token") == 1
        assert len(cloud.connections) == 1
        assert CANARY not in f"{first!r}{one!r}{one.access!r}"
        assert "BEGIN PRIVATE KEY" not in f"{one.access!r}"
    await cloud.until_closed()


async def test_a_token_that_has_ended_or_was_revoked_is_replaced(google: Google, cloud: Cloud) -> None:
    google.expires_in = -1
    async with opened(store(cloud)) as one:
        await one.read()
        google.expires_in = 3599
        await one.read()
        logins = cloud.asked("/token")
        assert logins >= 2
        google.tokens.clear()
        assert (await one.read()).parameters == PASSWORD
        assert cloud.asked("/token") == logins + 1


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksums_are_those_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


async def test_a_checksum_is_checked_where_there_is_one(google: Google, cloud: Cloud) -> None:
    google.checksum = False
    assert await read(store(cloud)) == PASSWORD
    payload = {"data": base64.b64encode(CANARY.encode()).decode(), "dataCrc32c": "1"}
    cloud.instead["/v1"] = said({"payload": payload})
    assert "password (secret db-password version latest): it arrived damaged" in str(await failure(store(cloud)))


# --- who asks -------------------------------------------------------------------------------------------------------


async def test_the_daemon_is_who_the_metadata_server_says(cloud: Cloud, metadata: Cloud) -> None:
    async with opened(store(cloud, pod=DAEMON)) as one:
        await one.read()
        assert (await one.read()).parameters == PASSWORD
    assert (metadata.asked("/computeMetadata/v1/instance"), metadata.asked("/computeMetadata/v1/project")) == (1, 1)
    assert cloud.asked("/token") == 0


async def test_the_environment_may_name_the_project(
    cloud: Cloud, metadata: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "elsewhere")
    told = str(await failure(store(cloud, pod=DAEMON)))
    assert "no such secret in project elsewhere" in told
    assert metadata.asked("/computeMetadata/v1/project") == 0


async def test_the_daemon_may_be_federated(
    google: Google, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "subject").write_text(google.subject)
    audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"
    federation = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{cloud.url}/sts",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    (tmp_path / "federation.json").write_text(json.dumps(federation))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "federation.json"))
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "orders")
    assert await read(store(cloud, pod=DAEMON)) == PASSWORD
    assert (cloud.seen[0].path, cloud.seen[0].form["audience"], cloud.seen[0].form["scope"]) == (
        "/sts",
        audience,
        SCOPE,
    )
    google.subject = "another"
    assert "does not accept the login (invalid_grant)" in str(await failure(store(cloud, pod=DAEMON)))


async def test_the_daemon_may_have_a_file_of_gcloud(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "gcloud").mkdir()
    (tmp_path / "gcloud" / "application_default_credentials.json").write_text(json.dumps(key(cloud)))
    assert await read(store(cloud, pod=DAEMON)) == PASSWORD


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (CANARY, "is no JSON"),
        (f'["{CANARY}"]', "is no JSON"),
        (f'{{"type": "{CANARY}"}}', "are none of service_account"),
        ('{"type": "external_account"}', "are not whole"),
        (
            '{"type": "external_account", "credential_source": {"executable": {"command": "c4nary"}}}',
            "ALLOW_EXECUTABLES",
        ),
        (
            '{"type": "external_account", "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}',
            "are not whole",
        ),
        (f'{{"type": "service_account", "private_key": "{CANARY}"}}', "are not whole"),
    ],
)
async def test_a_file_that_is_no_use_is_told(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, why: str
) -> None:
    (tmp_path / "file").write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "file"))
    assert why in str(await failure(store(cloud, pod=DAEMON)))


async def test_a_daemon_without_an_identity_says_so(
    cloud: Cloud, metadata: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.instead["/computeMetadata/v1/instance"] = said(CANARY, 404, **{"Metadata-Flavor": "Google"})
    assert "ServiceAccount has no Google identity" in str(await failure(store(cloud, pod=DAEMON)))
    metadata.instead["/computeMetadata/v1/instance"] = said({"access_token": CANARY, "expires_in": 3600})
    assert "is no metadata server of Google's" in str(await failure(store(cloud, pod=DAEMON)))
    del metadata.instead["/computeMetadata/v1/instance"]
    metadata.instead["/computeMetadata/v1/project"] = said("../x", **{"Metadata-Flavor": "Google"})
    assert "the project is no name of one" in str(await failure(store(cloud, pod=DAEMON)))
    async with standing(said(""), tmp_path, tls=False) as gone:
        monkeypatch.setenv("GCE_METADATA_HOST", gone.url.removeprefix("http://"))
    error = await failure(store(cloud, pod=DAEMON))
    assert "the daemon has no Google identity of its own: localhost:" in str(error)
    assert isinstance(error, SourceUnavailable)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "clientSecret, a service account's key, is needed"),
        (CANARY, "no key of a service account in JSON form"),
        (f'["{CANARY}"]', "no key of a service account in JSON form"),
        (f'{{"type": "external_account", "token_url": "https://{CANARY}"}}', "no key of a service account"),
        (f'{{"type": "service_account", "private_key": "{CANARY}"}}', "has no project_id, client_email, token_uri"),
        ({"universe_domain": "evil/x"}, "universe_domain of the service account's key is no domain"),
    ],
)
def test_what_is_no_key_is_told_at_once(cloud: Cloud, secret: Any, why: str) -> None:
    text = secret if isinstance(secret, str) else json.dumps(key(cloud, **secret))
    with pytest.raises(ScalerError, match=why) as raised:
        store(cloud, secret=text)
    assert CANARY not in str(raised.value)


def test_identities_and_names_of_elsewhere_are_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScalerError, match="no use for azure-workload"):
        store(cloud, pod=PodIdentity("azure-workload"))
    with pytest.raises(ScalerError, match="password: id is no such name"):
        store(cloud, section({"parameter": "password", "id": "../db"}))
    with pytest.raises(ScalerError, match="password: version is no such name"):
        store(cloud, section({"parameter": "password", "id": "db", "version": "1:destroy"}))
    monkeypatch.setenv(ENDPOINT, "http://secrets.example")
    with pytest.raises(ScalerError, match=f"{ENDPOINT}: expected https://"):
        store(cloud)
    monkeypatch.delenv(ENDPOINT)
    assert store(cloud)._endpoint == "https://secretmanager.googleapis.com"
    elsewhere = json.dumps(key(cloud, universe_domain="s3nsapis.fr"))
    assert store(cloud, secret=elsewhere)._endpoint == "https://secretmanager.s3nsapis.fr"


# --- how it goes wrong ----------------------------------------------------------------------------------------------


async def test_a_missing_secret_and_version_are_named_with_their_parameters(cloud: Cloud) -> None:
    spec = section(
        {"parameter": "password", "id": "db-password"},
        {"parameter": "username", "id": "nothing"},
        {"parameter": "former", "id": "db-password", "version": "9"},
    )
    told = str(await failure(store(cloud, spec)))
    assert told.startswith(
        "username (secret nothing version latest), former (secret db-password version 9): localhost:"
    )
    assert "answered 404: no such secret in project orders, or not in that version; add it" in told


@pytest.mark.parametrize(
    ("where", "answer", "why", "away"),
    [
        ("/v1", said({"error": {"message": CANARY}}, 403), "roles/secretmanager.secretAccessor", False),
        ("/v1", said({"error": {"status": "FAILED_PRECONDITION"}}, 400), "disabled or destroyed", False),
        ("/v1", said(CANARY, 401), "does not accept our tokens", False),
        ("/v1", said(CANARY, 418), "answered 418: is that Secret Manager?", False),
        ("/v1", said(CANARY, 302, Location="https://evil.example"), "answered 302", False),
        ("/v1", said({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429), "asked too much or is unwell (429)", True),
        ("/v1", said(CANARY, 503), "asked too much or is unwell (503)", True),
        ("/v1", cut, "broke off its answer", True),
        ("/v1", said(CANARY), "did not answer as its API does", False),
        ("/v1", said([CANARY]), "did not answer as its API does", False),
        ("/v1", said({"payload": CANARY}), "answered without a secret", False),
        ("/v1", said({"payload": {"data": CANARY + "!"}}), "answered with what is no secret", False),
        ("/v1", said({"payload": {"data": [CANARY]}}), "answered with what is no secret", False),
        ("/v1", said({"payload": {"data": "YQ==", "dataCrc32c": CANARY}}), "answered with what is no secret", False),
        ("/v1", said({"payload": {"data": "/w=="}}), "no text in UTF-8", False),
        ("/v1", said({"payload": {}}), "it is empty", False),
        ("/v1", said(CANARY + " " * LARGEST_BODY), "answered with more than 1 MiB", False),
        ("/token", said({"error": "invalid_grant", "error_description": CANARY}, 400), "login (invalid_grant)", False),
        ("/token", said({"error": CANARY}, 400), "does not accept the login:", False),
        ("/token", said(CANARY, 403), "does not accept the login:", False),
        ("/token", said({"token_type": CANARY}), "does not accept the login:", False),
        ("/token", said(CANARY), "no token came of", False),
        ("/token", said({}, 429), "asked too much or is unwell (429)", True),
        ("/token", said({}, 503), "asked too much or is unwell (503)", True),
        ("/token", cut, "broke off its answer", True),
    ],
)
async def test_a_failure_is_told_without_a_secret(
    cloud: Cloud, where: str, answer: Answer, why: str, away: bool
) -> None:
    cloud.instead[where] = answer
    error = await failure(store(cloud))
    assert why in str(error)
    assert isinstance(error, SourceUnavailable) == away
    # Nobody is asked again: the engine does that. A token that is not accepted is replaced once.
    assert cloud.asked(where) == (2 if "our tokens" in why else 1)


async def test_a_login_that_is_refused_is_told_once_for_all_secrets(cloud: Cloud) -> None:
    spec = section(*({"parameter": f"p{number}", "id": "db-password"} for number in range(5)))
    other = json.dumps(key(cloud, client_email="other@orders.iam.gserviceaccount.com"))
    assert "does not accept the login (invalid_grant)" in str(await failure(store(cloud, spec, secret=other)))
    assert len(cloud.seen) == 1


def test_the_library_is_loaded_by_the_first_login_only() -> None:
    code = "import sys, keda_py_scalers.gcp_secret_manager; assert 'google.auth' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
