"""All servers of the daemon, and what keeps them able to answer: certificates, and who may ask."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from keda_py.kube.client import Client, Resource
from keda_py.kube.reflector import Reflector, Store
from keda_py.runtime.clock import Now
from keda_py.serve import admission, external_metrics, front_proxy, health, telemetry
from keda_py.serve.admission import Review
from keda_py.serve.external_metrics import ReadMetric
from keda_py.serve.front_proxy import FrontProxy
from keda_py.serve.listen import listening
from keda_py.serve.rotation import CertificateKeeper, FileCertificates, Place, SecretCertificates
from keda_py.serve.telemetry import Telemetry
from keda_py.serve.tls import ServerTls
from keda_py.serve.trust import Service, Trusting, TrustingApiService, TrustingWebhooks
from keda_py.settings import Settings

_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Watching(Protocol):
    """Makes what keeps a store as the API server has it."""

    def __call__(
        self, resource: Resource, store: Store, namespace: str = "", *, field_selector: str = ""
    ) -> Reflector: ...


class Servers:
    """The external metrics, the webhook, `/metrics`, `/healthz` and `/readyz`."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        *,
        now: Now,
        reflector: Watching,
        telemetry: Telemetry,
        read: ReadMetric,
        review: Review,
        listed: Callable[[], bool],
    ) -> None:
        """`read`: answers for one metric. `review`: for the webhook. `listed`: whether the cluster is known."""
        self._settings = settings
        self._client = client
        self._now = now
        self._reflector = reflector
        self._telemetry = telemetry
        self._read = read
        self._review = review
        self._listed = listed

    @asynccontextmanager
    async def serving(self, parts: asyncio.TaskGroup) -> AsyncIterator[None]:
        """Serve within the block; what goes on beside it runs in `parts`."""
        settings = self._settings
        tls, webhook_tls = self._tls(asks_clients=True), self._tls(asks_clients=False)
        proxy = FrontProxy(tls.set_client_authority)
        conditions: dict[str, Callable[[], bool]] = {"the cluster is not listed yet": self._listed}
        if settings.external_metrics is not None or settings.webhook is not None:
            self._keep_certificate([tls, webhook_tls], parts)
            conditions["there is no serving certificate yet"] = lambda: tls.has_certificate
        if settings.external_metrics is not None:
            self._watch_proxy(proxy, parts)
            conditions["the aggregation layer is not known yet"] = lambda: proxy.known
        async with (
            listening(health.application(conditions), settings.health, flag="--health-probe-bind-address"),
            listening(telemetry.application(self._telemetry), settings.telemetry, flag="--metrics-bind-address"),
            listening(
                external_metrics.application(self._read, admits=proxy.admits),
                settings.external_metrics,
                flag="--secure-bind-address",
                tls=tls.context,
            ),
            listening(
                admission.application(self._review),
                settings.webhook,
                flag="--webhook-bind-address",
                tls=webhook_tls.context,
            ),
        ):
            yield

    def _tls(self, *, asks_clients: bool) -> ServerTls:
        wanted = self._settings.service_tls
        return ServerTls(minimum=_TLS_VERSIONS[wanted.minimum], ciphers=wanted.ciphers, asks_clients=asks_clients)

    def _keep_certificate(self, servers: list[ServerTls], parts: asyncio.TaskGroup) -> None:
        """Keep the certificate of all servers up to date, and who trusts it."""
        given, namespace = self._settings.certificates, self._settings.namespace
        own = SecretCertificates(self._client, Place(namespace, given.secret), given.names(namespace), self._now)
        rotates = not (given.folder / "tls.crt").exists() if given.rotates is None else given.rotates
        trusting: list[Trusting] = []
        if self._settings.external_metrics is not None and given.patches_api_service:
            trusting.append(TrustingApiService(self._client, Service(namespace, given.metrics_service)))
        if self._settings.webhook is not None and given.patches_webhook:
            service = Service(namespace, given.webhook_service)
            trusting.append(TrustingWebhooks(self._client, service, given.webhook_name))
        keeper = CertificateKeeper(own if rotates else FileCertificates(given.folder), servers, trusting)
        parts.create_task(keeper.run(), name="certificate")

    def _watch_proxy(self, proxy: FrontProxy, parts: asyncio.TaskGroup) -> None:
        """Keep up to date whom the metrics server trusts."""
        store = Store(front_proxy.trim_config_map)
        store.on_change(proxy.changed)
        watch = self._reflector(
            front_proxy.CONFIG_MAPS,
            store,
            front_proxy.NAMESPACE,
            field_selector=f"metadata.name={front_proxy.NAME}",
        )
        parts.create_task(watch.run(), name="watch")
