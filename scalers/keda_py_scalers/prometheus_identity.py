"""Who asks a cloud's own Prometheus: Azure Monitor and Google Cloud Managed Service, by the daemon's identity.

The daemon's tokens go to the cloud's own hosts and not to any that a manifest names: whoever is given one could be the
daemon.
"""

import os
from typing import Final

import httpx

from keda_py.scaler import Platform, PodIdentity, ScalerError
from keda_py_scalers.azure import AUTHORITIES, PUBLIC, Tokens, below, workload
from keda_py_scalers.cloud_http import Bearer, CloudHttp, host_of
from keda_py_scalers.gcp import UNIVERSE, GoogleIdentity

GOOGLES_SCOPE: Final = "https://www.googleapis.com/auth/monitoring.read"
_AZURES: Final = {
    "AZUREPUBLICCLOUD": "https://prometheus.monitor.azure.com",
    "AZUREUSGOVERNMENTCLOUD": "https://prometheus.monitor.azure.us",
    "AZURECHINACLOUD": "https://prometheus.monitor.azure.cn",
}
"""What tokens for Azure Monitor's Prometheus are for in each cloud, by its name in capitals."""


def azure(pod: PodIdentity, server: str, *, cloud: str, resource: str, http: CloudHttp) -> Bearer:
    """Return tokens for Azure Monitor (KEDA azure_managed_prometheus_http_round_tripper.go).

    `cloud`: its name; with Private `resource` is what tokens are for. Raises `ScalerError` saying what is wrong.
    """
    name = cloud.upper() or "AZUREPUBLICCLOUD"
    wanted = resource if name == "PRIVATE" else _AZURES.get(name)
    if wanted is None:
        raise ScalerError("cloud: expected AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud or Private")
    if not wanted:
        raise ScalerError("cloud: Private needs azureManagedPrometheusResourceURL, what tokens are for")
    place = host_of(wanted.removesuffix("/.default"), "azureManagedPrometheusResourceURL")
    _keep_to(server, place)
    return Tokens(workload(pod, authority=AUTHORITIES.get(name, PUBLIC)), wanted, http).bearer


def google(server: str, *, http: CloudHttp, platform: Platform) -> Bearer:
    """Return the daemon's tokens for Google Cloud Monitoring (KEDA pkg/scalers/gcp/gcp_common.go)."""
    _keep_to(server, os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN") or UNIVERSE)
    return GoogleIdentity("", scope=GOOGLES_SCOPE, http=http, platform=platform).bearer


def _keep_to(server: str, name: str) -> None:
    """Raise `ScalerError` unless a server is of that name or below it, and asked over TLS."""
    try:
        url = httpx.URL(server)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme != "https" or not below(url.host.lower(), name.partition(":")[0].lower()):
        raise ScalerError(f"serverAddress: not https and below {name}; the daemon's token is not sent elsewhere")
