"""Tokens for ServiceAccounts (``serviceaccounts/<name>/token``): of the form of real ones, but signed by nobody.

Nothing here checks a token, so that nothing is lost by that; whoever is sent one can read in it who it is for.
"""

import base64
import json
from datetime import datetime, timedelta
from typing import Any, Final

from keda_py.devcluster.kind import Kind
from keda_py.devcluster.rule import bad_request, invalid_as
from keda_py.devcluster.store import Object

SUBRESOURCE: Final = "token"
_SHORTEST: Final = 600


def is_for(kind: Kind, subresource: str) -> bool:
    """Return whether a subresource is this one."""
    return subresource == SUBRESOURCE and kind.resource.kind == "ServiceAccount"


def made(account: Object, body: Any, now: datetime) -> Object:
    """Return a TokenRequest with its token; raise `Refusal` as the API server does."""
    if not isinstance(body, dict) or body.get("kind") != "TokenRequest":
        raise bad_request("the body of the request is no TokenRequest")
    spec = {"expirationSeconds": 3600, "audiences": ["https://kubernetes.default.svc"], **(body.get("spec") or {})}
    seconds = spec["expirationSeconds"]
    if not isinstance(seconds, int) or seconds < _SHORTEST:
        said = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid_as("authentication.k8s.io", "TokenRequest", "", [("spec.expirationSeconds", said)])
    place, ends = account["metadata"], now + timedelta(seconds=seconds)
    claims = {
        "aud": spec["audiences"],
        "exp": round(ends.timestamp()),
        "iat": round(now.timestamp()),
        "iss": spec["audiences"][0],
        "kubernetes.io": {
            "namespace": place["namespace"],
            "serviceaccount": {"name": place["name"], "uid": place["uid"]},
        },
        "sub": f"system:serviceaccount:{place['namespace']}:{place['name']}",
    }
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {name: place[name] for name in ("name", "namespace")},
        "spec": spec,
        "status": {"token": _unsigned(claims), "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def _unsigned(claims: dict[str, Any]) -> str:
    parts = (json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims), "of the embedded cluster")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
