"""SQS and the engine together, on an embedded cluster: what the page shows, as a role and with keys."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.sqs import client, moto
from tests.brokers.sqs_front import Front, front
from tests.pages import manifests, trying
from tests.scalers.rabbit import eventually

from .engine import PATIENCE, WAIT_SECONDS, WORKER, is_complete, readings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PAGE = "triggers/aws-sqs-queue.md"
DAEMONS_ROLE = "arn:aws:iam::123456789012:role/keda"
ROLE = "arn:aws:iam::123456789012:role/orders"


@pytest.fixture
async def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """An SQS and STS, and a daemon whose service account has a role, by its environment as EKS sets it."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("web-token\n")
    with moto(tmp_path) as server:
        async with front(server) as standing:
            for name, text in {
                "AWS_ENDPOINT_URL": standing.url,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": str(tmp_path / "none"),
                "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
                "AWS_ROLE_ARN": DAEMONS_ROLE,
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            }.items():
                monkeypatch.setenv(name, text)
            yield standing


AS_KEYS = {"authenticationRef:\n        name: aws\n": "authenticationRef:\n        name: aws-keys\n"}


@pytest.mark.parametrize("replaced", [{}, AS_KEYS], ids=["role", "keys"])
async def test_the_target_of_the_page_wakes_and_sleeps(aws: Front, replaced: dict[str, str]) -> None:
    async with client(aws.behind) as sqs, trying(http_timeout=PATIENCE) as cluster:
        url = (await sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "900"}))["QueueUrl"]
        cluster.apply(*manifests(PAGE, replaced))
        await cluster.until(lambda: cluster.ready("orders")[0] == "True", WAIT_SECONDS)
        assert cluster.replicas("orders") == 0
        for number in range(25):
            await sqs.send_message(QueueUrl=url, MessageBody=str(number))
        await cluster.until(lambda: cluster.replicas("orders") == 3, WAIT_SECONDS)
        taken = await received(sqs, url, 25)
        before = aws.asked["GetQueueAttributes"]
        # In flight they count too.
        await cluster.until(lambda: aws.asked["GetQueueAttributes"] > before + 5, WAIT_SECONDS)
        assert cluster.replicas("orders") == 3
        for handle in taken:
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
        await cluster.until(lambda: cluster.replicas("orders") == 0, WAIT_SECONDS)
    roles = [sent.form.get("RoleArn") for sent in aws.sent if sent.operation != "GetQueueAttributes"]
    signers = {sent.signer[:4] for sent in aws.sent if sent.operation == "GetQueueAttributes"}
    # AWS's keys that end begin otherwise than those that do not.
    assert (roles, signers) == (([], {"AKIA"}) if replaced else ([ROLE], {"ASIA"}))


async def test_the_scaled_job_of_its_page_has_a_job_for_each_message(aws: Front, tmp_path: Path) -> None:
    """By the default strategy: one that was taken goes on counting, and so does its Job."""
    async with client(aws.behind) as sqs, trying(http_timeout=PATIENCE, processes=True) as cluster:
        url = (await sqs.create_queue(QueueName="videos", Attributes={"VisibilityTimeout": "900"}))["QueueUrl"]
        done = tmp_path / "done"
        command = [sys.executable, str(WORKER), "sqs", aws.behind, url, str(done)]
        found = manifests("scaledjob.md", {"[resize-one-video]": json.dumps(command)}, heading="How many Jobs")
        cluster.apply(*(one for one in found if one["metadata"]["name"] in {"as-resizer", "resize"}))
        await cluster.until(lambda: cluster.ready("resize", "ScaledJob")[0] == "True", WAIT_SECONDS)
        assert cluster.jobs("resize") == []
        for number in range(3):
            await sqs.send_message(QueueUrl=url, MessageBody=str(number))
        await cluster.until(lambda: len(cluster.jobs("resize")) == 3, WAIT_SECONDS)
        await counted(sqs, url, waiting=0, in_flight=3)
        await readings(cluster, 3)
        assert len(cluster.jobs("resize")) == 3
        done.touch()
        await counted(sqs, url, waiting=0, in_flight=0)
        await cluster.until(lambda: all(map(is_complete, cluster.jobs("resize"))), WAIT_SECONDS)
        assert cluster.ready("resize", "ScaledJob")[0] == "True"


async def counted(sqs: Any, url: str, *, waiting: int, in_flight: int) -> None:
    """Return when so many messages wait, and so many are in flight."""
    wanted = {
        "ApproximateNumberOfMessages": str(waiting),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
    }

    async def known() -> Any:
        return (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(wanted)))["Attributes"]

    await eventually(known, lambda found: found == wanted)


async def received(sqs: Any, url: str, count: int) -> list[str]:
    """Take so many messages; return what deletes them."""
    taken: list[str] = []
    while len(taken) < count:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        taken += [message["ReceiptHandle"] for message in answer.get("Messages", [])]
    return taken
