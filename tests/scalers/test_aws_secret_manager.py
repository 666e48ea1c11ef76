"""AWS Secrets Manager, against moto's server, which also is the STS that roles are taken at."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keda_py_scalers.aws_secret_manager import AwsSecretManager

from keda_py.api.authentication import AwsSecretManager as Spec
from keda_py.scaler import Platform, PodIdentity, ScalerError, SourceUnavailable
from keda_py.secret_store import Access
from keda_py.testing import FakeKubernetes
from tests.brokers.sqs import REGION, client, moto
from tests.brokers.sqs_front import Deed, Front, cut, front, said

from .cloud import CANARY, failure, opened, read

pytestmark = pytest.mark.e2e

ROLE = "arn:aws:iam::123456789012:role/orders"
KEYS = {"accessKey": "AKIDTESTS\n", "accessSecretKey": f"{CANARY}-secret\n", "accessToken": f"{CANARY}-token"}
PLATFORM = Platform(lambda: datetime.now(UTC), FakeKubernetes(), http_timeout=timedelta(seconds=20))
ENTRIES = {"password": f"{CANARY}-p", "port": 5432, "ratio": 1.50, "tls": True, "off": False, "none": None, "list": [1]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture
async def secrets(server: str) -> AsyncIterator[Any]:
    """AWS's own client, with some secrets in the store."""
    async with client(server, "secretsmanager") as opened_client:
        text = json.dumps(ENTRIES).replace("1.5,", "1.50,")
        await opened_client.create_secret(Name="db", SecretString=text)
        await opened_client.create_secret(Name="plain", SecretString=f"{CANARY}-1")
        await opened_client.create_secret(Name="binary", SecretBinary=b"\x00")
        yield opened_client
        for name in ("db", "plain", "binary"):
            await opened_client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


@pytest.fixture
async def before(server: str, secrets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """What stands before the server, and a daemon with an identity as EKS sets it for a ServiceAccount with a role."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text(f"{CANARY}-web-token\n")
    async with front(server) as standing:
        monkeypatch.setenv("AWS_ENDPOINT_URL", standing.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/keda")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        yield standing


def section(*wanted: dict[str, str], region: str = REGION) -> Spec:
    secrets = list(wanted) or [{"parameter": "password", "name": "plain"}]
    return Spec.model_validate({"secrets": secrets, "region": region})


def store(spec: Spec | None = None, pod: PodIdentity | None = None, **keys: str) -> AwsSecretManager:
    return AwsSecretManager(Access(spec or section(), {} if pod else KEYS | keys, pod or PodIdentity(), PLATFORM))


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_a_secret_is_read_whole_or_by_its_keys_and_asked_for_once(before: Front) -> None:
    keys = ("password", "port", "ratio", "tls", "off")
    by_key = [{"parameter": key, "name": "db", "secretKey": key} for key in keys]
    spec = section({"parameter": "whole", "name": "plain"}, *by_key)
    assert await read(store(spec)) == {
        "whole": f"{CANARY}-1",
        "password": f"{CANARY}-p",
        "port": "5432",
        "ratio": "1.50",
        "tls": "true",
        "off": "false",
    }
    assert before.asked == {"GetSecretValue": 2}


async def test_versions_are_read_by_id_and_stage(before: Front, secrets: Any) -> None:
    first = (await secrets.get_secret_value(SecretId="plain"))["VersionId"]
    await secrets.put_secret_value(SecretId="plain", SecretString="second")
    spec = section(
        {"parameter": "now", "name": "plain"},
        {"parameter": "by_id", "name": "plain", "versionId": first},
        {"parameter": "by_stage", "name": "plain", "versionStage": "AWSPREVIOUS"},
    )
    assert await read(store(spec)) == {"now": "second", "by_id": f"{CANARY}-1", "by_stage": f"{CANARY}-1"}


async def test_a_second_read_shows_the_new_value_on_the_same_connection(before: Front, secrets: Any) -> None:
    async with opened(store()) as one:
        first = await one.read()
        await secrets.put_secret_value(SecretId="plain", SecretString="rotated")
        second = await one.read()
        assert (first.parameters["password"], second.parameters["password"]) == (f"{CANARY}-1", "rotated")
        assert len(before.connections) == 1
        assert CANARY not in f"{first!r}{one!r}{one.access!r}"
    async with asyncio.timeout(20):
        while before.still_open():
            await asyncio.sleep(0.01)


# --- who asks -------------------------------------------------------------------------------------------------------


async def test_static_keys_sign_and_so_does_a_token_with_them(before: Front) -> None:
    await read(store())
    (sent,) = before.sent
    assert (sent.signer, sent.headers["X-Amz-Security-Token"]) == ("AKIDTESTS", f"{CANARY}-token")


async def test_the_daemon_asks_as_itself_or_as_a_role(before: Front) -> None:
    await read(store(pod=PodIdentity("aws")))
    daemons, question = before.sent
    assert daemons.form["RoleArn"].endswith("role/keda")
    assert question.signer.startswith("ASIA")
    before.sent.clear()
    await read(store(pod=PodIdentity("aws", role_arn=ROLE)))
    role, question = before.sent
    assert (role.operation, role.form["RoleArn"]) == ("AssumeRoleWithWebIdentity", ROLE)
    assert question.signer.startswith("ASIA")


async def test_the_region_may_be_the_daemons(before: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScalerError, match="region: needed"):
        store(section(region=""))
    monkeypatch.setenv("AWS_REGION", REGION)
    assert await read(store(section(region=""))) == {"password": f"{CANARY}-1"}
    assert f"/{REGION}/secretsmanager/" in before.sent[0].headers["Authorization"]


@pytest.mark.parametrize("missing", ["accessKey", "accessSecretKey"])
def test_credentials_have_to_be_whole(missing: str) -> None:
    with pytest.raises(ScalerError, match="accessKey and accessSecretKey are needed") as raised:
        store(**{missing: " "})
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("provider", ["aws-eks", "gcp", "azure-workload"])
def test_identities_of_elsewhere_are_refused(provider: str) -> None:
    with pytest.raises(ScalerError, match=f"no use for {provider}"):
        store(pod=PodIdentity(provider))


# --- how it goes wrong ----------------------------------------------------------------------------------------------


async def test_a_missing_secret_version_and_key_are_named_with_their_parameters(before: Front) -> None:
    spec = section(
        {"parameter": "there", "name": "plain"},
        {"parameter": "one", "name": "nothing"},
        {"parameter": "two", "name": "plain", "versionId": "0" * 32},
        {"parameter": "three", "name": "plain", "versionStage": "NONE"},
        {"parameter": "four", "name": "db", "secretKey": "user"},
        {"parameter": "five", "name": "db", "secretKey": "none"},
        {"parameter": "six", "name": "db", "secretKey": "list"},
        {"parameter": "seven", "name": "plain", "secretKey": "password"},
        {"parameter": "eight", "name": "binary"},
    )
    told = str(await failure(store(spec)))
    missing = "answered ResourceNotFoundException: no such secret in that region, or not in that version; add it"
    assert told.startswith(
        f"one (secret nothing), two (secret plain version {'0' * 32}), three (secret plain stage NONE)"
    )
    assert missing in told
    for text in (
        "four (secret db): it has no key user; add it",
        "five (secret db): its key none is neither",
        "six (secret db): its key list is neither",
        "seven (secret plain): it is no object in JSON form",
        "eight (secret binary): it is binary",
    ):
        assert text in told


def refused(code: str, status: int = 400) -> Deed:
    body = {"__type": f"com.amazonaws.secretsmanager#{code}", "message": CANARY}
    return said(json.dumps(body), status=status)


@pytest.mark.parametrize(
    ("deed", "why", "away"),
    [
        (refused("AccessDeniedException"), "needs secretsmanager:GetSecretValue on it, and kms:Decrypt", False),
        (refused("DecryptionFailure"), "needs kms:Decrypt, and the key has to be enabled", False),
        (refused("InvalidRequestException"), "it is being deleted, or has no value yet", False),
        (refused("InvalidParameterException"), "do not go together", False),
        (refused("KmsThingsHappened"), "answered KmsThingsHappened", False),
        (refused("ThrottlingException"), "asked too much or is unwell (ThrottlingException)", True),
        (said(CANARY, status=429), "asked too much or is unwell (429)", True),
        (said(CANARY, status=503), "asked too much or is unwell (503)", True),
        (refused("UnrecognizedClientException"), "does not accept the credentials (UnrecognizedClientException)", True),
        (refused("ExpiredTokenException"), "does not accept the credentials (ExpiredTokenException)", True),
        (cut, "broke off its answer", True),
        (said("{}"), "the answer has no value", False),
        (said('{"SecretString": ""}'), "it is empty", False),
        (said('{"SecretString": 5}'), "the answer has no value", False),
        (said(f"<h1>{CANARY}</h1>"), "the answer has no value", False),
        (said(f'["{CANARY}"]'), "did not answer as AWS does", False),
    ],
)
async def test_a_failure_is_told_without_a_secret(
    before: Front, caplog: pytest.LogCaptureFixture, deed: Deed, why: str, away: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    before.deeds["GetSecretValue"] = deed
    error = await failure(store())
    assert why in str(error)
    assert str(error).startswith("password (secret plain): ")
    assert isinstance(error, SourceUnavailable) == away
    assert before.asked["GetSecretValue"] == 1
    assert CANARY not in caplog.text


@pytest.mark.parametrize("constant", ["NaN", "-Infinity"])
async def test_a_constant_that_json_does_not_know_makes_it_none(before: Front, secrets: Any, constant: str) -> None:
    await secrets.put_secret_value(SecretId="db", SecretString=f'{{"a": {constant}}}')
    spec = section({"parameter": "p", "name": "db", "secretKey": "a"})
    assert "no object in JSON form" in str(await failure(store(spec)))


async def test_a_role_that_is_not_to_be_had_is_told(before: Front) -> None:
    body = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{CANARY}</Message></Error></ErrorResponse>"
    before.deed = said(body, status=403)
    assert "the role cannot be assumed" in str(await failure(store(pod=PodIdentity("aws", role_arn=ROLE))))


async def test_a_store_that_failed_to_open_is_opened_by_the_next_read(before: Front) -> None:
    before.deeds["AssumeRoleWithWebIdentity"] = said(CANARY, status=503)
    async with opened(store(pod=PodIdentity("aws"))) as one:
        with pytest.raises(SourceUnavailable):
            await one.read()
        before.deeds.clear()
        assert (await one.read()).parameters == {"password": f"{CANARY}-1"}


def test_the_library_is_loaded_by_the_first_read_only() -> None:
    code = "import sys, keda_py_scalers.aws_secret_manager; assert not {'botocore', 'aioboto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
