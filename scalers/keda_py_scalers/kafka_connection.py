"""aiokafka's connection to a broker, with an end to how much one answer may be, and an ear for a refused token."""

from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator

from keda_py.scaler import ScalerError
from keda_py_scalers.bounded import BoundedReader

_ACKNOWLEDGED: Final = b"\x01"


class LoginError(ScalerError):
    """There is no logging in to this broker; there may be to another one."""


class _OAuth(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka has no types
    """Hears whether a token was refused.

    A broker then answers with the reason, and fails the login once that is acknowledged (RFC 7628, 3.2.3). aiokafka
    takes the reason for a welcome, and whatever is asked next for a mistake of its own.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Return what to send next, None if nothing."""
        if payload:
            return _ACKNOWLEDGED, True
        first: tuple[bytes, bool] | None = await super().step(payload)
        return first


class KafkaWire(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """One connection; an answer that is too large breaks it."""

    _reader: Any
    _sasl_oauth_token_provider: Any

    def authenticator_oauth(self) -> _OAuth:
        """Return who logs in with a token."""
        return _OAuth(sasl_oauth_token_provider=self._sasl_oauth_token_provider)

    def _create_reader_task(self) -> Any:
        # Before the first byte is read: a wrong server is wrong from there on.
        self._reader = BoundedReader(self._reader)
        return super()._create_reader_task()


async def open_wire(host: str, port: int, **options: Any) -> KafkaWire:
    """Return an open connection (as aiokafka.conn.create_conn does)."""
    connection = KafkaWire(host, port, **options)
    await connection.connect()
    return connection
