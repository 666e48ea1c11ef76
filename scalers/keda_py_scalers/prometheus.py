"""Trigger type `prometheus`: the value of a PromQL query, from Prometheus or whatever speaks its API."""

import json
import math
from collections.abc import Iterator
from typing import Any

from keda_py.scaler import (
    AUTH,
    TRIGGER,
    EmptyAnswer,
    ExternalSpec,
    MetricSpec,
    Platform,
    Reading,
    ScalerError,
    Trigger,
    param,
)
from keda_py_scalers.cloud_http import Bearer, CloudHttp
from keda_py_scalers.http import Get, HttpMetadata, HttpScaler
from keda_py_scalers.prometheus_identity import azure, google


class PrometheusMetadata(HttpMetadata):
    """Parameters of a `prometheus` trigger."""

    server_address: str = param("serverAddress")
    # Not named query: that is what authentication adds to a request.
    expression: str = param("query")
    query_parameters: dict[str, str] = param("queryParameters", default={})
    threshold: float = param("threshold")
    activation_threshold: float = param("activationThreshold", default=0.0)
    namespace: str = param("namespace", default="")
    custom_headers: dict[str, str] = param("customHeaders", default={})
    ignore_null_values: bool = param("ignoreNullValues", default=True)
    aws_region: str = param("awsRegion", order=(TRIGGER, AUTH), default="")
    identity_owner: str = param("identityOwner", default="")
    cloud: str = param("cloud", default="")
    azure_resource: str = param("azureManagedPrometheusResourceURL", default="")

    @property
    def address(self) -> str:
        """The server, without the path of its API."""
        return self.server_address

    def login(self, trigger: Trigger, http: CloudHttp, platform: Platform) -> Bearer | None:
        """Return the tokens of the trigger's pod identity, None without one or with one that is AWS's."""
        pod = trigger.pod_identity
        if pod.provider == "azure-workload":
            return azure(pod, self.server_address, cloud=self.cloud, resource=self.azure_resource, http=http)
        if pod.provider == "gcp":
            return google(self.server_address, http=http, platform=platform)
        return None


class PrometheusScaler(HttpScaler[PrometheusMetadata]):
    """An instant query of one value (KEDA pkg/scalers/prometheus_scaler.go)."""

    metadata = PrometheusMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the authentication."""
        yield from super().check()
        if self.meta.auth_modes and self.trigger.pod_identity:
            yield "authModes: cannot be combined with a pod identity"

    @classmethod
    def source_key(cls, meta: PrometheusMetadata, trigger: Trigger) -> tuple[Any, ...]:
        """Return the origin, and who we are to it."""
        who = (meta.cloud, meta.azure_resource, trigger.pod_identity) if trigger.pod_identity else ()
        return (*super().source_key(meta, trigger), *who)

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, of the same name for every query."""
        return [ExternalSpec("prometheus", self.target(self.meta.threshold))]

    async def get_metrics(self) -> list[Reading]:
        """Return the value of the query; an empty one is 0 if the manifest says so, which is the default."""
        identity = self.trigger.pod_identity
        if identity and identity.provider not in ("azure-workload", "gcp"):
            # Asked without it, the server might answer with nothing, which by default counts as 0.
            raise ScalerError(f"pod identity {identity.provider} is not supported yet")
        # Without a time of evaluation, so that equal queries are asked once: the server takes its own.
        params = [("query", self.meta.expression)]
        if self.meta.namespace:
            params.append(("namespace", self.meta.namespace))
        question = Get(
            f"{self.meta.server_address.rstrip('/')}/api/v1/query",
            (*params, *sorted(self.meta.query_parameters.items())),
            tuple(sorted(self.meta.custom_headers.items())),
        )
        try:
            value = sample(await self.source.ask(question))
        except EmptyAnswer:
            if not self.meta.ignore_null_values:
                raise
            return [self.reading(0.0, active=self.meta.activation_threshold < 0.0, empty=True)]
        return [self.reading(value, active=value > self.meta.activation_threshold)]


def sample(body: bytes) -> float:
    """Return the one value of a query's answer; raise `EmptyAnswer` without one, `ScalerError` for anything else."""
    try:
        answer = json.loads(body)
        data = answer["data"]
        kind, result = data.get("resultType"), data["result"]
        if kind in ("scalar", "string"):
            return _number(result)
        if not result:
            raise EmptyAnswer("the query has no result; with ignoreNullValues that counts as 0")
        if len(result) > 1:
            raise ScalerError(f"the query has {len(result)} results; make it one, with sum(…) or a narrower selector")
        return _number(result[0]["value"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise ScalerError("the answer is not that of a Prometheus query: is serverAddress right?") from None


def _number(pair: Any) -> float:
    if not pair or pair[1] is None:
        raise EmptyAnswer("the query's result has no value; with ignoreNullValues that counts as 0")
    if not isinstance(pair[1], str):
        raise TypeError("samples are texts")
    value = float(pair[1])
    if not math.isfinite(value):
        raise EmptyAnswer(f"the query's result is {value}; with ignoreNullValues that counts as 0")
    return value
