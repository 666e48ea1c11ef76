"""The rules of the `rabbitmq` trigger that need no broker: whom an address means, and what a mode makes of a queue.

Both are those of KEDA's pkg/scalers/rabbitmq_scaler.go, and of the AMQP library it uses for ``amqp://`` addresses.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from keda_py.scaler import EmptyAnswer, ScalerError

AMQP: Final = "amqp"
HTTP: Final = "http"
AUTO: Final = "auto"
SCHEMES: Final = {AMQP: ("amqp", "amqps"), HTTP: ("http", "https")}
PORTS: Final = {"amqp": 5672, "amqps": 5671, "http": 80, "https": 443}
RATE_MODES: Final = ("MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime")
QUEUE_LENGTH: Final = "QueueLength"
UNKNOWN: Final = "Unknown"
USUAL_LENGTH: Final = 20.0
OPERATIONS: Final = ("sum", "avg", "max")
COLUMNS: Final = (
    "name,messages,messages_ready,message_stats.publish_details.rate,message_stats.deliver_get_details.rate"
)

# --- whom an address means ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """A broker, a virtual host of it, and who we are there; ``str()`` is fit for a message: no credentials."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    """Where the management API begins, for a broker behind a path; without a slash at its end."""
    vhost: str
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def api(self) -> str:
        """The URL of the management API."""
        return f"{self}{self.path}/api"

    @property
    def queues(self) -> str:
        """The URL of the queues of the virtual host there."""
        return f"{self.api}/queues/{quote(self.vhost, safe='')}"


def protocol_of(host: str) -> str:
    """Return which protocol an address asks for; raise ValueError if it is none of a broker's."""
    scheme = _split(host).scheme
    for protocol, schemes in SCHEMES.items():
        if scheme in schemes:
            return protocol
    raise ValueError("host: must begin with amqp://, amqps://, http:// or https://, or set protocol")


def address(host: str, protocol: str, *, vhost: str = "", username: str = "", password: str = "") -> Address:
    """Return whom `host` means; what is given beside it goes before what it says itself.

    Raises ValueError if nobody. An AMQP address names its virtual host in its whole path, one of the management API
    in the last part, so that ``http://h/a/b/%2F`` is the API under ``/a/b`` and the virtual host ``/``.
    """
    parts = _split(host)
    if parts.scheme not in SCHEMES[protocol] or (protocol == HTTP and not parts.hostname):
        raise ValueError(f"host: with protocol {protocol} it must be {protocol}:// or {protocol}s:// and a host")
    *before, last = parts.path.split("/")
    path, own_vhost = ("", parts.path.removeprefix("/")) if protocol == AMQP else ("/".join(filter(None, before)), last)
    if username:
        named: str | None = username
    else:
        named = None if parts.username is None else unquote(parts.username)
        password = unquote(parts.password or "")
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "localhost",
        port=parts.port or PORTS[parts.scheme],
        path=f"/{path}" if path else "",
        vhost=vhost or unquote(own_vhost) or "/",
        username=named,
        password=password,
    )


def _split(host: str) -> SplitResult:
    """Return the parts of a URL; raise ValueError, without quoting it, for what Go's url.Parse refuses too."""
    try:
        parts = urlsplit(host)
        _ = parts.port
    except ValueError:
        raise ValueError("host: not a URL") from None
    user = parts.netloc.rpartition("@")[0]
    if (
        not parts.scheme
        or re.search(r"[\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})", host)
        or re.search(r"[\s<>\"]", parts.netloc.rpartition("@")[2])
        or re.search(r"[^A-Za-z0-9\-._:~!$&'()*+,;=%@]", user)
    ):
        raise ValueError("host: not a URL; in a user name or password write special characters as %XX")
    return parts


# --- what a trigger means -------------------------------------------------------------------------------------------


def aim(mode: str, value: float, queue_length: float, *, protocol: str, has_timeout: bool) -> tuple[str, float]:
    """Return the mode and the value per replica that a trigger's parameters come to; raise ValueError saying why none.

    `queue_length` is the deprecated parameter of that name; 0 stands for not given, as with KEDA (validateTrigger).
    """
    if mode == UNKNOWN and not value:
        return QUEUE_LENGTH, queue_length or USUAL_LENGTH
    if queue_length:
        raise ValueError("queueLength: deprecated, and not together with mode and value")
    if mode == UNKNOWN:
        raise ValueError("mode: required where value is set")
    if not value:
        raise ValueError("value: required where mode is set, and not 0")
    if mode not in (QUEUE_LENGTH, *RATE_MODES):
        raise ValueError(f"mode: must be one of {', '.join((QUEUE_LENGTH, *RATE_MODES))}")
    if mode != QUEUE_LENGTH and protocol != HTTP:
        raise ValueError(f"mode: {mode} needs protocol http")
    if has_timeout and protocol == AMQP:
        raise ValueError("timeout: only with protocol http")
    return mode, value


# --- what a mode makes of a queue -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a broker: a queue, or with `pattern` all whose names match.

    `rates`: whether the rates of its messages matter. `seconds`: how long the answer may take.
    """

    queue: str
    seconds: float
    pattern: bool = False
    page_size: int = 100
    rates: bool = False


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a broker says of a queue: messages, those of them that wait for a consumer, and messages per second."""

    messages: int
    ready: int
    publish_rate: float = 0.0
    deliver_rate: float = 0.0


Answer = Sequence[QueueState] | ScalerError
PATIENCE: Final = 0.8
"""The part of its time after which a question has failed by itself, before its whole batch would."""


class SilenceError(ScalerError):
    """A question's time passed without an answer."""

    def __init__(self, question: Question) -> None:
        super().__init__(f"no answer within {question.seconds * PATIENCE:g} s")


def queue_state(found: Mapping[str, Any]) -> QueueState:
    """Return the state of a queue from the management API; raise `EmptyAnswer` if that knows nothing of it yet.

    A rate that is missing beside a number of messages is that of something that has not happened: 0.
    """
    if "messages" not in found or "messages_ready" not in found:
        raise EmptyAnswer(f"the broker has no statistics of queue {found.get('name')} yet")
    counts = found["messages"], found["messages_ready"]
    try:
        # What has no parts is an empty list in the broker's JSON.
        parts = [
            (found.get("message_stats") or {}).get(name) or {} for name in ("publish_details", "deliver_get_details")
        ]
        rates = [float(part.get("rate", 0.0)) for part in parts]
        sound = all(type(count) is int for count in counts) and all(map(math.isfinite, rates))
    except (AttributeError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ScalerError(f"the broker's statistics of queue {found.get('name')} are no numbers")
    return QueueState(*counts, *rates)


def composed(states: Sequence[QueueState], operation: str) -> QueueState:
    """Return what several queues make together; of none there is nothing to do: 0 (getComposedQueue)."""
    if not states:
        return QueueState(0, 0)
    how = max if operation == "max" else sum
    rows = ((state.messages, state.ready, state.publish_rate, state.deliver_rate) for state in states)
    messages, ready, published, delivered = map(how, zip(*rows, strict=True))
    count = len(states) if operation == "avg" else 1
    return QueueState(messages // count, ready // count, published / count, delivered / count)


def measured(mode: str, state: QueueState, *, messages: int, activation: float) -> tuple[float, bool]:
    """Return the value of the metric and whether it is active (GetMetricsAndActivity).

    `messages`: those of `state` that count. Where nobody takes messages out, the ratio and the time have no value;
    the target is awake then, and the value is that of the activation, so that it asks for no further replicas.
    """
    published, delivered = state.publish_rate, state.deliver_rate
    if mode == QUEUE_LENGTH:
        return messages, messages > activation
    if mode == "MessageRate":
        return published, published > activation or messages > activation
    if mode == "DeliverGetRate":
        return delivered, delivered > activation
    waiting = published > 0 if mode == "PublishedToDeliveredRatio" else messages > 0
    if not waiting:
        return 0.0, activation < 0
    if delivered == 0:
        return activation, True
    if mode == "PublishedToDeliveredRatio":
        value = published / delivered
    else:
        value = (published - delivered) / delivered + messages / delivered
    return value, value > activation
