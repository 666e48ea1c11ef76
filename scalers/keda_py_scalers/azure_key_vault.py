"""Secrets in Azure Key Vault, for ``azureKeyVault`` of a TriggerAuthentication.

Two documented requests: a token of Microsoft Entra ID, and ``GET <vault>/secrets/<name>/<version>``. A vault tells in a
challenge which tokens it wants; it is not asked, for its own name says it, and a place that calls itself a vault must
not be given tokens that open others: a token goes to the resource it is for, and to hosts below it.
"""

import re
from dataclasses import dataclass
from typing import Final

from keda_py.api.authentication import AzureKeyVault as Spec
from keda_py.scaler import PodIdentity, ScalerError
from keda_py.secret_store import Access, SecretStore, Values
from keda_py_scalers.azure import AUTHORITIES, PUBLIC, Principal, Tokens, below, checked, workload
from keda_py_scalers.cloud_http import CloudHttp, Reply, host_of
from keda_py_scalers.secret_reading import names_fit, platform_of, read_each

API: Final = "7.4"
_CLOUDS: Final = {
    "vault.azure.net": "AZUREPUBLICCLOUD",
    "managedhsm.azure.net": "AZUREPUBLICCLOUD",
    "vault.usgovcloudapi.net": "AZUREUSGOVERNMENTCLOUD",
    "managedhsm.usgovcloudapi.net": "AZUREUSGOVERNMENTCLOUD",
    "vault.azure.cn": "AZURECHINACLOUD",
    "managedhsm.azure.cn": "AZURECHINACLOUD",
    "vault.microsoftazure.de": "AZUREGERMANCLOUD",
}
"""Below which names the vaults of each cloud are; tokens are for these names."""
_PRIVATE: Final = "PRIVATE"
_REASONS: Final = {
    "SecretDisabled": "the secret is disabled; enable it",
    "ForbiddenByFirewall": "the vault's firewall does not let the daemon in",
    "ForbiddenByConnection": "the vault takes private connections only, and the daemon's is none",
}
_TENANT: Final = re.compile(
    r'authorization="https://[a-z0-9.-]+/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"'
)
"""The tenant in a vault's challenge."""
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    version: str

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version else ""
        return f"secret {self.name}{version}"


class AzureKeyVault(SecretStore[Spec]):
    """A vault, and who is let in (KEDA pkg/scaling/resolver/azure_keyvault_handler.go)."""

    def __init__(self, access: Access[Spec]) -> None:
        """Raise `ScalerError` naming what of the section makes no sense."""
        super().__init__(access)
        spec = access.spec
        names_fit({f"{one.parameter}: name": one.name for one in spec.secrets}, "[0-9A-Za-z-]{1,127}")
        names_fit({f"{one.parameter}: version": one.version for one in spec.secrets}, "[0-9A-Za-z]{0,64}")
        resource, cloud = _resource(spec)
        self._vault = f"https://{host_of(spec.vault_uri, 'vaultUri')}"
        self._http = CloudHttp(platform_of(access))
        self._tokens = Tokens(_principal(access, cloud), resource, self._http)

    async def read(self) -> Values:
        """Return every secret of the section."""
        # Before any secret: if nobody is let in, that is one failure.
        await self._tokens.bearer.token()
        places = {secret.parameter: _Place(secret.name, secret.version) for secret in self.access.spec.secrets}
        return await read_each(places, self._secret, text=lambda _, value: value, called=str)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _secret(self, place: _Place) -> str:
        token = await self._tokens.bearer.token()
        reply = await self._get(place, token)
        if reply.status == _UNAUTHORIZED:
            # Revoked before its time, as it may be.
            self._tokens.bearer.drop(token)
            reply = await self._get(place, await self._tokens.bearer.token())
        if reply.status != _OK:
            raise _refused(reply)
        value = reply.json().get("value")
        if not isinstance(value, str):
            raise ScalerError(f"{reply.place} answered without a value: is vaultUri that of a key vault?")
        return value

    async def _get(self, place: _Place, token: str) -> Reply:
        path = f"{place.name}/{place.version}".rstrip("/")
        url = f"{self._vault}/secrets/{path}?api-version={API}"
        return await self._http.send("GET", url, headers={"Authorization": f"Bearer {token}"})


def _resource(spec: Spec) -> tuple[str, str]:
    """Return what tokens are for, and in which cloud that is (in capitals)."""
    host = host_of(spec.vault_uri, "vaultUri").partition(":")[0].lower()
    cloud = spec.cloud.type.upper() if spec.cloud else ""
    if cloud == _PRIVATE and spec.cloud:
        url = spec.cloud.key_vault_resource_url
        if not url:
            raise ScalerError("cloud: type Private needs keyVaultResourceURL, what tokens for the vault are for")
        resource = host_of(url, "cloud.keyVaultResourceURL").partition(":")[0].lower()
        if not below(host, resource):
            raise ScalerError("vaultUri: not below cloud.keyVaultResourceURL; no token for one goes to the other")
        return url, cloud
    if cloud and cloud not in AUTHORITIES:
        raise ScalerError(
            "cloud.type: expected AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, AzureGermanCloud "
            "or Private"
        )
    for name, its_cloud in _CLOUDS.items():
        if below(host, name) and cloud in ("", its_cloud):
            return f"https://{name}", its_cloud
    raise ScalerError(
        "vaultUri: no address of a key vault in that cloud, such as https://<name>.vault.azure.net; "
        "elsewhere cloud needs type Private, keyVaultResourceURL and activeDirectoryEndpoint"
    )


def _principal(access: Access[Spec], cloud: str) -> Principal:
    """Return who asks the vault; `cloud`: where the vault is."""
    spec, pod = access.spec, access.pod_identity
    if pod:
        return _daemon(pod, AUTHORITIES.get(cloud, PUBLIC))
    secret = access.credentials.get("clientSecret", "").strip()
    who = spec.credentials
    if who is None or not (who.client_id and who.tenant_id and secret):
        raise ScalerError("credentials: clientId, tenantId and clientSecret are needed, or a podIdentity")
    return checked(Principal(who.client_id, who.tenant_id, _authority(spec, cloud), secret=secret))


def _daemon(pod: PodIdentity, authority: str) -> Principal:
    if pod.provider != "azure-workload":
        raise ScalerError(f"podIdentity: a key vault has no use for {pod.provider}; use azure-workload or credentials")
    return workload(pod, authority=authority)


def _authority(spec: Spec, cloud: str) -> str:
    if cloud != _PRIVATE or spec.cloud is None:
        return AUTHORITIES[cloud]
    if not spec.cloud.active_directory_endpoint:
        raise ScalerError("cloud: type Private needs activeDirectoryEndpoint, who issues tokens")
    return spec.cloud.active_directory_endpoint


def _refused(reply: Reply) -> ScalerError:
    answered = f"{reply.place} answered {reply.status}"
    if reply.status == _NOT_FOUND:
        return ScalerError(f"{answered}: no such secret, or not in that version; add it, or correct name and version")
    if reply.status == _UNAUTHORIZED:
        # A tenant's id and nothing else of what it says.
        tenant = _TENANT.search(reply.headers.get("WWW-Authenticate", ""))
        wanted = f"; it wants those of tenant {tenant[1]}" if tenant else ""
        return ScalerError(f"{answered}: it does not accept our tokens{wanted}")
    if reply.status == _FORBIDDEN:
        why = _REASONS.get(reply.text("error", "innererror", "code"))
        return ScalerError(
            f"{answered}: {why or 'the identity may not read secrets there; give it the permission get'}"
        )
    return ScalerError(f"{answered}: is vaultUri that of a key vault?")
