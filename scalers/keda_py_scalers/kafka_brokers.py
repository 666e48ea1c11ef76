"""Connections to the brokers of one Kafka cluster: at most one to each, opened when first needed, and typed.

aiokafka's client keeps a task, a connection for bootstrapping and a copy of the cluster's metadata of its own; what is
used here is its connection alone: TLS, SASL, framing, matching answers to requests. aiokafka has no types: nothing of
it gets out of this module but the answers.

A connection that broke is opened anew at once, a broker that stays silent is asked last. The wait for each answer ends.
"""

import asyncio
import os
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from aiokafka.conn import CloseReason, collect_hosts
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, KafkaError, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py_scalers.bounded import OversizedError
from keda_py_scalers.kafka_auth import Connect
from keda_py_scalers.kafka_connection import LoginError

Address = tuple[str, int]
CLIENT_ID: Final = "keda-py"
CLOSE_SECONDS: Final = 1.0


class UnreachableError(ScalerError):
    """A broker cannot be reached now; somebody else may have taken its place."""


class SilentError(ScalerError):
    """A broker did not answer in time."""


class Brokers:
    """The brokers of one cluster, as far as they are needed. Use as an async context manager."""

    def __init__(self, servers: Sequence[str], connect: Connect, *, mechanism: str, seconds: float) -> None:
        """`mechanism`: that of SASL, if any. `seconds`: how long an answer may take."""
        self._servers = tuple(servers)
        self._open_connection = connect
        self._mechanism = mechanism
        self._seconds = seconds
        self._known: dict[int, Address] = {}
        self._open: dict[Address, Any] = {}
        # A lock is there as long as somebody has it or waits for it.
        self._opening: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()
        self._suspects: set[Address] = set()

    async def __aenter__(self) -> Self:
        """Connect to the first bootstrap server that answers; raise `SourceUnavailable` if none does."""
        try:
            await self._bootstrap()
        except BaseException:
            await self._close_all()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._close_all()

    def learn(self, answer: Any) -> dict[int, Address]:
        """Return the addresses of all brokers by id, taken from the answer to a metadata request; forget all others."""
        self._known = {node: (host, port) for node, host, port, *_ in answer.brokers}
        current = set(self._known.values())
        for address in self._open.keys() - current:
            self._drop(address)
        self._suspects &= current
        return self._known

    async def ask_any(self, request: Any) -> Any:
        """Return the answer of any broker; raise `SourceUnavailable` if there is none who answers."""
        reason = "the cluster has no brokers"
        # Who is connected first, who was silent last.
        order = sorted(set(self._known.values()), key=lambda one: (one in self._suspects, one not in self._open))
        for address in order:
            try:
                return await self.ask(address, request)
            except (UnreachableError, SilentError) as error:
                reason = str(error)
        raise SourceUnavailable(reason)

    async def ask(self, address: Address, request: Any) -> Any:
        """Return a broker's answer.

        Raise `UnreachableError` or `SilentError` if there is none, `ScalerError` if its version is too old.
        """
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._asked(address, request)
        except TimeoutError:
            # Whatever it still says, nobody waits for it.
            self._drop(address)
            self._suspects.add(address)
            raise SilentError(f"broker {_shown(address)} did not answer within {self._seconds:g} s") from None
        self._suspects.discard(address)
        return answer

    async def _asked(self, address: Address, request: Any) -> Any:
        while True:
            connection, fresh = await self._connection(address)
            try:
                return await connection.send(request)
            except (IncompatibleBrokerVersion, NotImplementedError):
                raise ScalerError(f"broker {_shown(address)} is too old, or too new, for keda-py") from None
            except (ValueError, struct.error):
                # Nothing of it was sent: others on this connection are not concerned.
                raise ScalerError(f"broker {_shown(address)} cannot be asked: a name does not fit a request") from None
            except (KafkaError, OSError) as error:
                self._drop(address, connection)
                # It may have been closed long ago, by a restart or for being idle.
                if fresh:
                    raise UnreachableError(f"broker {_shown(address)}: {_reason(error)}") from None

    async def _connection(self, address: Address) -> tuple[Any, bool]:
        """Return the connection to a broker, and whether it was opened for this."""
        # Several rounds may want it at once; one opens it.
        async with self._opening.setdefault(address, asyncio.Lock()):
            connection = self._open.get(address)
            if connection is not None and connection.connected():
                return connection, False
            self._drop(address)
            self._open[address] = connection = await self._connect(address)
            return connection, True

    async def _connect(self, address: Address) -> Any:
        host, port = address
        milliseconds = round(self._seconds * 1000)
        try:
            return await self._open_connection(host, port, client_id=CLIENT_ID, request_timeout_ms=milliseconds)
        except LoginError as error:
            raise UnreachableError(f"broker {_shown(address)}: {error}") from None
        except (TimeoutError, ScalerError):
            raise
        except (KafkaConnectionError, OSError) as error:
            raise UnreachableError(f"broker {_shown(address)}: {_reason(error)}") from None
        except UnsupportedSaslMechanismError:
            raise UnreachableError(f"broker {_shown(address)} does not offer SASL {self._mechanism} here") from None
        except (KafkaError, ValueError, KeyError, AssertionError):
            # What a broker or aiokafka says about credentials may repeat them.
            sasl = f"refused the credentials (SASL {self._mechanism})"
            said = sasl if self._mechanism else "does not speak Kafka's protocol"
            raise UnreachableError(f"broker {_shown(address)} {said}") from None

    async def _bootstrap(self) -> None:
        """Find the brokers; the connection is kept if its address is one of theirs."""
        try:
            addresses = [(host, port) for host, port, _ in collect_hosts(list(self._servers))]
        except ValueError:
            raise SourceUnavailable("bootstrapServers: expected host:port, separated by commas") from None
        reasons = []
        for address in addresses:
            try:
                self.learn(await self.ask(address, MetadataRequest([], allow_auto_topic_creation=False)))
            except (UnreachableError, SilentError) as error:
                reasons.append(str(error))
                continue
            return
        raise SourceUnavailable("; ".join(dict.fromkeys(reasons)))

    def _drop(self, address: Address, connection: Any = None) -> None:
        """Close a connection without waiting for it; only if it is still this one."""
        if connection is None or self._open.get(address) is connection:
            gone = self._open.pop(address, None)
            if gone is not None:
                gone.close(reason=CloseReason.CONNECTION_BROKEN)

    async def _close_all(self) -> None:
        closing = [gone for connection in self._open.values() if (gone := connection.close(CloseReason.SHUTDOWN))]
        self._open.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*closing)


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: BaseException) -> str:
    """Return why there is no connection, in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'unknown').replace('_', ' ').lower()}"
    if isinstance(error, OversizedError):
        return f"{error}: is this port Kafka's, and are tls and sasl what its listener expects?"
    if isinstance(error, OSError):
        # asyncio's own words repeat the address.
        refused = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        return refused or "cannot connect"
    if isinstance(error.__cause__, ssl.SSLError | OversizedError):
        return _reason(error.__cause__)
    return "it closed the connection: are tls and sasl what its listener expects?"
