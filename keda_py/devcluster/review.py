"""Questions about who asks and what he may do, as ``kubectl auth`` puts them: here everybody may do everything."""

from typing import Any, Final

from keda_py.devcluster.kind import Kind
from keda_py.devcluster.store import Object

_ALL: Final = ["*"]
_STATUSES: Final[dict[str, Object]] = {
    "SelfSubjectAccessReview": {"allowed": True, "reason": "the embedded cluster knows no authorisation"},
    "SelfSubjectRulesReview": {
        "resourceRules": [{"verbs": _ALL, "apiGroups": _ALL, "resources": _ALL}],
        "nonResourceRules": [{"verbs": _ALL, "nonResourceURLs": _ALL}],
        "incomplete": False,
    },
    "SelfSubjectReview": {"userInfo": {"username": "keda-py", "groups": ["system:authenticated"]}},
}


def answered(kind: Kind, body: Any) -> Object:
    """Return a review with its answer; nothing is kept of it."""
    given = body if isinstance(body, dict) else {}
    api = kind.resource
    about = {"apiVersion": api.api_version, "kind": api.kind, "metadata": {}}
    return {**about, **({"spec": given["spec"]} if "spec" in given else {}), "status": _STATUSES[api.kind]}
