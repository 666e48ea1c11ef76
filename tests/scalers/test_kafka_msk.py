"""Tokens for Amazon MSK, against those of AWS's own signer, and whose they are when credentials change."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from aiohttp import web
from keda_py_scalers.apache_kafka import ApacheKafkaScaler
from keda_py_scalers.kafka import KafkaScaler
from keda_py_scalers.kafka_auth import entered

from keda_py.scaler import MetadataError, PodIdentity
from keda_py.testing import made

GIVEN: Final = {"bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t", "tls": "enable"}
MSK: Final = GIVEN | {"awsRegion": "eu-west-1"}
KAFKA: Final = {"sasl": "oauthbearer", "saslTokenProvider": "aws_msk_iam"}
TYPES: Final = pytest.mark.parametrize(
    ("kind", "how"), [(KafkaScaler, KAFKA), (ApacheKafkaScaler, {"sasl": "aws_msk_iam"})]
)
OURS_ALONE: Final = frozenset({"X-Amz-Date", "X-Amz-Credential", "X-Amz-Signature", "User-Agent"})
"""What depends on when and by what program a token was made."""
AWS_SIGNER: Final = {
    (
        "eu-west-1",
        "AKID",
        "s3cret",
        "session/+==",
    ): "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect"
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261128%2Feu-west-1%2Fkafka-cluster%2Faws4_request"
    "&X-Amz-Date=20261128T094603Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    "&X-Amz-Security-Token=session%2F%2B%3D%3D"
    "&X-Amz-Signature=f64358698cfc73c2eff1f9dbe93c1cbec661843cc906ece1cb14638c5646c226"
    "&User-Agent=aws-msk-iam-sasl-signer-python%2F1.0.2",
    ("us-gov-west-1", "AKID2", "an/other+s3cret", ""): "https://kafka.us-gov-west-1.amazonaws.com/"
    "?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKID2%2F20261128%2Fus-gov-west-1%2Fkafka-cluster%2Faws4_request"
    "&X-Amz-Date=20261128T094603Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=149cb2aab8435ced26b620cf54d0a1c5d2fceb2796a2c01d287b2c2241991728"
    "&User-Agent=aws-msk-iam-sasl-signer-python%2F1.0.2",
}
"""What aws-msk-iam-sasl-signer-python 1.0.2 encodes: by region, access key, secret key and session token."""


def signature(secret: str, scope: str, text: str) -> str:
    """Return what AWS's signature version 4 makes of a text."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signed(url: str, region: str, access_key: str, secret: str) -> dict[str, str]:
    """Return what a token says, in its order, after checking its signature as AWS would."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", f"kafka.{region}.amazonaws.com", "/")
    query = dict(parse_qsl(parts.query))
    moment = query["X-Amz-Date"]
    scope = f"{moment[:8]}/{region}/kafka-cluster/aws4_request"
    assert query["X-Amz-Credential"] == f"{access_key}/{scope}"
    counted = sorted((name, text) for name, text in query.items() if name not in ("X-Amz-Signature", "User-Agent"))
    canonical = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in counted)
    request = f"GET\n/\n{canonical}\nhost:{parts.netloc}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    assert query["X-Amz-Signature"] == signature(secret, scope, text)
    return query


def decoded(token: str) -> str:
    assert "=" not in token
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


async def tokens(scaler: Any, count: int = 1) -> list[str]:
    """Return the URLs with which a trigger logs in, one after the other."""
    async with entered(scaler.meta.login(scaler.trigger), scaler.platform, scaler.trigger) as connect:
        assert isinstance(connect, partial)
        options = connect.keywords
        assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "OAUTHBEARER")
        return [decoded(await options["sasl_oauth_token_provider"].token()) for _ in range(count)]


@TYPES
@pytest.mark.parametrize("given", AWS_SIGNER)
async def test_a_token_is_as_aws_makes_it(kind: Any, how: dict[str, str], given: tuple[str, str, str, str]) -> None:
    region, access_key, secret, session = given
    auth = {"awsAccessKeyID": access_key, "awsSecretAccessKey": secret, "awsSessionToken": session}
    (url,) = await tokens(made(kind, MSK | how | {"awsRegion": region}, auth=auth))
    ours = signed(url, region, access_key, secret)
    theirs = signed(AWS_SIGNER[given], region, access_key, secret)
    assert list(ours) == list(theirs)
    assert ours["User-Agent"] == "keda-py"
    assert {name: text for name, text in ours.items() if name not in OURS_ALONE} == {
        name: text for name, text in theirs.items() if name not in OURS_ALONE
    }


@pytest.fixture
async def pod_identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Mapping[str, str]]]:
    """A daemon with an EKS Pod Identity, whose keys end soon; what was given out."""
    given: list[Mapping[str, str]] = []

    async def answer(_: web.Request) -> web.Response:
        ends = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        number = len(given)
        keys = {"AccessKeyId": f"AKID{number}", "SecretAccessKey": f"s3cret-{number}", "Token": f"session-{number}"}
        given.append(keys)
        return web.json_response(keys | {"Expiration": ends})

    app = web.Application()
    app.router.add_get("/credentials", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/credentials"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    try:
        yield given
    finally:
        await runner.cleanup()


@TYPES
async def test_keys_that_are_replaced_sign_the_next_token(
    pod_identity: list[Mapping[str, str]], kind: Any, how: dict[str, str]
) -> None:
    urls = await tokens(made(kind, MSK | how, pod_identity=PodIdentity("aws")), count=3)
    # The first is asked for twice: once it is known when they end, they are found to end too soon.
    used = [parse_qsl(urlsplit(url).query) for url in urls]
    assert len({dict(query)["X-Amz-Security-Token"] for query in used}) == len(urls)
    for url, query in zip(urls, used, strict=True):
        (keys,) = [keys for keys in pod_identity if keys["Token"] == dict(query)["X-Amz-Security-Token"]]
        signed(url, "eu-west-1", keys["AccessKeyId"], keys["SecretAccessKey"])


def test_who_to_be_at_aws_has_to_be_said() -> None:
    with pytest.raises(MetadataError, match="awsSecretAccessKey"):
        made(KafkaScaler, MSK | KAFKA, auth={"awsAccessKeyID": "AKID"})
    with pytest.raises(MetadataError, match="needs tls enable; saslTokenProvider aws_msk_iam: needs awsRegion"):
        made(KafkaScaler, GIVEN | KAFKA | {"tls": "disable"}, auth={"awsAccessKeyID": "AKID"})
    made(KafkaScaler, MSK | KAFKA, pod_identity=PodIdentity("aws"))
