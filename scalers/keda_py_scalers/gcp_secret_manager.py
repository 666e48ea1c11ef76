"""Secrets in Google Cloud Secret Manager, for ``gcpSecretManager`` of a TriggerAuthentication.

The documented request is ``GET /v1/projects/<project>/secrets/<id>/versions/<version>:access``. Google's client library
would bring gRPC for it. ``CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER`` of the daemon's environment, by which gcloud
goes too, names another place to ask, such as a regional one.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keda_py.api.authentication import GcpSecretManager as Spec
from keda_py.scaler import ScalerError
from keda_py.secret_store import Access, SecretStore, Values
from keda_py_scalers.cloud_http import CloudHttp, Reply, host_of
from keda_py_scalers.gcp import PLATFORM_SCOPE, GoogleIdentity, key_of
from keda_py_scalers.secret_reading import names_fit, platform_of, read_each

ENDPOINT: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404


@dataclass(frozen=True, slots=True)
class _Place:
    id: str
    version: str

    def __str__(self) -> str:
        return f"secret {self.id} version {self.version}"


class GcpSecretManager(SecretStore[Spec]):
    """A project's secrets, and who is let in (KEDA pkg/scaling/resolver/gcp_secretmanager_handler.go)."""

    def __init__(self, access: Access[Spec]) -> None:
        """Raise `ScalerError` naming what of the section makes no sense."""
        super().__init__(access)
        platform = platform_of(access)
        names_fit({f"{one.parameter}: id": one.id for one in access.spec.secrets}, "[0-9A-Za-z_-]{1,255}")
        names_fit({f"{one.parameter}: version": one.version for one in access.spec.secrets}, "[0-9A-Za-z_-]{0,63}")
        self._http = CloudHttp(platform)
        self._identity = GoogleIdentity(_key(access), scope=PLATFORM_SCOPE, http=self._http, platform=platform)
        endpoint = os.environ.get(ENDPOINT) or f"https://secretmanager.{self._identity.universe}"
        self._endpoint = f"https://{host_of(endpoint, ENDPOINT)}"
        self._project = ""

    async def read(self) -> Values:
        """Return every secret of the section."""
        # Before any secret: if nobody is let in, that is one failure.
        await self._identity.bearer.token()
        self._project = self._project or await self._identity.project()
        places = {
            secret.parameter: _Place(secret.id, secret.version or "latest") for secret in self.access.spec.secrets
        }
        return await read_each(places, self._secret, text=lambda _, value: value, called=str)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _secret(self, place: _Place) -> str:
        token = await self._identity.bearer.token()
        reply = await self._get(place, token)
        if reply.status == _UNAUTHORIZED:
            # Revoked before its time, as it may be.
            self._identity.bearer.drop(token)
            reply = await self._get(place, await self._identity.bearer.token())
        if reply.status != _OK:
            raise self._refused(reply)
        return _payload(reply)

    async def _get(self, place: _Place, token: str) -> Reply:
        url = f"{self._endpoint}/v1/projects/{self._project}/secrets/{place.id}/versions/{place.version}:access"
        return await self._http.send("GET", url, headers={"Authorization": f"Bearer {token}"})

    def _refused(self, reply: Reply) -> ScalerError:
        why = {
            _BAD_REQUEST: "the version is disabled or destroyed; enable it, or name another",
            _UNAUTHORIZED: "it does not accept our tokens",
            _FORBIDDEN: f"the identity may not read it in project {self._project}; "
            "give it the role roles/secretmanager.secretAccessor",
            _NOT_FOUND: f"no such secret in project {self._project}, or not in that version; "
            "add it, or correct id and version",
        }
        return ScalerError(f"{reply.place} answered {reply.status}: {why.get(reply.status, 'is that Secret Manager?')}")


def _key(access: Access[Spec]) -> Mapping[str, Any] | None:
    """Return the service account's key that is used, None if the daemon asks as itself."""
    pod = access.pod_identity
    if pod and pod.provider != "gcp":
        raise ScalerError(f"podIdentity: Secret Manager has no use for {pod.provider}; use gcp or credentials")
    if pod:
        return None
    key = access.credentials.get("clientSecret", "")
    if not key.strip():
        raise ScalerError("credentials: clientSecret, a service account's key, is needed, or a podIdentity")
    return key_of(key, "credentials.clientSecret", "project_id")


def _payload(reply: Reply) -> str:
    """Return the text of a secret; raise `ScalerError` if it is none, or was changed on its way."""
    payload = reply.json().get("payload")
    if not isinstance(payload, dict):
        raise ScalerError(f"{reply.place} answered without a secret: is that Secret Manager?")
    try:
        data = base64.b64decode(payload.get("data", ""), validate=True)
        text = data.decode()
        checksum = None if payload.get("dataCrc32c") is None else int(payload["dataCrc32c"])
    except UnicodeDecodeError:
        raise ScalerError("it is no text in UTF-8; store it as text") from None
    except (binascii.Error, TypeError, ValueError):
        raise ScalerError(f"{reply.place} answered with what is no secret: is that Secret Manager?") from None
    if checksum is not None and checksum != crc32c(data):
        raise ScalerError("it arrived damaged (its checksum differs)")
    return text


def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        value = entry
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes; a secret has 64 KiB at most."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
