"""Who triggers are to AWS: what their manifest says, against KEDA's own code, and what is sent, against a real STS."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keda_py_scalers.aws import Identity, Keys, identity_of, open_account
from keda_py_scalers.aws_sqs_queue import AwsSqsQueueScaler

from keda_py.scaler import Inputs, Platform, PodIdentity, ScalerError, SourceUnavailable, Trigger
from keda_py.testing import FakeKubernetes
from tests.brokers.sqs import REGION, client, moto
from tests.brokers.sqs_front import Front, cut, front, refused, said

from .asking import Asked, asking, read, value

pytestmark = pytest.mark.e2e

ROLE = "arn:aws:iam::123456789012:role/orders"
ORACLE = Path(__file__).parents[1] / "oracle" / "scaler-parse.jsonl"
PLATFORM = Platform(lambda: datetime.now(UTC), FakeKubernetes(), http_timeout=timedelta(seconds=10))

# --- what a manifest says -------------------------------------------------------------------------------------------


def rows() -> list[dict[str, Any]]:
    found = [json.loads(line) for line in ORACLE.read_text().splitlines() if '"type":"aws-sqs-queue"' in line]
    return [row for row in found if row["ok"]]


def trigger(given: dict[str, Any]) -> Trigger:
    pod = given.get("podIdentity") or {}
    identity = PodIdentity(
        pod.get("provider", "none"), role_arn=pod.get("roleArn", ""), external_id=pod.get("externalID", "")
    )
    inputs = Inputs(given.get("metadata") or {}, given.get("authParams") or {}, given.get("resolvedEnv") or {})
    return Trigger("aws-sqs-queue", 0, inputs, "ns", "app", pod_identity=identity)


def test_every_identity_is_kedas() -> None:
    assert len(rows()) > 80
    for row in rows():
        ours = identity_of(trigger(row["input"]))
        theirs = row["computed"]["awsAuthorization"]
        keys = ours.keys or Keys("", "")
        assert (keys.access_key, keys.secret_key, keys.session_token) == (
            theirs.get("AwsAccessKeyID", ""),
            theirs.get("AwsSecretAccessKey", ""),
            theirs.get("AwsSessionToken", ""),
        ), row
        assert (ours.role_arn, ours.external_id) == (theirs.get("AwsRoleArn", ""), theirs.get("AwsExternalID", "")), row
        assert ours.web_identity == bool(theirs.get("UsingPodIdentity") and ours.role_arn), row


KEYS = {"awsAccessKeyID": "k", "awsSecretAccessKey": "s", "awsSessionToken": "t"}


@pytest.mark.parametrize(
    ("metadata", "auth", "pod", "expected"),
    [
        ({}, KEYS | {"awsRoleArn": ROLE}, PodIdentity(), Identity(role_arn=ROLE)),
        ({}, KEYS, PodIdentity("aws-eks", role_arn=ROLE), Identity(role_arn=ROLE)),
        ({}, KEYS, PodIdentity("aws-eks"), Identity(Keys("k", "s", "t"))),
        ({}, KEYS, PodIdentity("aws"), Identity()),
        ({}, {"awsRoleArn": ROLE}, PodIdentity("aws", external_id="e"), Identity(role_arn=ROLE, web_identity=True)),
        ({"identityOwner": "operator"}, {"awsRoleArn": ROLE}, PodIdentity("aws-eks", role_arn=ROLE), Identity()),
        ({"awsAccessKeyID": "k", "awsSecretAccessKeyFromEnv": "S"}, {}, PodIdentity(), Identity(Keys("k", "of S"))),
        ({f"{name}FromEnv": name[3] for name in KEYS}, {}, PodIdentity(), Identity(Keys("of A", "of S", "of S"))),
        ({}, {"awsAccessKeyID": "k\n", "awsSecretAccessKey": "s\n"}, PodIdentity(), Identity(Keys("k", "s"))),
    ],
)
def test_identities_beyond_kedas_own_cases(
    metadata: dict[str, str], auth: dict[str, str], pod: PodIdentity, expected: Identity
) -> None:
    inputs = Inputs(metadata, auth, {"A": "of A", "S": "of S"})
    assert identity_of(Trigger("x", 0, inputs, "ns", "app", pod_identity=pod)) == expected


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ({}, "awsAccessKeyID: required"),
        ({"awsAccessKeyID": "c4nary"}, "awsSecretAccessKey: required"),
        ({"awsAccessKeyID": " ", "awsSecretAccessKey": "c4nary"}, "awsAccessKeyID: required"),
        ({"awsAccessKeyID": "c4nary", "awsSecretAccessKey": "\n"}, "awsSecretAccessKey: required"),
    ],
)
def test_what_is_missing_is_named(auth: dict[str, str], missing: str) -> None:
    with pytest.raises(ScalerError, match=missing) as raised:
        identity_of(trigger({"authParams": auth}))
    assert "c4nary" not in str(raised.value)


def test_nothing_of_an_identity_shows() -> None:
    shown = repr(Identity(Keys("c4nary", "c4nary", "c4nary"), "c4nary", "c4nary"))
    assert "c4nary" not in shown


def test_the_library_is_loaded_by_the_first_account_only() -> None:
    code = "import sys, keda_py_scalers.aws_sqs_queue; assert not {'botocore', 'aioboto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture
async def sts(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """A daemon with an AWS identity by its environment, as EKS sets it for a service account with a role."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("c4nary-web-token\n")
    async with front(server) as standing:
        monkeypatch.setenv("AWS_ENDPOINT_URL", standing.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/keda")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        yield standing


@pytest.fixture
async def queue(server: str) -> AsyncIterator[str]:
    async with client(server) as sqs:
        url = (await sqs.create_queue(QueueName="identities"))["QueueUrl"]
        await sqs.send_message(QueueUrl=url, MessageBody="1")
        yield url
        await sqs.delete_queue(QueueUrl=url)


def asked(queue: str, auth: dict[str, str] | None = None, pod: PodIdentity | None = None, **metadata: str) -> Asked:
    given = {"queueURL": queue, "awsRegion": REGION} | metadata
    return Asked(AwsSqsQueueScaler, given, auth or {}, pod_identity=pod or PodIdentity())


async def test_static_keys_sign(sts: Front, queue: str) -> None:
    assert value(await read(asked(queue, KEYS))) == 1
    (sent,) = sts.sent
    assert (sent.operation, sent.signer) == ("GetQueueAttributes", "k")
    assert sent.headers["X-Amz-Security-Token"] == "t"


async def test_a_role_is_taken_with_the_daemons_own_token(sts: Front, queue: str) -> None:
    pod = PodIdentity("aws", role_arn=ROLE, external_id="e1")
    assert value(await read(asked(queue, pod=pod))) == 1
    role, question = sts.sent
    assert role.operation == "AssumeRoleWithWebIdentity"
    assert role.form["RoleArn"] == ROLE
    assert role.form["RoleSessionName"] == "KEDA"
    assert role.form["WebIdentityToken"] == "c4nary-web-token"
    assert "ExternalId" not in role.form
    assert role.signer == ""
    assert question.signer.startswith("ASIA")
    assert question.headers["X-Amz-Security-Token"]


async def test_a_role_that_the_token_does_not_get_is_assumed(sts: Front, queue: str) -> None:
    sts.deeds["AssumeRoleWithWebIdentity"] = refuse_role(ROLE)
    pod = PodIdentity("aws", role_arn=ROLE, external_id="e1")
    assert value(await read(asked(queue, pod=pod))) == 1
    theirs, daemons, role, question = sts.sent
    assert theirs.form["RoleArn"] == ROLE
    assert daemons.form["RoleArn"].endswith("role/keda")
    assert (role.operation, role.form["ExternalId"], role.form["RoleSessionName"]) == ("AssumeRole", "e1", "KEDA")
    assert role.signer.startswith("ASIA")
    assert question.signer not in ("", role.signer)


def refuse_role(arn: str) -> Any:
    async def deed(request: Any) -> Any:
        body = (await request.text()).replace("%3A", ":").replace("%2F", "/")
        return await sts_error("AccessDenied")(request) if arn in body else None

    return deed


def sts_error(code: str, message: str = "c4nary") -> Any:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return said(body, status=403)


async def test_a_role_of_the_parameters_is_assumed_by_whoever_the_daemon_is(sts: Front, queue: str) -> None:
    assert value(await read(asked(queue, {"awsRoleArn": ROLE}))) == 1
    daemons, role, _ = sts.sent
    assert (daemons.operation, daemons.form["RoleArn"][-5:]) == ("AssumeRoleWithWebIdentity", "/keda")
    assert (role.operation, role.form["RoleArn"], "ExternalId" in role.form) == ("AssumeRole", ROLE, False)


@pytest.mark.parametrize("pod", [PodIdentity("aws"), PodIdentity("none")])
async def test_the_daemon_asks_as_itself(sts: Front, queue: str, pod: PodIdentity) -> None:
    owner = {} if pod else {"identityOwner": "operator"}
    assert value(await read(asked(queue, pod=pod, **owner))) == 1
    daemons, question = sts.sent
    assert daemons.form["RoleArn"].endswith("role/keda")
    assert question.signer.startswith("ASIA")


async def test_how_a_role_is_taken_is_found_out_each_time(sts: Front) -> None:
    sts.rewrite = ends_soon
    sts.deeds["AssumeRoleWithWebIdentity"] = refuse_role(ROLE)
    account = await open_account(Identity(role_arn=ROLE, web_identity=True), region=REGION, platform=PLATFORM)
    await account.keys()
    assert sts.sent[-1].operation == "AssumeRole"
    del sts.deeds["AssumeRoleWithWebIdentity"]
    await account.keys()
    assert (sts.sent[-1].operation, sts.sent[-1].form["RoleArn"]) == ("AssumeRoleWithWebIdentity", ROLE)


def ends_soon(answer: bytes) -> bytes:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return re.sub(rb"<Expiration>[^<]*", b"<Expiration>" + soon.encode(), answer)


async def test_temporary_keys_are_replaced_before_they_end(sts: Front, tmp_path: Path) -> None:
    account = await open_account(Identity(role_arn=ROLE, web_identity=True), region=REGION, platform=PLATFORM)
    first = await account.keys()
    assert await account.keys() == first
    assert sts.asked == {"AssumeRoleWithWebIdentity": 1}

    sts.rewrite = ends_soon
    account = await open_account(Identity(role_arn=ROLE, web_identity=True), region=REGION, platform=PLATFORM)
    first = await account.keys()
    # Kubernetes has put a new token there meanwhile.
    (tmp_path / "token").write_text("another-token")
    assert await account.keys() != first
    assert [sent.form["WebIdentityToken"] for sent in sts.sent[-2:]] == ["c4nary-web-token", "another-token"]
    sts.deed = sts_error("AccessDenied")
    with pytest.raises(SourceUnavailable, match="cannot be assumed"):
        await account.keys()


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        (sts_error("AccessDenied"), "AssumeRoleWithWebIdentity answered AccessDenied.*AccessDenied"),
        (sts_error("ExpiredTokenException"), "ExpiredTokenException"),
        (sts_error("Throttling"), "asked too much"),
        (sts_error("c4nary c4nary"), "answered 403"),
        (said("<html>c4nary</html>"), "did not answer as AWS does"),
        (said("c4nary", status=503), "asked too much or is unwell"),
        (cut, "broke off"),
    ],
)
async def test_a_role_that_is_not_to_be_had_is_told_without_a_secret(
    sts: Front, queue: str, caplog: pytest.LogCaptureFixture, deed: Any, why: str
) -> None:
    caplog.set_level(logging.DEBUG)
    sts.deed = deed
    pod = PodIdentity("aws", role_arn=ROLE, external_id="c4nary-external")
    async with asking(asked(queue, pod=pod)) as (live,):
        outcome = await live.current()
        assert outcome.failure is not None
        assert re.search(why, outcome.failure, re.DOTALL)
        count = len(sts.sent)
        await live.current()
    # The source is left alone for a while.
    assert len(sts.sent) == count
    assert "c4nary" not in outcome.failure + caplog.text


async def test_a_daemon_without_an_identity_says_so(sts: Front, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ROLE_ARN")
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    outcome = await read(asked(queue, identityOwner="operator"))
    assert "the daemon has no AWS credentials" in (outcome.failure or "")
    outcome = await read(asked(queue, {"awsRoleArn": ROLE}))
    assert "the daemon has no AWS credentials" in (outcome.failure or "")


async def test_no_secret_is_logged_on_the_way_to_an_answer(
    sts: Front, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given: list[bytes] = []

    def kept(answer: bytes) -> bytes:
        given.append(answer)
        return answer

    sts.rewrite = kept
    auth = {"awsAccessKeyID": "c4nary", "awsSecretAccessKey": "c4nary", "awsSessionToken": "c4nary"}
    pod = PodIdentity("aws", role_arn=ROLE, external_id="c4nary")
    for one in (asked(queue, auth), asked(queue, pod=pod), asked(queue + "-none", auth)):
        await read(one)
    secrets = [found.decode() for text in given for found in re.findall(rb"<SecretAccessKey>([^<]+)", text)]
    assert secrets
    for secret in [*secrets, "c4nary"]:
        assert secret not in caplog.text


async def test_messages_of_aws_are_not_quoted(sts: Front, queue: str) -> None:
    sts.deed = refused("SignatureDoesNotMatch", message="x-amz-security-token:c4nary")
    outcome = await read(asked(queue, KEYS))
    assert "does not accept the credentials (SignatureDoesNotMatch)" in (outcome.failure or "")
    assert "c4nary" not in (outcome.failure or "")
