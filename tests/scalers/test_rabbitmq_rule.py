"""Whom an address means, what parameters come to, and what a mode makes of a queue."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keda_py_scalers.rabbitmq import RabbitMQScaler
from keda_py_scalers.rabbitmq_rule import (
    OPERATIONS,
    QueueState,
    address,
    aim,
    composed,
    measured,
    protocol_of,
    queue_state,
)

from keda_py.scaler import EmptyAnswer, MetadataError, ScalerError
from keda_py.testing import made

# --- whom an address means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "vhost_name", "queues"),
    [
        ("http://h", "", "http://h:80/api/queues/%2F"),
        ("http://h:15672/", "", "http://h:15672/api/queues/%2F"),
        ("https://h/%2F", "", "https://h:443/api/queues/%2F"),
        ("http://h/myVhost", "", "http://h:80/api/queues/myVhost"),
        ("http://h/%2FmyVhost", "", "http://h:80/api/queues/%2FmyVhost"),
        ("http://h/sub1/", "", "http://h:80/sub1/api/queues/%2F"),
        ("http://h/sub1/sub2/%2F", "", "http://h:80/sub1/sub2/api/queues/%2F"),
        ("http://h/sub1/sub2/myVhost", "", "http://h:80/sub1/sub2/api/queues/myVhost"),
        ("http://h/sub1/myVhost", "other/one", "http://h:80/sub1/api/queues/other%2Fone"),
        ("http://h/", "a b", "http://h:80/api/queues/a%20b"),
        ("http://h/a%20b", "", "http://h:80/api/queues/a%20b"),
        ("http://[::1]:15672/v", "", "http://[::1]:15672/api/queues/v"),
        ("http://user:p%40ss@h:15672/v", "", "http://h:15672/api/queues/v"),
    ],
)
def test_where_the_management_api_has_the_queues(host: str, vhost_name: str, queues: str) -> None:
    assert address(host, "http", vhost=vhost_name).queues == queues


@pytest.mark.parametrize(
    ("host", "vhost_name", "vhost"),
    [
        ("amqp://h", "", "/"),
        ("amqp://h/", "", "/"),
        ("amqp://h/%2f", "", "/"),
        ("amqp://h//", "", "/"),
        ("amqp://h/v", "", "v"),
        ("amqp://h//v", "", "/v"),
        ("amqp://h/%2Fv", "", "/v"),
        ("amqp://h/a/b", "", "a/b"),
        ("amqp://h/a%20b", "", "a b"),
        ("amqp://h/v", "/w", "/w"),
        ("amqp://h/v", "%2F", "%2F"),
    ],
)
def test_the_virtual_host_of_an_amqp_address(host: str, vhost_name: str, vhost: str) -> None:
    assert address(host, "amqp", vhost=vhost_name).vhost == vhost


@pytest.mark.parametrize(
    ("host", "given", "who"),
    [
        ("amqp://h", {}, (None, "")),
        ("amqp://u@h", {}, ("u", "")),
        ("amqp://u%2Fs:p%40ss@h", {}, ("u/s", "p@ss")),
        ("amqp://u:p@h", {"username": "x", "password": "y@z"}, ("x", "y@z")),
    ],
)
def test_who_we_are_is_never_shown(host: str, given: dict[str, str], who: tuple[str | None, str]) -> None:
    found = address(host, "amqp", **given)
    assert (found.username, found.password) == who
    assert str(found) == "amqp://h:5672"
    assert repr(who[1]) not in repr(found).replace("''", "")


@pytest.mark.parametrize(
    "host",
    ["", "h", "h:5672", "://", "ftp://h", "amqp://u:p#x@h", "amqp://h:port", "amqp://u:p%zz@h", "amqp://h/\n", "a b"],
)
def test_what_is_no_address_is_told_without_repeating_it(host: str) -> None:
    with pytest.raises(ValueError, match=r"^host: ") as raised:
        address(host, "amqp")
    assert "p#x" not in str(raised.value)
    assert "%zz" not in str(raised.value)


def test_the_protocol_follows_from_the_address() -> None:
    hosts = ["amqp://h", "AMQPS://h", "http://h", "https://h"]
    assert [protocol_of(host) for host in hosts] == ["amqp", "amqp", "http", "http"]
    with pytest.raises(ValueError, match="must begin with"):
        protocol_of("stomp://h")


# --- what parameters come to ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (("Unknown", 0, 0, "amqp", False), ("QueueLength", 20)),
        (("Unknown", 0, 0, "amqp", True), ("QueueLength", 20)),
        (("Unknown", 0, 7, "http", False), ("QueueLength", 7)),
        (("QueueLength", 5, 0, "amqp", False), ("QueueLength", 5)),
        (("MessageRate", 5, 0, "http", True), ("MessageRate", 5)),
        (("QueueLength", 5, 0, "amqp", True), "timeout"),
        (("MessageRate", 5, 0, "amqp", False), "mode"),
        (("Bogus", 5, 0, "http", False), "mode"),
        (("Unknown", 5, 0, "http", False), "mode"),
        (("QueueLength", 0, 0, "http", False), "value"),
        (("Unknown", 5, 7, "http", False), "queueLength"),
        (("QueueLength", 0, 7, "http", False), "queueLength"),
    ],
)
def test_mode_and_value(given: tuple[str, float, float, str, bool], result: Any) -> None:
    mode, value, length, protocol, timeout = given

    def aimed() -> tuple[str, float]:
        return aim(mode, value, length, protocol=protocol, has_timeout=timeout)

    if isinstance(result, tuple):
        assert aimed() == result
        return
    with pytest.raises(ValueError, match=f"^{result}: "):
        aimed()


@pytest.mark.parametrize(
    ("metadata", "auth", "says"),
    [
        ({"host": "amqp://h", "useRegex": "true"}, {}, "useRegex: only with protocol http"),
        ({"host": "amqp://h", "excludeUnacknowledged": "true"}, {}, "excludeUnacknowledged: only with protocol http"),
        ({"host": "http://h", "useRegex": "true", "operation": "median"}, {}, "operation: must be one of"),
        ({"host": "http://h", "pageSize": "0"}, {}, "pageSize"),
        ({"host": "http://h", "protocol": "stomp"}, {}, "protocol: must be amqp, http or auto"),
        ({"host": "http://h", "protocol": "amqp"}, {}, "host: with protocol amqp"),
        ({"host": "http://h"}, {"username": "u"}, "username, password: needed together"),
        ({"host": "http://h"}, {"cert": "c"}, "cert, key: needed together"),
        ({"host": "http://h"}, {"tls": "on"}, "tls: must be enable or disable"),
        ({"host": "http://h"}, {"tls": "enable", "ca": "c"}, "ca: no certificate in PEM form"),
        ({"host": "http://h"}, {"clientID": "c"}, "oauthTokenURI, clientID, clientSecret: needed together"),
        ({"host": "amqp://h"}, {"workloadIdentityResource": "r"}, "workloadIdentityResource: only with protocol http"),
        (
            {"host": "http://h"},
            {"workloadIdentityResource": "https://vault.azure.net"},
            "of the broker's own application",
        ),
        (
            {"host": "http://h"},
            {"clientID": "c", "clientSecret": "d", "oauthTokenURI": "http://t", "username": "u", "password": "p"},
            "oauthTokenURI: not together with",
        ),
    ],
)
def test_what_does_not_go_together_is_told(metadata: dict[str, str], auth: dict[str, str], says: str) -> None:
    with pytest.raises(MetadataError) as raised:
        made(RabbitMQScaler, {"queueName": "q", **metadata}, auth=auth)
    assert says in str(raised.value)


# --- what a mode makes of a queue -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "counted", "activation", "result"),
    [
        ("QueueLength", (5, 0, 0), 0, (5, True)),
        ("QueueLength", (5, 0, 0), 5, (5, False)),
        ("QueueLength", (0, 9, 9), 0, (0, False)),
        ("MessageRate", (0, 2.5, 0), 2, (2.5, True)),
        ("MessageRate", (3, 0, 0), 2, (0, True)),
        ("MessageRate", (2, 2, 0), 2, (2, False)),
        ("DeliverGetRate", (100, 100, 0.5), 0, (0.5, True)),
        ("DeliverGetRate", (100, 100, 0), 0, (0, False)),
        ("PublishedToDeliveredRatio", (0, 3, 2), 1, (1.5, True)),
        ("PublishedToDeliveredRatio", (0, 3, 2), 1.5, (1.5, False)),
        ("PublishedToDeliveredRatio", (0, 3, 0), 7, (7, True)),
        ("PublishedToDeliveredRatio", (9, 0, 0), 0, (0, False)),
        ("PublishedToDeliveredRatio", (9, 0, 5), -1, (0, True)),
        ("ExpectedQueueConsumptionTime", (10, 4, 2), 5, (6, True)),
        ("ExpectedQueueConsumptionTime", (10, 4, 2), 6, (6, False)),
        ("ExpectedQueueConsumptionTime", (10, 4, 0), 5, (5, True)),
        ("ExpectedQueueConsumptionTime", (0, 4, 0), 0, (0, False)),
        ("ExpectedQueueConsumptionTime", (0, 4, 0), -1, (0, True)),
        ("ExpectedQueueConsumptionTime", (1, 0, 4), 0, (-0.75, False)),
    ],
)
def test_the_arithmetic_of_the_modes(
    mode: str, counted: tuple[int, float, float], activation: float, result: tuple[float, bool]
) -> None:
    messages, published, delivered = counted
    state = QueueState(99, 77, published, delivered)
    assert measured(mode, state, messages=messages, activation=activation) == result


STATES = st.builds(
    QueueState, *[st.integers(0, 2**40)] * 2, *[st.floats(0, 1e9, allow_nan=False).map(lambda rate: round(rate, 3))] * 2
)


@given(st.lists(STATES, min_size=1, max_size=20))
def test_several_queues_are_one(states: list[QueueState]) -> None:
    whole = {operation: composed(states, operation) for operation in OPERATIONS}
    assert whole["sum"].messages == sum(state.messages for state in states)
    assert whole["max"].ready == max(state.ready for state in states)
    assert whole["avg"].messages == whole["sum"].messages // len(states)
    assert whole["avg"].publish_rate == whole["sum"].publish_rate / len(states)
    assert whole["avg"].deliver_rate <= whole["max"].deliver_rate * 1.000001


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_queues_are_nothing_to_do(operation: str) -> None:
    assert composed([], operation) == QueueState(0, 0)


STATS = {"publish_details": {"rate": 1.5}, "deliver_get_details": {"rate": 2}}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({"messages": 5, "messages_ready": 3, "message_stats": STATS}, QueueState(5, 3, 1.5, 2.0)),
        ({"messages": 5, "messages_ready": 3}, QueueState(5, 3)),
        ({"messages": 5, "messages_ready": 3, "message_stats": []}, QueueState(5, 3)),
        ({"messages": 5, "messages_ready": 3, "message_stats": {"publish_details": []}}, QueueState(5, 3)),
        ({}, EmptyAnswer),
        ({"message_stats": STATS}, EmptyAnswer),
        ({"messages": 5}, EmptyAnswer),
        ({"messages": "5", "messages_ready": 3}, ScalerError),
        ({"messages": None, "messages_ready": 3}, ScalerError),
        ({"messages": True, "messages_ready": 3}, ScalerError),
        ({"messages": 5, "messages_ready": 3, "message_stats": 7}, ScalerError),
        ({"messages": 5, "messages_ready": 3, "message_stats": {"publish_details": {"rate": "x"}}}, ScalerError),
        (
            {"messages": 5, "messages_ready": 3, "message_stats": {"publish_details": {"rate": float("nan")}}},
            ScalerError,
        ),
    ],
)
def test_what_the_broker_says_of_a_queue(found: dict[str, Any], state: Any) -> None:
    if isinstance(state, QueueState):
        assert queue_state({"name": "q", **found}) == state
        return
    with pytest.raises(state, match="queue q"):
        queue_state({"name": "q", **found})
