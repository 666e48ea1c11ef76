"""Canaries in the secret stores of three clouds, and in what opens these; and places that only pretend to be such."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from keda_py_scalers.gcp_secret_manager import ENDPOINT

from tests.scalers.azure_server import SECRET, TENANT, Azure
from tests.scalers.cloud import CANARY, Cloud, standing
from tests.scalers.google_server import PEM, Google

from .canary import Canaries
from .garden import Manifest
from .source import serving, telling
from .store import Reading
from .trigger import based

ROLE: Final = "arn:aws:iam::123456789012:role/orders"


@dataclass
class Clouds:
    """Stand-ins for Azure and Google, and two that are none: they tell back what is told them."""

    azure: Cloud
    google: Cloud
    parrot: Cloud
    scold: Cloud

    @property
    def authorities(self) -> tuple[str, ...]:
        """The files of those whom the daemon has to trust."""
        return tuple(str(one.authority) for one in (self.azure, self.google, self.parrot, self.scold))


@dataclass
class Amazon:
    """AWS as far as it is asked here: it knows some secrets, and lets nobody be a role."""

    secrets: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer GetSecretValue, or tell back what was told: with success only where a parrot is asked for."""
        if not request.headers.get("X-Amz-Target", "").endswith(".GetSecretValue"):
            return await telling(403)(request)
        name = (await request.json())["SecretId"]
        if name in self.secrets:
            return web.json_response({"SecretString": self.secrets[name]})
        return await telling(200 if name == "parrot" else 400)(request)


@asynccontextmanager
async def clouds(folder: Path, canaries: Canaries, environment: pytest.MonkeyPatch) -> AsyncIterator[Clouds]:
    """Run the stand-ins with secrets called good, which are canaries; the environment leads the daemon to them."""
    azure, google = Azure(), Google()
    azure.secrets = {"good": {"newest": canaries.hatch("azure: a value")}}
    google.secrets = {"good": {"latest": canaries.hatch("google: a value")}}
    amazon = Amazon({"good": canaries.hatch("amazon: a value")})
    answers = {"azure": azure.answer, "google": google.answer, "parrot": telling(200), "scold": telling(401)}
    async with AsyncExitStack() as stack:
        at_aws = await stack.enter_async_context(serving(amazon.answer))
        running = {}
        for name, answer in answers.items():
            (folder / name).mkdir()
            running[name] = await stack.enter_async_context(standing(answer, folder / name))
        found = Clouds(**running)
        for name in ("parrot", "scold"):
            found.google.instead[f"/v1/projects/{name}"] = answers[name]
        # What stand-ins say of themselves, and their tokens, begin so.
        canaries.plant("a word of a cloud", CANARY)
        own = {"AZURE_FEDERATED_TOKEN_FILE": azure.federated, "AWS_WEB_IDENTITY_TOKEN_FILE": f"{CANARY}-web-identity"}
        for name, token in own.items():
            (folder / name).write_text(canaries.plant(f"the daemon's own token, {name}", token))
            environment.setenv(name, str(folder / name))
        for name, value in _environment(found, folder, at_aws).items():
            environment.setenv(name, value)
        yield found


def _environment(found: Clouds, folder: Path, at_aws: str) -> dict[str, str]:
    return {
        "AZURE_CLIENT_ID": "daemon",
        "AZURE_TENANT_ID": TENANT,
        "AZURE_AUTHORITY_HOST": found.azure.url,
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        ENDPOINT: found.google.url,
        "AWS_ENDPOINT_URL": f"http://{at_aws}",
        "AWS_ROLE_ARN": ROLE,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
    }


def plant_at_azure(reading: Reading, found: Clouds) -> None:
    """Plant in who asks a key vault of Azure's."""
    garden, url = reading.garden, found.azure.url
    right = garden.referred(garden.canaries.plant("azure: the client's secret", SECRET))
    wrong = garden.referred(garden.canaries.hatch("azure: a wrong client's secret"))
    reading.good(_azure(url, "good", right))
    reading.good(_azure(url, "good", None))
    reading.one(_azure(url, "none", right), says="no such secret")
    reading.one(_azure(url, "good", wrong), says="AADSTS7000215")
    for cloud in (found.parrot, found.scold):
        reading.one(_azure(cloud.url, "good", wrong), says="azureKeyVault: ")


def _azure(url: str, name: str, secret: Manifest | None) -> Manifest:
    login: Manifest = {"podIdentity": {"provider": "azure-workload"}}
    if secret is not None:
        login = {"credentials": {"clientId": "app", "tenantId": TENANT, "clientSecret": secret}}
    cloud = {"type": "Private", "keyVaultResourceURL": "https://localhost", "activeDirectoryEndpoint": url}
    secrets = [{"parameter": "bearerToken", "name": name}]
    return {"azureKeyVault": {"vaultUri": url, "secrets": secrets, "cloud": cloud, **login}}


def plant_at_google(reading: Reading, found: Clouds) -> None:
    """Plant in keys of service accounts that ask Google's Secret Manager."""
    garden = reading.garden
    garden.canaries.plant_key("google: the key of a service account", PEM)
    usual = {
        "type": "service_account",
        "project_id": "orders",
        "private_key_id": "1",
        "private_key": PEM,
        "client_email": "keda@orders.iam.gserviceaccount.com",
        "token_uri": f"{found.google.url}/token",
    }

    def read(name: str = "good", **changed: str) -> Manifest:
        return _google(name, garden.referred(json.dumps(usual | changed)))

    reading.good(read())
    reading.one(read("none"), says="no such secret")
    reading.one(read(client_email="somebody@orders.iam.gserviceaccount.com"), says="invalid_grant")
    reading.one(read(project_id="scold"), says="it does not accept our tokens")
    reading.one(read(project_id="parrot"), says="answered without a secret")
    for cloud in (found.parrot, found.scold):
        reading.one(read(token_uri=f"{cloud.url}/token"), says="gcpSecretManager: ")
    for cloud in (found.parrot, found.scold):
        key = {"GoogleApplicationCredentials": json.dumps(usual | {"token_uri": f"{cloud.url}/token"})}
        trigger = based("prometheus", reading.addresses, "well", {})
        garden.given(trigger, key, says="Google")
    broken = garden.canaries.hatch("google: a key that is none")
    reading.one(read(private_key=f"-----BEGIN PRIVATE KEY-----\n{broken}\n"), says="are not whole")
    none = garden.referred(garden.canaries.hatch("google: what is no JSON"))
    reading.one(_google("good", none), says="no key of a service account")


def _google(name: str, secret: Manifest) -> Manifest:
    secrets = [{"parameter": "bearerToken", "id": name}]
    return {"gcpSecretManager": {"secrets": secrets, "credentials": {"clientSecret": secret}}}


def plant_at_amazon(reading: Reading) -> None:
    """Plant in who asks AWS Secrets Manager."""
    garden = reading.garden
    names = ("accessKey", "accessSecretKey", "accessToken")
    keys = {name: garden.referred(garden.canaries.hatch(f"amazon: {name}")) for name in names}
    reading.good(_amazon("good", credentials=keys))
    for name in ("parrot", "scold"):
        reading.one(_amazon(name, credentials=keys), says="awsSecretManager: ")
    odd = {name: garden.referred(garden.canaries.hatch(f"amazon: an odd {name}") + "\nü") for name in names}
    reading.one(_amazon("good", credentials=odd))
    role = {"provider": "aws", "roleArn": ROLE}
    reading.one(_amazon("good", podIdentity=role), says="the role cannot be assumed")


def _amazon(name: str, **login: Any) -> Manifest:
    secrets = [{"parameter": "bearerToken", "name": name}]
    return {"awsSecretManager": {"secrets": secrets, "region": "eu-west-1", **login}}
