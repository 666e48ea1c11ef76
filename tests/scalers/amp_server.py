"""A local stand-in for Amazon Managed Service for Prometheus: it lets in who signed, as AWS checks it.

The signature is computed anew from what arrived and from the secret that it knows; the query is decoded and put into
AWS's canonical form, as documented for Signature Version 4.
"""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .cloud import CANARY

PATH: Final = "/workspaces/ws-1/api/v1/query"
SAMPLE: Final = {"data": {"resultType": "vector", "result": [{"value": [0, "7"]}]}}
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/aps/aws4_request, SignedHeaders=([\w;-]+), "
    r"Signature=([0-9a-f]{64})"
)


class Workspace:
    """What is known of keys: the secret and the session token of each; who was let in, in order."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.known: dict[str, tuple[str, str]] = {}
        self.signers: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        signer = self._signer(request)
        if signer is None:
            sent = "\n".join(f"{name}:{value}" for name, value in request.headers.items())
            message = f"The request signature we calculated does not match. {CANARY}\n{sent}"
            return web.json_response({"message": message}, status=403)
        self.signers.append(signer)
        return web.json_response(SAMPLE)

    def _signer(self, request: web.Request) -> str | None:
        """Return the access key of who signed this request, None if nobody did that is known."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None or found[3] != self.region or found[1] not in self.known:
            return None
        secret, token = self.known[found[1]]
        names, stamp = found[4].split(";"), request.headers.get("X-Amz-Date", "")
        amazons = {name.lower() for name in request.headers if name.lower().startswith("x-amz-")}
        if request.headers.get("X-Amz-Security-Token", "") != token or not {"host", *amazons} <= set(names):
            return None
        age = datetime.now(UTC) - datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(age.total_seconds()) > 300 or stamp[:8] != found[2]:
            return None
        return found[1] if self._signature(request, secret, found[3], names, stamp) == found[5] else None

    def _signature(self, request: web.Request, secret: str, region: str, names: list[str], stamp: str) -> str:
        path, _, query = request.raw_path.partition("?")
        again = AWSRequest(
            method=request.method,
            url=f"http://{request.host}{path}",
            params=parse_qsl(query, keep_blank_values=True),
            headers={name: request.headers[name] for name in names},
        )
        again.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials("any", secret), "aps", region)
        # The scope has the date of the stamp; the access key is no part of what is signed.
        return str(auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again))
