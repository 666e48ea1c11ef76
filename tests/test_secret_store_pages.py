"""What the documentation of secret stores shows works as it stands there."""

from pathlib import Path

import pytest

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.engine.registry import Registry
from tests.brokers.sqs import client, moto
from tests.pages import manifests, trying
from tests.test_pages import QUEUE, basic, serving

PAGE = "secret-stores.md"
HEADINGS = ["Azure Key Vault", "Google Cloud Secret Manager", "AWS Secrets Manager"]


@pytest.mark.parametrize("heading", HEADINGS)
async def test_the_manifests_are_taken_and_their_stores_are_there(heading: str) -> None:
    found = manifests(PAGE, heading=heading)
    async with trying() as cluster:
        cluster.apply(*found)
    for one in found:
        if one["kind"] == "TriggerAuthentication":
            spec = TriggerAuthenticationSpec.model_validate(one["spec"])
            assert spec.model_dump(by_alias=True, exclude_unset=True) == one["spec"]
            (section,) = one["spec"]
            assert Registry.installed().stores.load(section).__name__.lower() == section.lower()


@pytest.mark.e2e
async def test_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto(tmp_path) as store, serving({"orders": {"waiting": 12}}, basic("me", "first")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store)
        async with client(store, "secretsmanager") as secrets, trying() as cluster:
            cluster.apply(*manifests(PAGE, {QUEUE: server.address}, heading="AWS Secrets Manager"))
            await cluster.until(lambda: "no such secret in that region" in cluster.ready("orders")[1])
            assert "username (secret orders/db), password (secret orders/db): " in cluster.ready("orders")[1]
            await secrets.create_secret(Name="orders/db", SecretString='{"user": "me", "password": "first"}')
            await cluster.until(lambda: cluster.replicas("orders") == 3)
            assert server.refused == 0
