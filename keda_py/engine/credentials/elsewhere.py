"""How stores, tokens and files are opened: all that is read for a trigger outside the objects of the cluster."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from keda_py.engine.credentials.lookup import TOKEN, Elsewhere, File, Section, Token
from keda_py.engine.credentials.stores import RENEWED_AT, Reader
from keda_py.engine.registry import StoreRegistry
from keda_py.kube.client import ApiError, Client, Resource, Unreachable
from keda_py.kube.reflector import REFUSALS
from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py.secret_store import Values

LARGEST_FILE: Final = 2**20
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")


@dataclass(frozen=True, slots=True)
class Opener:
    """What it takes to open things; `folder`: where files are, if there may be any; `token_life`: of tokens we make."""

    stores: StoreRegistry
    client: Client
    platform: Platform
    token_life: timedelta = timedelta(hours=1)
    folder: Path | None = None

    def __call__(self, what: Elsewhere) -> Reader:
        """Return what reads something; raise `ScalerError` if there is no way to."""
        match what:
            case Section(_, name, access):
                return self.stores.load(name)(replace(access, platform=self.platform))
            case Token(namespace, name):
                return ServiceAccountToken(self.client, namespace, name, life=self.token_life)
            case File(path):
                return ParameterFile(self._below(path))

    def _below(self, path: str) -> Path:
        if self.folder is None:
            raise ScalerError("the daemon has no folder for files; give it one with --filepath-auth-root-path")
        # KEDA's own check (readAuthParamsFromFile): no two dots anywhere.
        if path.startswith("/") or ".." in path or "\0" in path:
            raise ScalerError("expected a path below --filepath-auth-root-path, without '..'")
        return self.folder / path


class ServiceAccountToken:
    """Tokens for one ServiceAccount, by TokenRequest: each is kept until a third of its life is left."""

    def __init__(self, client: Client, namespace: str, name: str, *, life: timedelta) -> None:
        self._client = client
        self._place = (namespace, name)
        self._life = life
        self._token = ""
        self._renewed = self._ends = 0.0

    async def read(self) -> Values:
        """Return a token, and how long it is good for."""
        now = asyncio.get_running_loop().time()
        if not self._token or now >= self._renewed:
            self._token, seconds = await self._made()
            self._renewed, self._ends = now + seconds * RENEWED_AT, now + seconds
        return Values({TOKEN: self._token}, self._ends - now)

    async def close(self) -> None:
        """Forget the token; it ends by itself."""
        self._token = ""

    async def _made(self) -> tuple[str, float]:
        wanted = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": round(self._life.total_seconds())},
        }
        namespace, name = self._place
        try:
            made = await self._client.create(SERVICE_ACCOUNTS, namespace, wanted, name=name, subresource="token")
        except Unreachable as error:
            raise SourceUnavailable(str(error)) from None
        except ApiError as error:
            hint = "; allow the daemon's ServiceAccount to create serviceaccounts/token for it"
            raise ScalerError(f"{error}{hint if error.status in REFUSALS else ''}") from None
        # What the server really gave: it may have a limit of its own.
        return made["status"]["token"], float(made["spec"]["expirationSeconds"])


class ParameterFile:
    """A JSON file of parameters, such as a mounted Secret."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Values:
        """Return what the file says now."""
        try:
            found = json.loads(_content(self._path))
        except OSError as error:
            raise ScalerError(f"the file cannot be read: {(error.strerror or 'no reason given').lower()}") from None
        except (ValueError, RecursionError):
            raise ScalerError("the file is no JSON") from None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ScalerError("expected a JSON object with nothing but texts in the file")
        return Values(found)

    async def close(self) -> None:
        """There is nothing to close."""


def _content(path: Path) -> bytes:
    # Without a thread: such files are small and on the node, if not in memory.
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ScalerError(f"the file is larger than {LARGEST_FILE >> 20} MiB")
    return content
