"""Who to be at Google Cloud: tokens of a service account's key, or of whoever the daemon itself is.

The daemon's own identity is found as Google's libraries do (application default credentials): the file that
``GOOGLE_APPLICATION_CREDENTIALS`` names, workload identity federation included, that of gcloud, else the metadata
server, which on GKE speaks for the ServiceAccount. The metadata server is asked here; what is in files, google-auth
turns into tokens, and is imported when the first one is.
"""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.cloud_http import Bearer, CloudHttp, Reply, issued

PLATFORM_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
UNIVERSE: Final = "googleapis.com"
LIBRARY_MISSING: Final = "logins at Google need the Python module {}; install it where keda-py runs (its extra gcp)"
_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_OK: Final = 200


class GoogleIdentity:
    """Somebody at Google Cloud: a service account by its key, or without one the daemon itself."""

    def __init__(self, key: Mapping[str, Any] | None, *, scope: str, http: CloudHttp, platform: Platform) -> None:
        """`key`: that of a service account (`key_of`), None for the daemon."""
        self._key = key
        self._scope = scope
        self._http = http
        self._platform = platform
        self.bearer = Bearer(self._new)

    @property
    def universe(self) -> str:
        """The domain of the APIs that know this identity."""
        return str(self._key.get("universe_domain") or UNIVERSE) if self._key else UNIVERSE

    async def project(self) -> str:
        """Return the project (KEDA gcp_secretmanager_handler.go): the key's, or that which the daemon is in."""
        project = str(self._key["project_id"]) if self._key else await self._own_project()
        if not re.fullmatch(r"[a-z0-9][a-z0-9.:-]{0,127}", project):
            raise ScalerError("the project is no name of one; correct project_id of the key, or CLOUDSDK_CORE_PROJECT")
        return project

    async def _own_project(self) -> str:
        known = os.environ.get("CLOUDSDK_CORE_PROJECT") or (await asyncio.to_thread(_file) or {}).get("project_id")
        return str(known) if known else await self._project_of_metadata()

    async def _project_of_metadata(self) -> str:
        try:
            reply = await self._metadata("project/project-id")
        except SourceUnavailable as error:
            raise SourceUnavailable(
                f"the daemon's project is not known: {error}; set CLOUDSDK_CORE_PROJECT in its environment"
            ) from None
        if reply.status != _OK:
            raise ScalerError(f"{reply.place} does not know the daemon's project; set CLOUDSDK_CORE_PROJECT")
        return reply.body.decode("ascii", errors="replace").strip()

    async def _new(self) -> tuple[str, float]:
        # Read anew each time: what is mounted may be replaced.
        given = self._key or await asyncio.to_thread(_file)
        if given is None:
            return await self._of_metadata()
        try:
            # In a thread: everybody else's polls go on meanwhile.
            library = await asyncio.to_thread(import_module, "keda_py_scalers.gcp_login")
        except ModuleNotFoundError as error:
            raise ScalerError(LIBRARY_MISSING.format(error.name)) from None
        token: tuple[str, float] = await library.log_in(given, self._scope, self._http, now=self._platform.now)
        return token

    async def _of_metadata(self) -> tuple[str, float]:
        try:
            reply = await self._metadata(
                f"instance/service-accounts/default/token?scopes={quote(self._scope, safe='')}"
            )
        except SourceUnavailable as error:
            raise SourceUnavailable(
                f"the daemon has no Google identity of its own: {error}; give its ServiceAccount one by workload "
                "identity"
            ) from None
        if reply.status != _OK:
            raise ScalerError(
                f"{reply.place} answered {reply.status}: the daemon's ServiceAccount has no Google identity; give it "
                "one by workload identity"
            )
        return issued(reply)

    async def _metadata(self, path: str) -> Reply:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        url = f"http://{host}/computeMetadata/v1/{path}"
        reply = await self._http.send("GET", url, headers=_FLAVOR, direct=True)
        if reply.headers.get("Metadata-Flavor") != "Google":
            raise ScalerError(f"{reply.place} is no metadata server of Google's")
        return reply


def key_of(text: str, name: str, *further: str) -> Mapping[str, Any]:
    """Return a service account's key; as KEDA, of no other kind, for those may lead to anyone's files and addresses.

    `name`: of the parameter that has it. `further`: what the key must have beside what a login needs. Raise
    `ScalerError` saying what is wrong with it, and nothing of what is in it.
    """
    info = _object(text)
    if info is None or info.get("type") != "service_account":
        raise ScalerError(f"{name}: no key of a service account in JSON form (type service_account)")
    needed = (*further, "client_email", "private_key", "token_uri")
    if lacking := [one for one in needed if not (isinstance(info.get(one), str) and info[one])]:
        raise ScalerError(f"{name}: the service account's key has no {', '.join(lacking)}")
    if not re.fullmatch(r"[a-z0-9.-]{1,253}", str(info.get("universe_domain") or UNIVERSE)):
        raise ScalerError(f"{name}: universe_domain of the service account's key is no domain")
    return info


def _file() -> Mapping[str, Any] | None:
    """Return what the daemon's own file says, None if there is none."""
    if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        path = Path(named)
    else:
        folder = os.environ.get("CLOUDSDK_CONFIG")
        path = (
            Path(folder) if folder else Path("~/.config/gcloud").expanduser()
        ) / "application_default_credentials.json"
        if not path.is_file():
            return None
    try:
        info = _object(path.read_text())
    except (OSError, UnicodeDecodeError):
        info = None
    if info is None:
        raise ScalerError("the file of the daemon's Google credentials (GOOGLE_APPLICATION_CREDENTIALS) is no JSON")
    return info


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
