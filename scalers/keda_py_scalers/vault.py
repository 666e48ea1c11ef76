"""Secret store `hashiCorpVault`: paths of a HashiCorp Vault or OpenBao, whatever engine is behind them.

The rules are those of KEDA's pkg/scaling/resolver/hashicorpvault_handler.go, and of the client that it uses. A path is
asked once however many of its keys are wanted. What Vault makes anew with each request, a certificate or the
credentials of a lease, is kept until a third of its life is left; everything else is read each time.
"""

import asyncio
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.api.authentication import HashiCorpVault, VaultPki, VaultSecret
from keda_py.scaler import ScalerError
from keda_py.secret_store import Access, SecretStore, Values
from keda_py_scalers.vault_client import FORBIDDEN, NOT_FOUND, Refused, VaultClient
from keda_py_scalers.vault_login import Session, log_in, renewed

RENEWED_AT: Final = 2 / 3
"""The part of its life after which something that ends is made anew."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked for at once: one path of one kind, for pki with what the certificate is to be."""

    path: str
    kind: str
    pki: VaultPki | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a path gave; if it was made for us it is kept until `renewed`, in loop time as `ends` is."""

    data: Mapping[str, Any] = field(repr=False)
    ends: float
    renewed: float


class Vault(SecretStore[HashiCorpVault]):
    """What a section `hashiCorpVault` names."""

    def __init__(self, access: Access[HashiCorpVault]) -> None:
        super().__init__(access)
        assert access.platform is not None, "given by the engine"  # noqa: S101  the contract of stores
        self._now = access.platform.now
        self._client = VaultClient(access.spec.address, access.spec.namespace, access.platform)
        self._session: Session | None = None
        self._made: dict[_Question, _Answer] = {}

    async def read(self) -> Values:
        """Return the parameters; raise `ScalerError` for the first that cannot be had."""
        before = self._session
        try:
            return await self._read()
        except Refused as refused:
            anew = self.access.spec.authentication != "token" and before is not None and before is self._session
            if refused.status != FORBIDDEN or not anew:
                raise
            # The login may have been revoked; one that is new tells whether the path is forbidden to it, too.
            self._session = None
            return await self._read()

    async def close(self) -> None:
        """Close all connections; what was made for us ends by itself."""
        await self._client.close()

    async def _read(self) -> Values:
        session = await self._logged_in()
        answers: dict[_Question, _Answer] = {}
        parameters: dict[str, str] = {}
        for secret in self.access.spec.secrets:
            question = _Question(secret.path, secret.type or "", secret.pki_data if secret.type == "pki" else None)
            if question not in answers:
                answers[question] = await self._answer(question, session)
            parameters[secret.parameter] = _value(secret, answers[question].data)
        ends = min(answer.ends for answer in answers.values())
        return Values(parameters, None if math.isinf(ends) else ends - _loop_time())

    async def _logged_in(self) -> Session:
        """Return a session that holds for now, renewed or new if it is about to end."""
        now = _loop_time()
        if self._session is not None and now >= self._session.renewed:
            self._session = await renewed(self._client, self._session, self.access)
        if self._session is None:
            # What was made for a login ends with it.
            self._made = {}
            self._session = await log_in(self._client, self.access, dict(os.environ))
        return self._session

    async def _answer(self, question: _Question, session: Session) -> _Answer:
        now = _loop_time()
        known = self._made.get(question)
        if known is not None and now < known.renewed:
            return known
        try:
            if question.kind == "pki":
                found = await self._client.write(question.path, session.token, _wanted(question.pki))
            else:
                found = await self._client.read(question.path, session.token)
        except Refused as refused:
            raise _explained(refused, question.path) from None
        data = found.get("data")
        if not isinstance(data, dict):
            raise ScalerError(f"{self._client.place} answered without data to {question.path}: is that a Vault?")
        seconds = self._seconds(found, data)
        made = question.kind == "pki" or bool(found.get("lease_id"))
        ends = now + seconds
        if found.get("lease_id"):
            ends = min(ends, session.ends)
        answer = _Answer(data, ends, now + (ends - now) * RENEWED_AT)
        if made and not math.isinf(ends):
            # At once: if another path cannot be read, this is not to be made again with each attempt.
            self._made[question] = answer
        return answer

    def _seconds(self, found: Mapping[str, Any], data: Mapping[str, Any]) -> float:
        """Return how long an answer is good for: a certificate until it expires, else as long as its lease."""
        expiration, lease = data.get("expiration"), found.get("lease_duration")
        if "certificate" in data and isinstance(expiration, int):
            return max(1.0, expiration - self._now().timestamp())
        return float(lease) if isinstance(lease, int) and lease > 0 else math.inf


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _wanted(pki: VaultPki | None) -> dict[str, str]:
    names = ("common_name", "alt_names", "ip_sans", "uri_sans", "other_sans", "ttl", "format")
    return {} if pki is None else {name: value for name in names if (value := getattr(pki, name))}


def _explained(refused: Refused, path: str) -> ScalerError:
    if refused.status == FORBIDDEN:
        return Refused(f"{refused}; does a policy of the role or token allow it?", refused.status, refused.answer)
    if refused.status != NOT_FOUND:
        return refused
    metadata = (refused.answer.get("data") or {}).get("metadata")
    if isinstance(metadata, dict) and (metadata.get("deletion_time") or metadata.get("destroyed")):
        return ScalerError(f"{path}: the newest version of the secret is deleted; write it anew, or undelete it")
    return ScalerError(
        f"{path}: there is nothing; correct the path (of a KV engine version 2 it is <mount>/data/<name>), "
        f"the namespace, or write the secret"
    )


def _value(secret: VaultSecret, data: Mapping[str, Any]) -> str:
    """Return the text of a key (KEDA: getSecretValue); a missing one, or one that is no text, is an error."""
    nested = data.get("data")
    if secret.type == "secretV2" or (not secret.type and "data" in data):
        if not isinstance(nested, dict):
            raise ScalerError(f"{secret.path}: there is no secret of a KV engine version 2; correct its type or path")
        data = nested
    if secret.key not in data:
        raise ScalerError(f"{secret.path} has no key {secret.key!r}; add it, or correct the name")
    value = data[secret.key]
    if secret.type == "pki" and secret.key == "ca_chain" and isinstance(value, list):
        return "\n".join(map(str, value))
    if not isinstance(value, str):
        raise ScalerError(f"{secret.path}: the key {secret.key!r} is no text; store it as one")
    return value
