"""Every event that there is, in virtual time: it comes when its thing has happened, as documented, and only then."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keda_py import naming
from keda_py.naming import EventReason, Reason
from keda_py.scaler import ScalerError

from .dials import API, INTERVAL, KINDS, World, dial
from .world import SPACE

pytestmark = pytest.mark.looptime

OPERATE = Path(__file__).parents[2] / "docs/operate.md"
ROUND = INTERVAL + 1
DOWN = ScalerError("the dial is down")
FALLBACK = {"failureThreshold": 1, "replicas": 2}
FORMULA = {"scalingModifiers": {"formula": "a", "target": "1"}}
AUTHENTICATIONS = {"TriggerAuthentication": False, "ClusterTriggerAuthentication": True}

Happens = Callable[[World, str], Awaitable[None]]
HAPPENS: dict[str, Happens] = {}
"""What makes an event of a reason come, on an object of a kind."""


def happens(*reasons: str) -> Callable[[Happens], Happens]:
    def known(how: Happens) -> Happens:
        HAPPENS.update(dict.fromkeys(reasons, how))
        return how

    return known


@happens(Reason.READY, Reason.JOB_READY, EventReason.SCALERS_STARTED)
async def made(world: World, kind: str) -> None:
    world.make(kind)
    await asyncio.sleep(2)


@happens(Reason.CHECK_FAILED, Reason.JOB_CHECK_FAILED, EventReason.SCALER_FAILED)
async def made_with_a_mistake(world: World, kind: str) -> None:
    world.make(kind, {"type": "dail", "metadata": {}})
    await asyncio.sleep(2)


@happens(EventReason.UPDATE_FAILED, EventReason.JOB_UPDATE_FAILED)
async def made_where_no_status_can_be_written(world: World, kind: str) -> None:
    world.wire.refused = ("/app/status",)
    await made(world, kind)


@happens(EventReason.DELETED, EventReason.JOB_DELETED)
async def deleted(world: World, kind: str) -> None:
    await made(world, kind)
    world.do("DELETE", world.path(kind))
    await asyncio.sleep(2)


@happens(EventReason.PAUSED, EventReason.JOB_PAUSED, EventReason.SCALERS_STOPPED)
async def paused(world: World, kind: str) -> None:
    await made(world, kind)
    world.annotate(kind, paused="true")
    await asyncio.sleep(2)


@happens(EventReason.UNPAUSED, EventReason.JOB_UNPAUSED)
async def unpaused(world: World, kind: str) -> None:
    await paused(world, kind)
    world.annotate(kind, paused=None)
    await asyncio.sleep(2)


@happens(EventReason.FALLBACK_ACTIVATED)
async def failing_for_long(world: World, kind: str) -> None:
    world.dials.says["a"] = DOWN
    world.make(kind, fallback=FALLBACK)
    await asyncio.sleep(3 * ROUND)


@happens(EventReason.FALLBACK_DEACTIVATED)
async def well_again(world: World, kind: str) -> None:
    await failing_for_long(world, kind)
    world.dials.says["a"] = 1
    await asyncio.sleep(ROUND)


@happens(EventReason.METRIC_SOURCE_FAILED)
async def failing_in_a_formula(world: World, kind: str) -> None:
    world.dials.says["a"] = DOWN
    world.make(kind, dial("a", name="a"), advanced=FORMULA)
    await asyncio.sleep(ROUND)


@happens(EventReason.ACTIVATED, EventReason.JOB_ACTIVE, EventReason.JOBS_CREATED)
async def active(world: World, kind: str) -> None:
    world.dials.says["a"] = 1
    await made(world, kind)


@happens(EventReason.ACTIVATION_FAILED)
async def active_where_nothing_can_be_scaled(world: World, kind: str) -> None:
    world.wire.refused = ("/app/scale",)
    await active(world, kind)


@happens(EventReason.DEACTIVATED, EventReason.JOB_INACTIVE)
async def inactive(world: World, kind: str) -> None:
    await active(world, kind)
    world.dials.says["a"] = 0
    await asyncio.sleep(2 * ROUND)


@happens(EventReason.DEACTIVATION_FAILED)
async def inactive_where_nothing_can_be_scaled(world: World, kind: str) -> None:
    await active(world, kind)
    world.wire.refused = ("/app/scale",)
    world.dials.says["a"] = 0
    await asyncio.sleep(2 * ROUND)


@happens(EventReason.JOB_CREATE_FAILED)
async def active_where_a_quota_is_used_up(world: World, kind: str) -> None:
    world.wire.room = lambda: False
    await active(world, kind)


@happens(EventReason.ROLLOUT_STARTED, EventReason.ROLLOUT_COMPLETED)
async def edited_while_jobs_run(world: World, kind: str) -> None:
    await active(world, kind)
    world.make(kind, lasts=2000)
    await asyncio.sleep(ROUND)


@happens(EventReason.ROLLOUT_FAILED)
async def edited_where_no_job_can_be_deleted(world: World, kind: str) -> None:
    await active(world, kind)
    world.wire.refused = ("/jobs/",)
    world.make(kind, lasts=2000)
    await asyncio.sleep(10 * ROUND)
    assert len(world.told(EventReason.ROLLOUT_STARTED)) == 1, "it is tried again and again, and told once"


@happens(EventReason.AUTHENTICATION_ADDED, EventReason.CLUSTER_AUTHENTICATION_ADDED)
async def authentication_added(world: World, kind: str) -> None:
    world.authentication("app", of_cluster=AUTHENTICATIONS[kind], env=[{"parameter": "p", "name": "P"}])
    await asyncio.sleep(2)


@happens(EventReason.AUTHENTICATION_UPDATED, EventReason.CLUSTER_AUTHENTICATION_UPDATED)
async def authentication_updated(world: World, kind: str) -> None:
    await authentication_added(world, kind)
    world.authentication("app", of_cluster=AUTHENTICATIONS[kind], env=[{"parameter": "q", "name": "P"}])
    await asyncio.sleep(2)


@happens(EventReason.AUTHENTICATION_DELETED, EventReason.CLUSTER_AUTHENTICATION_DELETED)
async def authentication_deleted(world: World, kind: str) -> None:
    await authentication_added(world, kind)
    place = "clustertriggerauthentications" if AUTHENTICATIONS[kind] else f"namespaces/{SPACE}/triggerauthentications"
    world.do("DELETE", f"/{API}/{place}/app")
    await asyncio.sleep(2)


def documented() -> list[tuple[str, str, str]]:
    """Return reason, type and kind of each event that the documentation has."""
    section = OPERATE.read_text().split("\n## Events\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]+) \|", section, re.MULTILINE)
    return [(reason, type_, kind) for reason, type_, kinds in rows for kind in kinds.split(", ")]


def test_every_event_there_is_is_documented_and_tried() -> None:
    told = {value for name, value in vars(EventReason).items() if name.isupper()}
    told |= {Reason.READY, Reason.CHECK_FAILED, Reason.JOB_READY, Reason.JOB_CHECK_FAILED}
    assert {reason for reason, _, _ in documented()} == told == set(HAPPENS)


def test_what_keda_tells_and_we_do_not_is_documented() -> None:
    text = (OPERATE.parent / "compatibility.md").read_text()
    # Of pkg/eventreason/eventreason.go; but for the first nobody tells of these in KEDA either.
    others = ["KEDAScalerInfo", "ScaledJobPauseFailed", "TriggerAuthenticationFailed"]
    others.append("ClusterTriggerAuthenticationFailed")
    assert [reason for reason in others if f"`{reason}`" not in text] == []
    assert not set(others) & set(HAPPENS)
    assert naming.EventReason.AUTHENTICATION_UPDATED in text


@pytest.mark.parametrize(("reason", "type_", "kind"), documented())
async def test_an_event_comes_once_and_as_documented(reason: str, type_: str, kind: str) -> None:
    async with World().running() as world:
        await HAPPENS[reason](world, kind)
        told = world.told(reason)
        assert {(event["type"], event["regarding"]["kind"], event["regarding"]["name"]) for event in told} == {
            (type_, kind, "app")
        }
        assert len(told) == 1
        await asyncio.sleep(200)
        assert world.told(reason) == told, "what has been told is not told again while nothing happens"


async def test_a_start_tells_of_nothing_that_was_there_already() -> None:
    world = World()
    world.dials.says |= {"a": 1, "c": DOWN}
    for kind in KINDS:
        world.make(kind, dial("a"), dial("c"))
    for name, of_cluster in AUTHENTICATIONS.items():
        world.authentication(name.lower(), of_cluster=of_cluster)
    async with world.running():
        await asyncio.sleep(300)
    before = len(world.told())
    assert before > 0
    world.wire.calls.clear()
    world.daemon = world.another(world.wire)
    async with world.running():
        await asyncio.sleep(300)
        assert len(world.told()) == before
        posts = [call for call in world.wire.calls if call.startswith("POST") and "/events" in call]
        assert posts == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_pause_that_a_restart_fell_into_ends_as_any(kind: str) -> None:
    world = World()
    async with world.running():
        await paused(world, kind)
    world.daemon = world.another(world.wire)
    async with world.running():
        await asyncio.sleep(2)
        started = len(world.told(EventReason.SCALERS_STARTED))
        world.annotate(kind, paused=None)
        await asyncio.sleep(400)
        assert len(world.told(EventReason.SCALERS_STARTED)) == started + 1
        assert len(world.told(EventReason.SCALERS_STOPPED)) == 1


async def test_an_edit_tells_of_new_triggers_and_of_no_other() -> None:
    async with World().running() as world:
        await made(world, "ScaledObject")
        world.make("ScaledObject", dial("a"), {"type": "dail", "metadata": {}})
        await asyncio.sleep(2)
        assert [event["note"] for event in world.told(EventReason.SCALERS_STARTED)] == ["Scaler dial is built"]
        (failed,) = world.told(EventReason.SCALER_FAILED)
        assert failed["note"].startswith("triggers[1] (dail): ")


@pytest.mark.parametrize("finalizer", [naming.FINALIZER, "somebody.example/hold"])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_end_is_told_once_and_when_it_has_come(kind: str, finalizer: str) -> None:
    reason = EventReason.DELETED if kind == "ScaledObject" else EventReason.JOB_DELETED
    async with World().running() as world:
        await made(world, kind)
        world.do("PATCH", world.path(kind), {"metadata": {"finalizers": [finalizer]}})
        world.do("DELETE", world.path(kind))
        await asyncio.sleep(2)
        assert len(world.told(reason)) == (finalizer == naming.FINALIZER)
        if finalizer != naming.FINALIZER:
            world.do("PATCH", world.path(kind), {"metadata": {"finalizers": None}})
            await asyncio.sleep(2)
        assert len(world.told(reason)) == 1


async def test_what_only_lost_the_label_that_we_go_by_was_not_deleted() -> None:
    async with World(watch_label_selector="mine=yes").running() as world:
        world.deploy("app")
        spec: dict[str, Any] = {"scaleTargetRef": {"name": "app"}, "triggers": [dial("a")]}
        world.put(API, "scaledobjects", "app", metadata={"labels": {"mine": "yes"}}, spec=spec)
        await asyncio.sleep(2)
        assert len(world.told(Reason.READY)) == 1
        world.do("PATCH", world.path("ScaledObject"), {"metadata": {"labels": {"mine": "no"}}})
        await asyncio.sleep(2)
        assert world.told(EventReason.DELETED) == []
