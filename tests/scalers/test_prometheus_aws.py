"""Signed queries, against a server that checks them as AWS does, with credentials of a real STS."""

import base64
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from keda_py_scalers.prometheus import PrometheusScaler

from keda_py.engine.trigger import Outcome
from keda_py.scaler import PodIdentity, ScalerError
from keda_py.testing import FakeSource, made
from tests.brokers.sqs import REGION, moto
from tests.brokers.sqs_front import Front, front
from tests.brokers.sqs_front import said as sts_said

from .amp_server import Workspace
from .asking import Asked, asking, read, value
from .cloud import CANARY, Cloud, said, standing
from .proxy import proxying

pytestmark = pytest.mark.e2e

ROLE = "arn:aws:iam::123456789012:role/orders"
ACCESS, SECRET, TOKEN = "AKIDTESTS", f"{CANARY}/se+cret=", f"{CANARY}/to+ken=="
PROXY_LOGIN = base64.b64encode(f"me:{CANARY}".encode()).decode()
KEYS = {"awsAccessKeyID": ACCESS, "awsSecretAccessKey": SECRET}
HARD = 'sum(rate(http_requests_total{app=~"a|b", path!="/x y+z%20*~é"}[2m])) > (1 - 0)'


@pytest.fixture
def workspace() -> Workspace:
    known = Workspace(REGION)
    known.known[ACCESS] = (SECRET, "")
    return known


@pytest.fixture
async def amp(workspace: Workspace, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with standing(workspace.answer, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def moto_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture
async def sts(
    moto_address: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Front]:
    """A daemon with an AWS identity by its environment; the workspace knows every key that STS gives."""
    (tmp_path / "token").write_text(f"{CANARY}-web-token\n")

    def known(answer: bytes) -> bytes:
        parts = (re.search(rf"<{name}>([^<]+)", answer.decode()) for name in ("AccessKeyId", "SecretAccessKey"))
        access, secret = (found[1] if found else "" for found in parts)
        token = re.search(r"<SessionToken>([^<]+)", answer.decode())
        workspace.known[access] = (secret, token[1] if token else "")
        return answer

    async with front(moto_address) as standing_front:
        standing_front.rewrite = known
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", standing_front.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/keda")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        yield standing_front


def asked(amp: Cloud, auth: dict[str, str] | None = None, pod: str | PodIdentity = "none", **metadata: str) -> Asked:
    given = {"serverAddress": f"{amp.url}/workspaces/ws-1/", "query": "up", "threshold": "5", "awsRegion": REGION}
    identity = PodIdentity(pod) if isinstance(pod, str) else pod
    env = {"KEY": ACCESS, "SECRET": SECRET}
    return Asked(PrometheusScaler, given | metadata, auth or {}, env=env, pod_identity=identity)


async def outcome(amp: Cloud, one: Asked) -> Outcome:
    found = await read(one, ca_paths=(str(amp.authority),))
    assert CANARY not in str(found.failure)
    return found


@pytest.mark.parametrize("query", ["up", "vector(1)", HARD])
async def test_what_is_signed_is_what_is_sent(workspace: Workspace, amp: Cloud, query: str) -> None:
    metadata = {"namespace": "a b", "queryParameters": "z=1:2,dedup=true,empty=", "customHeaders": "X-Amz-Mine=1"}
    assert value(await outcome(amp, asked(amp, KEYS, query=query, **metadata))) == 7
    (seen,) = amp.seen
    # Byte for byte in AWS's form: nothing on the way has put it into another.
    parts = [("query", query), ("namespace", "a b"), ("dedup", "true"), ("empty", ""), ("z", "1:2")]
    sent = "&".join(f"{name}={quote(text, safe='-_.~')}" for name, text in parts)
    assert seen.path == f"/workspaces/ws-1/api/v1/query?{sent}"
    assert workspace.signers == [ACCESS]


@pytest.mark.parametrize(
    ("auth", "metadata"),
    [
        (KEYS | {"awsSecretAccessKey": "another"}, {}),
        (KEYS | {"awsSessionToken": TOKEN}, {}),
        (KEYS, {"awsRegion": "us-east-1"}),
    ],
    ids=["secret", "token", "region"],
)
async def test_a_wrong_signature_is_told_and_nothing_of_the_answer_quoted(
    workspace: Workspace, amp: Cloud, caplog: pytest.LogCaptureFixture, auth: dict[str, str], metadata: dict[str, str]
) -> None:
    caplog.set_level(logging.DEBUG)
    found = await outcome(amp, asked(amp, auth, **metadata))
    assert f"{amp.url} answered 403 to a request signed for aps in" in str(found.failure)
    assert "aps:QueryMetrics" in str(found.failure)
    assert not found.readings
    assert workspace.signers == []
    for secret in (SECRET, TOKEN, ACCESS):
        assert secret not in str(found.failure) + caplog.text


async def test_an_answer_that_repeats_the_signers_token_is_not_quoted(workspace: Workspace, amp: Cloud) -> None:
    workspace.known[ACCESS] = (SECRET, TOKEN)

    async def echoing(request: web.Request) -> web.StreamResponse:
        token = request.headers["X-Amz-Security-Token"]
        return web.json_response({"error": f"cannot parse {quote(token, safe='')}"}, status=400)

    amp.instead["/workspaces"] = echoing
    found = await outcome(amp, asked(amp, KEYS | {"awsSessionToken": TOKEN}))
    assert "answered 400, in words that repeat a secret" in str(found.failure)
    amp.instead["/workspaces"] = said({"error": "parse error: unexpected end of input"}, 400)
    assert "unexpected end of input" in str((await outcome(amp, asked(amp, KEYS))).failure)


async def test_a_signature_is_for_where_it_goes(workspace: Workspace, amp: Cloud) -> None:
    headers = "Host=aps-workspaces.eu-west-1.amazonaws.com,Authorization=c4n,X-Amz-Date=20200101T000000Z,Date=x"
    assert value(await outcome(amp, asked(amp, KEYS, customHeaders=headers))) == 7
    assert amp.seen[0].headers["Host"] == amp.url.removeprefix("https://")

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"{amp.url}/elsewhere")

    amp.instead["/workspaces"] = elsewhere
    assert "redirects, but a signature is good for one address" in str((await outcome(amp, asked(amp, KEYS))).failure)
    assert amp.asked("/elsewhere") == 0
    assert workspace.signers == [ACCESS]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_is_signed_gets_through_a_proxy_as_it_is(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    # That this name leads anywhere, the proxy alone knows.
    async with standing(workspace.answer, tmp_path, tls=scheme == "https", host="aps.test") as amp:
        place = amp.url.partition("://")[2]
        async with proxying(int(place.rpartition(":")[2]), wanted=f"Basic {PROXY_LOGIN}") as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url.replace("://", f"://me:{CANARY}@"))
            with_token = KEYS | {"awsSessionToken": TOKEN}
            workspace.known[ACCESS] = (SECRET, TOKEN)
            assert value(await outcome(amp, asked(amp, with_token, query=HARD, namespace="a b"))) == 7
            (first,) = proxy.asked
            assert first.startswith(f"CONNECT {place} " if scheme == "https" else f"GET {amp.url}/workspaces/ws-1/")
            assert workspace.signers == [ACCESS]
            # One that lets nobody through tells nothing of who came.
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url.replace("://", f"://me:{CANARY}-wrong@"))
            assert "407" in str((await outcome(amp, asked(amp, with_token))).failure)
            assert len(amp.seen) == 1
            monkeypatch.setenv("NO_PROXY", "aps.test")
            assert amp.url in str((await outcome(amp, asked(amp, with_token))).failure)
            assert len(proxy.asked) == 2


@pytest.mark.parametrize(
    ("auth", "metadata"),
    [
        (KEYS, {}),
        ({"awsAccessKeyId": ACCESS, "awsSecretAccessKey": SECRET}, {}),
        ({}, {"awsAccessKeyID": ACCESS, "awsSecretAccessKeyFromEnv": "SECRET"}),
        ({}, {"awsAccessKeyIDFromEnv": "KEY", "awsSecretAccessKeyFromEnv": "SECRET"}),
        (KEYS | {"GoogleApplicationCredentials": "{}"}, {"identityOwner": "pod"}),
    ],
)
async def test_keys_of_a_manifest_sign(
    workspace: Workspace, amp: Cloud, auth: dict[str, str], metadata: dict[str, str]
) -> None:
    assert value(await outcome(amp, asked(amp, auth, **metadata))) == 7
    assert workspace.signers == [ACCESS]
    await amp.until_closed()


async def test_a_role_is_taken_with_the_daemons_own_token(workspace: Workspace, amp: Cloud, sts: Front) -> None:
    pod = PodIdentity("aws", role_arn=ROLE, external_id="e1")
    async with asking(asked(amp, pod=pod), asked(amp, pod=pod, query="1"), ca_paths=(str(amp.authority),)) as live:
        assert [value(await one.current()) for one in live] == [7, 7]
    # One login for all queries to a workspace.
    (role,) = sts.sent
    assert (role.operation, role.form["RoleArn"]) == ("AssumeRoleWithWebIdentity", ROLE)
    assert len(workspace.signers) == 2
    assert workspace.signers[0].startswith("ASIA")


@pytest.mark.parametrize("how", [({"awsRoleArn": ROLE}, "none"), ({"awsRoleArn": ROLE}, "aws-eks")])
async def test_a_role_of_the_parameters_is_assumed(
    workspace: Workspace, amp: Cloud, sts: Front, how: tuple[dict[str, str], str]
) -> None:
    assert value(await outcome(amp, asked(amp, *how))) == 7
    assert [(sent.operation, sent.form["RoleArn"]) for sent in sts.sent[1:]] == [("AssumeRole", ROLE)]
    assert len(workspace.signers) == 1


@pytest.mark.parametrize(("pod", "metadata"), [("aws", {}), ("none", {"identityOwner": "operator"})])
async def test_the_daemon_asks_as_itself(
    workspace: Workspace, amp: Cloud, sts: Front, pod: str, metadata: dict[str, str]
) -> None:
    assert value(await outcome(amp, asked(amp, pod=pod, **metadata))) == 7
    assert [sent.form["RoleArn"][-5:] for sent in sts.sent] == ["/keda"]
    assert workspace.signers[0].startswith("ASIA")


async def test_credentials_are_replaced_before_they_end(workspace: Workspace, amp: Cloud, sts: Front) -> None:
    known = sts.rewrite

    def ends_soon(answer: bytes) -> bytes:
        soon = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return re.sub(rb"<Expiration>[^<]*", b"<Expiration>" + soon.encode(), known(answer))

    sts.rewrite = ends_soon
    pod = PodIdentity("aws", role_arn=ROLE)
    # Of one workspace and identity, so of one source.
    queries = [asked(amp, pod=pod, query=query) for query in "123"]
    async with asking(*queries, ca_paths=(str(amp.authority),)) as live:
        assert value(await live[0].current()) == 7
        sts.rewrite = known
        assert value(await live[1].current()) == 7
        assert value(await live[2].current()) == 7
    first, second, third = workspace.signers
    assert first != second
    assert second == third


async def test_a_role_that_is_not_to_be_had_is_told_and_nothing_asked(
    amp: Cloud, sts: Front, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code = f"<Error><Code>AccessDenied</Code><Message>{CANARY}</Message></Error>"
    sts.deed = sts_said(f"<ErrorResponse>{code}</ErrorResponse>", status=403)
    found = await outcome(amp, asked(amp, pod=PodIdentity("aws", role_arn=ROLE, external_id=f"{CANARY}-id")))
    assert "the role cannot be assumed: AssumeRoleWithWebIdentity answered AccessDenied" in str(found.failure)
    assert not found.readings
    assert amp.seen == []
    assert CANARY not in caplog.text


async def test_without_a_region_the_daemons_own_is_signed_for(
    workspace: Workspace, amp: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    found = await outcome(amp, asked(amp, KEYS, awsRegion=""))
    assert "awsRegion: required to sign for AWS; set it to the region of the workspace" in str(found.failure)
    found = await outcome(amp, asked(amp, KEYS, awsRegion="a/b"))
    assert "awsRegion: not the name of a region" in str(found.failure)
    assert amp.seen == []
    monkeypatch.setenv("AWS_REGION", REGION)
    assert value(await outcome(amp, asked(amp, KEYS, awsRegion=""))) == 7
    assert workspace.signers == [ACCESS]


async def test_triggers_of_two_identities_share_nothing(workspace: Workspace, amp: Cloud) -> None:
    workspace.known["AKIDOTHER"] = (SECRET, "")
    others = KEYS | {"awsAccessKeyID": "AKIDOTHER"}
    async with asking(asked(amp, KEYS), asked(amp, others), ca_paths=(str(amp.authority),)) as live:
        assert [value(await one.current()) for one in live] == [7, 7]
    assert workspace.signers == [ACCESS, "AKIDOTHER"]


async def test_auth_modes_are_all_that_counts_where_they_are_set(amp: Cloud) -> None:
    auth = KEYS | {"username": "u", "password": "p"}
    await outcome(amp, asked(amp, auth, authModes="basic"))
    assert amp.seen[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("auth", "metadata", "pod", "says"),
    [
        ({"awsAccessKeyID": CANARY}, {}, "none", "awsSecretAccessKey: required"),
        ({}, {"awsAccessKeyIDFromEnv": "NONE"}, "none", "awsAccessKeyID: required"),
        ({}, {}, "aws-eks", "awsAccessKeyID: required"),
    ],
)
def test_an_identity_that_is_not_whole_is_told_at_once(
    auth: dict[str, str], metadata: dict[str, str], pod: str, says: str
) -> None:
    given: Any = {"serverAddress": "http://a", "query": "up", "threshold": "5"}
    with pytest.raises(ScalerError, match=says) as raised:
        made(PrometheusScaler, given | metadata, auth=auth, source=FakeSource({}), pod_identity=PodIdentity(pod))
    assert CANARY not in str(raised.value)


def test_a_prometheus_without_aws_loads_nothing_of_it() -> None:
    code = "import sys, keda_py_scalers.prometheus; assert not {'botocore', 'aioboto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
