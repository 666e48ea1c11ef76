"""A running Vault, and what a person who sets it up does with it."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import answers, free_port, running
from tests.vault.build import binary

READS = 'path "*" { capabilities = ["create", "read", "update", "list"] }'


@dataclass(frozen=True)
class Vault:
    """Its address, and the root token."""

    address: str
    token: str

    def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> dict[str, Any]:
        """Call its API as root, or with another token."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Vault-Token": token or self.token}
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found

    def policy(self, name: str, rules: str) -> None:
        """Write a policy."""
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rules})

    def login(self, **wanted: Any) -> str:
        """Return a token of one's own."""
        return str(self.call("POST", "auth/token/create", wanted)["auth"]["client_token"])


def root_token(printed: str) -> str:
    """Return the root token among what a Vault printed; complaints of its first start may stand before and after."""
    return next(line for line in printed.splitlines() if line.startswith("hvs."))


@contextmanager
def vault(folder: Path) -> Iterator[Vault]:
    """Run a Vault with a KV engine of each version, an authority at `pki`, and its role `web`."""
    port = free_port()
    address, log = f"http://127.0.0.1:{port}", folder / "vault.log"
    with running([str(binary()), f"127.0.0.1:{port}"], log=log, ready=lambda: answers(f"{address}/v1/sys/health")):
        server = Vault(address, root_token(log.read_text()))
        server.call("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        server.call("POST", "sys/mounts/kv2", {"type": "kv", "options": {"version": "2"}})
        server.call("POST", "sys/mounts/pki", {"type": "pki"})
        server.call("POST", "pki/root/generate/internal", {"common_name": "tests", "ttl": "720h"})
        server.call("POST", "pki/roles/web", {"allow_any_name": True, "max_ttl": "24h"})
        server.policy("reads", READS)
        yield server
