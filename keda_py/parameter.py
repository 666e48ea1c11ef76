"""Trigger parameters: from the texts of a manifest to typed, checked values.

A scaler declares its parameters once, as fields of a `Metadata` model. One pure function, `read`, fills such a model
from trigger metadata, authentication parameters and the target's environment, and reports everything that is wrong
at once. The rules are those of KEDA's pkg/scalers/scalersconfig/typed_config.go, so that a manifest means the same.
Messages name parameters and never values: a value may be a secret.
"""

import math
import re
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from keda_py.duration import DurationError, parse_go_duration


class Origin(StrEnum):
    """Where a parameter's text may come from."""

    TRIGGER = "triggerMetadata"
    AUTH = "authParams"
    ENV = "resolvedEnv"


TRIGGER: Final = Origin.TRIGGER
AUTH: Final = Origin.AUTH
ENV: Final = Origin.ENV


class ScalerError(Exception):
    """A trigger's failure in words for the person who wrote the manifest; the message never holds a secret."""


class MetadataError(ScalerError):
    """Parameters that make no sense; `problems` has one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Parameter:
    """How one parameter is found and decoded; made by `param`."""

    names: tuple[str, ...]
    order: tuple[Origin, ...]
    enum: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    separator: str = ","
    ranges: bool = False
    bits: int = 64
    unsigned: bool = False
    removed: str | None = None
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """The texts a trigger's parameters are read from; none is in `repr`: an address may hold a password."""

    metadata: Mapping[str, str] = field(repr=False)
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


class Metadata(BaseModel):
    """Base of every scaler's parameters: frozen, and made by `read` only."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


def param(
    *names: str,
    order: tuple[Origin, ...] = (Origin.TRIGGER,),
    default: Any = ...,
    enum: tuple[str, ...] = (),
    exclusive: tuple[str, ...] = (),
    separator: str = ",",
    ranges: bool = False,
    bits: int = 64,
    unsigned: bool = False,
    removed: str | None = None,
    binary: bool = False,
    **constraints: Any,
) -> Any:
    """Declare a parameter as the default value of a `Metadata` field.

    `names`: the name in the manifest, then aliases; the first that has a value wins within a source.
    `order`: the sources to look in, first hit wins; ENV means ``<name>FromEnv`` names a variable of the target.
    `default`: the value when no source has one; without it the parameter is required.
    `enum`, `exclusive`: allowed values, and values of which only one may be given; both per separated piece.
    `ranges`: integer lists accept ``1-4``. `bits`, `unsigned`: the bounds of an integer.
    `removed`: what to use instead of a parameter that no longer exists; giving it a value is an error.
    `binary`: may be bytes that are no text, a keytab's say, written as `surrogateescape` does.
    `constraints`: pydantic's, such as ``gt=0``.
    """
    declared = Parameter(names, order, enum, exclusive, separator, ranges, bits, unsigned, removed, binary)
    may_be_secret = order != (Origin.TRIGGER,)
    info: FieldInfo = Field(default, alias=names[0], repr=not may_be_secret, **constraints)
    info.metadata.append(declared)
    return info


M = TypeVar("M", bound=Metadata)


def read(model: type[M], inputs: Inputs) -> M:
    """Return `model` filled from `inputs`; raise `MetadataError` naming everything that is missing or malformed."""
    values, problems = _decoded(declared_parameters(model), inputs)
    try:
        filled = model(**values)
    except ValidationError as error:
        raise MetadataError([*problems, *(_sentence(detail) for detail in _details(error))]) from None
    if problems:
        raise MetadataError(problems)
    return filled


def foreseen(model: type[Metadata], inputs: Inputs, *, unknown: Collection[Origin]) -> list[str]:
    """Return what is wrong with `inputs` whatever the origins in `unknown` have to say, one sentence each.

    Only what is wrong with a single parameter can be foreseen: what goes together with what depends on all of them.
    """
    declared = [pair for pair in declared_parameters(model) if not _is_open(pair[1], inputs, unknown)]
    values, problems = _decoded(declared, inputs)
    try:
        model(**values)
    except ValidationError as error:
        details = [detail for detail in _details(error) if detail["loc"] and detail["loc"][0] in values]
        problems += map(_sentence, details)
    return problems


def _is_open(parameter: Parameter, inputs: Inputs, unknown: Collection[Origin]) -> bool:
    """Return whether an origin that is not known may give a parameter, before those that are known do."""
    for origin in parameter.order:
        if origin is Origin.ENV and origin in unknown:
            names = (inputs.metadata.get(f"{name}FromEnv", "") for name in parameter.names)
            if any(name.strip(_SPACE) for name in names):
                return True
        elif origin in unknown:
            return True
        elif locate(replace(parameter, order=(origin,)), inputs) is not None:
            return False
    return False


def _decoded(declared: Iterable[tuple[FieldInfo, Parameter]], inputs: Inputs) -> tuple[dict[str, Any], list[str]]:
    """Return the values of parameters, and what is wrong with each that has none."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for info, parameter in declared:
        name = parameter.names[0]
        found = locate(parameter, inputs)
        if found is None:
            if info.is_required():
                problems.append(f"{name}: required, set it in {_places(parameter)}")
            continue
        if parameter.removed:
            problems.append(f"{name}: no longer supported; {parameter.removed}")
            continue
        try:
            values[name] = decode(found[0], info.annotation, parameter)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return values, problems


def _details(error: ValidationError) -> list[Any]:
    # What is missing or malformed has been told already; pydantic would only see that it is not there.
    return [detail for detail in error.errors(include_input=False) if detail["type"] != "missing"]


def declared_parameters(model: type[Metadata]) -> list[tuple[FieldInfo, Parameter]]:
    """Return each field of a model that `param` declared, in the order of declaration."""
    return [
        (info, declared)
        for info in model.model_fields.values()
        for declared in info.metadata
        if isinstance(declared, Parameter)
    ]


def locate(parameter: Parameter, inputs: Inputs) -> tuple[str, Origin] | None:
    """Return a parameter's trimmed text and where it came from; None when no source gives one.

    A blank text counts as not given. The name of an environment variable is not trimmed.
    """
    for origin in parameter.order:
        for name in parameter.names:
            match origin:
                case Origin.TRIGGER:
                    text = inputs.metadata.get(name)
                case Origin.AUTH:
                    text = inputs.auth.get(name)
                case Origin.ENV:
                    text = inputs.env.get(inputs.metadata.get(f"{name}FromEnv", ""))
            if text is not None and (trimmed := text.strip(_SPACE)):
                return trimmed, origin
    return None


def _places(parameter: Parameter) -> str:
    words = {
        Origin.TRIGGER: "the trigger's metadata",
        Origin.AUTH: "the TriggerAuthentication",
        Origin.ENV: f"the target's environment ({parameter.names[0]}FromEnv)",
    }
    return " or ".join(words[origin] for origin in parameter.order)


def _sentence(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    text = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


# --- decoding -------------------------------------------------------------------------------------------------------

# Go's unicode.IsSpace; str.strip() alone would also take U+001C..U+001F.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_NO_TEXT: Final = re.compile("[\ud800-\udfff]")
_JSON_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_JSON_SPACE: Final = " \t\n\r"
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_MAX_ITEMS: Final = 100_000
_INT64: Final = 2**63

QueryValues = dict[str, list[str]]
"""A parameter written as a URL query (``a=1&a=2&b=3``)."""


def decode(text: str, annotation: Any, parameter: Parameter) -> Any:
    """Return the typed value of a trimmed text; raise ValueError saying what was expected.

    An annotation that is none of the kinds of KEDA's parameters gets the text itself, for its own pydantic validator.
    """
    if not parameter.binary and _NO_TEXT.search(text):
        raise ValueError("expected text, found bytes that are none")
    _check_pieces(text, parameter)
    kind, optional = _without_none(annotation)
    if optional and text == "null" and kind in (int, float, bool):
        return None
    if kind == QueryValues:
        return _query(text)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return _items(text, arguments[0], parameter)
    if origin in (dict, Mapping):
        return _pairs(text, arguments[1], parameter)
    return _scalar(text, kind, parameter, strict_bool=optional)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        return kinds[0], True
    return annotation, False


def _check_pieces(text: str, parameter: Parameter) -> None:
    pieces = [piece.strip(_SPACE) for piece in text.split(parameter.separator)]
    if parameter.enum and not set(pieces) <= set(parameter.enum):
        raise ValueError(f"must be one of {', '.join(parameter.enum)}")
    if parameter.exclusive and sum(piece in parameter.exclusive for piece in pieces) > 1:
        raise ValueError(f"may name only one of {', '.join(parameter.exclusive)}")


def _scalar(text: str, kind: Any, parameter: Parameter, *, strict_bool: bool = False) -> Any:
    if kind is bool:
        return _boolean(text, strict=strict_bool)
    if kind is int:
        return _integer(text, parameter)
    if kind is float:
        return _float(text)
    if kind is timedelta:
        return _duration(text)
    return text


def _integer(text: str, parameter: Parameter) -> int:
    digits = text.strip(_JSON_SPACE)
    if not _JSON_INTEGER.fullmatch(digits) or (parameter.unsigned and digits[0] == "-"):
        raise ValueError("expected a whole number")
    low, high = (
        (0, 2**parameter.bits - 1)
        if parameter.unsigned
        else (-(2 ** (parameter.bits - 1)), 2 ** (parameter.bits - 1) - 1)
    )
    # A text of more digits than any 64-bit number is refused before int() works on it.
    if len(digits) > len(str(high)) + 1 or not low <= (value := int(digits)) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return value


def _float(text: str) -> float:
    digits = text.strip(_JSON_SPACE)
    if not _JSON_NUMBER.fullmatch(digits) or math.isinf(value := float(digits)):
        raise ValueError("expected a number such as 5 or 0.5")
    return value


def _boolean(text: str, *, strict: bool) -> bool:
    if text in ({"true"} if strict else _TRUE):
        return True
    if text in ({"false"} if strict else _FALSE):
        return False
    raise ValueError("expected true or false")


def _duration(text: str) -> timedelta:
    """Return a Go duration, or a whole number of milliseconds."""
    try:
        value = parse_go_duration(text)
    except DurationError:
        if not re.fullmatch(r"[+-]?0*[0-9]{1,19}", text) or not -_INT64 <= int(text) < _INT64:
            raise ValueError("expected a duration such as 30s or 5m, or a whole number of milliseconds") from None
        if abs(int(text)) * 1_000_000 >= _INT64:
            raise ValueError("the duration is too long") from None
        value = timedelta(milliseconds=int(text))
    if value < timedelta(0):
        raise ValueError("a duration cannot be negative")
    return value


def _items(text: str, kind: Any, parameter: Parameter) -> list[Any]:
    items: list[Any] = []
    for piece in text.split(parameter.separator):
        item = piece.strip(_SPACE)
        if parameter.ranges and kind is int and "-" in item:
            items.extend(_range(item, parameter))
        else:
            items.append(_scalar(item, kind, parameter))
        if len(items) > _MAX_ITEMS:
            raise ValueError(f"may name at most {_MAX_ITEMS} numbers")
    return items


def _range(text: str, parameter: Parameter) -> range:
    bounds = text.split("-")
    if len(bounds) != 2:  # noqa: PLR2004  a range has two ends
        raise ValueError("expected a range such as 1-4")
    first, last = (_integer(bound, parameter) for bound in bounds)
    if last - first > _MAX_ITEMS:
        raise ValueError(f"a range may span at most {_MAX_ITEMS} numbers")
    return range(first, last + 1)


def _pairs(text: str, kind: Any, parameter: Parameter) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for piece in text.split(parameter.separator):
        key, equals, value = piece.partition("=")
        if not equals or "=" in value:
            raise ValueError("expected pairs such as key=value")
        pairs[key.strip(_SPACE)] = _scalar(value.strip(_SPACE), kind, parameter)
    return pairs


def _query(text: str) -> QueryValues:
    """Return the values of a URL query as Go's url.ParseQuery reads it."""
    values: QueryValues = {}
    for piece in filter(None, text.split("&")):
        if ";" in piece or re.search(r"%(?![0-9A-Fa-f]{2})", piece):
            raise ValueError("expected a URL query such as a=1&b=2")
        key, _, value = piece.partition("=")
        values.setdefault(_unescaped(key), []).append(_unescaped(value))
    return values


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")
