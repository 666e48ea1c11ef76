"""Credentials that triggers take from what their object scales: its container's environment, its ServiceAccount."""

import asyncio

import pytest

from keda_py.scaler import PodIdentity

from .doors import World, door

pytestmark = pytest.mark.looptime


async def test_the_environment_of_the_target() -> None:
    async with World().running() as world:
        env = [
            {"name": "USER", "value": "u"},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "word"}}},
            {"name": "URL", "value": "amqp://$(USER):$(WORD)@$(Q_host)"},
        ]
        source = [{"prefix": "Q_", "configMapRef": {"name": "c"}}]
        containers = [{"name": "side", "image": "1"}, {"name": "web", "image": "1", "env": env, "envFrom": source}]
        world.deploy("app", containers=containers)
        world.secret("s", word="w")
        world.config_map("c", host="h")
        world.scale(
            "app",
            door("a", passwordFromEnv="URL"),
            door("b", passwordFromEnv="USER"),
            scaleTargetRef={"name": "app", "envSourceContainerName": "web"},
        )
        await asyncio.sleep(2)
        assert world.doors.passwords == {"a": "amqp://u:w@h", "b": "u"}
        unaffected = world.trigger("app", 1)
        world.config_map("c", host="elsewhere")
        await asyncio.sleep(1)
        assert world.doors.passwords["a"] == "amqp://u:w@elsewhere"
        assert world.trigger("app", 1) is unaffected
        # The template itself: only who reads differently is rebuilt, and a change of anything else is not read.
        affected = world.trigger("app", 0)
        env[0]["value"] = "v"
        world.deploy(
            "app",
            containers=[{"name": "side", "image": "1"}, {"name": "web", "image": "1", "env": env, "envFrom": source}],
        )
        await asyncio.sleep(1)
        assert world.doors.passwords == {"a": "amqp://v:w@elsewhere", "b": "v"}
        assert world.trigger("app", 0) is not affected
        world.wire.calls.clear()
        world.deploy(
            "app",
            containers=[{"name": "side", "image": "2"}, {"name": "web", "image": "1", "env": env, "envFrom": source}],
        )
        await asyncio.sleep(5)
        assert not [call for call in world.wire.calls if call.endswith("/deployments/app")]
        world.deploy("app", containers=[{"name": "side", "image": "1"}])
        await asyncio.sleep(1)
        assert "no container 'web'" in world.ready("app")[1]


async def test_a_template_that_may_not_be_read_is_named() -> None:
    async with World().running() as world:
        world.wire.refused = ("/deployments/app",)
        world.deploy("app", containers=[{"name": "c", "image": "1", "env": [{"name": "P", "value": "p"}]}])
        world.scale("app", door("a", passwordFromEnv="P"))
        await asyncio.sleep(5)
        assert "allow the daemon's ServiceAccount to get it" in world.ready("app")[1]
        world.wire.refused = ()
        await asyncio.sleep(60)
        assert world.doors.passwords == {"a": "p"}


async def test_any_kind_of_target_with_pods_at_its_template_and_no_other() -> None:
    async with World().running() as world:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
        }
        names = {"plural": "lamps", "kind": "Lamp"}
        crd = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        world.do("POST", place, {"metadata": {"name": "lamps.example.com"}, "spec": crd})
        target = {"apiVersion": "example.com/v1", "kind": "Lamp"}
        pod = {"containers": [{"name": "c", "image": "1", "env": [{"name": "P", "value": "p"}]}]}
        world.put("apis/example.com/v1", "lamps", "lit", spec={"replicas": 0, "template": {"spec": pod}})
        world.put("apis/example.com/v1", "lamps", "bare", spec={"replicas": 0})
        world.put("apis/example.com/v1", "lamps", "odd", spec={"replicas": 0, "template": {"spec": {"containers": 7}}})
        for name in ("lit", "bare", "odd"):
            world.scale(name, door(name, passwordFromEnv="P"), scaleTargetRef={"name": name, **target})
        await asyncio.sleep(2)
        assert world.doors.passwords == {"lit": "p"}
        assert "Lamp default/bare has no spec.template.spec" in world.ready("bare")[1]
        assert "Lamp default/odd: spec.template.spec.containers" in world.ready("odd")[1]
        # Nobody tells of a change of these: it is found when the object is looked at.
        pod["containers"][0]["env"][0]["value"] = "other"  # type: ignore[index]  a list of containers
        world.put("apis/example.com/v1", "lamps", "lit", spec={"replicas": 1, "template": {"spec": pod}})
        await asyncio.sleep(120)
        assert world.doors.passwords == {"lit": "other"}


async def test_the_role_of_the_workload_follows_its_service_account() -> None:
    async with World().running() as world:
        world.deploy("app", serviceAccountName="worker")
        role = {"eks.amazonaws.com/role-arn": "arn:1"}
        world.put("api/v1", "serviceaccounts", "worker", metadata={"annotations": role})
        world.authentication("auth", podIdentity={"provider": "aws", "identityOwner": "workload"})
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(2)
        assert world.doors.identities == {"a": PodIdentity("aws", role_arn="arn:1")}
        assert len(world.wire.watches("serviceaccounts")) == 1
