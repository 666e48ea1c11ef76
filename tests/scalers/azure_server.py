"""A local stand-in for Azure that speaks two HTTP APIs as their documentation has them.

These are Microsoft Entra ID's token endpoint (client credentials, with a secret or a federated token) and Key Vault's
Get Secret, with the challenge of a request without a good token.
"""

from typing import Any, Final

from aiohttp import web

from .cloud import CANARY

TENANT: Final = "72f988bf-86f1-41af-91ab-2d7cd011db47"
SECRET: Final = f"{CANARY}-client-secret"


class Azure:
    """A tenant with two who are let in, and a vault; tokens can be revoked."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.federated = f"{CANARY}-federated-1"
        self.expires_in: Any = 3599
        self._issued = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        return await self.login(request) if request.path.endswith("/token") else self.vault(request)

    async def login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if form.get("client_secret") != SECRET and form.get("client_assertion") != self.federated:
            text = f"AADSTS7000215: Invalid client secret {CANARY} provided."
            return web.json_response({"error": "invalid_client", "error_description": text}, status=401)
        self._issued += 1
        self.tokens.add(f"{CANARY}-token-{self._issued}")
        return web.json_response(
            {"token_type": "Bearer", "expires_in": self.expires_in, "access_token": f"{CANARY}-token-{self._issued}"}
        )

    def vault(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            challenge = (
                f'Bearer authorization="https://login.windows.net/{TENANT}", resource="https://{CANARY}.azure.net"'
            )
            body = {"error": {"code": "Unauthorized", "message": f"AKV10000: {CANARY}"}}
            return web.json_response(body, status=401, headers={"WWW-Authenticate": challenge})
        if request.query.get("api-version") != "7.4":
            return web.json_response({"error": {"code": "BadParameter"}}, status=400)
        _, _, name, *version = request.path.split("/")
        versions = self.secrets.get(name, {})
        found = versions.get(version[0] if version else "newest")
        if found is None:
            body = {"error": {"code": "SecretNotFound", "message": f"A secret {CANARY} was not found"}}
            return web.json_response(body, status=404)
        return web.json_response({"value": found, "id": f"https://x/secrets/{name}/1", "attributes": {"enabled": True}})
