"""Credentials on a real API server: rotated, missing, forbidden; and what that costs the connections of others."""

import base64
import json
from typing import Any

from keda_py.naming import FINALIZER
from tests.controlplane.daemon import Daemon
from tests.pages import manifests

from .guarded import Guarded
from .world import World

CANARY = "hush-a-bye-baby"


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def authentication(name: str, kind: str = "TriggerAuthentication", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def refs(name: str, **parameters: str) -> list[dict[str, str]]:
    return [{"parameter": parameter, "name": name, "key": key} for parameter, key in parameters.items()]


def test_a_rotated_secret_reaches_its_trigger_and_disturbs_no_other(
    daemon: Daemon, world: World, guarded: Guarded
) -> None:
    guarded.bearer("mine", "old")
    guarded.basic("theirs", "user", "word")
    world.apply(
        secret("mine", token="old"),
        secret("theirs", user="user", word="word"),
        authentication("mine", secretTargetRef=refs("mine", bearerToken="token")),
        authentication("theirs", secretTargetRef=refs("theirs", username="user", password="word")),
    )
    for name, mode in (("mine", "bearer"), ("theirs", "basic")):
        world.scaled(name, guarded.trigger(name, name, mode=mode))
        world.until_ready(name)
        world.until_replicas(name, 1)
    kept = set(guarded.connections["theirs"])
    guarded.bearer("mine", "new")
    world.until_ready("mine", status="False")
    assert "401" in world.condition("mine", "Ready")["message"]
    world.apply(secret("mine", token="new"))
    world.until_ready("mine")
    assert guarded.connections["theirs"] == kept
    assert len(kept) == 1
    assert "theirs" not in guarded.refused
    assert world.get("triggerauthentication", "mine")["status"] == {"scaledobjects": "mine"}


def test_what_is_missing_is_named_until_it_is_there(daemon: Daemon, world: World, guarded: Guarded) -> None:
    guarded.bearer("app", "t")
    world.scaled("app", guarded.trigger("app", "auth"))
    auth = authentication("auth", secretTargetRef=refs("s", bearerToken="token"))
    steps = (
        (f"TriggerAuthentication {world.namespace}/auth does not exist", auth),
        (f"Secret {world.namespace}/s does not exist", secret("s", wrong="t")),
        (f"Secret {world.namespace}/s has no key 'token'", secret("s", token="t")),
    )  # fmt: skip
    for message, remedy in steps:
        world.until(lambda said=message: said in world.condition("app", "Ready")["message"], message)
        world.apply(remedy)
    world.until_ready("app")
    world.until_replicas("app", 1)
    assert guarded.refused == [], "never asked without credentials"
    world.cluster.kubectl(
        "patch", "secret", "s", f"--namespace={world.namespace}", "--type=json",
        '--patch=[{"op": "remove", "path": "/data/token"}]',
    )  # fmt: skip
    world.until_ready("app", status="False")
    assert "has no key 'token'" in world.condition("app", "Ready")["message"]
    world.stays("app", 1, 6)


def test_variables_of_the_target_and_the_cluster_s_authentication(
    daemon: Daemon, world: World, guarded: Guarded
) -> None:
    guarded.basic("app", "user", "w$rd")
    guarded.bearer("shared", "of the cluster")
    target = world.deployment("app")
    target["spec"]["template"]["spec"]["containers"][0] |= {
        "env": [
            {"name": "USER", "value": "user"},
            {"name": "WORD", "value": "w$$$(Q_tail)"},
            {"name": "UNUSED", "valueFrom": {"secretKeyRef": {"name": "not-here", "key": "x"}}},
        ],
        "envFrom": [{"prefix": "Q_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "none", "optional": True}}],
    }
    name = f"shared-{world.namespace}"
    env = [{"parameter": "username", "name": "USER"}, {"parameter": "password", "name": "WORD"}]
    world.apply(secret("s", tail="rd"), authentication("auth", env=env), target)
    world.cluster.apply(secret(name, token="of the cluster"), namespace="keda")
    kind = "ClusterTriggerAuthentication"
    world.cluster.apply(authentication(name, kind, secretTargetRef=refs(name, bearerToken="token")))
    try:
        shared = guarded.trigger("shared", name, kind=kind)
        world.apply(world.scaled_object("app", guarded.trigger("app", "auth", mode="basic"), shared))
        world.until_ready("app")
        assert guarded.refused == []
        assert world.status("app")["authenticationsTypes"] == f"auth,{name}"
        assert world.get("clustertriggerauthentication", name)["status"] == {"scaledobjects": "app"}
        # Another value in the pod template: the trigger that uses it reads on with that.
        guarded.basic("app", "other", "w$rd")
        target["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "other"
        before = guarded.welcomed["app"]
        world.apply(target)
        world.until(lambda: guarded.welcomed["app"] > before, "it reads with the new user")
        world.until_ready("app")
        assert "shared" not in guarded.refused
    finally:
        world.delete("scaledobject", "app")
        world.cluster.kubectl("delete", kind.lower(), name)
        world.cluster.kubectl("delete", "secret", name, "--namespace=keda")


def test_a_permission_that_is_missing_is_named(daemon: Daemon, world: World, guarded: Guarded) -> None:
    guarded.bearer("app", "t")
    role = world.cluster.get("clusterrole", "keda-operator")
    rules = [rule for rule in role["rules"] if "secrets" not in rule.get("resources", ())]
    assert len(rules) == len(role["rules"]) - 1
    patch_rules(world, rules)
    try:
        world.apply(secret("s", token="t"), authentication("auth", secretTargetRef=refs("s", bearerToken="token")))
        world.scaled("app", guarded.trigger("app", "auth"))
        message = f'cannot list resource "secrets" in API group "" in the namespace "{world.namespace}"'
        world.until(lambda: message in world.condition("app", "Ready")["message"], message)
        assert "allow the daemon's ServiceAccount to list and watch it" in world.condition("app", "Ready")["message"]
    finally:
        patch_rules(world, role["rules"])
    # A Role that names the Secret would do as well: it is asked for by its name.
    world.until_ready("app", seconds=60)


def test_a_role_that_names_one_secret_is_enough(daemon: Daemon, world: World, guarded: Guarded) -> None:
    guarded.bearer("app", "t")
    role = world.cluster.get("clusterrole", "keda-operator")
    patch_rules(world, [rule for rule in role["rules"] if "secrets" not in rule.get("resources", ())])
    try:
        replaced = {"shop": world.namespace, "queue-login": "login"}
        (rule,) = manifests("authentication.md", replaced, heading="Permissions")
        api = "rbac.authorization.k8s.io"
        world.apply(
            rule,
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "reads"},
                "roleRef": {"apiGroup": api, "kind": "Role", "name": rule["metadata"]["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": "keda-operator", "namespace": "keda"}],
            },
            secret("login", token="t"),
            authentication("auth", secretTargetRef=refs("login", bearerToken="token")),
        )
        world.scaled("app", guarded.trigger("app", "auth"))
        world.until_ready("app", seconds=60)
    finally:
        patch_rules(world, role["rules"])


def test_a_deleted_authentication_that_keda_left_goes(daemon: Daemon, world: World) -> None:
    left = authentication("left", secretTargetRef=refs("s", bearerToken="token"))
    left["metadata"]["finalizers"] = [FINALIZER]
    world.apply(left)
    world.delete("triggerauthentication", "left")
    world.until(lambda: world.get("triggerauthentications")["items"] == [], "it is gone")


def patch_rules(world: World, rules: list[dict[str, Any]]) -> None:
    patch = json.dumps({"rules": rules})
    world.cluster.kubectl("patch", "clusterrole", "keda-operator", "--type=merge", f"--patch={patch}")


def test_no_secret_shows_anywhere(daemon: Daemon, world: World, guarded: Guarded) -> None:
    guarded.bearer("app", "something else")
    world.apply(secret("s", token=CANARY), authentication("auth", secretTargetRef=refs("s", bearerToken="token")))
    world.scaled("app", guarded.trigger("app", "auth"))
    world.until_ready("app", status="False")
    world.cluster.kubectl("delete", "secret", "s", f"--namespace={world.namespace}")
    world.until(lambda: "does not exist" in world.condition("app", "Ready")["message"], "the Secret is missing")
    shown = daemon.said() + world.picture() + json.dumps(world.get("events")) + json.dumps(world.get("ta"))
    assert "does not exist" in shown
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode() not in shown
