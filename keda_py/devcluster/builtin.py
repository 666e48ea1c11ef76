"""The fields of built-in kinds: their names, types and defaults, and their numbers in protobuf.

`builtin.txt` declares them as Kubernetes does (types.go of k8s.io/api), a type a line; `tests/controlplane/fields.py`
makes it. With them the rules of the API server's decoder hold for any kind: a value of another type is refused, a field
that does not exist is left out, a default is filled in, and what is empty goes where Go's ``omitempty`` lets it go.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final

from keda_py.quantity import QuantityError, canonical, parse

_FIELD: Final = re.compile(
    r"(?P<name>\+|\w+)=(?P<number>\d*):(?P<pointer>\*?)(?P<shape>\[\]|\{\}|)(?P<type>[\w.]+)(?P<always>!?)(?P<zero>\??)"
    r"(?:@(?P<keys>[\w,]+))?(?P<set>&?)(?P<retain>~?)(?P<atomic>\^?)(?:=(?P<default>.*))?"
)
_INTEGERS: Final = {"int32": 2**31, "int64": 2**63}
_SCALARS: Final = {"string", "bool", "bytes", "Time", "MicroTime", "IntOrString", "Quantity", "any", *_INTEGERS}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NONE: Final = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type. `shape`: ``[]`` a list, ``{}`` a map; `always`: shown even if it is empty.

    `keys`: what identifies the items of a list; `is_set`: a list whose items are just there or not.
    """

    name: str
    number: int
    pointer: bool
    shape: str
    type: str
    always: bool
    keys: tuple[str, ...]
    is_set: bool
    retains: bool
    atomic: bool
    default: Any

    @property
    def is_struct(self) -> bool:
        """Whether it is another type's value itself."""
        return not self.shape and self.type not in _SCALARS

    @property
    def stands(self) -> bool:
        """Whether there is something to show of it even if nothing is given."""
        return self.default is not _NONE or self.always


class UnreadableError(ValueError):
    """A value of another type than its field's; the words are those of Go's decoder."""

    def __init__(self, said: str, wanted: str = "") -> None:
        super().__init__(said)
        self._said, self._wanted = said, wanted
        self._struct, self._path = "", ""

    def within(self, type_: str, name: str) -> "UnreadableError":
        """Return it as seen from a type around the value, whose field it is."""
        self._struct = self._struct or type_.rpartition(".")[2]
        self._path = f"{name}.{self._path}".rstrip(".")
        return self

    def __str__(self) -> str:
        if not self._wanted:
            return self._said
        place = f"Go struct field {self._struct}.{self._path}" if self._path else "Go value"
        return f"json: cannot unmarshal {self._said} into {place} of type {self._wanted}"


@cache
def _declared() -> Mapping[str, tuple[Field, ...]]:
    lines = files("keda_py.devcluster").joinpath("builtin.txt").read_text().splitlines()
    return {line.split(" ", 1)[0]: tuple(map(_field, line.split(" ")[1:])) for line in lines}


@cache
def _is_atomic(type_: str) -> bool:
    return f"{type_}^" in _declared()


def _field(text: str) -> Field:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ValueError(text)
    default = found["default"]
    type_, shape, pointer = found["type"], found["shape"], bool(found["pointer"])
    # Go leaves out no struct that stands for itself.
    whole = not shape and not pointer and type_ not in _SCALARS - {"Time", "MicroTime"}
    return Field(
        found["name"],
        int(found["number"] or 0),
        pointer,
        shape,
        type_,
        bool(found["always"]) or (whole and not found["zero"]),
        tuple(found["keys"].split(",")) if found["keys"] else (),
        bool(found["set"]),
        bool(found["retain"]),
        bool(found["atomic"]),
        json.loads(default) if default is not None else _NONE,
    )


@cache
def on_wire(type_: str) -> Mapping[int, Field]:
    """Return the fields of a type by their numbers in protobuf; one named ``+`` has fields that stand beside it."""
    return {field.number: field for field in _declared()[f"{type_}^" if _is_atomic(type_) else type_]}


def knows(type_: str) -> bool:
    """Return whether a type is declared."""
    return type_ in _fields()


@cache
def _fields() -> Mapping[str, Mapping[str, Field]]:
    declared = {name.rstrip("^"): found for name, found in _declared().items()}

    def flat(name: str) -> dict[str, Field]:
        result: dict[str, Field] = {}
        for field in declared[name]:
            result |= flat(field.type) if field.name == "+" else {field.name: field}
        return result

    return {name: flat(name) for name in declared}


@cache
def _standing(type_: str) -> tuple[Field, ...]:
    return tuple(field for field in _fields()[type_].values() if field.stands)


# --- reading --------------------------------------------------------------------------------------------------------


def read(type_: str, given: Any) -> dict[str, Any]:
    """Return what the API server keeps of a value of a type; raise `UnreadableError`."""
    if not isinstance(given, dict):
        raise UnreadableError(_kind_of(given), f"v1.{type_}")
    fields, result = _fields()[type_], {}
    for name, value in given.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        try:
            kept = _value(field, value)
        except UnreadableError as error:
            raise error.within(type_, name) from None
        if kept or field.pointer or field.always or field.default is not _NONE:
            result[name] = kept
    for field in _standing(type_):
        if field.default is not _NONE and (field.name not in result or not (result[field.name] or field.pointer)):
            result[field.name] = field.default
        elif field.name not in result:
            result[field.name] = _zero(field)
    if "imagePullPolicy" in fields and not result.get("imagePullPolicy") and "terminationMessagePath" in fields:
        # The newest of something may be another one tomorrow.
        tag = str(result.get("image", "")).rpartition("/")[2].partition("@")[0].partition(":")[2]
        pinned = "@" in str(result.get("image", "")) or tag not in ("", "latest")
        result["imagePullPolicy"] = "IfNotPresent" if pinned else "Always"
    return result


def _value(field: Field, value: Any) -> Any:
    if field.shape == "[]":
        if not isinstance(value, list):
            raise UnreadableError(_kind_of(value), f"[]{_go(field.type)}")
        return [_item(field.type, item) for item in value]
    if field.shape == "{}":
        if not isinstance(value, dict):
            raise UnreadableError(_kind_of(value), f"map[string]{_go(field.type)}")
        return {name: _item(field.type, item) for name, item in value.items()}
    return _item(field.type, value)


def _item(type_: str, value: Any) -> Any:
    if type_ == "string" and isinstance(value, str):
        # Most are.
        return value
    reader = _READ.get(type_)
    if reader is None:
        return read(type_, value if value is not None else {})
    return reader(value) if value is not None else _ZEROES.get(type_, "")


def _integer(type_: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(_kind_of(value), type_)
    if value != int(value) or not -_INTEGERS[type_] <= value < _INTEGERS[type_]:
        raise UnreadableError(f"number {value}", type_)
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError(_kind_of(value), "string")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnreadableError(_kind_of(value), "bool")
    return value


def _bytes(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError(_kind_of(value), "[]uint8")
    plain = re.sub(r"[\r\n]", "", value)
    try:
        base64.b64decode(plain, validate=True)
    except binascii.Error:
        wrong = re.search(r"[^A-Za-z0-9+/]", plain)
        at = wrong.start() if wrong else len(plain) // 4 * 4
        raise UnreadableError(f"illegal base64 data at input byte {at}") from None
    return plain


def _time(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError(_kind_of(value), "string")
    if not _TIME.fullmatch(value):
        raise UnreadableError(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse it')
    return value


def _int_or_string(value: Any) -> int | str:
    return value if isinstance(value, str) else _integer("int32", value)


def _quantity(value: Any) -> str:
    try:
        return canonical(parse(str(value)))
    except QuantityError:
        said = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        raise UnreadableError(said) from None


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _text,
    "bool": _bool,
    "bytes": _bytes,
    "Time": _time,
    "MicroTime": _time,
    "IntOrString": _int_or_string,
    "Quantity": _quantity,
    "any": lambda value: value,
    **{type_: partial(_integer, type_) for type_ in _INTEGERS},
}
_ZEROES: Final[Mapping[str, Any]] = {"bool": False, **dict.fromkeys(_INTEGERS, 0)}


def _zero(field: Field) -> Any:
    if field.is_struct and not field.pointer:
        return read(field.type, {})
    if field.shape or field.pointer or field.type in ("Time", "MicroTime", "any"):
        return None
    return _item(field.type, None)


def _kind_of(value: Any) -> str:
    """Return how Go's decoder calls a value of JSON."""
    if isinstance(value, bool):
        return "bool"
    return {str: "string", int: "number", float: "number", list: "array", dict: "object"}.get(type(value), "null")


def _go(type_: str) -> str:
    return type_ if type_ in _SCALARS else f"v1.{type_}"


# --- as a schema ----------------------------------------------------------------------------------------------------

_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "IntOrString": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "Quantity": {"type": "string"},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


@cache
def schema(type_: str) -> dict[str, Any]:
    """Return a type as OpenAPI has it, with what patches need to know of its lists."""
    return {
        "type": "object",
        "properties": {name: _schema(field) for name, field in _fields()[type_].items()},
        **({"x-kubernetes-map-type": "atomic"} if _is_atomic(type_) else {}),
    }


def _schema(field: Field) -> dict[str, Any]:
    inner = _FORMATS.get(field.type) or schema(field.type)
    if field.default is not _NONE:
        inner = {**inner, "default": field.default}
    retains = {"x-kubernetes-patch-strategy": "retainKeys"} if field.retains and not field.keys else {}
    if field.shape == "{}":
        atomic = {"x-kubernetes-map-type": "atomic"} if field.atomic else {}
        return {"type": "object", "additionalProperties": inner, **atomic}
    if field.shape != "[]":
        return {**inner, **retains}
    if field.is_set:
        return {"type": "array", "items": inner, "x-kubernetes-list-type": "set"}
    if not field.keys:
        return {"type": "array", "items": inner}
    return {
        "type": "array",
        "items": inner,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(field.keys),
    }
