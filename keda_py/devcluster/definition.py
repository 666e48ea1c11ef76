"""CustomResourceDefinitions: what is filled in, what is refused, and that they are established.

Refused is also what this cluster could not hold objects to, since a rule that is passed over in silence is worse than
none.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from keda_py.decide.status import format_time
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.rule import invalid
from keda_py.devcluster.store import Object
from keda_py.devcluster.structural import RULES, VALIDATIONS

Cause = tuple[str, str]

_SCOPES: Final = ("Cluster", "Namespaced")
_UNHELD: Final = (
    "allOf", "not", "oneOf", "multipleOf", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems",
    "x-kubernetes-embedded-resource",
)  # fmt: skip
"""Words of schemas whose rules are not carried out here. ``anyOf`` is: as far as it repeats ``int-or-string``."""


def accepted(kind: Kind, made: Object, now: datetime) -> Object:
    """Return a definition with its defaults, established; raise `Refusal`."""
    if causes := list(_problems(made)):
        raise invalid(kind, made["metadata"]["name"], causes)
    spec = made["spec"]
    names = spec["names"]
    defaults = {"singular": names["kind"].lower(), "listKind": f"{names['kind']}List"}
    names = defaults | {name: value for name, value in names.items() if value}
    at = format_time(now)
    conditions = (made.get("status") or {}).get("conditions") or [
        {"type": type_, "status": "True", "reason": reason, "message": said, "lastTransitionTime": at}
        for type_, reason, said in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in spec["versions"] if version["storage"]]
    status = {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}
    return made | {"spec": {"conversion": {"strategy": "None"}} | spec | {"names": names}, "status": status}


def _problems(made: Object) -> Iterator[Cause]:
    spec = made.get("spec") or {}
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    for path, value in (("spec.group", spec.get("group")), *((f"spec.names.{n}", names.get(n)) for n in _NAMES)):
        if not value:
            yield path, "Required value"
    full = f"{names.get('plural')}.{spec.get('group')}"
    if made["metadata"]["name"] != full:
        said = f'Invalid value: "{made["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
        yield "metadata.name", said
    if spec.get("scope") not in _SCOPES:
        allowed = ", ".join(f'"{scope}"' for scope in _SCOPES)
        yield "spec.scope", f'Unsupported value: "{spec.get("scope", "")}": supported values: {allowed}'
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield "spec.versions", "Invalid value: must have exactly one version marked as storage version"
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        yield "spec.conversion.strategy", "Forbidden: the embedded cluster does not convert between versions"
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            yield path, "Required value: schemas are required"
        else:
            yield from _unheld(schema, path)


_NAMES: Final = ("plural", "kind")


def _unheld(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for word in _UNHELD:
        if word in schema:
            yield f"{path}.{word}", f"Forbidden: the embedded cluster cannot hold objects to {word}"
    for index, rule in enumerate(schema.get(VALIDATIONS) or ()):
        if rule["rule"] not in RULES:
            said = "Forbidden: the embedded cluster runs no CEL but the rules of KEDA's kinds"
            yield f"{path}.{VALIDATIONS}[{index}].rule", said
    if "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
        yield f"{path}.anyOf", "Forbidden: the embedded cluster knows anyOf only of an int-or-string"
    for name, inner in (schema.get("properties") or {}).items():
        yield from _unheld(inner, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), Mapping):
            yield from _unheld(schema[word], f"{path}.{word}")
