"""Who to be at AWS: the identities that all scalers share which talk to AWS or sign for it.

The rules are those of KEDA's pkg/scalers/aws. A scaler that signs requests itself, such as Kafka with MSK IAM, does so:

    identity = identity_of(trigger)                                # in check(), and in source_key() as identity.parts
    account = await open_account(identity, region=meta.aws_region, platform=platform)      # in connect()
    keys = await account.keys()                                    # whenever something is to be signed
    sign(keys.access_key, keys.secret_key, keys.session_token)     # the token is "" for keys that do not end

`keys` are good for some minutes at least: temporary ones are replaced before they end, so ask for them anew each time
instead of keeping them. It raises `SourceUnavailable` when there are none to be had.

AWS's own library costs a quarter of a second and some 15 MB: it is imported when the first account is opened.
"""

import asyncio
from collections.abc import Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Protocol

from keda_py.scaler import Platform, ScalerError, SourceUnavailable, Trigger

LIBRARY_MISSING: Final = "triggers of AWS need the Python module {}; install it where keda-py runs (its extra aws)"


class Refused(ScalerError):
    """AWS answered, and said no to this question; `code` is its word for why."""

    def __init__(self, place: str, code: str) -> None:
        super().__init__(f"{place} answered {code}")
        self.code = code


class Throttled(ScalerError):
    """AWS is asked too much, or is unwell: this question fails, and it wants to be asked less."""

    def __init__(self, place: str, code: str) -> None:
        super().__init__(f"{place} is asked too much or is unwell ({code}); it is asked less for a while")


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials to sign with now; never kept for later, never shown."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who to be: static keys, a role, or with neither whoever the daemon itself is to AWS.

    `web_identity`: take the role with the daemon's own service account token first, and only if that is refused as
    whoever the daemon is.
    """

    keys: Keys | None = None
    role_arn: str = field(default="", repr=False)
    external_id: str = field(default="", repr=False)
    web_identity: bool = False

    @property
    def parts(self) -> tuple[Hashable, ...]:
        """What tells this identity from others, secrets included: for a source key and nothing else."""
        keys = self.keys and (self.keys.access_key, self.keys.secret_key, self.keys.session_token)
        return (keys, self.role_arn, self.external_id, self.web_identity)


class AwsClient(Protocol):
    """A client of one service."""

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to an operation (``get_queue_attributes``).

        Raise `SourceUnavailable` when nobody can be asked or our credentials are no good, `Throttled` when that was
        too much, `Refused` for any other no, `ScalerError` for an answer that is none.
        """
        ...


class Account(Protocol):
    """An identity at work in a region."""

    async def keys(self) -> Keys:
        """Return credentials good for some minutes at least; raise `SourceUnavailable` when there are none."""
        ...

    def client(self, service: str, *, endpoint: str = "") -> AbstractAsyncContextManager[AwsClient]:
        """Open a client of a service (``sqs``) at AWS's endpoint for the region, or at another."""
        ...


def identity_of(trigger: Trigger) -> Identity:
    """Return who a trigger is to be; raise `ScalerError` naming what is missing (KEDA aws_common.go).

    Texts are taken as they stand in the manifest, so that a value decides as it does there.
    """
    metadata, auth = trigger.inputs.metadata, trigger.inputs.auth
    pod = trigger.pod_identity
    if pod.provider == "aws":
        # A role of the TriggerAuthentication's parameters comes without an external id.
        role = (pod.role_arn, pod.external_id) if pod.role_arn else (auth.get("awsRoleArn", ""), "")
        return Identity(role_arn=role[0], external_id=role[1], web_identity=bool(role[0]))
    if metadata.get("identityOwner", "") not in ("", "pod"):
        return Identity()
    service_account_role = pod.role_arn if pod.provider == "aws-eks" else ""
    if role_arn := auth.get("awsRoleArn") or service_account_role:
        return Identity(role_arn=role_arn)
    if access_key := auth.get("awsAccessKeyID") or auth.get("awsAccessKeyId"):
        return _static(access_key, auth.get("awsSecretAccessKey", ""), auth.get("awsSessionToken", ""))
    access_key = metadata.get("awsAccessKeyID") or _from_environment(trigger, "awsAccessKeyID")
    secret_key, token = (_from_environment(trigger, name) for name in ("awsSecretAccessKey", "awsSessionToken"))
    return _static(access_key, secret_key, token)


def _from_environment(trigger: Trigger, name: str) -> str:
    return trigger.inputs.env.get(trigger.inputs.metadata.get(f"{name}FromEnv", ""), "")


def _static(access_key: str, secret_key: str, token: str) -> Identity:
    # A line's end from a file that became a Secret is no part of a key, and no header could carry it.
    access_key, secret_key, token = access_key.strip(), secret_key.strip(), token.strip()
    if not access_key:
        raise ScalerError(
            "awsAccessKeyID: required, set it in the TriggerAuthentication or in the target's environment "
            "(awsAccessKeyIDFromEnv); awsRoleArn, a pod identity or identityOwner operator do without"
        )
    if not secret_key:
        raise ScalerError("awsSecretAccessKey: required where awsAccessKeyID is given, and from the same place")
    return Identity(Keys(access_key, secret_key, token))


async def open_account(identity: Identity, *, region: str, platform: Platform) -> Account:
    """Return an identity at work in a region; asks nobody yet, and holds nothing that would need closing."""
    try:
        # In a thread: everybody else's polls go on meanwhile.
        library = await asyncio.to_thread(import_module, "keda_py_scalers.aws_client")
    except ModuleNotFoundError as error:
        raise SourceUnavailable(LIBRARY_MISSING.format(error.name)) from None
    account: Account = library.AwsAccount(identity, region=region, platform=platform)
    return account
