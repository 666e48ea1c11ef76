"""Label and field selectors, as lists and watches take them (k8s.io/apimachinery pkg/labels and pkg/fields)."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

Matches = Callable[[Mapping[str, Any]], bool]

_KEY: Final = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_WORD: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_SET: Final = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(((?:\s*{_WORD}\s*,)*\s*{_WORD}\s*)\)\s*")
_EQUAL: Final = re.compile(rf"\s*({_KEY})\s*(==|=|!=)\s*({_WORD})\s*")
_ORDER: Final = re.compile(rf"\s*({_KEY})\s*([<>])\s*(\d+)\s*")
_EXISTS: Final = re.compile(rf"\s*(!?)\s*({_KEY})\s*")
_FIELD: Final = re.compile(r"\s*([^\s!=]+)\s*(==|=|!=)\s*((?:[^=\\]|\\.)*)")
_PART: Final = re.compile(r"(?:[^,\\]|\\.)+")


class SelectorError(ValueError):
    """A selector that cannot be understood."""


@lru_cache(maxsize=1024)
def by_labels(text: str) -> Matches:
    """Return what tells whether an object's labels match a selector; raise `SelectorError`."""
    tests = [_requirement(part) for part in _split(text)]

    def matches(found: Mapping[str, Any]) -> bool:
        labels = found.get("metadata", {}).get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _split(text: str) -> list[str]:
    # Not at the commas within "in (a, b)".
    return re.split(r",(?![^(]*\))", text) if text.strip() else []


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(text):
        name, is_in = found[1], found[2] == "in"
        values = {value.strip() for value in found[3].split(",")}
        return (lambda labels: labels.get(name) in values) if is_in else (lambda labels: labels.get(name) not in values)
    if found := _EQUAL.fullmatch(text):
        name, is_equal, value = found[1], found[2] != "!=", found[3]
        return lambda labels: (labels.get(name) == value) is is_equal
    if found := _ORDER.fullmatch(text):
        name, is_more, limit = found[1], found[2] == ">", int(found[3])
        return lambda labels: _is_beyond(labels.get(name, ""), limit, is_more=is_more)
    if found := _EXISTS.fullmatch(text):
        name, wanted = found[2], not found[1]
        return lambda labels: (name in labels) is wanted
    raise SelectorError(f"unable to parse requirement: {text}")


def _is_beyond(value: str, limit: int, *, is_more: bool) -> bool:
    # What is no number is beyond nothing.
    return re.fullmatch(r"-?\d+", value) is not None and (int(value) > limit if is_more else int(value) < limit)


@lru_cache(maxsize=1024)
def by_fields(text: str, known: tuple[str, ...] = ()) -> Matches:
    """Return what tells whether an object's fields match a selector such as ``metadata.name=x``.

    `known`: what the kind can be selected by beside name and namespace. Raise `SelectorError`.
    """
    tests: list[tuple[list[str], bool, str]] = []
    for part in _PART.findall(text):
        found = _FIELD.fullmatch(part)
        if found is None:
            raise SelectorError(f"invalid selector: {part!r}; can't understand {part!r}")
        allowed = (*_FIELDS, *known)
        if found[1] not in allowed:
            names = ", ".join(f'"{name}"' for name in allowed)
            raise SelectorError(f'field label not supported: "{found[1]}" is not a known field selector: only {names}')
        tests.append((found[1].split("."), found[2] != "!=", re.sub(r"\\(.)", r"\1", found[3])))
    return lambda found: all((_field(found, path) == value) is equal for path, equal, value in tests)


_FIELDS: Final = ("metadata.name", "metadata.namespace")


def _field(found: Any, path: list[str]) -> str:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return "" if found is None else str(found)


def from_object(selector: Mapping[str, Any] | None) -> str:
    """Return a LabelSelector object in the words of a label selector; empty for one that selects all."""
    parts = [f"{name}={value}" for name, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for expression in (selector or {}).get("matchExpressions") or []:
        name, values = expression["key"], ",".join(expression.get("values") or [])
        match expression["operator"]:
            case "Exists":
                parts.append(name)
            case "DoesNotExist":
                parts.append(f"!{name}")
            case operator:
                parts.append(f"{name} {operator.lower()} ({values})")
    return ",".join(parts)
