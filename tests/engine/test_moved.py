"""Authentications that KEDA has left its finalizer on, in virtual time: who takes it off, when, and nothing else."""

import asyncio
from typing import Any

import pytest

from keda_py.naming import FINALIZER, LEASE
from keda_py.settings import Leadership

from .doors import World, door, ref
from .world import SPACE

pytestmark = pytest.mark.looptime

API = "apis/keda.sh/v1alpha1"
PLACES = {
    "TriggerAuthentication": f"/{API}/namespaces/{SPACE}/triggerauthentications",
    "ClusterTriggerAuthentication": f"/{API}/clustertriggerauthentications",
}


def left(world: World, *finalizers: str, kind: str = "TriggerAuthentication") -> str:
    """Make an authentication with finalizers, and a Secret for it; return its path."""
    metadata = {"name": "auth", "finalizers": list(finalizers)}
    spec = {"secretTargetRef": ref("s")}
    world.secret("s", password="p")
    world.do("POST", PLACES[kind], {"apiVersion": API[5:], "kind": kind, "metadata": metadata, "spec": spec})
    return f"{PLACES[kind]}/auth"


def is_gone(world: World, path: str) -> bool:
    return bool(world.do("GET", path)["kind"] == "Status")


def writes(world: World) -> list[str]:
    return [call for call in world.wire.calls if "authentications" in call and not call.startswith("GET")]


@pytest.mark.parametrize("kind", PLACES)
async def test_a_deleted_authentication_with_the_finalizer_goes(kind: str) -> None:
    async with World().running() as world:
        path = left(world, FINALIZER, kind=kind)
        await asyncio.sleep(60)
        assert world.do("GET", path)["metadata"]["finalizers"] == [FINALIZER], "nobody asked for it to go"
        world.do("DELETE", path)
        assert not is_gone(world, path)
        await asyncio.sleep(1)
        assert is_gone(world, path)
        assert writes(world) == [f"PATCH {path}"]


async def test_another_finalizer_stays_and_the_status_of_what_goes_is_left_alone() -> None:
    async with World().running() as world:
        path = left(world, "first.example/hold", FINALIZER, "last.example/hold")
        world.deploy("app")
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(2)
        assert world.users("auth") == "app"
        world.do("DELETE", path)
        await asyncio.sleep(1)
        assert world.do("GET", path)["metadata"]["finalizers"] == ["first.example/hold", "last.example/hold"]
        world.wire.calls.clear()
        world.delete(API, "scaledobjects", "app")
        await asyncio.sleep(60)
        assert (writes(world), world.users("auth")) == ([], "app")
        world.do("PATCH", path, {"metadata": {"finalizers": None}})
        await asyncio.sleep(1)
        assert is_gone(world, path)
        assert writes(world) == []


async def test_one_that_was_deleted_before_the_daemon_came_goes() -> None:
    world = World()
    path = left(world, FINALIZER)
    world.do("DELETE", path)
    async with world.running():
        await asyncio.sleep(1)
        assert is_gone(world, path)


async def test_an_authentication_without_the_finalizer_never_gets_it() -> None:
    async with World().running() as world:
        path = left(world)
        world.deploy("app")
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(60)
        assert "finalizers" not in world.do("GET", path)["metadata"]
        assert writes(world) == [f"PATCH {path}/status"]


async def test_who_does_not_lead_leaves_it_and_who_then_leads_takes_it_off() -> None:
    world = World(leadership=Leadership(elect=True))
    spec: dict[str, Any] = {"holderIdentity": "other", "leaseDurationSeconds": 60}
    world.put("apis/coordination.k8s.io/v1", "leases", LEASE, namespace="keda", spec=spec)
    async with world.running():
        path = left(world, FINALIZER)
        world.do("DELETE", path)
        await asyncio.sleep(50)
        assert world.do("GET", path)["metadata"]["finalizers"] == [FINALIZER]
        assert writes(world) == []
        await asyncio.sleep(30)
        assert is_gone(world, path)
