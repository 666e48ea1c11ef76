"""A number out of an answer: KEDA's own cases, and any text at all without a crash."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keda_py_scalers.extraction import extract

from keda_py.scaler import ScalerError

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "oracle" / "metrics-api-values.jsonl").read_text().splitlines()
]


def is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=float)
    except ValueError:
        return False
    return not any(word in text for word in ("NaN", "Infinity"))


def compares_text_with_a_number(row: dict[str, Any]) -> bool:
    return row["input"]["format"] == "json" and any(sign in row["input"]["valueLocation"] for sign in "<>")


# Reason -> which rows it lets differ. A rule that excuses no row of the oracle fails the test.
KNOWN_DIFFERENCES: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "infinite and not-a-number values are no value": lambda row: row["result"].get("value") in ("+Inf", "-Inf", "NaN"),
    "what is not JSON to its end is not JSON": lambda row: (
        row["input"]["format"] == "json" and not is_json(row["input"]["body"])
    ),
    "XML works, in KEDA it never does": lambda row: row["input"]["format"] == "xml",
    "a whole number beyond 64 bits in YAML is a number": lambda row: (
        row["input"]["format"] == "yaml" and "uint64" in row["result"].get("error", "")
    ),
    "a GJSON query does not compare a text with a number": compares_text_with_a_number,
}


def difference(row: dict[str, Any]) -> str | None:
    given, result = row["input"], row["result"]
    try:
        found = extract(given["body"].encode(), given["valueLocation"], given["format"])
    except ScalerError as error:
        return f"rejected: {error}" if result["ok"] else None
    if not result["ok"]:
        return f"accepted as {found}, KEDA says {result['error']}"
    # Whole numbers stand there as floats are written, with more digits than a float has.
    return None if found == float(result["value"]) else f"{found}, KEDA has {result['value']}"


def test_every_row_of_the_oracle() -> None:
    found = [(row["input"], difference(row), row) for row in ROWS]
    wrong = [(given, text) for given, text, row in found if text and not excused(row)]
    assert not wrong


def excused(row: dict[str, Any]) -> bool:
    return any(rule(row) for rule in KNOWN_DIFFERENCES.values())


def test_every_known_difference_is_one() -> None:
    differing = [row for row in ROWS if difference(row) is not None]
    for reason, rule in KNOWN_DIFFERENCES.items():
        assert any(rule(row) for row in differing), reason


@pytest.mark.parametrize(
    ("body", "location", "number"),
    [
        ("<a><b>5</b></a>", "a.b", 5),
        ("<a><b> 250m </b><b>9</b></a>", "a.b", 0.25),
        ("<a><b><c>1Ki</c></b></a>", "a.b.c", 1024),
        ('<?xml version="1.0"?><!-- x --><a x="1">7</a>', "a", 7),
    ],
)
def test_xml_by_dotted_names(body: str, location: str, number: float) -> None:
    assert extract(body.encode(), location, "xml") == number


@pytest.mark.parametrize(
    ("body", "location", "says"),
    [
        ("<a><b>5</b></a>", "a.c", "no such element"),
        ("<a><b>5</b></a>", "b", "no such element"),
        ("<a><b>5</b></a>", "a", "no such element with a value"),
        ("<a><b></b></a>", "a.b", "no quantity"),
        ("<a>", "a", "not XML"),
        ('<!DOCTYPE a [<!ENTITY e "5">]><a>&e;</a>', "a", "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>1</a>', "a", "document type"),
    ],
)
def test_what_xml_does_not_give(body: str, location: str, says: str) -> None:
    with pytest.raises(ScalerError, match=says):
        extract(body.encode(), location, "xml")


@pytest.mark.parametrize(
    ("scalar", "number"),
    [
        ("010", 8),
        ("08", 8),
        ("0o17", 15),
        ("-0x1f", -31),
        ("+0b11", 3),
        ("1_000", 1000),
        ("1e3", 1000),
        ("5.", 5),
        (".5", 0.5),
        ("0.3", 0.3),
        ('"0.3"', 0.30000000000000004),
        ("!!float '1e3'", 1000),
        ("!Ref 250m", 0.25),
        ("1\n---\na: 2", 1),
        ("1\nb: 2001-99-99\nc: =\nd: !Odd {a: [1]}\ne: !Even [1]", 1),
    ],
)
def test_numbers_of_yaml(scalar: str, number: float) -> None:
    assert extract(f"a: {scalar}\n".encode(), "a", "yaml") == number


@pytest.mark.parametrize("scalar", ["1:30", "1:30:05", "2001-01-01", "yes", ".inf", "_1", "0x", "!!int x", "1e400"])
def test_what_is_no_number_in_yaml(scalar: str) -> None:
    with pytest.raises(ScalerError):
        extract(f"a: {scalar}\n".encode(), "a", "yaml")


@pytest.mark.parametrize(
    ("selector", "number"), [('m{a="1"}', 7), ('m{a="1",a="1"}', 7), ('{__name__="m",b="2"}', 7), ('m{a="2"}', 8)]
)
def test_what_a_selector_finds(selector: str, number: float) -> None:
    body = b'#e TYPE m odd\n#TYPE m gauge\nm{a="1",b="2"} 7\nm{a="2"} 8\n'
    assert extract(body, selector, "prometheus") == number
    with pytest.raises(ScalerError, match="no such sample"):
        extract(body, 'm{a="1",a="2"}', "prometheus")


@pytest.mark.parametrize(
    "rest", ["m_b x", "m_b 0x10", "# TYPE m_b count\nm_b 1", "# TYPE m_b gauge x", 'm_b{a="1",a="2"} 1']
)
def test_garbage_after_a_sample_is_garbage(rest: str) -> None:
    assert extract(b"m_a 7\nm_b 1\n", "m_a", "prometheus") == 7
    with pytest.raises(ScalerError):
        extract(f"m_a 7\n{rest}\n".encode(), "m_a", "prometheus")


@pytest.mark.e2e
@pytest.mark.parametrize("form", ["json", "yaml", "xml", "prometheus"])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 100_000, b"{a: " * 50_000, b"<a>" * 100_000, b"null"])
def test_garbage_is_an_error_of_ours(form: str, body: bytes) -> None:
    with pytest.raises(ScalerError):
        extract(body, "a", form)


@settings(max_examples=300, deadline=None)
@given(
    body=st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)),
    location=st.one_of(st.text(), st.text(alphabet='ab.#@|()[]{}"=<>*?!\\01,', max_size=12)),
    form=st.sampled_from(["json", "yaml", "xml", "prometheus"]),
)
@example(body='{"a":[1]}', location="a.#(", form="json")
@example(body="m 1", location='m{a="', form="prometheus")
def test_any_text_gives_a_finite_number_or_an_error_of_ours(body: str, location: str, form: str) -> None:
    try:
        found = extract(body.encode(errors="replace"), location, form)
    except ScalerError:
        return
    assert math.isfinite(found)
