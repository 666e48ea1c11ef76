"""SASL GSSAPI with credentials of the trigger's own: a keytab or a password, and a krb5.conf.

aiokafka logs in as whoever the process is to Kerberos; triggers are different somebodies. Imported only when a trigger
wants it: `gssapi` is compiled against MIT Kerberos and not part of the image.
"""

import os
import struct
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import gssapi
from aiokafka.conn import SaslGSSAPIAuthenticator

from keda_py.scaler import ScalerError
from keda_py_scalers.kafka_connection import KafkaWire

_AUTHENTICATION_ONLY: Final = 1
_CONFIGURED = threading.Lock()
"""Kerberos' library takes its configuration from the environment of the process: one login at a time."""


class Kerberos:
    """A principal, and the files that its login needs."""

    def __init__(self, folder: Path, *, principal: str, password: str, keytab: str, config: str, service: str) -> None:
        self.service = service or "kafka"
        self._principal = principal
        self._password = password
        self._keytab = folder / "keytab" if keytab else None
        self._config = folder / "krb5.conf"
        self._tickets = folder / "tickets"
        for path, content in ((self._keytab, keytab), (self._config, config)):
            if path is not None:
                path.touch(mode=0o600)
                # A Secret's bytes came as text.
                path.write_bytes(content.encode(errors="surrogateescape"))

    async def connect(self, host: str, port: int, **options: Any) -> Any:
        """Return an open connection (as kafka_connection.open_wire does)."""
        connection = _Connection(host, port, sasl_kerberos_service_name=self.service, **options)
        connection.kerberos = self
        await connection.connect()
        return connection

    def context(self, service: str) -> Any:
        """Return a security context with a service, begun; raise `ScalerError` without credentials."""
        with self._configured():
            try:
                name = gssapi.Name(service, name_type=gssapi.NameType.hostbased_service)
                target = name.canonicalize(gssapi.MechType.kerberos)
                return gssapi.SecurityContext(name=target, creds=self._credentials(), usage="initiate")
            except gssapi.exceptions.GSSError as error:
                raise ScalerError(f"no Kerberos credentials: {error.gen_message()}") from None

    def step(self, context: Any, token: bytes | None) -> bytes:
        """Return what to send next; raise `ScalerError` without a ticket for the service."""
        with self._configured():
            try:
                return context.step(token) or b""
            except gssapi.exceptions.GSSError as error:
                raise ScalerError(f"no Kerberos ticket: {error.gen_message()}") from None

    def _credentials(self) -> Any:
        name = gssapi.Name(self._principal, name_type=gssapi.NameType.kerberos_principal)
        if self._keytab is None:
            mechanisms = [gssapi.MechType.kerberos]
            given = gssapi.raw.acquire_cred_with_password(
                name, self._password.encode(), mechs=mechanisms, usage="initiate"
            )
            return gssapi.Credentials(given.creds)
        store = {"client_keytab": f"FILE:{self._keytab}", "ccache": f"FILE:{self._tickets}"}
        return gssapi.Credentials(name=name, usage="initiate", store=store)

    @contextmanager
    def _configured(self) -> Iterator[None]:
        with _CONFIGURED:
            before = os.environ.get("KRB5_CONFIG")
            os.environ["KRB5_CONFIG"] = str(self._config)
            try:
                yield
            finally:
                os.environ.pop("KRB5_CONFIG")
                if before is not None:
                    os.environ["KRB5_CONFIG"] = before


class _Connection(KafkaWire):
    kerberos: Kerberos

    def authenticator_gssapi(self) -> Any:
        return _Authenticator(loop=self._loop, principal=self.sasl_principal, kerberos=self.kerberos)


class _Authenticator(SaslGSSAPIAuthenticator):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, *, loop: Any, principal: str, kerberos: Kerberos) -> None:
        self._kerberos = kerberos
        super().__init__(loop=loop, principal=principal)

    def authenticator_gssapi(self) -> Generator[tuple[bytes, bool], bytes, None]:
        """Say who we are, then agree to no protection beyond that (RFC 4752)."""
        context, answer = self._kerberos.context(self._principal), None
        while not context.complete:
            answer = yield self._kerberos.step(context, answer), True
        offered = context.unwrap(answer).message
        chosen = struct.pack("b", _AUTHENTICATION_ONLY & offered[0]) + offered[1:]
        yield context.wrap(chosen + self._principal.encode(), encrypt=False).message, True
