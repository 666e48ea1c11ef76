"""Trigger type `aws-sqs-queue`: how many messages an SQS queue holds.

All triggers of one identity, region and endpoint share one client. A queue is asked for its three counts at once, so
that triggers which add them up in different ways ask it once.
"""

import re
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote

from keda_py.scaler import (
    AUTH,
    ENV,
    TRIGGER,
    ExternalSpec,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
    normalize,
    param,
)
from keda_py_scalers.aws import AwsClient, Refused, identity_of, open_account

VISIBLE: Final = "ApproximateNumberOfMessages"
IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
DELAYED: Final = "ApproximateNumberOfMessagesDelayed"


class SqsMetadata(Metadata):
    """Parameters of an `aws-sqs-queue` trigger; who asks, `keda_py_scalers.aws` reads."""

    queue_length: int = param("queueLength", default=5)
    activation_queue_length: int = param("activationQueueLength", default=0)
    queue_url: str = param("queueURL", order=(TRIGGER, ENV))
    aws_region: str = param("awsRegion", order=(TRIGGER, AUTH))
    aws_endpoint: str = param("awsEndpoint", default="")
    scale_on_in_flight: bool = param("scaleOnInFlight", default=True)
    scale_on_delayed: bool = param("scaleOnDelayed", default=False)
    identity_owner: str = param("identityOwner", default="")

    @property
    def counts(self) -> tuple[str, ...]:
        """The attributes of the queue that are added up."""
        return (VISIBLE, *[IN_FLIGHT] * self.scale_on_in_flight, *[DELAYED] * self.scale_on_delayed)


class AwsSqsQueueScaler(Scaler[SqsMetadata]):
    """The length of a queue (KEDA pkg/scalers/aws_sqs_queue_scaler.go)."""

    metadata = SqsMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the queue's URL and with who is to ask."""
        yield from super().check()
        if queue_name(self.meta.queue_url) is None:
            yield "queueURL: expected https://sqs.<region>.amazonaws.com/<account>/<queue>, or the name of a queue"
        try:
            identity_of(self.trigger)
        except ScalerError as error:
            yield str(error)

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after the queue."""
        name = normalize(f"aws-sqs-{queue_name(self.meta.queue_url)}")
        return [ExternalSpec(name, self.target(self.meta.queue_length))]

    async def get_metrics(self) -> list[Reading]:
        """Return the sum of the counts that the manifest wants; one that is missing is an error."""
        attributes = await self.source.ask(self.meta.queue_url)
        length = sum(_count(attributes, name) for name in self.meta.counts)
        return [self.reading(length, active=length > self.meta.activation_queue_length)]

    @classmethod
    def source_key(cls, meta: SqsMetadata, trigger: Trigger) -> tuple[Hashable, ...]:
        """Return the identity, the region and the endpoint."""
        return (identity_of(trigger).parts, meta.aws_region, meta.aws_endpoint)

    @classmethod
    @asynccontextmanager
    async def connect(cls, meta: SqsMetadata, trigger: Trigger, platform: Platform) -> AsyncIterator[AwsClient]:
        """Open a client as the trigger's identity."""
        account = await open_account(identity_of(trigger), region=meta.aws_region, platform=platform)
        async with account.client("sqs", endpoint=meta.aws_endpoint) as client:
            yield client

    @classmethod
    async def answer(cls, connection: AwsClient, question: str) -> Mapping[str, str]:
        """Return the attributes of a queue by its URL or name, which is sent as it is."""
        try:
            answer = await connection.call(
                "get_queue_attributes", QueueUrl=question, AttributeNames=[VISIBLE, IN_FLIGHT, DELAYED]
            )
        except Refused as refused:
            raise _explained(refused) from None
        attributes: Mapping[str, str] = answer.get("Attributes", {})
        return attributes


def _explained(refused: Refused) -> ScalerError:
    match refused.code:
        case "QueueDoesNotExist" | "NonExistentQueue":
            return ScalerError(f"{refused}: no such queue; is queueURL right, and is awsRegion where the queue is?")
        case "AccessDenied" | "AccessDeniedException":
            return ScalerError(f"{refused}: the identity needs sqs:GetQueueAttributes on the queue")
        case "InvalidAddress":
            return ScalerError(f"{refused}: queueURL is of another place than this; set awsRegion to the queue's")
        case _:
            return refused


def _count(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name)
    if text is None:
        raise ScalerError(f"the answer has no {name}: is that an SQS?")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ScalerError(f"the answer's {name} is no count")
    return int(text)


# --- the name in a URL ----------------------------------------------------------------------------------------------

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_HOST: Final = re.compile(
    r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?"
    r"(?:\[[0-9A-Fa-f:.]*\]|(?:[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f]|[A-Za-z0-9\-._~!$&'()*+,;=<>\"\]])*)"
    r"(?::[0-9]*)?"
)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def queue_name(text: str) -> str | None:
    """Return the queue's name in a URL ``…/<account>/<queue>``; None for a URL of another form.

    What is no URL to Go's url.ParseRequestURI is a name as it is.
    """
    path = _path(text)
    if path is None:
        return text
    parts = path.split("/")
    return parts[2] if len(parts) == 3 and parts[2] else None  # noqa: PLR2004  empty, account, name


def _path(text: str) -> str | None:
    """Return the path of a URL as Go's url.ParseRequestURI finds it, None where it finds no URL."""
    if re.search(r"[\x00-\x1f\x7f]", text) or text.startswith(":"):
        return None
    if text == "*":
        return text
    found = _SCHEME.fullmatch(text)
    rest = (found[2] if found else text).partition("?")[0]
    if not rest.startswith("/"):
        return "" if found else None
    if found and rest.startswith("//"):
        authority, slash, tail = rest[2:].partition("/")
        if not _HOST.fullmatch(authority):
            return None
        rest = slash + tail
    return None if _BROKEN_ESCAPE.search(rest) else unquote(rest)
