"""RabbitMQ over AMQP 0-9-1: how many messages wait in a queue, by declaring it passively.

One connection serves all queues of a virtual host. A channel has one question at a time, so several channels go
through the questions side by side. The broker closes the channel on which it was asked for a queue that is not there:
that costs this channel, and the next question opens another. A channel whose answer was not waited for is closed and
never asked again: the answer that is still to come would be taken for that to the next question.
"""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from aiormq import spec
from aiormq.channel import Channel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ConnectionClosed,
    InvalidFrameError,
)

from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py_scalers.bounded import BoundedReader, OversizedError
from keda_py_scalers.rabbitmq_rule import PATIENCE, Address, Answer, Question, QueueState, SilenceError
from keda_py_scalers.transport import in_words

CHANNELS: Final = 4
QUESTIONS_PER_CHANNELS: Final = 250
"""So many questions are worth four channels more."""
OPEN_SECONDS: Final = 8.0
CLOSE_SECONDS: Final = 3.0
HEARTBEAT_SECONDS: Final = 10
LONGEST_NAME: Final = 255


class AmqpConnection:
    """A connection to one virtual host; one that was lost between two batches is opened again."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, *, external: bool) -> None:
        self._address = address
        self._tls = tls
        self._external = external
        self._connection: AbstractConnection | None = None
        self._opening = asyncio.Lock()
        self._idle: list[AbstractChannel] = []
        self._in_flight = 0
        self._at_work = 0

    async def open(self) -> None:
        """Connect if there is no connection; raise `SourceUnavailable` if that cannot be done."""
        async with self._opening:
            if self._is_open():
                return
            await self.close()
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    self._connection = await self._connected()
            except (OSError, AMQPError, ValueError) as error:
                raise SourceUnavailable(f"{self._address}: {_reason(error, self._address.vhost)}") from None

    def _is_open(self) -> bool:
        # The library tells of a loss only after it has tidied up; its reader ends at once.
        transport = self._connection.transport if self._connection is not None else None
        return transport is not None and transport.connection.is_opened

    async def close(self) -> None:
        """Close the connection, and with it its channels."""
        self._idle.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            # A broker that hangs does not say goodbye; the socket is closed all the same.
            with suppress(OSError, AMQPError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()

    async def answer_all(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Return the state of each queue, or why there is none."""
        await self.open()
        asked_at = asyncio.get_running_loop().time()
        waiting = deque(enumerate(questions))
        answers: dict[int, Answer] = {}
        self._in_flight += len(questions)
        try:
            spare = CHANNELS * math.ceil(self._in_flight / QUESTIONS_PER_CHANNELS) - self._at_work
            async with asyncio.TaskGroup() as asking:
                for _ in range(max(1, min(len(questions), spare))):
                    asking.create_task(self._ask_one_after_another(waiting, answers, asked_at=asked_at))
        finally:
            self._in_flight -= len(questions)
        # Where the connection broke, what was in flight was cancelled by the library, without an answer.
        lost = SourceUnavailable(f"{self._address}: the connection was lost")
        complete = [answers.get(index, lost) for index in range(len(questions))]
        if all(isinstance(answer, SilenceError) for answer in complete):
            raise SourceUnavailable(f"{self._address} does not answer")
        return complete

    async def _ask_one_after_another(
        self, waiting: deque[tuple[int, Question]], answers: dict[int, Answer], *, asked_at: float
    ) -> None:
        self._at_work += 1
        try:
            while waiting:
                index, question = waiting.popleft()
                answers[index] = await self._answer(question, until=asked_at + question.seconds * PATIENCE)
        finally:
            self._at_work -= 1

    async def _answer(self, question: Question, *, until: float) -> Answer:
        try:
            async with asyncio.timeout_at(until):
                return [await self._messages(question.queue)]
        except TimeoutError:
            return SilenceError(question)
        except ScalerError as error:
            return error

    async def _messages(self, queue: str) -> QueueState:
        try:
            async with self._channel() as channel:
                declared = await cast("Channel", await channel.get_underlay_channel()).rpc(_PassiveDeclare(queue))
        except ChannelNotFoundEntity:
            raise ScalerError(
                f"no queue {queue} in the virtual host {self._address.vhost} of {self._address}"
            ) from None
        except ChannelAccessRefused:
            raise ScalerError(f"{self._address} does not let this user see queue {queue}") from None
        except ChannelLockedResource:
            raise ScalerError(f"queue {queue} is exclusive to another connection; protocol http can see it") from None
        except ValueError:
            raise ScalerError(f"queueName: at most {LONGEST_NAME} bytes of text") from None
        except (OSError, AMQPError, RuntimeError) as error:
            if not self._is_open():
                raise SourceUnavailable(f"{self._address}: the connection was lost") from None
            raise ScalerError(f"{self._address}, queue {queue}: {type(error).__name__}") from None
        count = declared.message_count or 0
        return QueueState(count, count)

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        """Lend a channel; it comes back only from a question that was answered."""
        channel = next(self._open_idle(), None)
        if channel is None:
            if self._connection is None:
                raise ConnectionError
            channel = await self._connection.channel(publisher_confirms=False)
        yield channel
        self._idle.append(channel)

    def _open_idle(self) -> Iterator[AbstractChannel]:
        while self._idle:
            channel = self._idle.pop()
            if not channel.is_closed:
                yield channel

    async def _connected(self) -> AbstractConnection:
        address = self._address
        if "%2F" in address.vhost:
            raise ValueError("the library would take it for a slash, and so for another virtual host")
        who: dict[str, Any] = {"auth": "external"} if self._external else {}
        if address.username is not None:
            who |= {"login": address.username, "password": address.password}
        connection: AbstractConnection = await aio_pika.connect(
            host=address.host,
            port=address.port,
            virtualhost=address.vhost,
            ssl=address.scheme == "amqps",
            ssl_context=self._tls,
            client_properties={"connection_name": "keda-py"},
            heartbeat=HEARTBEAT_SECONDS,
            connection_class=_BoundedConnection,
            **who,
        )
        return connection


class _BoundedConnection(aio_pika.Connection):
    """A connection on which no frame may be larger than is ever read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # aio_pika hands this on to aiormq, and offers no parameter for what aiormq takes.
        self.kwargs["transport_factory"] = _BoundedTransport()


class _BoundedTransport(TransportFactory):
    async def create(self, url: Any, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        transport = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await transport.create(url, **options)
        # aiormq reads frames by these two methods alone.
        return cast("asyncio.StreamReader", BoundedReader(reader)), writer


class _PassiveDeclare(spec.Queue.Declare):
    """Asks for a queue of any name; the library's own pattern of names is narrower than what brokers take."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue=queue, passive=True)

    def validate(self) -> None:
        """Raise ValueError for a name that cannot be sent."""
        if len(self.queue.encode()) > LONGEST_NAME:
            raise ValueError("longer than a name may be")


def _reason(error: BaseException, vhost: str) -> str:
    """Return why there is no connection; the library's own words may quote what we sent."""
    # What a failure came from tells more than the failure.
    causes = (error.__cause__ or error, error)
    words: dict[Any, str] = {
        ssl.SSLCertVerificationError: f"its certificate is not trusted: {getattr(causes[0], 'verify_message', '')}",
        ProbableAuthenticationError: "the broker refuses the user name or the password",
        AuthenticationError: "the broker does not offer this way to log in",
        OversizedError: f"{causes[0]}: is this the port for AMQP?",
        (InvalidFrameError, ConnectionClosed): f"the broker refuses the virtual host {vhost}: "
        "is it there, and may the user use it?",
        TimeoutError: f"no connection within {OPEN_SECONDS:g} s",
        EOFError: "it closed the connection: is this the port for AMQP?",
        OSError: in_words(causes[0]) if isinstance(causes[0], OSError) else type(error).__name__,
        ValueError: f"the virtual host {vhost} cannot be named over AMQP",
    }
    fitting = (text for cause in causes for kind, text in words.items() if isinstance(cause, kind))
    return next(fitting, type(error).__name__)
