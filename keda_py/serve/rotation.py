"""Keeping the serving certificate where it is needed: in the Secret, in the running servers, with who asks them."""

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from keda_py.kube.client import ApiError, Client, Conflict, NotFound, Resource
from keda_py.serve.certificate import Bundle, renewed
from keda_py.serve.tls import ServerTls
from keda_py.serve.trust import Trusting

log = structlog.get_logger("certificate")

SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CHECK_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the Secret is."""

    namespace: str
    secret: str


class FileCertificates:
    """A certificate that somebody else puts into a folder (tls.crt, tls.key, and the authority as ca.crt)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def current(self) -> tuple[bytes, bytes, bytes]:
        """Return certificate, key and authority, the last empty if there is none; raise OSError without the others."""

        def read() -> tuple[bytes, bytes, bytes]:
            authority = self._folder / "ca.crt"
            given = authority.read_bytes() if authority.exists() else b""
            return (self._folder / "tls.crt").read_bytes(), (self._folder / "tls.key").read_bytes(), given

        return await asyncio.to_thread(read)


class SecretCertificates:
    """A certificate of our own making, shared by all replicas through a Secret."""

    def __init__(self, client: Client, place: Place, names: Sequence[str], now: Callable[[], datetime]) -> None:
        self._client = client
        self._place = place
        self._names = names
        self._now = now

    async def current(self) -> tuple[bytes, bytes, bytes]:
        """Return certificate, key and authority, made or renewed if need be; raise `ApiError`."""
        found = await self._found()
        known = Bundle.of(_decoded(found)) if found is not None else None
        if (fresh := renewed(known, self._names, self._now())) is None and known is not None:
            return known.certificate, known.key, known.authority
        if fresh is None:
            raise AssertionError("what is missing is always renewed")
        await self._write(found, fresh)
        log.info("made" if known is None else "renewed", secret=self._place.secret, names=list(self._names)[:1])
        return fresh.certificate, fresh.key, fresh.authority

    async def _found(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(SECRETS, self._place.namespace, self._place.secret)
        except NotFound:
            return None

    async def _write(self, found: dict[str, Any] | None, bundle: Bundle) -> None:
        """Keep a bundle, under the version that was read: of two replicas one gets `Conflict` and reads again."""
        place = self._place
        data = {name: b64encode(content).decode() for name, content in bundle.data().items()}
        if found is None:
            metadata = {"name": place.secret, "namespace": place.namespace}
            await self._client.create(SECRETS, place.namespace, {"metadata": metadata, "type": "Opaque", "data": data})
            return
        patch = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "data": data}
        await self._client.merge_patch(SECRETS, place.namespace, place.secret, patch)


class CertificateKeeper:
    """Looks every minute whether everything still is as it should be."""

    def __init__(
        self,
        certificates: FileCertificates | SecretCertificates,
        servers: Sequence[ServerTls],
        trusting: Sequence[Trusting],
    ) -> None:
        """`servers`: those that serve with it. `trusting`: who has to know its authority."""
        self._certificates = certificates
        self._servers = servers
        self._trusting = trusting
        self._said: str | None = None

    async def run(self) -> None:
        """Keep going until cancelled; a failure is told once and tried again."""
        while True:
            try:
                await self.check()
                self._say(None)
                pause = CHECK_SECONDS
            except Conflict:
                pause = RETRY_SECONDS
            except (ApiError, OSError, ValueError) as error:
                # ssl.SSLError is an OSError: a key that does not fit its certificate.
                self._say(str(error))
                pause = CHECK_SECONDS if all(tls.has_certificate for tls in self._servers) else RETRY_SECONDS
            await asyncio.sleep(pause)

    async def check(self) -> None:
        """Bring the servers, and who trusts them, up to date once; raise what went wrong with any of them."""
        certificate, key, authority = await self._certificates.current()
        for tls in self._servers:
            tls.set_certificate(certificate, key)
        problems: list[Exception] = []
        for one in self._trusting if authority else ():
            try:
                await one.trust(authority)
            except (ApiError, ValueError) as error:
                problems.append(error)
        if len(problems) > 1 and not any(isinstance(problem, Conflict) for problem in problems):
            raise ValueError("; ".join(map(str, problems)))
        for problem in sorted(problems, key=lambda found: not isinstance(found, Conflict)):
            raise problem

    def _say(self, message: str | None) -> None:
        if message is not None and message != self._said:
            log.warning("not as it should be", message=message)
        self._said = message


def _decoded(found: dict[str, Any]) -> dict[str, bytes]:
    try:
        return {name: b64decode(text) for name, text in (found.get("data") or {}).items()}
    except binascii.Error:
        return {}
