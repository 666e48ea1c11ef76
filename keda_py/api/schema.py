"""From models to structural schemas: what the API server lets in is what the models say, written once.

Kubernetes wants every node typed, no references, no nulls; pydantic writes JSON schemas with all of these. A model's
default is ours alone and is not sent to the server, except where it is declared with `server_default`.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, WithJsonSchema

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "minimum",
    "minLength",
    "minItems",
    "pattern",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_MARK: Final = "x-server-default"

_QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
QuantityText = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""A Kubernetes quantity, as a number or a text."""


def server_default(value: Any) -> Any:
    """Declare a field's default, which the API server writes into every object that leaves it out."""
    return Field(value, json_schema_extra={_MARK: True})


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model."""
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}))


def _node(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    schema = _resolved(schema, defs)
    node: dict[str, Any] = {"description": schema["description"]} if schema.get("description") else {}
    node |= {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        node["enum"] = [schema["const"]]
    if node.get("type") == "integer":
        node["format"] = "int32"
    if schema.get(_MARK):
        node["default"] = schema["default"]
    if "properties" in schema:
        node["properties"] = {name: _node(part, defs) for name, part in schema["properties"].items()}
    if schema.get("required"):
        node["required"] = sorted(schema["required"])
    if isinstance(schema.get("items"), dict):
        node["items"] = _node(schema["items"], defs)
    if isinstance(schema.get("additionalProperties"), dict):
        node["additionalProperties"] = _node(schema["additionalProperties"], defs)
    return node


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its reference followed, and as itself where it may also be null."""
    own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if "$ref" in schema:
        return _resolved(defs[schema["$ref"].removeprefix("#/$defs/")] | own, defs)
    if len(choices) == 1:
        return _resolved(choices[0] | own, defs)
    return schema
