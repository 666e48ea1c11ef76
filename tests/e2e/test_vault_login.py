"""Credentials in a real Vault, which asks the real API server whether a ServiceAccount's token is one."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import Daemon
from tests.pages import manifests
from tests.vault.server import READS, Vault, vault

from .guarded import Guarded
from .world import World

VALUE = "hush-a-bye-baby"
ROLE = "auth/kubernetes/role/scaling"


@pytest.fixture
def safe(cluster: Cluster, world: World, tmp_path: Path) -> Iterator[Vault]:
    """A Vault that may ask this cluster about tokens, with one to ask with; no ServiceAccount has a role yet."""
    reviewer = f"reviewer-{world.namespace}"
    delegated = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"}
    subject = {"kind": "ServiceAccount", "name": "vault", "namespace": world.namespace}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": reviewer},
    }
    world.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vault"}})
    cluster.apply(binding | {"roleRef": delegated, "subjects": [subject]})
    token = cluster.kubectl("create", "token", "vault", f"--namespace={world.namespace}").strip()
    try:
        with vault(tmp_path) as server:
            server.call("PUT", "kv2/data/queue", {"data": {"token": VALUE}})
            server.call("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
            config = {"token_reviewer_jwt": token, "disable_local_ca_jwt": True, **place_of(cluster)}
            server.call("POST", "auth/kubernetes/config", config)
            yield server
    finally:
        cluster.kubectl("delete", "clusterrolebinding", reviewer)


def place_of(cluster: Cluster) -> dict[str, str]:
    """Return where the API server is, and its authority, as Vault wants to be told."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    about = config["clusters"][0]["cluster"]
    given = about.get("certificate-authority-data")
    authority = base64.b64decode(given).decode() if given else Path(about["certificate-authority"]).read_text()
    return {"kubernetes_host": about["server"], "kubernetes_ca_cert": authority}


def by_account(server: Vault, **changed: Any) -> dict[str, Any]:
    spec = {
        "address": server.address,
        "authentication": "kubernetes",
        "mount": "kubernetes",
        "role": "scaling",
        "credential": {"serviceAccountName": "reader"},
        "secrets": [{"parameter": "bearerToken", "path": "kv2/data/queue", "key": "token"}],
    }
    about = {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": "vaulted"}}
    return about | {"spec": {"hashiCorpVault": spec | changed}}


def test_a_service_account_logs_in_to_vault_once_all_who_have_to_allow_it_do(
    daemon: Daemon, world: World, guarded: Guarded, safe: Vault
) -> None:
    guarded.bearer("app", VALUE)
    # What the documentation has for this: the ServiceAccount, and a Role to make tokens for it.
    page = manifests("authentication.md", heading="Tokens for a ServiceAccount")
    account, *rules = [found for found in page if found["kind"] != "TriggerAuthentication"]
    world.apply(account, by_account(safe))
    world.scaled("app", guarded.trigger("app", "vaulted"))

    def until_told(words: str) -> None:
        world.until(lambda: words in world.condition("app", "Ready")["message"], words, seconds=60)

    until_told("allow the daemon's ServiceAccount to create serviceaccounts/token for it")
    world.apply(*rules)
    until_told('invalid role name "scaling"')
    safe.policy("reads", READS)
    role = {"bound_service_account_names": "reader", "policies": "reads", "ttl": "1h"}
    safe.call("POST", ROLE, role | {"bound_service_account_namespaces": "elsewhere"})
    until_told("answered 403 to auth/kubernetes/login")
    safe.call("POST", ROLE, role | {"bound_service_account_namespaces": world.namespace})
    world.until_ready("app", seconds=60)
    world.until_replicas("app", 1)
    assert guarded.refused == [], "never asked without credentials"
    shown = daemon.said() + world.picture() + json.dumps(world.get("events")) + json.dumps(world.get("ta"))
    assert "auth/kubernetes/login" in shown
    for hidden in (VALUE, "eyJ", "hvs."):
        assert hidden not in shown, "a value, a ServiceAccount's token, a token of Vault's"
