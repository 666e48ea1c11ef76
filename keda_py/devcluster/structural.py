"""What a CRD's schema does to an object: fields it does not name are dropped, defaults filled in, values checked.

The words of errors are the API server's, since kubectl's users search for them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
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

VALIDATIONS: Final = "x-kubernetes-validations"
_BOUNDS_RULE: Final = (
    "!has(self.minReplicaCount) || self.minReplicaCount <= (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)"
)
RULES: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    _BOUNDS_RULE: lambda found: found.get("minReplicaCount", 0) <= found.get("maxReplicaCount", 100),
}
"""The rules in the Common Expression Language that are known here: there is nothing that could run any other."""


def unknown_fields(found: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of each field that the schema does not name."""
    if isinstance(found, Mapping) and not schema.get(_KEEP):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, value in found.items():
            inner = properties.get(name, rest)
            if not path and name in ("apiVersion", "kind", "metadata") and inner is None:
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
        result = dict(_known_fields(found, schema, root=root))
        for name, inner in (schema.get("properties") or {}).items():
            if name not in result and "default" in inner:
                result[name] = pruned(inner["default"], inner, root=False)
        return result
    if isinstance(found, list) and isinstance(schema.get("items"), Mapping):
        return [pruned(item, schema["items"], root=False) for item in found]
    return found


def _known_fields(found: Mapping[str, Any], schema: Schema, *, root: bool) -> Iterator[tuple[str, Any]]:
    properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, value in found.items():
        inner = properties.get(name, rest)
        if root and name in ("apiVersion", "kind", "metadata"):
            yield name, value
        elif isinstance(inner, Mapping):
            if value is None and not inner.get("nullable"):
                # As if it were not there.
                continue
            yield name, pruned(value, inner, root=False)
        elif inner is True or schema.get(_KEEP):
            yield name, value


def problems(found: Any, schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the words of each thing that the schema does not allow."""
    if found is None and schema.get("nullable"):
        return
    types = ("integer", "string") if schema.get(_INT_OR_STRING) else tuple(filter(None, [schema.get("type")]))
    if types and not any(_is(found, type_) for type_ in types):
        shown = _type_name(found)
        yield path, f'Invalid value: "{shown}": {path} in body must be of type {",".join(types)}: "{shown}"'
        return
    yield from _bounds(found, schema, path)
    yield from _sizes(found, schema, path)
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
    inner_problems = False
    for name, value in found.items():
        inner = properties.get(name, rest)
        if isinstance(inner, Mapping) and (path or name not in ("apiVersion", "kind", "metadata")):
            for problem in problems(value, inner, f"{path}.{name}".lstrip(".")):
                inner_problems = True
                yield problem
    # Rules may count on the types of what they look at.
    for rule in schema.get(VALIDATIONS) or () if not inner_problems else ():
        if not RULES[rule["rule"]](found):
            yield path, f"Invalid value: {rule['message']}"


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
        if len(found) > schema.get("maxLength", len(found)):
            yield path, f"Too long: may not be more than {schema['maxLength']} bytes"
        if "pattern" in schema and not re.search(schema["pattern"], found):
            yield path, f"Invalid value: \"{found}\": {path} in body should match '{schema['pattern']}'"


def _sizes(found: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for type_, least, most, words in _SIZES:
        if not isinstance(found, type_):
            continue
        count = len(found)
        if count > schema.get(most, count):
            yield path, f"Too many: {count}: must have at most {schema[most]} {words}"
        if count < schema.get(least, count):
            yield path, f"Invalid value: {count}: {path} in body should have at least {schema[least]} {words}"


_SIZES: Final = ((list, "minItems", "maxItems", "items"), (dict, "minProperties", "maxProperties", "properties"))


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
