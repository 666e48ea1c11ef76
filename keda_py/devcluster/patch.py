"""The ways to change an object in part: merge patch, JSON patch and strategic merge patch.

All return a new object and leave the old one as it is: objects in the store are never changed in place.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

Shape = Mapping[str, Any]
"""What the fields of a value are, as OpenAPI has it (`Kind.shape`)."""

_ORDER: Final = "$setElementOrder/"
_DELETE_PRIMITIVE: Final = "$deleteFromPrimitiveList/"


class PatchError(ValueError):
    """A patch that cannot be applied."""


def merge(target: Any, patch: Any) -> Any:
    """Return what a JSON merge patch (RFC 7386) makes of a value."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def within(shape: Shape, name: str) -> Shape:
    """Return what a field of a value is; nothing if that is not known."""
    found = (shape.get("properties") or {}).get(name, shape.get("additionalProperties"))
    return found if isinstance(found, Mapping) else {}


def keys_of(shape: Shape) -> list[str]:
    """Return what identifies the items of a list; nothing if it is one value as a whole."""
    return list(shape.get("x-kubernetes-list-map-keys") or ())


def is_set(shape: Shape) -> bool:
    """Return whether the items of a list are just there or not."""
    return shape.get("x-kubernetes-list-type") == "set"


def strategic(target: Any, patch: Any, shape: Shape) -> Any:
    """Return what a strategic merge patch makes of a value: lists of named items are merged by name."""
    if not isinstance(patch, Mapping):
        return patch
    if (directive := patch.get("$patch", "merge")) != "merge":
        if directive not in ("replace", "delete"):
            raise PatchError(f"unknown patch type: {directive}")
        return {name: value for name, value in patch.items() if name != "$patch" and directive == "replace"}
    result = dict(target) if isinstance(target, Mapping) else {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        result = {name: value for name, value in result.items() if name in retained}
    for name, value in patch.items():
        if name.startswith(_DELETE_PRIMITIVE):
            listed = name.removeprefix(_DELETE_PRIMITIVE)
            result[listed] = [item for item in result.get(listed) or [] if item not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        elif isinstance(value, list):
            old, order = result.get(name) or [], patch.get(_ORDER + name)
            result[name] = _merged_list(old, value, order, within(shape, name))
        else:
            result[name] = strategic(result.get(name), value, within(shape, name))
    return result


def _merged_list(old: list[Any], patch: list[Any], order: list[Any] | None, shape: Shape) -> list[Any]:
    if is_set(shape):
        return [*old, *(item for item in patch if item not in old)]
    # A strategic merge patch goes by the first key alone.
    key = next(iter(keys_of(shape)), None)
    if key is None or not all(isinstance(item, Mapping) for item in [*old, *patch]):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = {item.get(key): item for item in old}
    for item in patch:
        if key not in item:
            raise PatchError(f"map: {json.dumps(dict(item))} does not contain declared merge key: {key}")
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic(merged.get(item.get(key)), item, shape.get("items") or {})
    places = {item.get(key): position for position, item in enumerate(order or [])}
    return sorted(merged.values(), key=lambda item: places.get(item.get(key), len(places)))


def json_patch(target: Any, operations: list[Any]) -> Any:
    """Return what a JSON patch (RFC 6902) makes of a value; raise `PatchError` if one operation cannot be done."""
    document = {"": deepcopy(target)}
    for operation in operations:
        try:
            _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PatchError(f"the operation {operation} cannot be applied: {error}") from None
    return document[""]


def _operate(document: Any, operation: Mapping[str, Any]) -> None:
    kind, path = operation["op"], _pointer(operation["path"])
    match kind:
        case "add":
            _add(document, path, operation["value"])
        case "remove":
            _remove(document, path)
        case "replace":
            _replace(document, path, operation["value"])
        case "move":
            _add(document, path, _remove(document, _pointer(operation["from"])))
        case "copy":
            _add(document, path, deepcopy(_find(document, _pointer(operation["from"]))))
        case "test":
            if _find(document, path) != operation["value"]:
                raise ValueError(f"{operation['path']} has another value")
        case _:
            raise ValueError(f"there is no operation {kind}")


def _pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _find(found: Any, path: list[str]) -> Any:
    for part in path:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def _add(document: Any, path: list[str], value: Any) -> None:
    holder, last = _find(document, path[:-1]), path[-1]
    if not isinstance(holder, list):
        holder[last] = value
    elif last == "-":
        holder.append(value)
    elif 0 <= int(last) <= len(holder):
        holder.insert(int(last), value)
    else:
        raise IndexError(f"there is no place {last}")


def _replace(document: Any, path: list[str], value: Any) -> None:
    # Of an object it replaces what is not there as well: the API server's library has it so, against RFC 6902.
    holder, last = _find(document, path[:-1]), path[-1]
    holder[int(last) if isinstance(holder, list) else last] = value


def _remove(document: Any, path: list[str]) -> Any:
    holder, last = _find(document, path[:-1]), path[-1]
    return holder.pop(int(last)) if isinstance(holder, list) else holder.pop(last)
