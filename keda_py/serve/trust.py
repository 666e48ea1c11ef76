"""Where the authority of the serving certificate goes, for the API server to believe us: APIService and webhook."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from keda_py.kube.client import Client, NotFound, Resource
from keda_py.naming import EXTERNAL_METRICS_GROUP, EXTERNAL_METRICS_VERSION

log = structlog.get_logger("certificate")

API_SERVICES: Final = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService")
API_SERVICE: Final = f"{EXTERNAL_METRICS_VERSION}.{EXTERNAL_METRICS_GROUP}"
WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"
)


@dataclass(frozen=True, slots=True)
class Service:
    """A Service of ours: what names another one is not ours to change."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def is_meant_by(self, found: Mapping[str, Any] | None) -> bool:
        """Return whether a reference means it."""
        return ((found or {}).get("namespace"), (found or {}).get("name")) == (self.namespace, self.name)


class Trusting(Protocol):
    """Somebody who has to know the authority."""

    async def trust(self, authority: bytes) -> None:
        """Tell it the authority (PEM), if it does not know; raise `ApiError`, or ValueError if it is not ours."""
        ...


class TrustingApiService:
    """The APIService of the external metrics."""

    def __init__(self, client: Client, service: Service) -> None:
        self._client = client
        self._service = service

    async def trust(self, authority: bytes) -> None:
        """Put the authority in; raise `ApiError`, or ValueError if it points at another Service."""
        found = await self._client.get(API_SERVICES, "", API_SERVICE)
        spec = found.get("spec") or {}
        service = spec.get("service") or {}
        if not self._service.is_meant_by(service):
            raise ValueError(
                f"the APIService {API_SERVICE} points at {service.get('namespace')}/{service.get('name')} and not at "
                f"{self._service}: HPAs get their metrics from there and not from here"
            )
        bundle = b64encode(authority).decode()
        if spec.get("caBundle") != bundle:
            patch = {"spec": {"caBundle": bundle, "insecureSkipTLSVerify": False}}
            await self._client.merge_patch(API_SERVICES, "", API_SERVICE, patch)
            log.info("trusted", apiservice=API_SERVICE)


class TrustingWebhooks:
    """The ValidatingWebhookConfiguration; who does not want webhooks has none, and all is well."""

    def __init__(self, client: Client, service: Service, name: str) -> None:
        self._client = client
        self._service = service
        self._name = name

    async def trust(self, authority: bytes) -> None:
        """Put the authority into the webhooks that are ours; raise `ApiError`, or ValueError if none is."""
        try:
            found = await self._client.get(WEBHOOKS, "", self._name)
        except NotFound:
            return
        webhooks = found.get("webhooks") or []
        ours = [hook for hook in webhooks if self._service.is_meant_by(hook["clientConfig"].get("service"))]
        if not ours:
            raise ValueError(
                f"no webhook of the ValidatingWebhookConfiguration {self._name} points at {self._service}: "
                "objects are validated elsewhere and not here"
            )
        bundle = b64encode(authority).decode()
        if all(hook["clientConfig"].get("caBundle") == bundle for hook in ours):
            return
        for hook in ours:
            hook["clientConfig"]["caBundle"] = bundle
        # A merge patch replaces the whole list: only if nobody has changed it meanwhile.
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        await self._client.merge_patch(WEBHOOKS, "", self._name, {"metadata": version, "webhooks": webhooks})
        log.info("trusted", webhooks=self._name)
