"""From text to tokens, as expr-lang cuts it (parser/lexer/state.go)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keda_py.decide.formula.error import END, FormulaError
from keda_py.decide.number import fits, go_float

_WORDS: Final = frozenset(
    ["and", "contains", "else", "endsWith", "if", "in", "let", "matches", "not", "or", "startsWith"]
)
_TOKEN: Final = re.compile(
    r"""
    (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<number> 0[xX][0-9a-fA-F_]* | 0[oO][0-7_]* | 0[bB][01_]*
              | (?: [0-9][0-9_]* (?:\.(?!\.)[0-9_]*)? | \.[0-9][0-9_]* ) (?:[eE][+-]?[0-9_]*)? )
  | (?P<text> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
  | (?P<raw> `[^`]*` )
  | (?P<open> /\* | ["'`] )
  | (?P<word> [\w$]+ )
  | (?P<symbol> \|\|? | ::? | \?[.?]? | \.\.? | [&!=*<>][&=*]? | [-,;%+^\#/] | [()\[\]{}] )
    """,
    re.VERBOSE | re.DOTALL,
)
_BASES: Final = {"0x": 16, "0o": 8, "0b": 2}
_ESCAPE: Final = re.compile(
    r"\\(?: x([0-9a-fA-F]{2}) | X([0-9a-fA-F]{2}) | u([0-9a-fA-F]{4}) | u\{([0-9a-fA-F]{1,6})\} | U([0-9a-fA-F]{8})"
    r" | ([0-3][0-7]{2}) | (.) )",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_LAST_CHARACTER: Final = 0x10FFFF


class Sort(Enum):
    """What a token is."""

    NUMBER = "number"
    TEXT = "text"
    NAME = "name"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a formula: as it is written, from which column on, and what a number or text stands for."""

    sort: Sort
    text: str
    column: int
    value: int | float | str | None = None

    def __str__(self) -> str:
        return END if self.sort is Sort.END else self.text


def tokens(formula: str) -> Iterator[Token]:
    """Yield the tokens of a formula, the last one its end; raise `FormulaError` for what is none."""
    place = 0
    while place < len(formula):
        found = _TOKEN.match(formula, place)
        column = place + 1
        if found is None:
            raise FormulaError.at(column, f"{formula[place]!r} has no place in a formula")
        text, place = found[0], found.end()
        if found.lastgroup == "open":
            raise FormulaError.at(column, f"{text} is not closed")
        if found.lastgroup == "number":
            if place < len(formula) and re.match(r"[\w$]", formula[place]):
                raise FormulaError.at(column, f"{text}{formula[place]} is neither a number nor a name")
            yield Token(Sort.NUMBER, text, column, _number(text, column))
        elif found.lastgroup in {"text", "raw"}:
            value = text[1:-1] if found.lastgroup == "raw" else _unescaped(text[1:-1], column)
            yield Token(Sort.TEXT, text, column, value)
        elif found.lastgroup == "symbol" or text in _WORDS:
            yield Token(Sort.SYMBOL, text, column)
        elif found.lastgroup == "word":
            yield Token(Sort.NAME, text, column)
    yield Token(Sort.END, "", len(formula) + 1)


def _number(text: str, column: int) -> int | float:
    digits = text.replace("_", "")
    base = _BASES.get(digits[:2].lower(), 10)
    if base == 10 and re.search("[.eE]", digits):  # noqa: PLR2004  a float is decimal
        if (number := go_float(digits)) is not None:
            return number
        raise FormulaError.at(column, f"{text} is no number, or too large a one")
    try:
        whole = int(digits, base)
    except ValueError:
        raise FormulaError.at(column, f"{text} is no number") from None
    if not fits(whole):
        raise FormulaError.at(column, f"{text} does not fit into 64 bits; write it as 1e20")
    return whole


def _unescaped(text: str, column: int) -> str:
    def meant(found: re.Match[str]) -> str:
        *codes, octal, character = found.groups()
        code = next((int(digits, 16) for digits in codes if digits), None)
        if octal:
            code = int(octal, 8)
        if code is None and character in _ESCAPED:
            return _ESCAPED[character]
        if code is None or code > _LAST_CHARACTER:
            raise FormulaError.at(column, f"there is no {found[0]} in a text; a backslash is written \\\\")
        return chr(code)

    return _ESCAPE.sub(meant, text)
