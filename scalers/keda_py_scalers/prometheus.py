"""Trigger type `prometheus`: the value of a PromQL query, from Prometheus or whatever speaks its API."""

import json
import math
from collections.abc import Iterator
from typing import Any

import aiohttp

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
from keda_py_scalers.http import Get, HttpMetadata, HttpScaler, Signing
from keda_py_scalers.prometheus_aws import AwsSigning, region_of
from keda_py_scalers.prometheus_identity import Caller, azure, caller_of, google


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

    @property
    def has_tls_of_its_own(self) -> bool:
        """As in KEDA, `ca` says so beside any authModes (CreateHTTPRoundTripper)."""
        return super().has_tls_of_its_own or bool(self.auth_modes and self.ca)

    def login(self, trigger: Trigger, http: CloudHttp, platform: Platform) -> Bearer | None:
        """Return the tokens of who asks, None for nobody and for those who sign."""
        caller = self.caller(trigger)
        if caller.google_key or caller.pod.provider == "gcp":
            return google(self.server_address, key=caller.google_key, http=http, platform=platform)
        if caller.pod.provider == "azure-workload":
            return azure(caller.pod, self.server_address, cloud=self.cloud, resource=self.azure_resource, http=http)
        if caller.pod:
            # Asked without it, the server might answer with nothing, which by default counts as 0.
            raise ScalerError(
                f"pod identity {caller.pod.provider} cannot ask a Prometheus; use aws, azure-workload or gcp"
            )
        return None

    def signing(self, trigger: Trigger, platform: Platform, session: aiohttp.ClientSession) -> Signing | None:
        """Return what signs for AWS, None unless it is to."""
        caller = self.caller(trigger)
        if caller.aws is None:
            return None
        return AwsSigning(caller.aws, region=region_of(self.aws_region), platform=platform, session=session)

    def caller(self, trigger: Trigger) -> Caller:
        """Return who asks by a cloud's means: nobody where authModes say who; raise `ScalerError` naming what lacks."""
        return Caller() if self.auth_modes else caller_of(trigger)


class PrometheusScaler(HttpScaler[PrometheusMetadata]):
    """An instant query of one value (KEDA pkg/scalers/prometheus_scaler.go)."""

    metadata = PrometheusMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the authentication."""
        yield from super().check()
        if self.meta.auth_modes and self.trigger.pod_identity:
            yield "authModes: cannot be combined with a pod identity"
        try:
            self.meta.caller(self.trigger)
        except ScalerError as error:
            yield str(error)

    @classmethod
    def source_key(cls, meta: PrometheusMetadata, trigger: Trigger) -> tuple[Any, ...]:
        """Return the origin, and who we are to it."""
        caller = meta.caller(trigger)
        who = (caller.parts, meta.cloud, meta.azure_resource, meta.aws_region) if caller else ()
        return (*super().source_key(meta, trigger), *who)

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, of the same name for every query."""
        return [ExternalSpec("prometheus", self.target(self.meta.threshold))]

    async def get_metrics(self) -> list[Reading]:
        """Return the value of the query; an empty one is 0 if the manifest says so, which is the default."""
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
