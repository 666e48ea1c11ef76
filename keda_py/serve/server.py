"""All servers of the daemon, and what keeps them able to answer: certificates, and who may ask."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from keda_py.kube.client import Client, Resource
from keda_py.kube.reflector import Reflector, Store
from keda_py.runtime.clock import Now
from keda_py.serve import external_metrics, front_proxy, health, telemetry
from keda_py.serve.external_metrics import ReadMetric
from keda_py.serve.front_proxy import FrontProxy
from keda_py.serve.listen import listening
from keda_py.serve.rotation import CertificateKeeper, FileCertificates, Place, SecretCertificates
from keda_py.serve.telemetry import Telemetry
from keda_py.serve.tls import ServerTls
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
    """The external metrics, `/metrics`, `/healthz` and `/readyz`."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        *,
        now: Now,
        reflector: Watching,
        telemetry: Telemetry,
        read: ReadMetric,
        listed: Callable[[], bool],
    ) -> None:
        """`read`: answers for one metric. `listed`: whether the cluster is known."""
        self._settings = settings
        self._client = client
        self._now = now
        self._reflector = reflector
        self._telemetry = telemetry
        self._read = read
        self._listed = listed

    @asynccontextmanager
    async def serving(self, parts: asyncio.TaskGroup) -> AsyncIterator[None]:
        """Serve within the block; what goes on beside it runs in `parts`."""
        settings = self._settings
        tls = ServerTls(minimum=_TLS_VERSIONS[settings.service_tls.minimum], ciphers=settings.service_tls.ciphers)
        proxy = FrontProxy(tls.set_client_authority)
        conditions: dict[str, Callable[[], bool]] = {"the cluster is not listed yet": self._listed}
        if settings.external_metrics is not None:
            self._look_after(tls, proxy, parts)
            conditions["there is no serving certificate yet"] = lambda: tls.has_certificate
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
        ):
            yield

    def _look_after(self, tls: ServerTls, proxy: FrontProxy, parts: asyncio.TaskGroup) -> None:
        """Keep the server's certificate, and whom it trusts, up to date."""
        given, namespace = self._settings.certificates, self._settings.namespace
        place = Place(namespace, given.secret, given.metrics_service)
        own = SecretCertificates(self._client, place, given.names(namespace), self._now)
        rotates = not (given.folder / "tls.crt").exists() if given.rotates is None else given.rotates
        keeper = CertificateKeeper(
            own if rotates else FileCertificates(given.folder),
            tls,
            client=self._client,
            place=place,
            patches=given.patches_api_service,
        )
        parts.create_task(keeper.run(), name="certificate")
        store = Store(front_proxy.trim_config_map)
        store.on_change(proxy.changed)
        watch = self._reflector(
            front_proxy.CONFIG_MAPS,
            store,
            front_proxy.NAMESPACE,
            field_selector=f"metadata.name={front_proxy.NAME}",
        )
        parts.create_task(watch.run(), name="watch")
