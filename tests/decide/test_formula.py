"""The formula language: the real one's answers as an oracle, what differs on purpose, and triggers without a value."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keda_py.decide.formula import FormulaError
from keda_py.decide.formula import compile as compile_formula
from tests.decide.formulas import NAMES, failure, refusal, value

ORACLE = Path(__file__).parents[1] / "oracle" / "expr-golden.jsonl"


# --- the oracle -------------------------------------------------------------------------------------------------------

# The oracle asked expr-lang itself for a float. KEDA, and we, ask for the float of what the formula is.
OTHERWISE = {
    '"5"': "a text that stands for a number is one: KEDA writes float() around the formula",
    "trig_one;2": "nothing may follow the formula: KEDA writes float() around it",
}


def rows() -> Iterator[dict[str, Any]]:
    return map(json.loads, ORACLE.read_text().splitlines())


def outcome(row: dict[str, Any]) -> float | str | None:
    try:
        formula = compile_formula(row["f"], row["e"])
    except FormulaError:
        return "refused"
    try:
        return formula.attempt(row["e"])
    except FormulaError:
        return "failed"


def same(got: float | str | None, wanted: float | str | None) -> bool:
    if isinstance(got, str) or isinstance(wanted, str) or got is None or wanted is None:
        return got == wanted
    return math.isclose(got, wanted, rel_tol=1e-12) or (math.isnan(got) and math.isnan(wanted))


def test_every_formula_of_the_oracle() -> None:
    seen = 0
    for row in rows():
        wanted = "refused" if "c" in row else "failed" if "r" in row else float(row["v"])
        assert same(outcome(row), wanted) != (row["f"] in OTHERWISE), row
        seen += 1
    assert seen > 1000


# --- what formulas mean -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        # numbers
        ("0x1F + 0b11 + 0o17 + 1_0", 59),
        ("1. + .5 + 1e1", 11.5),
        ("9223372036854775807 + 1 < 0 ? 1 : 2", 1),
        ("-9223372036854775807 - 2 > 0 ? 1 : 2", 1),
        ("9007199254740993 == 9007199254740992.0 ? 1 : 2", 1),
        ("7 / 2", 3.5),
        ("-7 % 3", -1),
        ("-2 ** 2", -4),
        ("2 ** 3 ^ 2", 512),
        ("+a - -b", -1.5),
        ("1 < a < 3 and 3 > a >= 2 ? 1 : 0", 1),
        ("1 < 2.5 ? 1 : 0", 1),
        ("abs(b) + abs(-2) + ceil(1.2) + floor(-1.5) + round(2.5) + round(-3)", 5.5),
        ("int(2.9) + int(-2.9) + int('-12') + int(3)", -9),
        ('float("1.5") + float(a)', 3.5),
        ("int(1 / 0)", float(-(2**63))),
        ("int(ceil(0 / 0))", float(-(2**63))),
        # truth
        ("true && !false || a / 0 > 0 ? 1 : 2", 1),
        ("true or a > [1][5] ? 1 : 2", 1),
        ("false and a > [1][5] ? 1 : 2", 2),
        ("not (a > 1) ? 1 : 2", 2),
        ("a ?: 1", "refused"),
        ("a > 1 ? 5 : b > 1 ? 6 : 7", 5),
        ("(a > 5 ? nil : 3) + (a > 1 ? 3 : nil)", 6),
        ("(a > 1 ? [1] : ['x'])[0] + (a > 1 ? [1] : [nil])[0] + (a > 1 ? [1] : [2])[0] + (a < 1 ? [nil] : [1])[0]", 4),
        ("a > 1 ? 1 : [1][0]", 1),
        ("1 in [nil, [1]][0] ? 1 : 2", 2),
        ("if a > 5 { 1 } else if b > 5 { 2 } else { let x = 3; x }", 3),
        ("true == (a == 2) ? 1 : 2", 1),
        ("a == nil ? 1 : 2", 2),
        ("a in [1, 2] and a not in 3..5 ? 1 : 2", 1),
        ("[1, [2.0]] == [1.0, [2]] ? 1 : 2", 1),
        ("[1] == [1, 2] ? 1 : 2", 2),
        ("[1] == [[1]] ? 1 : 2", 2),
        ('{"x": 1} == {"x": 1} ? 1 : 2', 1),
        ('{"x": 1} == {"y": 1} ? 1 : 2', 2),
        # names
        ("let x = a + 1; let y = x * 2; x + y", 9),
        ('$env["my-trigger"] + $env.a', 102),
        ("len($env)", 3),
        ('max(values($env)) + get($env, "a") + len(keys($env))', 105),
        ("($env).nothing == nil ? 1 : 2", 1),
        ('[1, a]["a" in $env ? 0 : 1]', 1),
        # arrays and maps
        ("[a, b,][1]", -3.5),
        ("a + 1,", 3),
        ("sum((a ?? 5)..3)", 5),
        ("[a, b][-1]", -3.5),
        ("[][:] == [] ? 1 : 2", 1),
        ("sum([1, 2, 3, 4][1:3]) + sum([1, 2, 3][-2:]) + len([1, 2][:1])", 11),
        ("len('abc'[1:])", 2),
        ('{"x": a, y: b, 3: 4, (string(1)): 5}.x', 2),
        ('{"x": a,}["x"]', 2),
        ('{"x": {"y": a}}?.x?.["y"]', 2),
        ("[nil][0] ?? 4", 4),
        ('{"x": nil}.x?.y ?? 4', 4),
        ('"x" in {"x": 1} ? 1 : 2', 1),
        ("get([a], 5) ?? 6", 6),
        ('get([1, {"x": a}][1], "x") + get({"x": a}, "x") + get([a], 0)', 6),
        ("get(first([]), 1) ?? 6", 6),
        ("first([a, b]) + last([a, b]) + (first([]) ?? 1) + (last([]) ?? 1)", 0.5),
        ("sum(take([a, b, 1], 2)) + sum(reverse([a])) + sum(concat([a], [b]))", -1),
        ("len(flatten([1, [2, [3, []]]])) + len(uniq([1, 1.0, 2]))", 5),
        ('sort([3, 1.5, 2])[0] + sort([3, 1.5, 2], "desc")[0]', 4.5),
        ("max(1, [a, [5]], []) + min([a, b])", 1.5),
        ("max(a) + min(b)", -1.5),
        ("mean(1, [2, 3]) + median(1, 2) + median([3, 1, 2]) + mean([]) + median([])", 5.5),
        ("median([0 / 0, 1, 2])", 1),
        # predicates
        ("count([a, b], # > 0) + count([true, false])", 2),
        ("all([], false) and any([a], {# > 0}) and none([a], # < 0) and one([a, b], # > 0) ? 1 : 2", 1),
        ("sum(filter([a, b], # > 0)) + sum(map([a, b], {let x = # * 2; x})) + sum([a], # + 1)", 2),
        ("map([5, 5], #index)[1]", 1),
        (
            "find([1, 2, 3], # > 1) + findLast([1, 2, 3], # > 1) + findIndex([1, 2], # > 1)",
            6,
        ),
        ("findLastIndex([1, 1, 0], # > 0)", 1),
        ("sum([[1, 2], 1][0]) + sum(filter([[1, 2], 1][0], # > 1)) + find([[1], 1][0], # > 0)", 6),
        ("find([1], # > 1) ?? findIndex([1], # > 1) ?? 3", 3),
        ("reduce([1, 2, 3], #acc * 10 + #)", 123),
        ("reduce([1, 2, 3], #acc + # * #index, 100)", 108),
        ('sortBy([1, 2], -#)[0] + sortBy([1, 2], -#, "desc")[0]', 3),
        ("sum(map([1, 2], sum(map([10, 20], # + 1))))", 64),
        ('sum([{"x": a}, {"x": b}], .x)', -1.5),
        ("[a, b] | filter(# > 0) | map(# * 2) | sum()", 4),
        ("a | max(5, b) | abs()", 5),
        # bits
        ("bitand(6, 3) + bitor(6, 3) + bitxor(6, 3) + bitnand(6, 3) + bitnot(6)", 11),
        ("bitshl(1, 4) + bitshr(-16, 2) + bitushr(-1, 63) + bitshl(1, 64)", 13),
        # texts
        (r'len("a\n\x41\X41\u0041\u{41}\U00000041\101\"") + len(`\n`)', 11),
        ("'ab' + 'c' contains 'bc' and 'abc' startsWith 'a' and 'abc' not endsWith 'a' and 'a' < 'b' ? 1 : 2", 1),
        ('[nil, 1][0] contains "a" ? 1 : 2', 2),
        ('type(a) == "float" and type(nil) == "nil" and type([]) == "array" and type({}) == "map" ? 1 : 2', 1),
        ('len(string(1.5)) + len(string(true)) + len(string(false)) + len(string("x")) + float(toJSON(a))', 15),
        ('duration("90s").Minutes() + duration("1h").Seconds() + duration("1.5ms").Milliseconds()', 3602.5),
        # the rest
        ("a /* a comment */ + b // another", -1.5),
        ("(b; a)", 2),
        ("  \n a \t", 2),
    ],
)
def test_what_a_formula_means(formula: str, result: float | str) -> None:
    if result == "refused":
        assert refusal(formula)
    else:
        assert value(formula) == pytest.approx(result)


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        ("a ?? 5", 5),
        ("a ?? b", -3.5),
        ("(a ?? 0) + (b ?? 7)", -3.5),
        ("a ?? (a ?? 3)", 3),
        ("a == nil ? 1 : a ?? 2", 1),
        ("max(a) ?? 2", 2),
        ("a not in [1, nil] ? 1 : b ?? 2", -3.5),
        ("count([a, b], # == nil) ?? 2", 1),
        ("a ?? nil", None),
        ("[a][0] ?? a", None),
        ("b > 5 ? b : (a ?? nil)", None),
    ],
)
def test_a_trigger_without_a_value(formula: str, result: float | None) -> None:
    assert value(formula, a=None) == result


@pytest.mark.parametrize(
    "formula", ["a", "a + 1", "-a", "a > 1 ? 1 : 2", "max(a, b)", "sum([a])", "abs(a)", "int(a)", "mean(a)", "1 / a"]
)
def test_nil_never_passes_for_a_number(formula: str) -> None:
    assert "nil" in failure(formula, a=None)


def test_a_nil_result_needs_a_coalescing_operator_in_the_formula() -> None:
    assert "nil" in failure("a", a=None)
    assert value("a // ??", a=None) is None


def test_a_formula_knows_its_triggers() -> None:
    assert compile_formula("a + 1", NAMES).names == {"a"}
    assert compile_formula("len($env) + a", NAMES).names == set(NAMES)
    assert compile_formula("a + 1", NAMES).value({"a": 1}) == 2
    with pytest.raises(FormulaError, match="the trigger a has no value yet"):
        compile_formula("a + 1", NAMES).value({"b": 1.0})


def test_a_formula_is_used_again_and_again() -> None:
    formula = compile_formula("let x = a; sum(map([x, b], # * 2))", NAMES)
    assert [formula.value({"a": number, "b": 1.0}) for number in (1.0, 2.0, 1.0)] == [4, 6, 4]


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        ("sum([a, b, 0.3])", 0.1 + (0.2 + 0.3)),
        ("[a, b, 0.3] | sum()", 0.1 + (0.2 + 0.3)),
        ("sum([a, b, 0.3], #)", (0.1 + 0.2) + 0.3),
        ("sum(map([a, b, 0.3], #))", (0.1 + 0.2) + 0.3),
        ("sum([0.1, 0.2, 0.3])", (0.1 + 0.2) + 0.3),
        ("sum([a])", 0.1),
        ("a + b + 0.3", (0.1 + 0.2) + 0.3),
    ],
)
def test_a_sum_of_what_stands_there_begins_at_the_end(formula: str, result: float) -> None:
    assert value(formula, a=0.1, b=0.2) == result


def test_several_expressions_are_the_last_where_keda_puts_brackets_around_them() -> None:
    assert value("b; a ?? 1", a=None) == 1
    assert value("float(a); b") == -3.5


def test_a_trigger_takes_the_name_of_a_function() -> None:
    assert compile_formula("max + 1", ["max"]).value({"max": 2.0}) == 3
    for formula in ("max(1, 2)", "[1] | max()", "1 + max(max, 2)"):
        with pytest.raises(FormulaError, match="max is a trigger here, which cannot be called"):
            compile_formula(formula, ["max"])
