"""A local stand-in for Google Cloud that speaks HTTP APIs as their documentation has them.

These are Google's token endpoint (a service account's signed JWT), its Security Token Service (workload identity
federation), the metadata server, and Secret Manager's `versions.access`.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keda_py_scalers.gcp_secret_manager import crc32c

from .cloud import CANARY

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


class Google:
    """A project's secrets, and those who are let in; tokens can be revoked."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {"db-password": {"latest": f"{CANARY}-2", "1": f"{CANARY}-1"}}
        self.tokens: set[str] = set()
        self.subject = f"{CANARY}-subject"
        self.expires_in: Any = 3599
        self.checksum = True
        self.scope = SCOPE
        self._issued = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await self.login(request)
        if request.path == "/sts":
            form = await request.post()
            return self.issue() if form.get("subject_token") == self.subject else refusal("invalid_grant")
        return self.access(request)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """RFC 7523 as Google documents it: the assertion is checked as it would be there."""
        form = await request.post()
        signed, _, signature = str(form["assertion"]).rpartition(".")
        KEY.public_key().verify(unpacked(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(unpacked(signed.partition(".")[2]))
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert claims["scope"] == self.scope
        assert datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) < timedelta(hours=1, seconds=5)
        if claims["iss"] != "keda@orders.iam.gserviceaccount.com":
            return refusal("invalid_grant")
        return self.issue()

    def issue(self) -> web.StreamResponse:
        self._issued += 1
        token = f"{CANARY}-token-{self._issued}"
        self.tokens.add(token)
        issued = "urn:ietf:params:oauth:token-type:access_token"
        return web.json_response(
            {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer", "issued_token_type": issued}
        )

    def metadata(self, request: web.Request) -> web.StreamResponse:
        """What the metadata server says, to whom asks as it wants."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        if request.path == "/computeMetadata/v1/project/project-id":
            answer: web.StreamResponse = web.Response(text="orders")
        elif request.path == "/computeMetadata/v1/instance/service-accounts/default/token":
            assert request.query["scopes"] == self.scope
            answer = self.issue()
        else:
            answer = web.Response(status=404)
        answer.headers["Metadata-Flavor"] = "Google"
        return answer

    def access(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return status(401, "UNAUTHENTICATED")
        *_, project, _, name, _, version = request.path.removesuffix(":access").split("/")
        found = self.secrets.get(name, {}).get(version) if project == "orders" else None
        if found is None:
            return status(404, "NOT_FOUND")
        data = found.encode()
        payload = {"data": base64.b64encode(data).decode()}
        payload |= {"dataCrc32c": str(crc32c(data))} if self.checksum else {}
        return web.json_response({"name": f"projects/1/secrets/{name}/versions/2", "payload": payload})


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def refusal(code: str) -> web.StreamResponse:
    return web.json_response({"error": code, "error_description": f"{CANARY} is wrong"}, status=400)


def status(code: int, name: str) -> web.StreamResponse:
    body = {"error": {"code": code, "status": name, "message": f"{CANARY}: Secret [projects/1/secrets/x] not found"}}
    return web.json_response(body, status=code)
