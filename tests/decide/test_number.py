"""Numbers as Go has them."""

import math

import pytest

from keda_py.decide.number import added, fits, go_float, int64, power, quotient, remainder, rounded, wrapped


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.5", 0.5),
        ("0x1p-2", 0.25),
        ("1_0", 10.0),
        ("0x_1p2", 4.0),
        ("0x1_0.8_0p+1_0", 16.5 * 1024),
        ("0x1._8p1", None),
        ("0x1_.8p1", None),
        ("0x1p_1", None),
        ("Infinity", float("inf")),
        ("-inf", float("-inf")),
        (" 0.5", None),
        ("50%", None),
        ("", None),
        ("1e400", None),
        ("0x1p99999", None),
        ("\u0665", None),
        ("1.2.3", None),
    ],
)
def test_numbers_as_go_reads_them(text: str, number: float | None) -> None:
    assert go_float(text) == number


def same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or (
        one == other and math.copysign(1, one) == math.copysign(1, other)
    )


@pytest.mark.parametrize(
    ("number", "whole"), [(2.9, 2), (-2.9, -2), (1e30, -(2**63)), (math.nan, -(2**63)), (-(2.0**63), -(2**63))]
)
def test_a_float_made_whole(number: float, whole: int) -> None:
    assert int64(number) == whole
    assert fits(whole)


def test_whole_numbers_wrap_round() -> None:
    assert wrapped(2**63) == -(2**63)
    assert wrapped(-(2**63) - 1) == 2**63 - 1
    assert wrapped(5) == 5
    assert not fits(2**63)


@pytest.mark.parametrize(
    ("dividend", "divisor", "result"),
    [
        (1, 4, 0.25),
        (1, 0.0, math.inf),
        (1, -0.0, -math.inf),
        (-1, 0, -math.inf),
        (0, 0, math.nan),
        (math.nan, 0, math.nan),
    ],
)
def test_division(dividend: float, divisor: float, result: float) -> None:
    assert same(quotient(dividend, divisor), result)


@pytest.mark.parametrize(("dividend", "divisor", "rest"), [(7, 3, 1), (-7, 3, -1), (7, -3, 1), (-6, 3, 0)])
def test_what_a_division_leaves(dividend: int, divisor: int, rest: int) -> None:
    assert remainder(dividend, divisor) == rest


@pytest.mark.parametrize(
    ("base", "exponent", "result"),
    [
        (2, 10, 1024),
        # Step by step, and not as C has it.
        (16.4, 10, 1407467840880.2356),
        (0.57, 5, 0.060169205699999985),
        (4, 1.5, 8),
        (4, 1.75, 11.313708498984761),
        (10, 1e19, math.inf),
        (0.5, 1e19, 0.0),
        (2, 1e4, math.inf),
        (1e300, -1e4, 0.0),
        (-1e300, 10_001, -math.inf),
        (4, 0.5, 2),
        (-4, 0.5, math.nan),
        (math.inf, 2, math.inf),
        (math.nan, 2, math.nan),
        (-8, 1 / 3, math.nan),
        (0.0, -1, math.inf),
        (-0.0, -3, -math.inf),
        (-0.0, -2, math.inf),
        (10, 400, math.inf),
        (-10, 401, -math.inf),
        (-10, 400, math.inf),
    ],
)
def test_powers(base: float, exponent: float, result: float) -> None:
    assert same(power(base, exponent), result)


def test_a_sum_is_rounded_after_each_number() -> None:
    assert added([0.1] * 10) == 0.9999999999999999
    assert added([]) == 0.0


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        (2.5, 3),
        (-2.5, -3),
        (0.49999999999999994, 0),
        (-0.2, -0.0),
        (1e300, 1e300),
        (math.inf, math.inf),
        (math.nan, math.nan),
    ],
)
def test_rounding(number: float, whole: float) -> None:
    assert same(rounded(number), whole)
