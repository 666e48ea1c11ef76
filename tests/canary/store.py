"""Canaries outside the cluster: in a Vault, files, tokens, at servers for OAuth 2 and metrics, and in what opens these.

What is read there goes to a source that is content with it, and to one that repeats it.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from keda_py.serve.otlp import Exporter, connect
from tests.vault.server import Vault

from .canary import Canaries
from .garden import OF_CLUSTER, Garden, Manifest
from .source import DOORS, serving
from .trigger import Addresses, based

ACCOUNT: Final = "reader"
TOKEN_BEGINS: Final = "eyJhbGciOiAibm9uZSIs"
TOKEN_ENDS: Final = "b2YgdGhlIGVtYmVkZGVkIGNsdXN0ZXI"
"""How every token begins and ends that the embedded cluster makes for a ServiceAccount."""
AS_ROLE: Final = {"authentication": "kubernetes", "mount": "kubernetes", "role": "keda"}
PAIR: Final = {"certificate": "cert", "private_key": "key"}


class Reading:
    """Plants triggers over HTTP whose credentials a section of their authentication leads to."""

    def __init__(self, garden: Garden, addresses: Addresses) -> None:
        self.garden = garden
        self.addresses = addresses

    def one(
        self,
        section: Manifest,
        *,
        says: str = "",
        door: str = "scold",
        mode: str = "bearer",
        kind: str = "TriggerAuthentication",
    ) -> None:
        """Plant one; `says`: see `Garden.expected`."""
        trigger = based("metrics-api", self.addresses, door, {"authMode": mode})
        self.garden.scaled(trigger, section, kind=kind, says=says)

    def good(self, section: Manifest) -> None:
        """Plant what can be read: for a source that is content with it, and one that is not."""
        self.one(section, says="True", door="well")
        self.one(section, says="answered 401")


# --- HashiCorp Vault ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def overheard(server: Vault, canaries: Canaries) -> AsyncIterator[str]:
    """Stand before a Vault; yield the address. The private keys that it makes are canaries from then on."""
    async with aiohttp.ClientSession() as http:

        async def pass_on(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name.startswith("X-Vault-")}
            url, body = f"{server.address}{request.path_qs}", await request.read()
            async with http.request(request.method, url, headers=headers, data=body) as answer:
                content = await answer.read()
            if key := (json.loads(content).get("data") or {}).get("private_key"):
                canaries.plant_key("vault: a private key that it made", key)
            return web.Response(status=answer.status, body=content, content_type="application/json")

        async with serving(pass_on) as place:
            yield f"http://{place}"


def plant_in_vault(reading: Reading, server: Vault, address: str, folder: Path) -> None:
    """Plant in a Vault, to be read at `address`, and in what opens it; and in what opens those that are none."""
    canaries = reading.garden.canaries
    server.call("PUT", "kv1/queue", {"password": canaries.hatch("vault: a value of version 1"), "count": 7})
    server.call("PUT", "kv2/data/queue", {"data": {"password": canaries.hatch("vault: a value of version 2")}})
    root = canaries.plant("vault: the root token", server.token)
    poor = canaries.plant("vault: a token that may nothing", server.login(policies=["default"], ttl="1h"))
    none = canaries.hatch("vault: a token that is none")
    for path in ("kv1/queue", "kv2/data/queue"):
        reading.good(_vault(address, root, path))
    reading.one(_vault(address, root, *_issued()), says="True", door="well", mode="tls")
    for token, path, key, says in (
        (root, "kv1/none", "password", "there is nothing"),
        (root, "kv1/queue", "other", "has no key"),
        (root, "kv1/queue", "count", "is no text"),
        (poor, "kv1/queue", "password", "permission denied"),
        (none, "kv1/queue", "password", "answered 403"),
    ):
        reading.one(_vault(address, token, _wanted(path, key)), says=says)
    file = folder / "no-token"
    file.write_text(canaries.hatch("vault: a file that holds no token"))
    by_file = {"credential": {"serviceAccount": str(file)}, **AS_ROLE}
    reading.one(_vault(address, "", "kv1/queue", **by_file), says="does not hold the token")
    for door in DOORS:
        place = f"http://{reading.addresses['http', door]}"
        told = canaries.hatch(f"vault: a token, {door}")
        reading.one(_vault(place, told, "kv2/data/queue"), says="hashiCorpVault: ")
        reading.one(_vault(place, told, *_issued()), mode="tls", says="hashiCorpVault: ")
        as_account = {"credential": {"serviceAccountName": ACCOUNT}, **AS_ROLE}
        reading.one(_vault(place, "", "kv1/queue", **as_account), says="hashiCorpVault: ")


def _issued() -> list[Manifest]:
    data = {"commonName": "a", "ttl": "1h"}
    return [_wanted("pki/issue/web", key, parameter, type="pki", pkiData=data) for key, parameter in PAIR.items()]


def _wanted(path: str, key: str = "password", parameter: str = "bearerToken", **rest: Any) -> Manifest:
    return {"parameter": parameter, "path": path, "key": key, **rest}


def _vault(address: str, token: str, *secrets: Manifest | str, **rest: Any) -> Manifest:
    found = [_wanted(one) if isinstance(one, str) else one for one in secrets]
    login = {"authentication": "token", "credential": {"token": token}}
    return {"hashiCorpVault": {"address": address, "secrets": found, **login, **rest}}


# --- files, tokens, grants and a collector ----------------------------------------------------------------------------


def plant_in_files(reading: Reading, folder: Path) -> None:
    """Plant in files of the daemon, some with parameters and some that are no such file."""
    hatch = reading.garden.canaries.hatch
    content = {
        "good": (json.dumps({"bearerToken": hatch("a file: a parameter")}), "True"),
        "number": (json.dumps({"bearerToken": hatch("a file: a text beside a number"), "n": 1}), "nothing but texts"),
        "cut": (json.dumps({"bearerToken": hatch("a file: one that is cut off")})[:-2], "is no JSON"),
        "bare": (hatch("a file: one that is no JSON"), "is no JSON"),
    }
    for name, (text, says) in content.items():
        (folder / name).write_text(text)
        reading.one({"filePath": name}, kind=OF_CLUSTER, door="well", says=says)
    reading.one({"filePath": "good"}, kind=OF_CLUSTER, says="answered 401")


def plant_tokens(reading: Reading) -> None:
    """Plant tokens for a ServiceAccount."""
    canaries = reading.garden.canaries
    canaries.plant("the beginning of a token for a ServiceAccount", TOKEN_BEGINS)
    canaries.plant("the end of a token for a ServiceAccount", TOKEN_ENDS)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    reading.garden.manifests.append(account)
    bound = [{"parameter": "bearerToken", "serviceAccountName": ACCOUNT}]
    reading.good({"boundServiceAccountToken": bound})
    reading.one({"boundServiceAccountToken": bound}, door="parrot")


def plant_grants(reading: Reading) -> None:
    """Plant secrets of clients of OAuth 2 servers, each server up to something else."""
    garden = reading.garden
    for server in DOORS:
        secret = garden.referred(garden.canaries.hatch(f"oauth2: a client's secret, {server}"))
        address = f"http://{reading.addresses['http', server]}/token"
        oauth2 = {"clientId": "me", "clientSecret": secret, "tokenUrl": address, "scopes": ["all"]}
        says = {"well": "answered 401", "parrot": "no token", "scold": "no token"}
        reading.one({"oauth2": oauth2}, mode="oauth", says=says.get(server, ""))


def plant_at_collector(reading: Reading, environment: pytest.MonkeyPatch) -> Exporter:
    """Plant in what the daemon sends its metrics with, to a collector that takes none and repeats all; return that."""
    hatch = reading.garden.canaries.hatch
    place = f"me:{hatch('a collector: the password in its address')}@{reading.addresses['http', 'scold']}"
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{place}")
    environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-token={hatch('a collector: a header')}")
    environment.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000")
    return connect(os.environ)
