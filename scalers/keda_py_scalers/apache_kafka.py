"""Trigger type `apache-kafka`: as `kafka`, with several topics and fewer ways to log in.

KEDA has it twice because it uses two client libraries (pkg/scalers/apache_kafka_scaler.go). Here only the parameters
differ.
"""

from collections.abc import Iterator

from pydantic import ValidationInfo, field_validator

from keda_py.scaler import AUTH, ENV, TRIGGER, Trigger, param
from keda_py_scalers.aws import identity_of
from keda_py_scalers.kafka import LagMetadata, LagScaler, tls_of
from keda_py_scalers.kafka_auth import AwsLogin, Login


class ApacheKafkaMetadata(LagMetadata):
    """Parameters of an `apache-kafka` trigger."""

    topic: list[str] = param("topic", order=(TRIGGER, ENV), default=[])
    partition_limitation: list[int] = param("partitionLimitation", default=[], ranges=True)
    sasl: str = param(
        "sasl",
        order=(TRIGGER, AUTH),
        default="none",
        enum=("none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", "aws_msk_iam"),
    )

    @field_validator("partition_limitation")
    @classmethod
    def _only_with_a_topic(cls, limits: list[int], info: ValidationInfo) -> list[int]:
        return limits if info.data.get("topic") else []

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics."""
        return tuple(self.topic)

    @property
    def partitions(self) -> tuple[range, ...] | None:
        """The only partitions that count: all if there is no such list, or nothing in it."""
        return _runs(self.partition_limitation) or None

    def login(self, trigger: Trigger) -> Login:
        """Return who we are to the brokers."""
        sasl = "" if self.sasl == "none" else self.sasl
        if sasl == "aws_msk_iam":
            return Login(sasl=sasl, tls=tls_of(self), further=AwsLogin(identity_of(trigger), self.aws_region))
        username, password = (self.username, self.password) if sasl else ("", "")
        return Login(sasl=sasl, username=username, password=password, tls=tls_of(self))

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each combination that makes no sense."""
        yield from super().problems()
        match self.sasl:
            case "plaintext":
                yield from self.missing(f"sasl {self.sasl}", username=self.username, password=self.password)
            case "gssapi":
                yield "sasl: gssapi is offered by the type kafka only"
            case several if "," in several:
                # Each of a list is one of those that there are, and so it gets here.
                yield "sasl: name one only"
            case "aws_msk_iam":
                yield from self.missing("sasl aws_msk_iam", awsRegion=self.aws_region)
                if self.tls != "enable":
                    yield "sasl aws_msk_iam: needs tls enable"


def _runs(numbers: list[int]) -> tuple[range, ...]:
    """Return numbers as ranges of those that follow each other."""
    runs: list[range] = []
    for number in numbers:
        if runs and runs[-1].stop == number:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return tuple(runs)


class ApacheKafkaScaler(LagScaler[ApacheKafkaMetadata]):
    """The type `apache-kafka`."""

    metadata = ApacheKafkaMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the combination of parameters."""
        yield from super().check()
        for name in ("sasl", "tls"):
            if self.trigger.inputs.metadata.get(name) and self.trigger.inputs.auth.get(name):
                yield f"{name}: given both in the trigger's metadata and in the TriggerAuthentication"
