"""Azure Key Vault against a local server that speaks the two HTTP APIs as they are documented. No Azure was asked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from keda_py_scalers.azure_key_vault import AzureKeyVault
from keda_py_scalers.cloud_http import LARGEST_BODY

from keda_py.api.authentication import AzureKeyVault as Spec
from keda_py.scaler import PodIdentity, ScalerError, SourceUnavailable
from keda_py.secret_store import Access

from .azure_server import SECRET, TENANT, Azure
from .cloud import CANARY, Answer, Cloud, cut, failure, opened, read, said, standing

# They start servers.
pytestmark = pytest.mark.e2e

DAEMON = PodIdentity("azure-workload")


@pytest.fixture
def azure() -> Azure:
    made = Azure()
    made.secrets = {
        "db-password": {"newest": f"{CANARY}-2", "a1": f"{CANARY}-1"},
        "db-user": {"newest": f"{CANARY}-me"},
    }
    return made


@pytest.fixture
async def cloud(azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """The server, and a daemon with a workload identity as its webhook sets it up."""
    async with standing(azure.answer, tmp_path) as standing_cloud:
        (tmp_path / "token").write_text(f"{azure.federated}\n")
        monkeypatch.setenv("AZURE_CLIENT_ID", "daemon")
        monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{standing_cloud.url}/")
        yield standing_cloud


def section(server: Cloud, /, *secrets: dict[str, str], **more: Any) -> Spec:
    given: dict[str, Any] = {
        "vaultUri": server.url,
        "secrets": list(secrets) or [{"parameter": "password", "name": "db-password"}],
        "cloud": {"type": "Private", "keyVaultResourceURL": "https://localhost", "activeDirectoryEndpoint": server.url},
        "credentials": {
            "clientId": "app",
            "tenantId": TENANT,
            "clientSecret": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        },
    }
    return Spec.model_validate(given | more)


def store(cloud: Cloud, spec: Spec | None = None, pod: PodIdentity | None = None, **credentials: str) -> AzureKeyVault:
    given = {"clientSecret": f"{SECRET}\n"} | credentials
    access = Access(spec or section(cloud), given, pod or PodIdentity(), cloud.platform())
    return AzureKeyVault(access)


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_secrets_are_read_by_name_and_version(cloud: Cloud) -> None:
    spec = section(
        cloud,
        {"parameter": "password", "name": "db-password"},
        {"parameter": "former", "name": "db-password", "version": "a1"},
        {"parameter": "username", "name": "db-user"},
        {"parameter": "again", "name": "db-user"},
    )
    assert await read(store(cloud, spec)) == {
        "password": f"{CANARY}-2",
        "former": f"{CANARY}-1",
        "username": f"{CANARY}-me",
        "again": f"{CANARY}-me",
    }
    login, *asked = cloud.seen
    assert login.path == f"/{TENANT}/oauth2/v2.0/token"
    assert login.form == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": SECRET,
        "scope": "https://localhost/.default",
    }
    assert sorted(one.path for one in asked) == [
        "/secrets/db-password/a1?api-version=7.4",
        "/secrets/db-password?api-version=7.4",
        "/secrets/db-user?api-version=7.4",
    ]


async def test_a_second_read_shows_the_new_value_with_the_same_token_and_connection(azure: Azure, cloud: Cloud) -> None:
    async with opened(store(cloud)) as one:
        first = await one.read()
        azure.secrets["db-password"]["newest"] = "rotated"
        second = await one.read()
        assert (first.parameters["password"], second.parameters["password"]) == (f"{CANARY}-2", "rotated")
        assert cloud.asked(f"/{TENANT}") == 1
        assert len(cloud.connections) == 1
        assert CANARY not in f"{first!r}{one!r}{one.access!r}"
    await cloud.until_closed()


async def test_a_token_that_has_ended_is_replaced(azure: Azure, cloud: Cloud) -> None:
    azure.expires_in = -1
    async with opened(store(cloud)) as one:
        await one.read()
        logins = cloud.asked(f"/{TENANT}")
        await one.read()
    assert cloud.asked(f"/{TENANT}") > logins


async def test_a_token_that_was_revoked_is_replaced(azure: Azure, cloud: Cloud) -> None:
    async with opened(store(cloud)) as one:
        await one.read()
        azure.tokens.clear()
        assert (await one.read()).parameters["password"] == f"{CANARY}-2"
    assert cloud.asked(f"/{TENANT}") == 2


# --- who asks -------------------------------------------------------------------------------------------------------


async def test_the_daemon_asks_with_its_federated_token(azure: Azure, cloud: Cloud, tmp_path: Path) -> None:
    async with opened(store(cloud, pod=DAEMON)) as one:
        await one.read()
        form = cloud.seen[0].form
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert (form["client_id"], form["client_assertion"]) == ("daemon", f"{CANARY}-federated-1")
        assert "client_secret" not in form
        # Kubernetes has put a new one there meanwhile.
        azure.federated = f"{CANARY}-federated-2"
        (tmp_path / "token").write_text(azure.federated)
        azure.tokens.clear()
        await one.read()
    assert cloud.seen[-2].form["client_assertion"] == azure.federated


async def test_another_identity_and_tenant_may_be_named(cloud: Cloud) -> None:
    await read(store(cloud, pod=PodIdentity("azure-workload", identity_id="orders", tenant_id="contoso.example")))
    assert cloud.seen[0].path == "/contoso.example/oauth2/v2.0/token"
    assert cloud.seen[0].form["client_id"] == "orders"


async def test_the_daemons_token_goes_to_no_authority_that_only_a_manifest_names(cloud: Cloud) -> None:
    pod = PodIdentity("azure-workload", tenant_id=TENANT, authority_host="https://login.example")
    with pytest.raises(ScalerError, match="identityAuthorityHost: neither one of Microsoft's"):
        store(cloud, pod=pod)
    # Nor to the section's own.
    spec = section(
        cloud,
        cloud={
            "type": "Private",
            "keyVaultResourceURL": "https://localhost",
            "activeDirectoryEndpoint": "https://login.example",
        },
    )
    await read(store(cloud, spec, pod=DAEMON))
    assert cloud.asked(f"/{TENANT}") == 1


async def test_active_directory_federation_services_have_an_address_of_their_own(cloud: Cloud) -> None:
    credentials = section(cloud).model_dump(by_alias=True)["credentials"] | {"tenantId": "adfs"}
    await read(store(cloud, section(cloud, credentials=credentials)))
    assert cloud.seen[0].path == "/adfs/oauth2/token"


@pytest.mark.parametrize("missing", ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"])
def test_what_a_workload_identity_lacks_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ScalerError, match=f"no Azure workload identity: it lacks .*{missing}"):
        store(cloud, pod=DAEMON)


async def test_a_federated_token_that_is_not_there_is_told(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    assert "AZURE_FEDERATED_TOKEN_FILE" in str(await failure(store(cloud, pod=DAEMON)))
    assert cloud.seen == []


# --- which cloud ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "cloud_type", "authority", "resource"),
    [
        ("https://a.vault.azure.net/", None, "https://login.microsoftonline.com", "https://vault.azure.net"),
        (
            "https://A.Vault.Azure.NET",
            "azurepubliccloud",
            "https://login.microsoftonline.com",
            "https://vault.azure.net",
        ),
        ("https://a.managedhsm.azure.net", None, "https://login.microsoftonline.com", "https://managedhsm.azure.net"),
        (
            "https://a.vault.usgovcloudapi.net",
            "AzureUSGovernmentCloud",
            "https://login.microsoftonline.us",
            "https://vault.usgovcloudapi.net",
        ),
        ("https://a.vault.azure.cn", None, "https://login.chinacloudapi.cn", "https://vault.azure.cn"),
        ("https://a.vault.azure.cn", "AzureChinaCloud", "https://login.chinacloudapi.cn", "https://vault.azure.cn"),
        (
            "https://a.vault.microsoftazure.de",
            None,
            "https://login.microsoftonline.de",
            "https://vault.microsoftazure.de",
        ),
    ],
)
def test_the_vaults_name_says_who_issues_tokens_and_for_what(
    cloud: Cloud, uri: str, cloud_type: str | None, authority: str, resource: str
) -> None:
    one = store(cloud, section(cloud, vaultUri=uri, cloud=cloud_type and {"type": cloud_type}))
    assert one._tokens._principal.authority == authority
    assert one._tokens._scope == f"{resource}/.default"


PRIVATE = {"type": "Private", "keyVaultResourceURL": "https://vault.example", "activeDirectoryEndpoint": "https://a.b"}


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"vaultUri": "http://a.vault.azure.net", "cloud": None}, "vaultUri: expected https://"),
        ({"vaultUri": "https://u:c4nary@a.vault.azure.net", "cloud": None}, "vaultUri: expected https://"),
        ({"vaultUri": "https://a.vault.azure.net/x", "cloud": None}, "vaultUri: expected https://"),
        ({"vaultUri": "https://[", "cloud": None}, "vaultUri: expected https://"),
        ({"vaultUri": "https://vault.example", "cloud": None}, "no address of a key vault in that cloud"),
        ({"vaultUri": "https://evilvault.azure.net", "cloud": None}, "no address of a key vault in that cloud"),
        (
            {"vaultUri": "https://a.vault.azure.net", "cloud": {"type": "AzureChinaCloud"}},
            "no address of a key vault in that cloud",
        ),
        ({"cloud": {"type": "AzureMoonCloud"}}, "cloud.type: expected AzurePublicCloud"),
        ({"cloud": {"type": "Private"}}, "Private needs keyVaultResourceURL"),
        (
            {"vaultUri": "https://a.vault.example", "cloud": PRIVATE | {"activeDirectoryEndpoint": ""}},
            "activeDirectoryE",
        ),
        (
            {"vaultUri": "https://a.vault.example", "cloud": PRIVATE | {"activeDirectoryEndpoint": "x"}},
            "expected https",
        ),
        ({"vaultUri": "https://evil.example", "cloud": PRIVATE}, "not below cloud.keyVaultResourceURL"),
        ({"vaultUri": "https://evilvault.example", "cloud": PRIVATE}, "not below cloud.keyVaultResourceURL"),
        ({"secrets": [{"parameter": "p", "name": "../keys"}]}, "p: name is no such name"),
        ({"secrets": [{"parameter": "p", "name": "a", "version": "1/2"}]}, "p: version is no such name"),
        ({"credentials": None}, "clientId, tenantId and clientSecret are needed"),
    ],
)
def test_what_makes_no_sense_is_told_at_once(cloud: Cloud, more: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ScalerError, match=wrong) as raised:
        store(cloud, section(cloud, **more))
    assert CANARY not in str(raised.value)


def test_credentials_have_to_be_whole_and_identities_azures(cloud: Cloud) -> None:
    with pytest.raises(ScalerError, match="clientSecret are needed"):
        store(cloud, clientSecret=" ")
    with pytest.raises(ScalerError, match="no use for aws"):
        store(cloud, pod=PodIdentity("aws"))
    credentials = section(cloud).model_dump(by_alias=True)["credentials"] | {"tenantId": "../x"}
    with pytest.raises(ScalerError, match="neither an id nor a domain"):
        store(cloud, section(cloud, credentials=credentials))


# --- how it goes wrong ----------------------------------------------------------------------------------------------


async def test_a_missing_secret_and_version_are_named_with_their_parameters(cloud: Cloud) -> None:
    spec = section(
        cloud,
        {"parameter": "username", "name": "db-user"},
        {"parameter": "password", "name": "nothing"},
        {"parameter": "token", "name": "db-user", "version": "a9"},
    )
    told = str(await failure(store(cloud, spec)))
    assert "password (secret nothing), token (secret db-user version a9): " in told
    assert "answered 404: no such secret, or not in that version; add it" in told


LOGIN = f"/{TENANT}"


@pytest.mark.parametrize(
    ("where", "answer", "why", "away"),
    [
        ("/secrets", said({"error": {"message": CANARY}}, 403), "give it the permission get", False),
        (
            "/secrets",
            said({"error": {"code": "Forbidden", "innererror": {"code": "SecretDisabled"}}}, 403),
            "disabled; enable it",
            False,
        ),
        (
            "/secrets",
            said({"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByFirewall"}}}, 403),
            "firewall",
            False,
        ),
        ("/secrets", said({"error": {"innererror": {"code": CANARY}}}, 403), "may not read secrets", False),
        ("/secrets", said(CANARY, 403), "may not read secrets", False),
        ("/secrets", said({"error": {"code": "BadParameter"}}, 400), "answered 400: is vaultUri", False),
        ("/secrets", said({"error": {"code": "Throttled"}}, 429), "asked too much or is unwell (429)", True),
        ("/secrets", said(CANARY, 503), "asked too much or is unwell (503)", True),
        ("/secrets", cut, "broke off its answer", True),
        ("/secrets", said(f"<h1>{CANARY}</h1>"), "did not answer as its API does", False),
        ("/secrets", said([CANARY]), "did not answer as its API does", False),
        ("/secrets", said({"id": CANARY}), "answered without a value", False),
        ("/secrets", said({"value": None}), "answered without a value", False),
        ("/secrets", said({"value": ""}), "it is empty", False),
        ("/secrets", said(CANARY + " " * LARGEST_BODY), "answered with more than 1 MiB", False),
        ("/secrets", said("", 302, Location="https://evil.example/"), "answered 302", False),
        ("/secrets", said({}, 401), "does not accept our tokens", False),
        (LOGIN, said({"error_description": f"AADSTS700016: {CANARY}"}, 400), "the login (AADSTS700016): are", False),
        (LOGIN, said(CANARY, 401), "401 to the login: are clientId", False),
        (LOGIN, said({}, 429), "asked too much or is unwell (429)", True),
        (LOGIN, said(CANARY), "no token: localhost:", False),
        (LOGIN, said({"expires_in": 10}), "answered without one", False),
        (LOGIN, said({"access_token": f"{CANARY}\n", "expires_in": 10}), "answered without one", False),
        (LOGIN, cut, "broke off its answer", True),
    ],
)  # fmt: skip
async def test_a_failure_is_told_without_a_secret(
    cloud: Cloud, where: str, answer: Answer, why: str, away: bool
) -> None:
    cloud.instead[where] = answer
    error = await failure(store(cloud))
    assert why in str(error)
    assert isinstance(error, SourceUnavailable) == away
    if where == "/secrets":
        assert str(error).startswith("password (secret db-password): ")


async def test_a_wrong_secret_of_the_principal_is_told_once_for_all_secrets(cloud: Cloud) -> None:
    spec = section(cloud, *({"parameter": f"p{number}", "name": "db-user"} for number in range(5)))
    error = await failure(store(cloud, spec, clientSecret=f"{CANARY}-wrong"))
    assert "answered 401 to the login (AADSTS7000215): are clientId and tenantId right" in str(error)
    assert len(cloud.seen) == 1


async def test_a_federation_that_is_not_there_is_told(azure: Azure, cloud: Cloud) -> None:
    azure.federated = "another"
    assert "is the daemon's ServiceAccount federated" in str(await failure(store(cloud, pod=DAEMON)))


async def test_a_vault_of_another_tenant_says_of_which(azure: Azure, cloud: Cloud) -> None:
    async def forget(request: web.Request) -> web.StreamResponse:
        azure.tokens.clear()
        return azure.vault(request)

    cloud.instead["/secrets"] = forget
    assert f"does not accept our tokens; it wants those of tenant {TENANT}" in str(await failure(store(cloud)))
    # One more login, and no more than that.
    assert cloud.asked(LOGIN) == 2


async def test_a_vault_that_cannot_be_reached_or_trusted_is_away(cloud: Cloud, tmp_path: Path) -> None:
    access = Access(section(cloud), {"clientSecret": SECRET}, PodIdentity(), Cloud(said("")).platform())
    error = await failure(AzureKeyVault(access))
    assert "certificate is not trusted" in str(error)
    assert isinstance(error, SourceUnavailable)
    async with standing(said(""), tmp_path) as gone:
        spec = section(gone)
    error = await failure(store(gone, spec))
    assert "cannot be reached: connection refused" in str(error)
    assert isinstance(error, SourceUnavailable)
