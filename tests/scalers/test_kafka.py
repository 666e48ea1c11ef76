"""Kafka triggers without a broker: what lag is, what the parameters mean, what goes over the wire."""

import struct
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keda_py_scalers.apache_kafka import ApacheKafkaScaler
from keda_py_scalers.kafka import KafkaScaler
from keda_py_scalers.kafka_kerberos import reduced
from keda_py_scalers.kafka_lag import Lag, Position, Rules, lag_of, measure
from keda_py_scalers.kafka_wire import Commits, Coordinators, FetchOffsets, FindCoordinators, GroupCommits, TooOldError

from keda_py.scaler import Inputs, MetadataError, Platform, Trigger, build
from keda_py.testing import FakeKubernetes, FakeSource, made

from .asking import Asked, read

GIVEN = {"bootstrapServers": "b:9092", "consumerGroup": "g", "topic": "t"}

# --- lag ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "rules", "lag"),
    [
        (Position(7, 10), {}, 3),
        (Position(10, 10), {}, 0),
        (Position(0, 10), {}, 10),
        (Position(12, 10), {}, 0),
        (Position(7, 10), {"zero_on_invalid": True, "earliest": True}, 3),
        (Position(None, 10), {}, 1),
        (Position(None, 0), {}, 1),
        (Position(None, 10), {"zero_on_invalid": True}, 0),
        (Position(None, 10, 0), {"earliest": True}, 10),
        (Position(None, 10, 4), {"earliest": True}, 6),
        (Position(None, 10, 10), {"earliest": True}, 0),
        (Position(None, 10), {"earliest": True, "zero_on_invalid": True}, 0),
        # Retention went past the group: what it lost counts as long as it has not noticed, as Kafka's own tools say.
        (Position(2, 10, 6), {"earliest": True}, 8),
    ],
)
def test_the_lag_of_a_partition(position: Position, rules: dict[str, Any], lag: int) -> None:
    assert lag_of(position, Rules(5, **rules)) == lag


def positions(*lags: int) -> dict[tuple[str, int], Position]:
    return {("t", number): Position(100, 100 + lag) for number, lag in enumerate(lags)}


@pytest.mark.parametrize(
    ("lags", "rules", "value"),
    [
        ((3, 4), {}, 7),
        ((0, 0), {}, 0),
        # No more than a replica for each partition, unless idle ones are wanted.
        ((60, 0), {}, 20),
        ((29, 0), {}, 20),
        ((10, 4), {}, 14),
        ((60, 0), {"allow_idle": True}, 60),
        # ... or for each partition with something to do.
        ((60, 0, 0), {"limit_to_lagging": True}, 10),
        ((3, 0, 0), {"limit_to_lagging": True}, 3),
        ((0, 0, 0), {"limit_to_lagging": True}, 0),
        # The next number of replicas that divides the partitions: of 6 partitions 1, 2, 3 or 6.
        ((1, 0, 0, 0, 0, 0), {"even": True}, 10),
        ((11, 0, 0, 0, 0, 0), {"even": True}, 20),
        ((31, 0, 0, 0, 0, 0), {"even": True}, 60),
        ((10**6, 0, 0, 0, 0, 0), {"even": True}, 60),
        ((31, 0, 0, 0, 0, 0), {"even": True, "allow_idle": True}, 60),
        # As in KEDA: one replica's worth even with nothing to do; activation looks at what there is.
        ((0, 0), {"even": True}, 10),
    ],
)
def test_the_value_of_a_group(lags: tuple[int, ...], rules: dict[str, Any], value: int) -> None:
    assert measure(positions(*lags), Rules(10, **rules), before={}) == Lag(value, sum(lags))


def test_partitions_that_are_stuck_do_not_count_towards_replicas_but_keep_awake() -> None:
    rules = Rules(10, exclude_persistent=True)
    now = {("t", 0): Position(5, 9), ("t", 1): Position(5, 8), ("t", 2): Position(None, 8)}
    assert measure(now, rules, before={}) == Lag(8, 8)
    stood_still = {("t", 0): 5, ("t", 1): 4, ("t", 2): None}
    assert measure(now, rules, before=stood_still) == Lag(4, 8)
    assert measure(now, Rules(10), before=stood_still) == Lag(8, 8)


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=12),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_value_never_asks_for_more_replicas_than_can_work(
    lags: list[int], threshold: int, idle: bool, limit: bool, even: bool
) -> None:
    rules = Rules(threshold, allow_idle=idle, limit_to_lagging=limit and not even, even=even)
    value, whole = measure(positions(*lags), rules, before={})
    assert whole == sum(lags)
    replicas = -(-value // threshold)
    if even:
        assert len(lags) % replicas == 0
        assert value >= min(whole, threshold * len(lags))
    elif not idle or rules.limit_to_lagging:
        most = sum(lag > 0 for lag in lags) if rules.limit_to_lagging else len(lags)
        assert value == min(whole, most * threshold)
    else:
        assert value == whole


# --- reading --------------------------------------------------------------------------------------------------------


async def value_of(scaler: Any) -> tuple[float, bool]:
    (reading,) = await scaler.get_metrics()
    return reading.value, reading.active


async def test_the_same_answer_twice_is_no_group_that_stands_still() -> None:
    first, second = {("t", 0): Position(5, 9)}, {("t", 0): Position(5, 11)}
    source = FakeSource({})
    scaler = made(KafkaScaler, GIVEN | {"excludePersistentLag": "true"}, source=source)
    source.answers = {scaler.meta.question: first}
    assert await value_of(scaler) == await value_of(scaler) == (4, True)
    source.answers = {scaler.meta.question: second}
    assert await value_of(scaler) == await value_of(scaler) == (0, True)
    source.answers = {scaler.meta.question: {("t", 0): Position(6, 11)}}
    assert await value_of(scaler) == (5, True)


@pytest.mark.parametrize(("threshold", "active"), [("3", True), ("4", False), ("5", False)])
async def test_activation_is_strictly_above_its_threshold_and_not_bounded(threshold: str, active: bool) -> None:
    given = GIVEN | {"activationLagThreshold": threshold, "lagThreshold": "1"}
    scaler = made(KafkaScaler, given)
    scaler.source = FakeSource({scaler.meta.question: {("t", 0): Position(0, 4)}})
    assert await value_of(scaler) == (1, active)


async def test_what_is_asked() -> None:
    asked = made(KafkaScaler, GIVEN | {"partitionLimitation": "1, 4-6", "offsetResetPolicy": "earliest"}).meta.question
    assert (asked.group, asked.topics, asked.from_start) == ("g", ("t",), True)
    assert asked.partitions == (range(1, 2), range(4, 7))
    given = GIVEN | {"offsetResetPolicy": "earliest", "scaleToZeroOnInvalidOffset": "true"}
    assert not made(KafkaScaler, given).meta.question.from_start
    many = GIVEN | {"topic": "t,u,t", "partitionLimitation": "1"}
    asked = made(ApacheKafkaScaler, many).meta.question
    assert (asked.topics, asked.partitions) == (("t", "u", "t"), (range(1, 2),))


@pytest.mark.parametrize("scaler", [KafkaScaler, ApacheKafkaScaler])
def test_without_a_topic_no_partition_is_left_out(scaler: Any) -> None:
    given = {"bootstrapServers": "b:9092", "consumerGroup": "g", "partitionLimitation": "1"}
    asked = made(scaler, given).meta.question
    assert (asked.topics, asked.partitions) == ((), None)


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "auth", "says"),
    [
        ({"lagThreshold": "0"}, {}, "lagThreshold"),
        ({"activationLagThreshold": "-1"}, {}, "activationLagThreshold"),
        ({"allowIdleConsumers": "true", "limitToPartitionsWithLag": "true"}, {}, "exclude each other"),
        ({"limitToPartitionsWithLag": "true", "topic": ""}, {}, "needs a topic"),
        ({"ensureEvenDistributionOfPartitions": "true", "topic": ""}, {}, "needs a topic"),
        ({"limitToPartitionsWithLag": "true", "ensureEvenDistributionOfPartitions": "true"}, {}, "exclude each other"),
        ({"fullMetadata": "false", "topic": ""}, {}, "fullMetadata: false needs a topic"),
        ({"version": "0.11"}, {}, "version"),
        ({"topic": "t" * 2**15}, {}, "topic: expected at most 32767 bytes of text"),
        ({"topic": "é" * 2**14}, {}, "topic: expected at most 32767 bytes of text"),
        ({"consumerGroup": "g" * 2**15}, {}, "consumerGroup: expected at most 32767 bytes of text"),
        ({"partitionLimitation": "1-2-3"}, {}, "partitionLimitation: expected partitions"),
        ({"partitionLimitation": "99999999999"}, {}, "32 bits"),
        ({"tls": "enable"}, {"cert": "c"}, "cert, key: one without the other"),
        ({"tls": "enable"}, {"ca": "no PEM"}, "ca: no certificate in PEM form"),
        ({"tls": "enable"}, {"cert": "c", "key": "k", "keyPassword": "p"}, "keyPassword is not that of the key"),
        ({"sasl": "scram_sha512"}, {}, "sasl scram_sha512: needs username and password"),
        ({"sasl": "oauthbearer"}, {"username": "u", "password": "p"}, "needs oauthTokenEndpointUri"),
        (
            {"sasl": "oauthbearer"},
            {"username": "u", "password": "p", "oauthTokenEndpointUri": "http://x", "oauthExtensions": "a"},
            "oauthExtensions: expected key=value",
        ),
        ({"sasl": "gssapi"}, {"username": "u", "password": "p", "keytab": "k"}, "realm and kerberosConfig"),
        (
            {"sasl": "gssapi"},
            {"username": "u", "password": "p", "keytab": "k", "realm": "r", "kerberosConfig": "c"},
            "either password or keytab",
        ),
    ],
)
def test_what_makes_no_sense_is_told(given: dict[str, str], auth: dict[str, str], says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        made(KafkaScaler, GIVEN | given, auth=auth)


def test_no_authority_is_read_to_check_a_trigger_without_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no PEM")
    platform = Platform(lambda: datetime.now(UTC), FakeKubernetes(), ca_paths=(str(tmp_path / "ca.pem"),))

    def checked(auth: dict[str, str]) -> None:
        about = Trigger("kafka", 0, Inputs(GIVEN | {"tls": "enable"}, auth), "ns", "app")
        build(KafkaScaler, about, platform=platform, source=lambda _: None)

    checked({})
    with pytest.raises(MetadataError, match=r"ca\.pem: no certificate in PEM form"):
        checked({"ca": "some"})


@pytest.mark.parametrize("kind", [KafkaScaler, ApacheKafkaScaler])
@pytest.mark.parametrize("name", ["topic", "consumerGroup"])
def test_a_name_that_is_no_text_is_told(kind: Any, name: str) -> None:
    with pytest.raises(MetadataError, match=name):
        made(kind, GIVEN | {name: "a\ud800"})
    made(kind, GIVEN | {name: "t" * (2**15 - 1)})


def test_what_of_apache_kafka_makes_no_sense_is_told() -> None:
    with pytest.raises(MetadataError, match="gssapi is offered by the type kafka only"):
        made(ApacheKafkaScaler, GIVEN | {"sasl": "gssapi"})
    with pytest.raises(MetadataError, match="sasl: name one only"):
        made(ApacheKafkaScaler, GIVEN | {"sasl": "scram_sha512,aws_msk_iam"})
    with pytest.raises(MetadataError, match="sasl: given both in"):
        made(ApacheKafkaScaler, GIVEN | {"sasl": "none"}, auth={"sasl": "none"})


def test_only_what_matters_makes_another_source() -> None:
    def key(auth: dict[str, str] | None = None, **given: str) -> Any:
        scaler = made(KafkaScaler, GIVEN | given, auth=auth)
        return scaler.source_key(scaler.meta, scaler.trigger)

    login = {"username": "u", "password": "p"}
    assert key() == key(login) == key(topic="other", lagThreshold="3", consumerGroup="h", sasl="none")
    assert key(bootstrapServers="a:1,b:2") == key(bootstrapServers="b:2,a:1")
    other = [key(), key(bootstrapServers="c:9092"), key(tls="enable"), key(tls="enable", unsafeSsl="true")]
    for sasl in ("plaintext", "scram_sha256", "scram_sha512"):
        other += [key(login, sasl=sasl), key(login | {"password": "q"}, sasl=sasl)]
    assert len(set(other)) == len(other)


# --- the wire -------------------------------------------------------------------------------------------------------


def test_many_groups_are_one_request() -> None:
    request = FetchOffsets({"a": {"t": [0, 300]}, "b": None}).prepare({9: (1, 8)})
    assert (
        request.build_request_header(correlation_id=7, client_id="me").encode() == b"\0\x09\0\x08\0\0\0\x07\0\x02me\0"
    )
    a = b"\x02a\x02\x02t\x03" + struct.pack(">ii", 0, 300) + b"\0\0"
    assert request.encode() == b"\x03" + a + b"\x02b\0\0" + b"\0\0"
    assert FindCoordinators(("a", "é" * 100)).encode() == b"\0\x03\x02a" + b"\xc9\x01" + "é".encode() * 100 + b"\0"


@pytest.mark.parametrize("versions", [{}, {9: (1, 7)}, {9: (9, 12)}])
def test_a_broker_that_does_not_know_the_version_is_not_asked(versions: dict[int, tuple[int, int]]) -> None:
    with pytest.raises(TooOldError):
        FetchOffsets({}).prepare(versions)


def test_answers_are_read() -> None:
    partition = struct.pack(">iqi", 3, 2**40, -1) + b"\x03me" + b"\0\0" + b"\1\x63\x02xy"
    topic = b"\x02t\x02" + partition + b"\0"
    group = b"\x02a\x02" + topic + b"\0\x1e\0"
    found = GroupCommits.decode(BytesIO(b"\0\0\0\0\x02" + group + b"\0"))
    assert found == {"a": Commits(30, {("t", 3): (2**40, 0)})}
    coordinator = b"\x02a" + struct.pack(">i", 1) + b"\x05host" + struct.pack(">ih", 9092, 0) + b"\0\0"
    assert Coordinators.decode(BytesIO(b"\0\0\0\0\x02" + coordinator + b"\0"))["a"] == (0, "host", 9092)


@given(st.binary(max_size=60))
def test_garbage_is_an_error_and_no_answer(content: bytes) -> None:
    try:
        found = GroupCommits.decode(BytesIO(content))
    except (ValueError, IndexError, struct.error):
        return
    assert all(isinstance(commits.error, int) for commits in found.values())


async def test_kerberos_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    login = {"username": "u", "password": "p", "realm": "R", "kerberosConfig": "c"}
    outcome = await read(Asked(KafkaScaler, GIVEN | {"sasl": "gssapi"}, login))
    assert (
        outcome.failure == "sasl gssapi needs the Python module gssapi; install it where keda-py runs "
        "(its extra kerberos)"
    )


async def test_a_kerberos_that_cannot_be_loaded_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gssapi.py").write_text("raise ImportError('libgssapi_krb5.so.2: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "gssapi", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    login = {"username": "u", "password": "p", "realm": "R", "kerberosConfig": "c"}
    outcome = await read(Asked(KafkaScaler, GIVEN | {"sasl": "gssapi"}, login))
    assert "does the daemon's image have MIT Kerberos' libraries (Debian's libgssapi-krb5-2)?" in str(outcome.failure)


@pytest.mark.parametrize(
    "loads",
    [
        "include /etc/shadow",
        "includedir /etc",
        "module /tmp/keda-py-x/keytab:p",
        "[plugins]\npwqual = {\nmodule = p:/tmp/p.so\n}",
        " [plugins]\nclpreauth = {\nmodule = p:/tmp/p.so\n}",
        "[libdefaults]\nplugin_base_dir = /tmp",
        "[realms]\nR = {\npkinit_identities = PKCS11:/tmp/p.so\n}",
        f"[libdefaults]\na = {'x' * 1019}[plugins]",
        "[logging]\ndefault = FILE:/tmp/log",
    ],
)
def test_a_krb5_conf_loads_nothing_of_the_daemons(loads: str) -> None:
    left = reduced(f"{loads}\n[realms]\nR = {{\n  kdc = k:88\n}}\n[domain_realm]\n.r = R\n")
    assert not [word for word in ("include", "module", "plugin", "pkinit", "/tmp", "/etc") if word in left]
    assert left.endswith("[realms]\nR = {\nkdc = k:88\n}\n[domain_realm]\n.r = R\n\n")


def test_partitions_that_follow_each_other_are_one_range() -> None:
    given = GIVEN | {"topic": "t", "partitionLimitation": "1-3,4,9,7-8"}
    assert made(ApacheKafkaScaler, given).meta.question.partitions == (range(1, 5), range(9, 10), range(7, 9))
