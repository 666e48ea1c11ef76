"""A source that fails, in any way: its target stays, everybody is told why, the others go on, and it passes."""

import pytest

from .source import Source, sourced
from .world import AT_ONCE, World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(240)]

FAULTS = ("slow", "500", "garbage", "nothing", "10 MB", "NaN")
KINDS = ("trigger", "query")


def test_every_fault_of_a_source_holds_the_target_and_passes(world: World, source: Source) -> None:
    """All faults side by side: each of two scalers, once at work and once asleep."""
    cases = {f"{kind}-{index}": (kind, fault) for kind in KINDS for index, fault in enumerate(FAULTS)}
    for name, (kind, _) in cases.items():
        extra = {"ignoreNullValues": "false"} if kind == "query" else {}
        for state, work in (("busy", 12), ("idle", 0)):
            source.values[f"{name}-{state}"] = work
            trigger = getattr(source, kind)(f"{name}-{state}", **extra)
            world.scaled(f"{name}-{state}", trigger, cooldownPeriod=1, advanced=AT_ONCE)
    source.values["healthy"] = 12
    world.scaled("healthy", source.trigger("healthy"), cooldownPeriod=1, advanced=AT_ONCE)
    for name in [f"{case}-busy" for case in cases]:
        world.until_replicas(name, 3, seconds=60)
    for name, (_, fault) in cases.items():
        for state in ("busy", "idle"):
            source.faults[f"{name}-{state}"] = fault
    for name in cases:
        world.until_ready(f"{name}-busy", "False", seconds=40)
    # Well beyond the cooldown; meanwhile what is well goes on.
    source.values["healthy"] = 22
    world.until_replicas("healthy", 5)
    counts = {item["metadata"]["name"]: item["spec"].get("replicas", 0) for item in world.get("deployments")["items"]}
    for name in cases:
        assert (name, counts[f"{name}-busy"], counts[f"{name}-idle"]) == (name, 3, 0)
        told(world, f"{name}-busy")
    source.faults.clear()
    for name in cases:
        source.values[f"{name}-busy"] = 0
    for name in cases:
        world.until_ready(f"{name}-busy", seconds=60)
        world.until_replicas(f"{name}-busy", 0, seconds=60)


def told(world: World, name: str) -> None:
    """The conditions and one event say which trigger, and why."""
    ready, active = world.condition(name, "Ready"), world.condition(name, "Active")
    assert ready["reason"] == "TriggerError"
    assert ready["message"].startswith("triggers[0] (")
    assert active["status"] == "Unknown"
    events = world.events(name, "KEDAScalerFailed")
    assert len({event["note"] for event in events}) == len(events)
    assert ready["message"] in {event["note"] for event in events}


def test_one_trigger_that_fails_does_not_keep_the_other_from_scaling_up(world: World, source: Source) -> None:
    source.values |= {"a": 22, "b": 5}
    source.faults["b"] = "500"
    world.scaled("a", source.trigger("a"), source.trigger("b"))
    world.until_replicas("a", 5)
    world.until(lambda: world.condition("a", "Ready")["reason"] == "PartialTriggerError", "told")
    assert "triggers[1] (metrics-api): " in world.condition("a", "Ready")["message"]
    # One says nothing is to do, of the other nobody knows: it is not put to sleep.
    source.values["a"] = 0
    world.stays("a", 5, 7)
    source.faults.clear()
    source.values["b"] = 0
    world.until_replicas("a", 0, seconds=60)


def test_a_source_that_is_gone_is_found_again(world: World) -> None:
    with sourced() as source:
        source.values["a"] = 12
        world.scaled("a", source.trigger("a"), cooldownPeriod=1)
        world.until_replicas("a", 3)
    port = int(source.address.rpartition(":")[2])
    world.until_ready("a", "False")
    assert f"127.0.0.1:{port}" in world.condition("a", "Ready")["message"]
    world.stays("a", 3, 6)
    with sourced(port) as source:
        source.values["a"] = 22
        world.until_ready("a", seconds=40)
        world.until_replicas("a", 5)
