"""Credentials of the whole daemon on the embedded cluster, in virtual time: read, changed, missing, refused, lost."""

import asyncio
import base64
from typing import Any

import pytest
import structlog

from keda_py.engine.metrics import MetricUnavailableError, read_metric
from keda_py.engine.trigger import LiveTrigger
from keda_py.kube.transport import Response

from .doors import World, door, ref
from .world import SPACE

pytestmark = pytest.mark.looptime

CANARY = "tweet-tweet"


async def test_a_rotated_secret_rebuilds_the_triggers_that_use_it_and_no_other() -> None:
    async with World().running() as world:
        world.deploy("app")
        world.deploy("other")
        world.secret("mine", password="old", unused=CANARY)
        world.secret("theirs", password="theirs")
        world.authentication("mine", secretTargetRef=ref("mine"))
        world.authentication("theirs", secretTargetRef=ref("theirs"))
        world.scale("app", door("a", auth="mine"), door("b", auth="theirs"), door("c"))
        world.scale("other", door("d", auth="theirs"))
        await asyncio.sleep(2)
        assert world.doors.passwords == {"a": "old", "b": "theirs", "c": "", "d": "theirs"}
        assert world.ready("app")[0] == world.ready("other")[0] == "True"
        before = [world.trigger("app", index) for index in range(3)] + [world.trigger("other")]
        world.secret("mine", password="new")
        await asyncio.sleep(1)
        after = [world.trigger("app", index) for index in range(3)] + [world.trigger("other")]
        assert [one is other for one, other in zip(before, after, strict=True)] == [False, True, True, True]
        assert world.doors.passwords["a"] == "new"
        assert world.doors.opened == {"a": 2, "b": 1, "c": 1, "d": 1}
        assert world.doors.closed == {"a": 1}
        # What nobody uses of a Secret changes nothing, and is not kept.
        world.secret("mine", unused="x")
        await asyncio.sleep(1)
        assert world.doors.opened["a"] == 2


async def test_one_watch_serves_all_who_use_a_secret_and_ends_with_the_last() -> None:
    async with World().running() as world:
        world.secret("shared", password="p", other="o")
        world.authentication("one", secretTargetRef=ref("shared"))
        world.authentication("two", secretTargetRef=ref("shared", key="other"))
        for name in ("a", "b", "c"):
            world.deploy(name)
            world.scale(name, door(name, auth="two" if name == "c" else "one"))
            await asyncio.sleep(1)
        assert world.doors.passwords == {"a": "p", "b": "p", "c": "o"}
        assert world.doors.opened == {"a": 1, "b": 1, "c": 1}, "reading one more key disturbs nobody"
        assert len(world.wire.watches("secrets")) == 1
        for name in ("a", "b"):
            world.delete("apis/keda.sh/v1alpha1", "scaledobjects", name)
            await asyncio.sleep(1)
            assert len(world.wire.watches("secrets")) == 1
        world.scale("c", door("c", password="plain"))
        await asyncio.sleep(1)
        assert world.wire.watches("secrets") == []
        assert world.doors.passwords["c"] == "plain"


async def test_bytes_that_are_no_text_are_told_where_text_is_wanted() -> None:
    keytab = b"\x05\x02\xff\x00"
    async with World().running() as world:
        world.deploy("app")
        world.put("api/v1", "secrets", "mine", data={"password": base64.b64encode(keytab).decode()})
        world.authentication("mine", secretTargetRef=ref("mine"))
        world.scale("app", door("a", auth="mine"))
        await asyncio.sleep(2)
        assert world.ready("app") == ("False", "triggers[0] (door): password: expected text, found bytes that are none")


async def test_a_steady_cluster_is_asked_nothing() -> None:
    async with World().running() as world:
        world.deploy("app", containers=[{"name": "c", "image": "1", "env": [{"name": "P", "value": "p"}]}])
        world.secret("s", password="p")
        world.authentication("auth", secretTargetRef=ref("s"))
        world.scale("app", door("a", auth="auth"), door("b", passwordFromEnv="P"))
        # The HPA controller looks for the first time within 15 s, and our status says what it found.
        await asyncio.sleep(20)
        assert world.doors.passwords == {"a": "p", "b": "p"}
        world.wire.calls.clear()
        await asyncio.sleep(250)
        assert world.wire.calls == []


@pytest.mark.parametrize("missing", ["authentication", "secret", "key"])
async def test_what_is_missing_is_named_and_recovers_when_it_comes(missing: str) -> None:
    async with World().running() as world:
        world.deploy("app")
        world.deploy("other")
        if missing != "authentication":
            world.authentication("auth", secretTargetRef=ref("s"))
        if missing != "secret":
            world.secret("s", **({"wrong": "x"} if missing == "key" else {"password": "p"}))
        world.scale("app", door("a", auth="auth"))
        world.scale("other", door("b"))
        await asyncio.sleep(2)
        status, message = world.ready("app")
        assert status == "False"
        expected = {
            "authentication": f"TriggerAuthentication {SPACE}/auth does not exist",
            "secret": f"Secret {SPACE}/s does not exist",
            "key": f"Secret {SPACE}/s has no key 'password'",
        }
        assert expected[missing] in message
        assert message.startswith("triggers[0] (door)")
        assert (world.replicas("app"), world.doors.opened["a"]) == (0, 0), "never asked without credentials"
        assert (world.replicas("other"), world.ready("other")[0]) == (1, "True"), "the others go on"
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p")
        await asyncio.sleep(2)
        assert world.ready("app")[0] == "True"
        assert world.doors.passwords["a"] == "p"


@pytest.mark.parametrize("gone", ["authentication", "secret", "key"])
async def test_what_is_taken_away_is_named_and_replicas_are_held(gone: str) -> None:
    async with World().running() as world:
        world.deploy("app")
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p", rest="x")
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(2)
        assert world.replicas("app") == 1
        match gone:
            case "authentication":
                world.delete("apis/keda.sh/v1alpha1", "triggerauthentications", "auth")
            case "secret":
                world.delete("api/v1", "secrets", "s")
            case _:
                world.secret("s", password=None)
        await asyncio.sleep(2)
        assert world.ready("app")[0] == "False"
        assert ("has no key" if gone == "key" else "does not exist") in world.ready("app")[1]
        await asyncio.sleep(600)
        assert world.replicas("app") == 1
        with pytest.raises(MetricUnavailableError, match=r"triggers\[0\] \(door\)"):
            await read_metric(world.daemon.live, SPACE, "app", "s0-door-a")


async def test_a_refusal_is_named_and_ends_by_itself() -> None:
    async with World().running() as world:
        world.wire.refused = ("/secrets",)
        world.deploy("app")
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p")
        world.scale("app", door("a", auth="auth"), door("b"))
        await asyncio.sleep(5)
        assert world.ready("app")[0] == "False"
        assert "is forbidden: not you; allow the daemon's ServiceAccount to list and watch it" in world.ready("app")[1]
        assert world.replicas("app") == 1, "the other trigger goes on"
        world.wire.refused = ()
        await asyncio.sleep(60)
        assert (world.ready("app")[0], world.doors.passwords["a"]) == ("True", "p")


async def test_while_the_api_server_cannot_be_reached_what_was_read_stays_known() -> None:
    async with World().running() as world:
        world.deploy("app")
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p")
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(2)
        before = world.trigger("app")
        world.wire.cut.set()
        await asyncio.sleep(900)
        assert world.trigger("app") is before
        assert (await read_metric(world.daemon.live, SPACE, "app", "s0-door-a")).value == "1"
        world.wire.cut.clear()
        world.secret("s", password="new")
        await asyncio.sleep(60)
        assert world.doors.passwords["a"] == "new"
        assert world.doors.opened["a"] == 2


async def test_a_short_refusal_of_what_was_read_costs_nothing_and_a_lasting_one_is_named() -> None:
    async with World().running() as world:
        world.deploy("app")
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p")
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(2)
        before = world.trigger("app")

        async def reconnect(refused: tuple[str, ...]) -> None:
            world.wire.cut.set()
            await asyncio.sleep(0.1)
            world.wire.refused = refused
            world.wire.cut.clear()

        await reconnect(("/secrets",))
        await asyncio.sleep(10)
        world.wire.refused = ()
        await asyncio.sleep(60)
        assert world.trigger("app") is before
        assert len(world.wire.watches("secrets")) == 1
        await reconnect(("/secrets",))
        await asyncio.sleep(120)
        assert "is forbidden" in world.ready("app")[1]
        assert world.replicas("app") == 1


async def test_until_a_secret_was_read_its_trigger_is_neither_failing_nor_inactive() -> None:
    async with World().running() as world:
        world.deploy("app")
        world.do("PATCH", f"/apis/apps/v1/namespaces/{SPACE}/deployments/app", {"spec": {"replicas": 3}})
        world.authentication("auth", secretTargetRef=ref("s"))
        world.secret("s", password="p")
        held = asyncio.Event()
        request = world.wire.request

        async def slow(method: str, path: str, **rest: Any) -> Response:
            if path.endswith("/secrets"):
                await held.wait()
            return await request(method, path, **rest)

        world.wire.request = slow  # type: ignore[method-assign]  the wire is the test's own
        world.scale("app", door("a", auth="auth"), door("b"), cooldownPeriod=0)
        await asyncio.sleep(20)
        assert not isinstance(world.trigger("app"), LiveTrigger)
        assert (world.status("app"), world.replicas("app")) == ({}, 3)
        with pytest.raises(MetricUnavailableError, match="not been read yet"):
            await read_metric(world.daemon.live, SPACE, "app", "s0-door-a")
        held.set()
        await asyncio.sleep(1)
        assert world.ready("app")[0] == "True"
        assert world.doors.passwords["a"] == "p"


async def test_cluster_authentications_and_who_uses_them() -> None:
    async with World(cluster_object_namespace="kube-system").running() as world:
        world.secret("s", password="cluster's", namespace="kube-system")
        world.secret("s", password="mine")
        world.authentication("auth", of_cluster=True, secretTargetRef=ref("s"))
        world.authentication("auth", secretTargetRef=ref("s"))
        for name in ("b", "a"):
            world.deploy(name)
            world.scale(name, door(name, auth="auth", kind="ClusterTriggerAuthentication"), door("x", auth="auth"))
        await asyncio.sleep(2)
        assert world.doors.passwords["a"] == "cluster's"
        assert world.doors.passwords["x"] == "mine"
        assert (world.users("auth", of_cluster=True), world.users("auth")) == ("a,b", "a,b")
        assert world.status("a")["authenticationsTypes"] == "auth"
        world.scale("b", door("b"))
        await asyncio.sleep(1)
        assert world.users("auth") == "a"
        place = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/triggerauthentications/auth"
        world.do("PATCH", f"{place}/status", {"status": {"scaledobjects": "stranger,a", "scaledjobs": "job"}})
        await asyncio.sleep(1)
        assert world.users("auth") == "a"
        world.delete("apis/keda.sh/v1alpha1", "scaledobjects", "a")
        await asyncio.sleep(1)
        assert world.users("auth") is None
        assert world.do("GET", place)["status"] == {}


async def test_names_that_another_daemon_may_have_written_stay() -> None:
    async with World(watch_label_selector="!elsewhere").running() as world:
        world.deploy("app")
        world.authentication("auth", secretTargetRef=ref("s"))
        place = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/triggerauthentications/auth"
        world.do("PATCH", f"{place}/status", {"status": {"scaledobjects": "theirs"}})
        world.scale("app", door("a", auth="auth"))
        await asyncio.sleep(1)
        assert world.users("auth") == "app,theirs"
        world.delete("apis/keda.sh/v1alpha1", "scaledobjects", "app")
        await asyncio.sleep(1)
        assert world.users("auth") == "theirs"


async def test_restricted_to_the_secrets_of_one_namespace() -> None:
    async with World(restrict_secret_access=True, cluster_object_namespace="keda").running() as world:
        env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]
        world.deploy("app", containers=[{"name": "c", "image": "1", "env": env}])
        for namespace in (SPACE, "keda"):
            world.secret("s", password="p", namespace=namespace)
        world.authentication("auth", secretTargetRef=ref("s"))
        world.authentication("auth", of_cluster=True, secretTargetRef=ref("s"))
        world.scale(
            "app",
            door("a", auth="auth"),
            door("b", passwordFromEnv="P"),
            door("c", auth="auth", kind="ClusterTriggerAuthentication"),
        )
        await asyncio.sleep(2)
        message = world.ready("app")[1]
        assert message.count(f"Secret {SPACE}/s may not be read: KEDA_RESTRICT_SECRET_ACCESS allows only") == 2
        assert world.doors.passwords == {"c": "p"}
        assert [about for about in world.wire.watches("secrets") if SPACE in about] == []


async def test_no_secret_shows_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as logged:
        async with World().running() as world:
            env = [{"name": "P", "value": CANARY}]
            world.deploy("app", containers=[{"name": "c", "image": "1", "env": env}])
            world.secret("s", password=CANARY)
            world.config_map("c", password=CANARY)
            world.authentication(
                "auth",
                secretTargetRef=ref("s"),
                configMapTargetRef=ref("c", parameter="other"),
                env=[{"parameter": "more", "name": "P"}],
            )
            world.scale("app", door("a", auth="auth"), door("b", passwordFromEnv="P"), door("c", auth="auth", x="y"))
            await asyncio.sleep(2)
            assert world.doors.passwords == {"a": CANARY, "b": CANARY, "c": CANARY}
            world.scale("app", door("a", auth="auth"), {"type": "nothing", "metadata": {}, **AUTH_REF})
            await asyncio.sleep(2)
            world.delete("api/v1", "secrets", "s")
            await asyncio.sleep(40)
            live = world.daemon.live[SPACE, "app"]
            written = [world.do("GET", f"/apis/{path}") for path in ("keda.sh/v1alpha1/scaledobjects", EVENTS, HPAS)]
            shown = [repr(live), *map(repr, live.described), *map(repr, written), repr(logged), *capsys.readouterr()]
    assert logged
    assert [text for text in shown if CANARY in text] == []


AUTH_REF = {"authenticationRef": {"name": "auth"}}
EVENTS = "events.k8s.io/v1/events"
HPAS = "autoscaling/v2/horizontalpodautoscalers"
