"""Who to be at Microsoft Azure: tokens of Microsoft Entra ID, for a service principal or by workload identity.

The two documented requests are plain HTTP (OAuth 2 client credentials, with a secret or with a signed assertion). Any
scaler or store that talks to Azure asks so:

    principal = workload(trigger.pod_identity, authority="")      # raises ScalerError saying what is missing
    tokens = Tokens(principal, "https://vault.azure.net", http)
    token = await tokens.bearer.token()                           # whenever something is asked
"""

import asyncio
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keda_py.scaler import PodIdentity, ScalerError
from keda_py_scalers.cloud_http import Bearer, CloudHttp, Reply, host_of, issued

PUBLIC: Final = "https://login.microsoftonline.com"
AUTHORITIES: Final = {
    "AZUREPUBLICCLOUD": PUBLIC,
    "AZUREUSGOVERNMENTCLOUD": "https://login.microsoftonline.us",
    "AZURECHINACLOUD": "https://login.chinacloudapi.cn",
    "AZUREGERMANCLOUD": "https://login.microsoftonline.de",
}
"""Who issues tokens in each cloud, by its name in capitals."""
_MICROSOFTS: Final = frozenset({*AUTHORITIES.values(), "https://login.partner.microsoftonline.cn"})
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks for tokens, and whom; with `secret`, or with what is in `token_file`."""

    client_id: str
    tenant_id: str
    authority: str
    secret: str = field(default="", repr=False)
    token_file: str = ""


def workload(pod: PodIdentity, *, authority: str = "") -> Principal:
    """Return who the daemon is by Azure workload identity (KEDA azure_aad_workload_identity.go).

    `authority`: who issues tokens unless the manifest or the environment says so. Raises `ScalerError` that names what
    is missing. The daemon's own token, which is what it logs in with, goes to Microsoft or to whom the daemon's
    environment names, and never to a place that only a manifest names: whoever is there could be the daemon.
    """
    own = os.environ.get("AZURE_AUTHORITY_HOST", "").rstrip("/")
    # As in KEDA, the manifest's counts only together with its tenant.
    wanted = pod.authority_host.rstrip("/") if pod.tenant_id else ""
    if wanted and wanted not in _MICROSOFTS | {own}:
        raise ScalerError(
            "podIdentity.identityAuthorityHost: neither one of Microsoft's, such as "
            f"{PUBLIC}, nor AZURE_AUTHORITY_HOST of the daemon; the daemon's token is not sent there"
        )
    client_id = pod.identity_id or os.environ.get("AZURE_CLIENT_ID", "")
    tenant_id = pod.tenant_id or os.environ.get("AZURE_TENANT_ID", "")
    token_file = os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    missing = {
        "podIdentity.identityId or AZURE_CLIENT_ID": client_id,
        "podIdentity.identityTenantId or AZURE_TENANT_ID": tenant_id,
        "AZURE_FEDERATED_TOKEN_FILE": token_file,
    }
    if lacking := [name for name, value in missing.items() if not value]:
        raise ScalerError(
            f"the daemon has no Azure workload identity: it lacks {', '.join(lacking)}; annotate its ServiceAccount "
            "and label its pods as workload identity wants it"
        )
    return checked(Principal(client_id, tenant_id, wanted or own or authority or PUBLIC, token_file=token_file))


def below(host: str, name: str) -> bool:
    """Return whether a host is of that name or below it: whether it may be given tokens that are for that name."""
    return host == name or host.endswith(f".{name}")


def checked(principal: Principal) -> Principal:
    """Return a principal as it is; raise `ScalerError` if its tenant or authority could lead elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,255}", principal.tenant_id):
        raise ScalerError("the tenant is neither an id nor a domain name; correct tenantId")
    host_of(principal.authority, "the address of who issues tokens")
    return principal


class Tokens:
    """Tokens of a principal for one resource."""

    def __init__(self, principal: Principal, resource: str, http: CloudHttp) -> None:
        self._principal = principal
        self._scope = f"{resource.rstrip('/').removesuffix('/.default')}/.default"
        self._http = http
        self.bearer = Bearer(self._new)

    async def _new(self) -> tuple[str, float]:
        who = self._principal
        form = {"grant_type": "client_credentials", "client_id": who.client_id, "scope": self._scope}
        if who.token_file:
            assertion = await asyncio.to_thread(_assertion, who.token_file)
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        else:
            form["client_secret"] = who.secret
        # Active Directory Federation Services (Azure Stack) have no tenants, and one address.
        path = "adfs/oauth2/token" if who.tenant_id.lower() == "adfs" else f"{who.tenant_id}/oauth2/v2.0/token"
        reply = await self._http.send("POST", f"{who.authority.rstrip('/')}/{path}", data=form)
        if reply.status != _OK:
            raise _refused(reply, who)
        return issued(reply)


def _assertion(path: str) -> str:
    """Return the daemon's token, read anew each time: Kubernetes renews it."""
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        raise ScalerError("the file that AZURE_FEDERATED_TOKEN_FILE of the daemon names has no token; is it mounted?")
    return token


def _refused(reply: Reply, who: Principal) -> ScalerError:
    # The description repeats what was sent; its number is all that is quoted of it.
    number = re.search(r"\bAADSTS[0-9]{4,10}\b", reply.text("error_description"))
    code = f" ({number[0]})" if number else ""
    hint = (
        "is the daemon's ServiceAccount federated with that identity, in that tenant?"
        if who.token_file
        else "are clientId and tenantId right, and clientSecret right and not at its end?"
    )
    return ScalerError(f"{reply.place} answered {reply.status} to the login{code}: {hint}")
