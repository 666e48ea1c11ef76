"""What a CRD's schema does to an object: fields it does not name are dropped, defaults filled in, values checked.

The words of errors are the API server's, since kubectl's users search for them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_KEEP: Final = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
Schema = Mapping[str, Any]


def unknown_fields(found: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of each field that the schema does not name."""
    if isinstance(found, Mapping) and not schema.get(_KEEP):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, value in found.items():
            inner = properties.get(name, rest)
            if not path and name in ("apiVersion", "kind", "metadata"):
                continue
            if isinstance(inner, Mapping):
                yield from unknown_fields(value, inner, f"{path}.{name}".lstrip("."))
            elif inner is None:
                yield f"{path}.{name}".lstrip(".")
    elif isinstance(found, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(found):
            yield from unknown_fields(item, schema["items"], f"{path}[{index}]")


def pruned(found: Any, schema: Schema, *, root: bool = True) -> Any:
    """Return an object without the fields that its schema does not name, and with its defaults."""
    if isinstance(found, Mapping):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        result: dict[str, Any] = {}
        for name, value in found.items():
            inner = properties.get(name, rest)
            if root and name in ("apiVersion", "kind", "metadata"):
                result[name] = value
            elif isinstance(inner, Mapping):
                result[name] = pruned(value, inner, root=False)
            elif inner is True or schema.get(_KEEP):
                result[name] = value
        for name, inner in properties.items():
            if name not in result and "default" in inner:
                result[name] = inner["default"]
        return result
    if isinstance(found, list) and isinstance(schema.get("items"), Mapping):
        return [pruned(item, schema["items"], root=False) for item in found]
    return found


def problems(found: Any, schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the words of each thing that the schema does not allow."""
    if found is None and schema.get("nullable"):
        return
    type_ = "" if schema.get(_INT_OR_STRING) else schema.get("type", "")
    if type_ and not _is(found, type_):
        shown = _type_name(found)
        yield path, f'Invalid value: "{shown}": {path} in body must be of type {type_}: "{shown}"'
        return
    yield from _bounds(found, schema, path)
    if isinstance(found, Mapping):
        yield from _fields(found, schema, path)
    elif isinstance(found, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(found):
            yield from problems(item, schema["items"], f"{path}[{index}]")


def _fields(found: Mapping[str, Any], schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    for name in schema.get("required") or []:
        if name not in found:
            yield f"{path}.{name}".lstrip("."), "Required value"
    for name, value in found.items():
        inner = properties.get(name, rest)
        if isinstance(inner, Mapping) and (path or name not in ("apiVersion", "kind", "metadata")):
            yield from problems(value, inner, f"{path}.{name}".lstrip("."))


def _bounds(found: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "enum" in schema and found not in schema["enum"]:
        allowed = ", ".join(f'"{value}"' for value in schema["enum"])
        yield path, f'Unsupported value: "{found}": supported values: {allowed}'
    if isinstance(found, int | float) and not isinstance(found, bool):
        if found < schema.get("minimum", found):
            least = schema["minimum"]
            yield path, f"Invalid value: {found}: {path} in body should be greater than or equal to {least}"
        if found > schema.get("maximum", found):
            most = schema["maximum"]
            yield path, f"Invalid value: {found}: {path} in body should be less than or equal to {most}"
    if isinstance(found, str):
        if len(found) < schema.get("minLength", 0):
            least = schema["minLength"]
            yield path, f'Invalid value: "{found}": {path} in body should be at least {least} chars long'
        if "pattern" in schema and not re.search(schema["pattern"], found):
            yield path, f"Invalid value: \"{found}\": {path} in body should match '{schema['pattern']}'"


def _is(found: Any, type_: str) -> bool:
    if isinstance(found, bool):
        return type_ == "boolean"
    if type_ == "integer" and isinstance(found, float):
        return found.is_integer()
    return isinstance(found, _TYPES[type_])


def _type_name(found: Any) -> str:
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "boolean"
    return next(
        name for name, types in _TYPES.items() if (isinstance(found, types) and name != "number") or name == "number"
    )
