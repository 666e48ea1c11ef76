"""Secrets in AWS Secrets Manager, for ``awsSecretManager`` of a TriggerAuthentication.

Identities, connections and failures are those of `keda_py_scalers.aws`, as for the scalers that talk to AWS.
"""

import json
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from keda_py.api.authentication import AwsSecretManager as Spec
from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py.secret_store import Access, SecretStore, Values
from keda_py_scalers.aws import AwsClient, Identity, Keys, Refused, Throttled, open_account
from keda_py_scalers.secret_reading import platform_of, read_each

_NOT_ALLOWED: Final = "the identity needs secretsmanager:GetSecretValue on it, and kms:Decrypt on a key of its own"
_NOT_DECRYPTED: Final = "its key cannot be used; the identity needs kms:Decrypt, and the key has to be enabled"
_REFUSALS: Final = {
    "ResourceNotFoundException": "no such secret in that region, or not in that version; add it, or correct name, "
    "versionId and versionStage",
    "AccessDenied": _NOT_ALLOWED,
    "AccessDeniedException": _NOT_ALLOWED,
    "DecryptionFailure": _NOT_DECRYPTED,
    "DecryptionFailureException": _NOT_DECRYPTED,
    "InvalidRequestException": "it is being deleted, or has no value yet; restore it, or store one",
    "InvalidParameterException": "versionId and versionStage do not go together, or one of them is no such name",
    "ValidationException": "name, versionId or versionStage is no such name",
}


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    version_id: str
    version_stage: str

    def __str__(self) -> str:
        version = f" version {self.version_id}" if self.version_id else ""
        stage = f" stage {self.version_stage}" if self.version_stage else ""
        return f"secret {self.name}{version}{stage}"


class AwsSecretManager(SecretStore[Spec]):
    """A region's secrets, and who is let in (KEDA pkg/scaling/resolver/aws_secretmanager_handler.go)."""

    def __init__(self, access: Access[Spec]) -> None:
        """Raise `ScalerError` naming what of the section makes no sense."""
        super().__init__(access)
        self._platform = platform_of(access)
        self._identity = _identity(access)
        self._region = _region(access.spec)
        self._opened = AsyncExitStack()
        self._client: AwsClient | None = None

    async def read(self) -> Values:
        """Return every secret of the section, or the keys in them that it names."""
        client = self._client or await self._open()
        secrets = {secret.parameter: secret for secret in self.access.spec.secrets}
        places = {name: _Place(one.name, one.version_id, one.version_stage) for name, one in secrets.items()}
        return await read_each(
            places,
            partial(_secret, client),
            text=lambda parameter, value: _entry(value, secrets[parameter].secret_key),
            called=str,
        )

    async def close(self) -> None:
        """Close the connections."""
        self._client = None
        await self._opened.aclose()

    async def _open(self) -> AwsClient:
        account = await open_account(self._identity, region=self._region, platform=self._platform)
        self._client = await self._opened.enter_async_context(account.client("secretsmanager"))
        return self._client


def _identity(access: Access[Spec]) -> Identity:
    """Return who asks; as in KEDA, a pod identity comes before credentials."""
    pod = access.pod_identity
    if pod and pod.provider != "aws":
        raise ScalerError(f"podIdentity: Secrets Manager has no use for {pod.provider}; use aws or credentials")
    if pod:
        return Identity(role_arn=pod.role_arn, external_id=pod.external_id, web_identity=bool(pod.role_arn))
    # A line's end from a file that became a Secret is no part of a key.
    names = ("accessKey", "accessSecretKey", "accessToken")
    key, secret, token = (access.credentials.get(name, "").strip() for name in names)
    if not (key and secret):
        raise ScalerError("credentials: accessKey and accessSecretKey are needed, or a podIdentity")
    return Identity(Keys(key, secret, token))


def _region(spec: Spec) -> str:
    region = spec.region or os.environ.get("AWS_REGION", "") or os.environ.get("AWS_DEFAULT_REGION", "")
    if not region:
        raise ScalerError("region: needed, for the daemon has no AWS_REGION in its environment")
    return region


async def _secret(client: AwsClient, place: _Place) -> str:
    given = {"VersionId": place.version_id, "VersionStage": place.version_stage}
    try:
        answer = await client.call(
            "get_secret_value", SecretId=place.name, **{name: value for name, value in given.items() if value}
        )
    except Refused as refused:
        if refused.code not in _REFUSALS:
            raise
        raise ScalerError(f"{refused}: {_REFUSALS[refused.code]}") from None
    except Throttled as throttled:
        # What was read before is no worse for it.
        raise SourceUnavailable(str(throttled)) from None
    if "SecretBinary" in answer and "SecretString" not in answer:
        raise ScalerError("it is binary; store it as text")
    value = answer.get("SecretString")
    if not isinstance(value, str):
        raise ScalerError("the answer has no value: is that Secrets Manager?")
    return value


def _entry(secret: str, key: str) -> str:
    """Return what is under a key of a secret in JSON form, a number as it is written there; without a key the whole."""
    if not key:
        return secret
    try:
        entries: Any = json.loads(secret, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise ScalerError(
            f"it is no object in JSON form, so there is no secretKey {key} in it; store one, or remove secretKey"
        )
    if key not in entries:
        raise ScalerError(f"it has no key {key}; add it, or correct secretKey")
    value = entries[key]
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise ScalerError(f"its key {key} is neither a text nor a number nor a boolean; store it as a text")
    return value


def _no_constant(_: str) -> str:
    raise ValueError
