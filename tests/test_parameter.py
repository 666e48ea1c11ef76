"""Trigger parameters against KEDA's own decoder, and in our own words where something is wrong."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.parameter import AUTH, ENV, TRIGGER, Inputs, Metadata, MetadataError, QueryValues, foreseen, param, read

ORACLE: Final = Path(__file__).parent / "oracle" / "typed-values.jsonl"
ENUM: Final = ("alpha", "beta", "gamma")


def model(annotation: Any, **options: Any) -> type[Metadata]:
    options.setdefault("default", None)
    names = options.pop("names", ("v",))
    namespace = {"__annotations__": {"v": annotation}, "v": param(*names, **options), "__module__": __name__}
    return type("Model", (Metadata,), namespace)


EVERYWHERE: Final = {"order": (TRIGGER, ENV, AUTH)}
ENV_TOO: Final = {"order": (TRIGGER, ENV)}
KINDS: Final[dict[str, type[Metadata]]] = {
    "string": model(str),
    "required": model(str, default=...),
    "default 5": model(int, default=5),
    "alias v;w;x": model(str, names=("v", "w", "x"), default=..., **EVERYWHERE),
    "int": model(int, **ENV_TOO),
    "int64": model(int),
    "int32": model(int, bits=32),
    "uint32": model(int, bits=32, unsigned=True),
    "float64": model(float),
    "*int64": model(int | None),
    "*float64": model(float | None),
    "*bool": model(bool | None),
    "*string": model(str | None),
    "bool": model(bool),
    "duration": model(timedelta),
    "[]string": model(list[str]),
    "[]string;": model(list[str], separator=";"),
    "[]int": model(list[int]),
    "[]int64 range": model(list[int], ranges=True),
    "map[string]string": model(dict[str, str]),
    "map[string]int": model(dict[str, int]),
    "url.Values": model(QueryValues),
    "enum": model(str, enum=ENUM),
    "deprecated": model(str, removed="it is gone"),
    "enum slice": model(list[str], enum=ENUM),
    "exclusiveSet": model(list[str], exclusive=("alpha", "beta")),
}


def outcome(kind: str, given: dict[str, Any]) -> tuple[bool, Any]:
    inputs = Inputs(given.get("metadata") or {}, given.get("authParams") or {}, given.get("resolvedEnv") or {})
    try:
        value = read(KINDS[kind], inputs).v  # type: ignore[attr-defined]
    except MetadataError:
        return False, None
    return True, {"seconds": value.total_seconds()} if isinstance(value, timedelta) else value


def _empty(value: Any) -> bool:
    return value in (None, "", 0, False, [], {}, {"seconds": 0})


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return ours == float(theirs)
    return bool(ours == theirs)


def test_every_line_of_the_oracle() -> None:
    wrong, unknown = [], set()
    for line in ORACLE.read_text().splitlines():
        row = json.loads(line)
        kind, wanted = row["input"]["kind"], row["result"]
        if kind not in KINDS:
            unknown.add(kind)
            continue
        accepted, value = outcome(kind, row["input"])
        # What is not given is None here, and the zero of its type in Go.
        same = _equal(value, wanted.get("value")) or (_empty(value) and _empty(wanted.get("value")))
        if accepted != wanted["ok"] or (accepted and not same):
            if any(rule(row) for rule in KNOWN_DIFFERENCES.values()):
                continue
            wrong.append((kind, row["input"], wanted, accepted, value))
    assert not unknown
    assert not wrong


KNOWN_DIFFERENCES: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "durations are kept to the microsecond": lambda row: (
        row["input"]["kind"] == "duration" and 0 < row["result"]["value"]["seconds"] < 1e-6
    ),
    "a duration of milliseconds beyond 292 years wraps round in KEDA": lambda row: (
        row["input"]["kind"] == "duration"
        and (row["input"]["metadata"].get("v") or "0").lstrip("+").isdecimal()
        and int(row["input"]["metadata"].get("v") or 0) * 10**6 >= 2**63
    ),
}


@pytest.mark.parametrize("text", ["-5", "-9223372036854775808", "9223372036855"])
def test_milliseconds_that_are_no_duration(text: str) -> None:
    assert outcome("duration", {"metadata": {"v": text}}) == (False, None)


def test_milliseconds_may_begin_with_zeros() -> None:
    assert outcome("duration", {"metadata": {"v": "+" + "0" * 30 + "1500"}}) == (True, {"seconds": 1.5})


class Several(Metadata):
    """A model with several ways to be wrong."""

    count: int = param("count", gt=0)
    address: str = param("address", order=(AUTH, ENV))
    mode: str = param("mode", default="a", enum=("a", "b"))
    old: str = param("old", default="", removed="use count instead")


def test_everything_that_is_wrong_is_told_at_once_and_by_name() -> None:
    with pytest.raises(MetadataError) as caught:
        read(Several, Inputs({"count": "many", "mode": "c", "old": "1"}))
    assert caught.value.problems == (
        "count: expected a whole number",
        "address: required, set it in the TriggerAuthentication or the target's environment (addressFromEnv)",
        "mode: must be one of a, b",
        "old: no longer supported; use count instead",
    )


def test_bounds_are_told_without_the_value() -> None:
    with pytest.raises(MetadataError, match="count: Input should be greater than 0"):
        read(Several, Inputs({"count": "-77"}, {"address": "x"}))


def test_what_may_be_secret_is_never_shown() -> None:
    for inputs in (
        Inputs({"count": "1"}, {"address": "canary"}),
        Inputs({"count": "1", "addressFromEnv": "ADDRESS"}, env={"ADDRESS": "canary"}),
    ):
        assert read(Several, inputs).address == "canary"
        assert "canary" not in repr(inputs) + repr(read(Several, inputs)) + str(read(Several, inputs))


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=30))
def test_any_text_is_a_value_or_a_clear_error(kind: str, text: str) -> None:
    outcome(kind, {"metadata": {"v": text}})


def test_lists_are_bounded_as_a_whole() -> None:
    ranges = ",".join(["0-99999"] * 1000)
    with pytest.raises(MetadataError, match="v: may name at most 100000 numbers"):
        read(KINDS["[]int64 range"], Inputs({"v": ranges}))


def test_bytes_that_are_no_text_are_only_for_who_wants_them() -> None:
    keytab = b"\x05\xff".decode(errors="surrogateescape")
    with pytest.raises(MetadataError, match="v: expected text"):
        read(model(str, order=(AUTH,)), Inputs({}, {"v": keytab}))
    assert read(model(str, order=(AUTH,), binary=True), Inputs({}, {"v": keytab})).v == keytab  # type: ignore[attr-defined]


class Mixed(Metadata):
    """Parameters that come from everywhere."""

    host: str = param("host", "address", order=(TRIGGER, AUTH, ENV), min_length=3)
    size: int = param("size", gt=0)
    token: str = param("token", order=(AUTH, TRIGGER), default="", enum=("a", "b"))
    length: int = param("length", order=(TRIGGER, ENV), default=1)
    old: str = param("old", default="", removed="use size")


@pytest.mark.parametrize(
    ("metadata", "unknown", "wrong"),
    [
        ({"host": "abc", "size": "1"}, {AUTH, ENV}, []),
        # What authentication or a variable may give is not missing.
        ({"size": "1"}, {AUTH}, []),
        ({"size": "1"}, {ENV}, ["host"]),
        ({"size": "1", "hostFromEnv": "HOST"}, {ENV}, []),
        ({"size": "1", "addressFromEnv": "HOST"}, {ENV}, []),
        ({"size": "1", "hostFromEnv": " "}, {ENV}, ["host"]),
        ({"size": "1"}, set(), ["host"]),
        ({"host": "abc"}, {AUTH, ENV}, ["size"]),
        # What the manifest gives first is what counts.
        ({"host": "a", "size": "1"}, {AUTH, ENV}, ["host"]),
        ({"host": "abc", "size": "0"}, {AUTH, ENV}, ["size"]),
        ({"host": "abc", "size": "x"}, {AUTH, ENV}, ["size"]),
        ({"host": "abc", "size": "1", "length": "x", "lengthFromEnv": "L"}, {ENV}, ["length"]),
        # What authentication gives first may replace it.
        ({"host": "abc", "size": "1", "token": "c"}, {AUTH}, []),
        ({"host": "abc", "size": "1", "token": "c"}, {ENV}, ["token"]),
        ({"host": "abc", "size": "1", "old": "x"}, {AUTH}, ["old"]),
        ({"host": "", "size": "x"}, set(), ["host", "size"]),
    ],
)
def test_what_can_be_foreseen(metadata: dict[str, str], unknown: set[Any], wrong: list[str]) -> None:
    found = foreseen(Mixed, Inputs(metadata), unknown=unknown)
    assert [sentence.partition(":")[0] for sentence in found] == wrong
