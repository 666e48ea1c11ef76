"""Trigger type `metrics-api`: a number that any HTTP server gives, somewhere in what it answers."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from keda_py.scaler import ExternalSpec, MetricSpec, Reading, ScalerError, normalize, param
from keda_py_scalers.extraction import extract
from keda_py_scalers.http import Get, HttpMetadata, HttpScaler

LARGE: Final = 2**16

_AGGREGATIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "average": lambda values: sum(values) / len(values),
    "sum": sum,
    "max": max,
    "min": min,
}


class MetricsAPIMetadata(HttpMetadata):
    """Parameters of a `metrics-api` trigger."""

    target_value: float = param("targetValue", default=0.0)
    activation_target_value: float = param("activationTargetValue", default=0.0)
    url: str = param("url")
    format: str = param("format", default="json", enum=("prometheus", "json", "xml", "yaml"))
    value_location: str = param("valueLocation")
    aggregates: bool = param("aggregateFromKubeServiceEndpoints", default=False)
    aggregation_type: str = param("aggregationType", default="average", enum=tuple(_AGGREGATIONS))

    @property
    def address(self) -> str:
        """The URL that is asked."""
        return self.url


class MetricsAPIScaler(HttpScaler[MetricsAPIMetadata]):
    """A number out of an answer (KEDA pkg/scalers/metrics_api_scaler.go)."""

    metadata = MetricsAPIMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the target value, and with the authentication."""
        yield from super().check()
        if self.meta.target_value == 0 and not self.trigger.in_formula:
            yield "targetValue: required, and not 0"

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after where the number is."""
        name = normalize(f"metric-api-{self.meta.value_location}")
        return [ExternalSpec(name, self.target(self.meta.target_value))]

    async def get_metrics(self) -> list[Reading]:
        """Return the number, or what the numbers of a Service's endpoints make together."""
        value = await (self._aggregated() if self.meta.aggregates else self._value(self.meta.url))
        return [self.reading(value, active=value > self.meta.activation_target_value)]

    async def _value(self, url: str) -> float:
        body = await self.source.ask(Get(url))
        found = (body, self.meta.value_location, self.meta.format)
        # A large text takes its time, which is not to be everybody's.
        return await asyncio.to_thread(extract, *found) if len(body) > LARGE else extract(*found)

    async def _aggregated(self) -> float:
        """Return the aggregate over the endpoints that answer; of a sum none may be missing."""
        urls = await self._endpoint_urls()
        answers = await asyncio.gather(*(self._value(url) for url in urls), return_exceptions=True)
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        values = [answer for answer in answers if not isinstance(answer, BaseException)]
        if failures and (not values or self.meta.aggregation_type == "sum"):
            raise ScalerError(f"{len(failures)} of {len(urls)} endpoints failed: {failures[0]}")
        return _AGGREGATIONS[self.meta.aggregation_type](values)

    async def _endpoint_urls(self) -> list[str]:
        url = httpx.URL(self.meta.url)
        service, _, rest = url.host.partition(".")
        namespace = rest.partition(".")[0]
        if not namespace:
            raise ScalerError(f"url: the host {url.host} must be that of a Service: <service>.<namespace>")
        slices = await self.platform.kubernetes.list(
            "discovery.k8s.io/v1", "endpointslices", namespace, label_selector=f"kubernetes.io/service-name={service}"
        )
        port = url.port or {"https": 443}.get(url.scheme, 80)
        # An address may be in several slices: a dict keeps it once, in order.
        hosts = {address: _has_port(found, port) for found in slices for address in _ready_addresses(found)}
        if not hosts:
            raise ScalerError(f"the Service {namespace}/{service} has no ready endpoints")
        return [str(url.copy_with(host=host, port=port if listed else None)) for host, listed in hosts.items()]


def _has_port(endpoint_slice: Mapping[str, Any], port: int) -> bool:
    return any(found.get("port") == port for found in endpoint_slice.get("ports") or [])


def _ready_addresses(endpoint_slice: Mapping[str, Any]) -> Iterator[str]:
    for endpoint in endpoint_slice.get("endpoints") or []:
        # Not said means ready.
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield from endpoint.get("addresses") or []
