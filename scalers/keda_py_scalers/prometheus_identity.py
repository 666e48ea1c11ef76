"""Who asks a cloud's own Prometheus: Amazon's and Google Cloud's Managed Service, and Azure Monitor.

The daemon's tokens go to the cloud's own hosts and not to any that a manifest names: whoever is given one could be the
daemon. Those of a key that a manifest gives go where it says.
"""

import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

import httpx

from keda_py.scaler import NOBODY, Platform, PodIdentity, ScalerError, Trigger
from keda_py_scalers.aws import Identity, identity_of
from keda_py_scalers.azure import AUTHORITIES, PUBLIC, Tokens, below, workload
from keda_py_scalers.cloud_http import Bearer, CloudHttp, host_of
from keda_py_scalers.gcp import UNIVERSE, GoogleIdentity, key_of

GOOGLES_SCOPE: Final = "https://www.googleapis.com/auth/monitoring.read"
_AZURES: Final = {
    "AZUREPUBLICCLOUD": "https://prometheus.monitor.azure.com",
    "AZUREUSGOVERNMENTCLOUD": "https://prometheus.monitor.azure.us",
    "AZURECHINACLOUD": "https://prometheus.monitor.azure.cn",
}
"""What tokens for Azure Monitor's Prometheus are for in each cloud, by its name in capitals."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a trigger asks as: of several the first in this order, nobody without any."""

    aws: Identity | None = None
    google_key: str = field(default="", repr=False)
    pod: PodIdentity = NOBODY

    def __bool__(self) -> bool:
        return self != Caller()

    @property
    def parts(self) -> tuple[Hashable, ...]:
        """What tells this caller from others, secrets included: for a source key and nothing else."""
        return (self.aws and self.aws.parts, self.google_key, self.pod)


def caller_of(trigger: Trigger) -> Caller:
    """Return who a trigger asks as that has no authModes; raise `ScalerError` naming what is missing.

    That of several AWS comes first is KEDA's rule (pkg/scalers/prometheus_scaler.go).
    """
    if _means_aws(trigger):
        return Caller(aws=identity_of(trigger))
    # A pod identity takes the place of Google's key (KEDA pkg/scalers/gcp/gcp_common.go).
    return Caller(pod=trigger.pod_identity) if trigger.pod_identity else Caller(google_key=_google_key(trigger))


def _means_aws(trigger: Trigger) -> bool:
    """Return whether a manifest says anything of who to be at AWS; if that is not whole, KEDA asks as nobody."""
    metadata, auth = trigger.inputs.metadata, trigger.inputs.auth
    return (
        trigger.pod_identity.provider in ("aws", "aws-eks")
        or metadata.get("identityOwner", "") not in ("", "pod")
        or any(auth.get(name) for name in ("awsRoleArn", "awsAccessKeyID", "awsAccessKeyId"))
        or any(metadata.get(name) for name in ("awsAccessKeyID", "awsAccessKeyIDFromEnv"))
    )


def _google_key(trigger: Trigger) -> str:
    """Return the JSON of the key of a service account that a manifest gives, empty for none."""
    metadata, env = trigger.inputs.metadata, trigger.inputs.env
    name, key = "GoogleApplicationCredentials", trigger.inputs.auth.get("GoogleApplicationCredentials", "")
    if not key and (variable := metadata.get("credentialsFromEnv")):
        name, key = "credentialsFromEnv", env.get(variable, "")
        if not key:
            raise ScalerError("credentialsFromEnv: the target's environment has no such variable, or it is empty")
    if key:
        key_of(key, name)
    elif metadata.get("credentialsFromEnvFile"):
        raise ScalerError(
            "credentialsFromEnvFile: a manifest cannot name the daemon's files; put the key into "
            "GoogleApplicationCredentials of a TriggerAuthentication, or use podIdentity gcp"
        )
    return key


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


def google(server: str, *, key: str, http: CloudHttp, platform: Platform) -> Bearer:
    """Return tokens for Google Cloud Monitoring (KEDA pkg/scalers/gcp/gcp_common.go).

    `key`: the JSON of a service account's key, empty for the daemon's identity. Raises `ScalerError`.
    """
    if not key:
        _keep_to(server, os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN") or UNIVERSE)
    info = key_of(key, "GoogleApplicationCredentials") if key else None
    return GoogleIdentity(info, scope=GOOGLES_SCOPE, http=http, platform=platform).bearer


def _keep_to(server: str, name: str) -> None:
    """Raise `ScalerError` unless a server is of that name or below it, and asked over TLS."""
    try:
        url = httpx.URL(server)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme != "https" or not below(url.host.lower(), name.partition(":")[0].lower()):
        raise ScalerError(f"serverAddress: not https and below {name}; the daemon's token is not sent elsewhere")
