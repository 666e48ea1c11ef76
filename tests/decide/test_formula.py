"""The formula language: the real one's answers as an oracle, what differs on purpose, and what is too much."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keda_py.decide.formula import LONGEST, FormulaError
from keda_py.decide.formula import compile as compile_formula
from keda_py.decide.formula.steps import MOST

ORACLE = Path(__file__).parents[1] / "oracle" / "expr-golden.jsonl"
NAMES = ("a", "b", "my-trigger")
VALUES = {"a": 2.0, "b": -3.5, "my-trigger": 100.0}


def value(formula: str, **values: float | None) -> float | None:
    return compile_formula(formula, NAMES).value(VALUES | values)


def refusal(formula: str) -> str:
    with pytest.raises(FormulaError) as refused:
        compile_formula(formula, NAMES)
    return str(refused.value)


def failure(formula: str, **values: float | None) -> str:
    compiled = compile_formula(formula, NAMES)
    with pytest.raises(FormulaError) as failed:
        compiled.value(VALUES | values)
    return str(failed.value)


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


# --- what is wrong with a formula -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "expected a number, a trigger's name, a function or (, found the end of the formula (column 1)"),
        ("a +", "found the end of the formula (column 4)"),
        ("a b", "expected an operator or the end of the formula, found b (column 3)"),
        ("a; b", "found ; (column 2)"),
        ("a ?? b,", "found , (column 7)"),
        ("float(a),", "found , (column 9)"),
        ("(a", "expected ), found the end of the formula (column 3)"),
        ("[a, b", "expected ,, found the end of the formula (column 6)"),
        ("max(a b)", "expected ,, found b (column 7)"),
        ("my-trigger", "no trigger is named my; there are: a, b, my-trigger (column 1)"),
        ('$env["x"]', "no trigger is named x"),
        ("avg(a)", "there is no function avg; there are: abs, all"),
        ("now()", "there is no function now"),
        ("a @ b", "'@' has no place in a formula (column 3)"),
        ('"a', '" is not closed (column 1)'),
        ('"a\n"', '" is not closed (column 1)'),
        ("a /* b", "/* is not closed (column 3)"),
        ("toJSON('a')", "toJSON cannot take string"),
        ("1a", "1a is neither a number nor a name (column 1)"),
        ("0x", "0x is no number"),
        ("1e400", "1e400 is no number, or too large a one"),
        ("1e", "1e is no number"),
        ("9223372036854775808", "does not fit into 64 bits"),
        (r'"\q"', r"there is no \q in a text"),
        (r'"\U00110000"', "in a text"),
        ("a ?? b + 1", "?? and + need brackets to tell which comes first (column 8)"),
        ("a not b", "expected in or contains after not, found b (column 7)"),
        ("a matches 'x'", "there is no matches here"),
        ("a.b", "float has no field b (column 3)"),
        ("a[0]", "float has no field or element (column 2)"),
        ("a.5", "expected an operator or the end of the formula, found .5"),
        ("[1].", "expected a name, found the end of the formula"),
        ("[a].x", "an element of an array has a whole number, not string"),
        ("{}[1]", "an element of a map has a text for a key, not int"),
        ("{[1]: 2}", "expected a key, found ["),
        ("{x: 1 y: 2}", "expected ,, found y"),
        ("a[1:]", "float has no parts"),
        ("[a][a:]", "the bounds of a part are whole numbers"),
        ("[a][1", "expected ], found the end"),
        ("a > b", "the result is bool, and a number is needed"),
        ("nil", "the result is always nil"),
        ("[a]", "the result is array"),
        ("a % 2", "% cannot take float and int (column 3)"),
        ("a + 'x'", "+ cannot take float and string"),
        ("a < 'x' ? 1 : 2", "< cannot take float and string"),
        ("a == true ? 1 : 2", "== cannot take float and bool"),
        ("'a' in [1] ? 1 : 2", "in cannot take string and array"),
        ("1 in {} ? 1 : 2", "in cannot take int and map"),
        ("1 in 2 ? 1 : 2", "in cannot take int and int"),
        ("1..a", ".. cannot take int and float"),
        ("!a ? 1 : 2", "! takes true or false, not float"),
        ("-true", "- takes a number, not bool"),
        ("a and true ? 1 : 2", "and cannot take float and bool"),
        ("a ? 1 : 2", "a condition is true or false, not float (column 3)"),
        ("5 % 0", "has no remainder (column 3)"),
        ("let a = 1; a", "a is taken; find another name (column 5)"),
        ("let max = 1; a", "max is taken"),
        ("let x = 1; let x = 2; x", "x is taken"),
        ("let 1 = 2; 3", "expected a name, found 1"),
        ("(let x = 1; x) + x", "no trigger is named x"),
        ("#", "found # (column 1)"),
        ("sum([a], #x)", "there is no #x in sum"),
        ("sum([a], #index)", "there is no #index in sum"),
        ("map([a], #acc)[0]", "there is no #acc in map"),
        ("filter([a], #)", "the predicate of filter is true or false, not float"),
        ("filter(a, true)", "filter takes an array, not float"),
        ("filter([a])", "expected ,, found )"),
        ("sum([a], )", "found )"),
        ("map([a], nil)", "the predicate of map is always nil"),
        ("sortBy([a], #, 1)[0]", "the order of sortBy is a text, not int"),
        ("max()", "max takes 1 or more arguments, not 0"),
        ("max('a')", "max cannot take string"),
        ("abs(1, 2)", "abs takes 1 arguments, not 2"),
        ("sort([a], 'asc', 1)", "sort takes 1 to 2 arguments, not 3"),
        ("concat([a], 1)", "concat cannot take int"),
        ("get(a, 1)", "get cannot take int of float"),
        ("bitand(a, 1)", "bitand cannot take float"),
        ("a.Seconds()", "float has no Seconds() (column 3)"),
        ('duration("1s").Weeks()', "duration has no Weeks()"),
        ('duration("1s")', "the result is duration"),
        ("(a > 1 ? [1] : 1)[0] + nothing", "no trigger is named nothing"),
        ("if a > 1 { 1 }", "expected else, found the end"),
        ("a | 5", "expected a name, found 5"),
    ],
)
def test_a_formula_that_makes_no_sense_is_refused_saying_where(formula: str, message: str) -> None:
    assert message in refusal(formula)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1 / (a - 2)", "the result is no finite number, as a metric is"),
        ("(a - 2) / (a - 2)", "the result is no finite number"),
        ("[a][5]", "there is no element 5 among 1 (column 4)"),
        ("[[a], 1][0] + 1", "array + int has no value"),
        ("[[a], 1][0] < 1 ? 1 : 2", "array < int has no value"),
        ("[[a], 1][0] / 2", "array / int has no value"),
        ("[[a], 1][0] contains 'x' ? 1 : 2", "array contains string has no value"),
        ("1 in [a, [1]][0] ? 1 : 2", "int in float has no value"),
        ("[1, a][1] % 2", "float % int has no value"),
        ("int(a) % int(a - 2)", "has no remainder"),
        ("sum(1..([1, nil][1]))", "int .. nil has no value"),
        ("-([1, [a]][1])", "array has no sign"),
        ("[1, true][0] ? 1 : 2", "true or false is needed here, and this is int"),
        ("count([1, true])", "true or false is needed here"),
        ("[1, 'x'][1]", "the result needs a number, and this is a text that is none"),
        ("abs([1, true][1])", "abs needs a number, and this is bool"),
        ("int([1, 'x'][1])", "int needs a whole number, and this is a text that is none"),
        ("int('9223372036854775808')", "int needs a whole number"),
        ("duration([1, 'x'][0]).Seconds()", "duration needs a text, and this is int"),
        ("duration('x').Seconds()", "duration expected a duration such as 30s"),
        ("([1, a][0]).Seconds()", "int has no Seconds()"),
        ("bitand([1, a][1], 1)", "bitand needs whole numbers, and this is float"),
        ("bitshl(1, -1)", "bitshl cannot shift by a negative number of places"),
        ("len([1, 'a'][0])", "len needs something that has a length, and this is int"),
        ("sum(keys([1, {}][0]))", "keys needs a map, and this is int"),
        ("sum(take([a], -1))", "take takes a whole number of elements"),
        ("sum(reverse([1, 'a'][0]))", "reverse needs an array, and this is int"),
        ("max([a, 'x'])", "max needs a number, and this is string"),
        ("sort([1, 'x'])[0]", "has no value"),
        ("sort([1], 'up')[0]", 'sort the order is "asc" or "desc"'),
        ("reduce([], 1)", "there is nothing to reduce"),
        ("len(string([a]))", "string cannot write array as a text"),
        ("{([1, 'a'][0]): 1}.x", "a key is a text, not int"),
        ("[{}, [1]][0][1]", "map has no element for int"),
        ("len([1, [1]][0][1:])", "int has no such part"),
        ("len([[1], [1]][0][[1, 'a'][1]:])", "array has no such part"),
        ("1 in ($env)['a'] ? 1 : 2", "int in float has no value"),
        ("1 in ($env) ? 1 : 2", "int in map has no value"),
    ],
)
def test_a_formula_without_a_value_says_why(formula: str, message: str) -> None:
    assert message in failure(formula)


# --- no text can harm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "sum(1..1000000)",
        "sum(0..9223372036854775807)",
        "sum(map(1..300, sum(map(1..300, #))))",
        'len(reduce(1..1000, #acc + #acc, "a"))',
        "len(reduce(1..60, concat(#acc, #acc), [1]))",
        "len(flatten(reduce(1..60, [#acc, #acc])))",
        "max(reduce(1..60, [#acc, #acc]))",
        "reduce(1..60, [#acc, #acc]) == reduce(1..60, [#acc, #acc]) ? 1 : 2",
        "len(sort(map(1..9000, -#)))",
        "len(uniq(1..9000))",
    ],
)
def test_what_takes_too_long_is_given_up(formula: str) -> None:
    compiled = compile_formula(formula, NAMES)
    with pytest.raises(FormulaError, match=f"more than {MOST} steps"):
        compiled.value(VALUES)


@pytest.mark.parametrize(
    "formula",
    [
        "(" * 4000 + "a",
        "-" * 4000 + "a",
        "[" * 4000,
        "+".join("a" * 3000),
        "".join(f"let x{n} = a; " for n in range(500)) + "a",
        "a > 1 ? 1 : " * 800 + "2",
        "**".join("a" * 900),
        "[a]" + " | map(#)" * 900,
    ],
)
def test_what_is_nested_too_deeply_is_refused(formula: str) -> None:
    assert "levels" in refusal(formula)


@pytest.mark.parametrize(("innermost", "around"), [("true", "({}) ?: false"), ("a", "1 < ({}) < 3 ? 1 : 2")])
def test_what_is_written_once_and_computed_twice_cannot_multiply(innermost: str, around: str) -> None:
    for _ in range(20):
        innermost = around.format(innermost)
    assert f"more than {MOST} steps" in refusal(innermost)


def test_what_is_as_deep_as_it_may_be_has_a_value() -> None:
    assert value("(" * 48 + "a" + ")" * 48) == 2
    assert value("+".join("a" * 100)) == 200
    assert value("[a]" + " | map(#)" * 95 + " | first()") == 2
    assert value("sum(map([a], " * 12 + "#" + "))" * 12) == 2
    assert value("a" + " | max(1)" * 98) == 2


def test_what_nests_while_it_runs_is_no_danger() -> None:
    assert value("len(flatten(reduce(1..2000, [#acc])))") == 1
    assert "64 levels deep" in failure("reduce(1..99, [#acc]) == reduce(1..99, [#acc]) ? 1 : 2")


def test_a_formula_has_a_length() -> None:
    assert value(" " * (LONGEST - 1) + "a") == 2
    assert f"{LONGEST} are the most" in refusal(" " * LONGEST + "a")
