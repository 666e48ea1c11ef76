"""Quantities against what Kubernetes' and KEDA's own code made of them."""

import json
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keda_py.quantity import Quantity, QuantityError, canonical, format_metric, from_float, from_int, handed_on, parse

ORACLE: Final = Path(__file__).parent / "oracle" / "quantity.jsonl"

KNOWN_DIFFERENCES: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "from 1e21 on the canonical text of Kubernetes loses its magnitude or is written out": lambda row: (
        row["input"]["kind"] in {"parse", "float"} and abs(float(row["result"].get("float", 0))) >= 1e21
    ),
    "a negative is rounded up in Kubernetes, where it has many digits, and up to a positive": lambda row: (
        row["input"]["kind"] == "parse" and float(row["result"].get("float", 0)) < 0
    ),
    "milli overflows for exa sizes": lambda row: (
        row["input"]["kind"] == "parse" and abs(float(row["result"].get("float", 0))) >= 9.2e15
    ),
}


def rows(kind: str) -> Iterator[dict[str, Any]]:
    for line in ORACLE.read_text().splitlines():
        row = json.loads(line)
        if row["input"]["kind"] == kind:
            yield row


def test_oracle_parse() -> None:
    """Kubernetes also takes a sign or a suffix without any digit as 0; an unknown is never zero, so it is refused."""
    wrong = []
    for row in rows("parse"):
        text, wanted = row["input"]["text"], row["result"]
        try:
            got = parse(text)
        except QuantityError:
            if wanted["ok"] and re.match(r"[+-]?\.?[0-9]", text):
                wrong.append((text, "rejected"))
            continue
        if not wanted["ok"]:
            wrong.append((text, "accepted"))
            continue
        # A text is sent on as given; Kubernetes sometimes sends its canonical form. Both mean the same.
        assert str(got) == text
        facts: dict[str, Any] = {
            "sign": (got.value > 0) - (got.value < 0),
            "float": float(got),
            "canonical": canonical(got),
            "milli": got.milli,
            "value": got.whole,
        }
        differs = {k: (v, wanted[k]) for k, v in facts.items() if not _same(v, wanted[k])}
        if differs and not any(rule(row) for rule in KNOWN_DIFFERENCES.values()):
            wrong.append((text, differs))
    assert not wrong


def _same(ours: Any, theirs: Any) -> bool:
    return bool(ours == (float(theirs) if isinstance(ours, float) else theirs))


def test_oracle_made_from_whole_numbers() -> None:
    for row in rows("int"):
        number, wanted = row["input"]["int"], row["result"]
        assert from_int(number) == parse(wanted["target"]), number


def _special(number: Any) -> float:
    return float(number)  # of the texts "+Inf", "-Inf" and "NaN" as well


def test_oracle_made_from_floats() -> None:
    for row in rows("float"):
        number, wanted = _special(row["input"]["float"]), row["result"]
        if number < 1e308:
            assert float(from_float(number)) == pytest.approx(_special(wanted["metricFloat"]), rel=1e-15), number
        if abs(number) < 1e21 or number != number:
            assert from_float(number) == parse(wanted["target"]) == parse(wanted["metric"]), number
            assert parse(format_metric(number)) == parse(wanted["metric"]), number


@given(st.floats(0, 1e15))
def test_a_metric_value_means_what_the_quantity_means(value: float) -> None:
    assert parse(format_metric(value)) == from_float(value)


@given(st.text(alphabet="+-.0123456789eEinumkKMGTP", max_size=12))
def test_whatever_is_accepted_survives_its_canonical_form(text: str) -> None:
    try:
        quantity = parse(text)
    except QuantityError:
        return
    if abs(quantity.value) < 10**18:
        assert parse(canonical(quantity)) == quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.3", 0.30000000000000004),
        ("300m", 0.3),
        ("-0.3", -0.30000000000000004),
        (".3", 0.30000000000000004),
        ("0.345", 0.34500000000000003),
        ("1.15", 1.1500000000000001),
        ("00012", 12.0),
        ("1.5Gi", 1610612736.0),
        ("-1.3Ki", -1331.2),
        ("12345678901234567890", 12345678901234569216.0),
        ("200000000000000000.000", 200000000000000032.0),
        ("0.1234567891", 0.12345679000000001),
        ("9E", 9e18),
        ("1e400", math.inf),
        ("-1e400", -math.inf),
        ("1" * 400, math.inf),
        ("-" + "1" * 400, -math.inf),
        ("0e400", 0.0),
        ("1e-400", 1e-9),
    ],
)
def test_a_float_is_what_kubernetes_makes_of_a_quantity(text: str, number: float) -> None:
    assert float(parse(text)) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7.0, 7.0),
        (0.0004, 0.0),
        (0.3, 0.3),
        (1.2345, 1.234),
        (0.345, 0.34500000000000003),
        (-5.0, 0.0),
        (math.inf, 0.0),
    ],
)
def test_what_a_scaler_found_is_handed_on_as_a_quantity(value: float, number: float) -> None:
    assert handed_on(value) == number


def test_quantities_compare_as_numbers() -> None:
    assert parse("1k") == parse("1000") == parse("1e3") == from_int(1000)
    assert parse("500m") < parse("1")
    assert len({parse("1k"), parse("1000")}) == 1
    assert Quantity(Fraction(1), "1") != 1
