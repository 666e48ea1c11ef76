"""What is wrong with a formula: said of its text, or of its triggers' values; and what would take too much."""

import pytest

from keda_py.decide.formula import LONGEST, FormulaError
from keda_py.decide.formula import compile as compile_formula
from keda_py.decide.formula.steps import MOST
from tests.decide.formulas import NAMES, VALUES, failure, refusal, value


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
