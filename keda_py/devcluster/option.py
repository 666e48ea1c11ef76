"""What a request may be asked with, beside what it is about: the parameters of its path, and those of a deletion.

They are looked at before anything is done (apimachinery pkg/apis/meta/v1/validation, .../internalversion/validation).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from keda_py.devcluster.rule import bad_request, invalid_as

META: Final = "meta.k8s.io"
APPLY: Final = "application/apply-patch+yaml"
_LONGEST_MANAGER: Final = 128
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")
_POLICIES: Final = ("Foreground", "Background", "Orphan")
_MATCHES: Final = ("Exact", "NotOlderThan")
_KINDS: Final = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}

Cause = tuple[str, str]


def check(method: str, params: Mapping[str, str], body: Any, content_type: str) -> None:
    """Raise `Refusal` for what no such request may be asked with."""
    if method == "GET":
        causes = list(_reading(params))
        if causes:
            raise invalid_as(META, "ListOptions", "", causes)
        return
    given: Mapping[str, Any] = params
    if method == "DELETE" and isinstance(body, dict):
        if body.get("kind") not in (None, "", "DeleteOptions"):
            raise bad_request(f"decoded object cannot be converted to DeleteOptions: it is a {body['kind']}")
        given = {**params, **body}
    causes = list(_deleting(given) if method == "DELETE" else _writing(params, method, content_type))
    causes += _dry(given)
    if method in ("POST", "PUT", "PATCH") and (asked := params.get("fieldValidation", "")) not in _VALIDATIONS:
        causes.append(("fieldValidation", _unsupported(f'"{asked}"', _VALIDATIONS)))
    if causes and method in _KINDS:
        raise invalid_as(META, _KINDS[method], "", causes)


def _writing(params: Mapping[str, str], method: str, content_type: str) -> Iterator[Cause]:
    manager = params.get("fieldManager", "")
    if method == "PATCH" and content_type == APPLY and not manager:
        yield "fieldManager", "Required value: is required for apply patch"
    if method == "PATCH" and content_type != APPLY and "force" in params:
        yield "force", "Forbidden: may not be specified for non-apply patch"
    if len(manager) > _LONGEST_MANAGER:
        yield "fieldManager", f"Too long: may not be more than {_LONGEST_MANAGER} bytes"


def _deleting(given: Mapping[str, Any]) -> Iterator[Cause]:
    policy = given.get("propagationPolicy")
    if policy is not None and given.get("orphanDependents") is not None:
        said = "orphanDependents and deletionPropagation cannot be both set"
        yield "propagationPolicy", f'Invalid value: "{policy}": {said}'
    if policy is not None and policy not in _POLICIES:
        yield "propagationPolicy", _unsupported(f'"{policy}"', (*_POLICIES, "nil"))


def _dry(given: Mapping[str, Any]) -> Iterator[Cause]:
    asked = given.get("dryRun")
    values = [asked] if isinstance(asked, str) else asked or []
    if any(value != "All" for value in values):
        shown = ",".join(f'"{value}"' for value in values)
        yield "dryRun", _unsupported(f"[{shown}]", ("All",))


def _reading(params: Mapping[str, str]) -> Iterator[Cause]:
    match = params.get("resourceVersionMatch")
    if not match or params.get("watch") in ("1", "true"):
        return
    if not params.get("resourceVersion"):
        yield "resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    if params.get("continue"):
        yield "resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden when continue is provided"
    if match not in _MATCHES:
        yield "resourceVersionMatch", _unsupported(f'"{match}"', (*_MATCHES, ""))
    if match == "Exact" and params.get("resourceVersion") == "0":
        said = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        yield "resourceVersionMatch", f"Forbidden: {said}"


def _unsupported(given: str, allowed: tuple[str, ...]) -> str:
    listed = ", ".join(f'"{name}"' for name in allowed)
    return f"Unsupported value: {given}: supported values: {listed}"
