"""Who may ask for metrics: the API server's aggregation layer, known by its client certificate.

The API server publishes the authority and the names of that certificate in a ConfigMap. It has checked the caller's
identity and rights before it passes a request on, so that nothing is left to ask it about; a caller without such a
certificate did not come through it.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from keda_py.kube.client import Resource

log = structlog.get_logger("frontproxy")

CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACE: Final = "kube-system"
NAME: Final = "extension-apiserver-authentication"


class FrontProxy:
    """What the cluster's ConfigMap says about the aggregation layer."""

    def __init__(self, authority_changed: Callable[[str], None]) -> None:
        self._names: frozenset[str] = frozenset()
        self.known = False
        """Whether the cluster has said whom to answer."""
        self._authority_changed = authority_changed

    def changed(self, key: tuple[str, str], _old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Take in the ConfigMap as it is now; a listener of its store."""
        if key != (NAMESPACE, NAME):
            return
        data = (new or {}).get("data") or {}
        authority = data.get("requestheader-client-ca-file", "")
        try:
            self._names = frozenset(orjson.loads(data.get("requestheader-allowed-names") or "[]"))
            self._authority_changed(authority)
            self.known = bool(authority)
        except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
            self.known = False
            log.warning("unusable", configmap=NAME, message=str(error))
        if not self.known:
            log.warning("the cluster names no authority for aggregated APIs", configmap=NAME)

    def admits(self, request: web.Request) -> bool:
        """Return whether a request came through the aggregation layer."""
        certificate = request.get_extra_info("peercert")
        if not certificate or not self.known:
            return False
        # An empty list of names means any name of that authority (kube-apiserver's --requestheader-allowed-names).
        names = {value for part in certificate["subject"] for key, value in part if key == "commonName"}
        return not self._names or bool(names & self._names)


def trim_config_map(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of the ConfigMap."""
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in metadata}
    return {"metadata": kept, "data": found.get("data") or {}}
