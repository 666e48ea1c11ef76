"""Logging in to a Vault: with a token, or as a ServiceAccount of the cluster; and staying logged in.

As in KEDA the token of the daemon's environment (VAULT_TOKEN) comes before that of the manifest, and a file is sent
only if it holds the token of a ServiceAccount (its k8s_validator.go): a manifest names which file.
"""

import asyncio
import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from keda_py.api.authentication import HashiCorpVault, VaultCredential
from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py.secret_store import Access
from keda_py_scalers.vault_client import VaultClient

OWN_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  a file
LARGEST_TOKEN: Final = 2**20
RENEWED_AT: Final = 2 / 3


@dataclass(frozen=True, slots=True)
class Session:
    """A login; `renewed` and `ends` in loop time."""

    token: str = field(repr=False)
    renewable: bool
    renewed: float
    ends: float


async def log_in(client: VaultClient, access: Access[HashiCorpVault], environment: Mapping[str, str]) -> Session:
    """Return a new session; raise `ScalerError` saying what is missing, or Vault's refusal."""
    spec = access.spec
    if spec.authentication == "token":
        token = environment.get("VAULT_TOKEN") or (spec.credential.token if spec.credential else "")
        if not token:
            raise ScalerError("credential.token is missing; give it, or VAULT_TOKEN to the daemon")
        found = (await client.read("auth/token/lookup-self", token)).get("data") or {}
        return _session(token, found.get("ttl"), found.get("renewable"))
    for name, value in (("mount", spec.mount), ("role", spec.role)):
        if not value:
            raise ScalerError(f"{name} is missing; with authentication kubernetes it is needed")
    body = {"jwt": _jwt(access), "role": spec.role}
    answer = await client.write(f"auth/{spec.mount}/login", "", body)
    return _of_answer(answer, client.place)


async def renewed(client: VaultClient, session: Session, access: Access[HashiCorpVault]) -> Session | None:
    """Return a session that is about to end with a longer life, None if one has to log in anew."""
    now = asyncio.get_running_loop().time()
    anew = access.spec.authentication != "token"
    if session.renewable and now < session.ends:
        try:
            answer = await client.write("auth/token/renew-self", session.token, {})
        except SourceUnavailable:
            raise
        except ScalerError:
            return None
        longer = _of_answer(answer, client.place)
        # At the end of what it can have at most, a login is not renewed for less and less.
        if not anew or longer.ends - now > (session.ends - now) * 1.5:
            return longer
    return None if anew or now >= session.ends else replace(session, renewable=False, renewed=session.ends)


def _of_answer(answer: Mapping[str, Any], place: str) -> Session:
    auth = answer.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("client_token"), str):
        raise ScalerError(f"{place} answered to a login without a token: is that a Vault?")
    return _session(auth["client_token"], auth.get("lease_duration"), auth.get("renewable"))


def _session(token: str, seconds: Any, renewable: Any) -> Session:
    """Return a session of so many seconds; a token without an end, such as a root token, has none."""
    if not isinstance(seconds, int) or seconds <= 0:
        return Session(token, renewable=False, renewed=math.inf, ends=math.inf)
    now = asyncio.get_running_loop().time()
    return Session(token, renewable is True, now + seconds * RENEWED_AT, now + seconds)


def _jwt(access: Access[HashiCorpVault]) -> str:
    """Return the token of the ServiceAccount to log in as."""
    credential = access.spec.credential or VaultCredential(service_account=OWN_TOKEN)
    if credential.service_account_name:
        return access.credentials["serviceAccountToken"]
    if not credential.service_account:
        raise ScalerError("credential has neither serviceAccountName nor serviceAccount; give one of them")
    return _from_file(Path(credential.service_account))


def _from_file(path: Path) -> str:
    # Without a thread: such files are small and in memory.
    try:
        if not path.is_file():
            raise ScalerError(f"credential.serviceAccount: {path} is no file in the daemon's container")
        with path.open("rb") as file:
            content = file.read(LARGEST_TOKEN + 1)
    except (OSError, ValueError) as error:
        raise ScalerError(f"credential.serviceAccount: {path} cannot be read ({type(error).__name__})") from None
    if len(content) > LARGEST_TOKEN or not _is_of_service_account(content):
        raise ScalerError(f"credential.serviceAccount: {path} does not hold the token of a ServiceAccount")
    return content.decode().strip()


def _is_of_service_account(content: bytes) -> bool:
    try:
        _, claims, _ = content.decode().strip().split(".")
        found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return str(found["sub"]).startswith("system:serviceaccount:")
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
