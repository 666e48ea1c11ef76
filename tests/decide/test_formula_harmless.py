"""No formula crashes or hangs, whatever its text: characters, pieces, formulas with mistakes, and whole ones at random.

That nothing hangs is shown by counting, so that it holds on any machine: the calls that reading a text and working out
its value take are in proportion to its length and to the language's own limit of steps.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keda_py.decide.formula import FormulaError
from keda_py.decide.formula import compile as compile_formula
from keda_py.decide.formula.function import FUNCTIONS
from keda_py.decide.formula.predicate import PREDICATES
from keda_py.decide.formula.steps import MOST

CASES: Final = 100_000
"""What `make test` tries in all, shared out over the properties."""
FEW: Final = 100
NAMES: Final = ("a", "b", "my-trigger")
VALUES: Final[list[dict[str, float | None]]] = [
    {"a": 2.0, "b": -3.5, "my-trigger": 100.0},
    dict.fromkeys(NAMES),
    dict.fromkeys(NAMES, -1.0),
    dict.fromkeys(NAMES, 1e308),
]
ORACLE: Final = Path(__file__).parents[1] / "oracle" / "expr-golden.jsonl"
CALLS_BEFORE: Final = 1_000
CALLS_A_CHARACTER: Final = 400
CALLS_A_STEP: Final = 40


class Endless(BaseException):
    """It has taken more calls than it may; not an `Exception`, which what is under test could catch."""


def counted(work: Callable[[], Any], most: int) -> Any:
    """Return what some work returns; raise `Endless` as soon as it has called more functions than `most`."""
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls > most:
            raise Endless(f"more than {most} calls")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        return work()
    finally:
        sys.setprofile(before)


def harmless(text: str) -> None:
    """Whatever the text: a formula or a refusal, a number or a failure, within its count of calls."""
    reading = CALLS_BEFORE + CALLS_A_CHARACTER * len(text)
    try:
        formula = counted(lambda: compile_formula(text, NAMES), reading)
    except FormulaError:
        return
    for values in VALUES:
        try:
            result = counted(lambda values=values: formula.value(values), reading + CALLS_A_STEP * MOST)
        except FormulaError:
            continue
        assert result is None or (type(result) is float and math.isfinite(result))


# --- texts ------------------------------------------------------------------------------------------------------------


class Tape:
    """Choices, made of bytes: where they come to an end each choice is the first one, which ends what recurs.

    Hypothesis draws bytes a hundred times faster than a grammar, and what it makes shorter is a shorter text.
    """

    def __init__(self, content: bytes) -> None:
        self._left = iter(content)

    def below(self, most: int) -> int:
        """Return a number from 0 on."""
        return next(self._left, 0) % most

    def one_of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]


PIECES: Final = [
    *("", *"()[]{},;.?:#+-*/%^<>=!&|$\"'`\\ \n_ab019é\0\ud800"),
    *("??", "**", "..", "?.", "not ", "in ", "let ", "if ", "else ", "nil", "true", "1e9", "0x", "1..99"),
    *("map(", "filter(", "reduce(", "sum(", "#acc", "//", "/*", "$env"),
]


def jumbled(tape: Tape) -> str:
    """Return pieces of formulas in any order."""
    return "".join(tape.one_of(PIECES) for _ in range(tape.below(40)))


FORMULAS: Final = sorted({json.loads(line)["f"] for line in ORACLE.read_text().splitlines()})


def with_mistakes(tape: Tape) -> str:
    """Return a formula of the oracle in which something was typed wrong."""
    text = FORMULAS[(tape.below(256) * 256 + tape.below(256)) % len(FORMULAS)]
    text = text.replace("trig_one", "a").replace("kafka", "b")
    for _ in range(1 + tape.below(3)):
        start = tape.below(len(text) + 1)
        text = text[:start] + tape.one_of(PIECES) + text[start + tape.below(4) :]
    return text


# By the grammar; most of it makes sense. N is a number, T true or false, A an array, X any of it; F, P are functions.
GRAMMAR: Final[dict[str, list[str]]] = {
    "N": [
        *("a", "b", "0", "1", "2.5", "1e308", "9223372036854775807", '$env["my-trigger"]', "(a ?? 5)"),
        *("#", "#acc", "#index", "-N", "+N", "(T ? N : X)", "if T { N } else { N }", "(let x = N; x * x)", "(X ?? N)"),
        *("(N + N)", "(N - N)", "(N * N)", "(N / N)", "(N % N)", "(N ** N)", "(N ^ N)", "A[N]", "N in A ? N : N"),
        *("F(N)", "F(A)", "F(A)", "F(X, X)", "P(A, X)", "P(A, T)", "reduce(A, N, N)", "(A | P(X))", "sum(A)", "len(A)"),
    ],
    "T": [
        *("true", "false", "(N < N)", "(N >= N < N)", "(N == X)", "(N != N)", "(T and T)", "(T || T)", "not T"),
        *("(N in A)", "(N not in A)", "any(A, T)", "none(A, T)"),
    ],
    "A": [
        *("[]", "[a, b]", "1..9", "0..999", "[nil]", "[[1], 2]", "[X, X]", "[N, N]", "map(A, X)", "filter(A, T)"),
        *("A[N:N]", "(N..N)", "concat(A, A)", "take(A, N)", "reverse(A)", "sort(A)", "sortBy(A, N)", "uniq(A)"),
        "flatten(A)",
    ],
    "X": ["N", "N", "T", "A", "nil", '"5"', '{"x": N}', "$env", "[X, A]"],
    "F": sorted(FUNCTIONS),
    "P": sorted(PREDICATES),
}
DEPTH: Final = 12
_PARTS: Final = re.compile(r"\b[NTAXFP]\b")


def by_the_grammar(tape: Tape, part: str = "N", depth: int = DEPTH) -> str:
    """Return a formula, nested so many times at most."""
    pattern = tape.one_of(GRAMMAR[part]) if depth else GRAMMAR[part][0]
    return _PARTS.sub(lambda found: by_the_grammar(tape, found[0], max(depth - 1, 0)), pattern)


# --- the properties ---------------------------------------------------------------------------------------------------

TEXTS: Final = {
    "any text": st.text(),
    "jumbled": st.binary(max_size=48).map(Tape).map(jumbled),
    "with mistakes": st.binary(min_size=4, max_size=16).map(Tape).map(with_mistakes),
    "by the grammar": st.binary(max_size=64).map(Tape).map(by_the_grammar),
}
SHARES: Final = {"any text": 0.1, "jumbled": 0.2, "with mistakes": 0.3, "by the grammar": 0.4}


def tried(kind: str, count: int) -> None:
    """Try so many texts of a kind."""
    seen = 0

    @given(TEXTS[kind])
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    def whatever_it_is(text: str) -> None:
        nonlocal seen
        seen += 1
        harmless(text)

    whatever_it_is()
    assert seen >= count


@pytest.mark.parametrize("kind", TEXTS)
def test_a_formula_is_harmless(kind: str) -> None:
    tried(kind, FEW)


@pytest.mark.e2e
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_hundred_thousand_formulas_are_harmless(kind: str) -> None:
    tried(kind, round(CASES * SHARES[kind]))


def test_what_has_no_end_is_found_by_counting() -> None:
    def endless() -> None:
        while True:
            len("")

    with pytest.raises(Endless):
        counted(endless, 1_000)
