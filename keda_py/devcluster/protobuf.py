"""Bodies in protobuf, as ``kubectl create configmap`` and its like send them: read by the numbers in `builtin`.

Only what Kubernetes' own encoder writes is read (apimachinery pkg/runtime/serializer/protobuf): an envelope that says
what is in it, and one built-in type.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from keda_py.devcluster import builtin

MAGIC: Final = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GROUPS_OF_EVENTS: Final = "events.k8s.io/v1"


class ProtobufError(ValueError):
    """A body that is not protobuf of a type that is known here."""


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a body, as JSON has it; raise `ProtobufError`."""
    if not body.startswith(MAGIC):
        raise ProtobufError("it does not begin as protobuf of Kubernetes does")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        about = {number: value.decode() for number, value in _fields(envelope[1])}
        version, kind = about.get(1, ""), about.get(2, "")
        type_ = f"events.{kind}" if version == _GROUPS_OF_EVENTS else kind
        if not builtin.knows(type_):
            raise ProtobufError(f"there is no {kind} of {version} here")
        return {"apiVersion": version, "kind": kind, **_struct(type_, envelope.get(2, b""))}
    except (IndexError, KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise ProtobufError(f"it cannot be read: {type(error).__name__}") from None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise IndexError(number)
            yield number, data[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ProtobufError(f"there is no wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004  the last one has no such bit
            return value, at


def _struct(type_: str, data: bytes) -> dict[str, Any]:
    known = builtin.on_wire(type_)
    result: dict[str, Any] = {}
    for number, value in _fields(data):
        field = known.get(number)
        if field is None:
            continue
        if field.name == "+":
            result |= _struct(field.type, value)
        elif field.shape == "[]":
            result.setdefault(field.name, []).append(_item(field.type, value))
        elif field.shape == "{}":
            pair = dict(_fields(value))
            result.setdefault(field.name, {})[pair.get(1, b"").decode()] = _item(field.type, pair.get(2, b""))
        else:
            found = _item(field.type, value)
            if found or field.pointer:
                # Go writes down what is empty as well.
                result[field.name] = found
    return result


def _item(type_: str, value: Any) -> Any:
    if isinstance(value, int):
        return bool(value) if type_ == "bool" else value - 2**64 if value >= 2**63 else value
    special = _SPECIAL.get(type_)
    return special(value) if special is not None else _struct(type_, value)


def _int_or_string(value: bytes) -> Any:
    found = dict(_fields(value))
    return found[3].decode() if found.get(1) else _item("int32", found.get(2, 0))


def _time(found: dict[int, int], *, precise: bool) -> str | None:
    seconds = found.get(1)
    if not seconds or seconds >= 2**63:
        # The year 1, Go's way to say that there is none.
        return None
    at = datetime.fromtimestamp(seconds, UTC)
    micros = f".{found.get(2, 0) // 1000:06d}" if precise else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{micros}Z"


_SPECIAL: Final[dict[str, Callable[[bytes], Any]]] = {
    "string": bytes.decode,
    "bytes": lambda value: base64.b64encode(value).decode(),
    "Time": lambda value: _time(dict(_fields(value)), precise=False),
    "MicroTime": lambda value: _time(dict(_fields(value)), precise=True),
    "Quantity": lambda value: dict(_fields(value)).get(1, b"0").decode(),
    "IntOrString": _int_or_string,
    "any": lambda _: None,
}
