"""Fallback on a real cluster, as docs/fallback.md says: a source that is gone, each behavior, and the end of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.daemon import Daemon

from .served import Served, served
from .world import AT_ONCE, World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(600)]

POLL = 2
LONG = 120.0
"""Seconds that anything may take here on a busy machine; what is awaited comes within some."""
THRESHOLD = 2
NEVER = 1_000_000
AT_WORK = 3
"""The replicas that there are when the source goes."""
MODIFIERS = {"formula": "first + (second ?? 24)", "target": "5"}

# The replicas that each comes to: of 3 that there are, and of those that the manifest has.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "unset": ({"replicas": 6}, 6),
    "static": ({"replicas": 6, "behavior": "static"}, 6),
    "static-fewer": ({"replicas": 1, "behavior": "static"}, 1),
    "current": ({"replicas": 6, "behavior": "currentReplicas"}, AT_WORK),
    "if-higher": ({"replicas": 6, "behavior": "currentReplicasIfHigher"}, 6),
    "if-higher-is-not": ({"replicas": 1, "behavior": "currentReplicasIfHigher"}, AT_WORK),
    "if-lower": ({"replicas": 1, "behavior": "currentReplicasIfLower"}, 1),
    "if-lower-is-not": ({"replicas": 6, "behavior": "currentReplicasIfLower"}, AT_WORK),
}


def spec(fallback: dict[str, Any] | None, *, threshold: int = THRESHOLD, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"pollingInterval": POLL, "cooldownPeriod": 3, "advanced": AT_ONCE, **more}
    if fallback is not None:
        made["fallback"] = {"failureThreshold": threshold, **fallback}
    return made


def until_fallback(world: World, name: str, status: str) -> None:
    world.until(lambda: world.condition(name, "Fallback")["status"] == status, f"{name}: Fallback={status}", LONG)
    assert world.column(name, "FALLBACK") == status


def test_each_behavior_while_the_source_is_gone_and_after(world: World, numbers: Served, daemon: Daemon) -> None:
    """All side by side, and beside them two that do without: one has no fallback, one waits for more failures."""
    numbers.put(a=12, idle=0)
    for name, (fallback, _) in CASES.items():
        world.scaled(name, numbers.trigger("a"), **spec(fallback))
    world.scaled("none", numbers.trigger("a"), **spec(None))
    world.scaled("waits", numbers.trigger("a"), **spec({"replicas": 6}, threshold=NEVER))
    world.scaled("asleep", numbers.trigger("idle"), **spec({"replicas": 2}))
    for name in (*CASES, "none", "waits"):
        world.until_replicas(name, AT_WORK, LONG)
    world.until(lambda: world.condition("asleep", "Active")["status"] == "False", "asleep", LONG)
    numbers.kill()
    for name, (_, count) in CASES.items():
        until_fallback(world, name, "True")
        world.until_replicas(name, count, LONG)
        told(world, name)
    # What was asleep is woken, for nobody knows that there is nothing to do.
    world.until_replicas("asleep", 2, LONG)
    assert active_in(daemon.metrics(), "asleep") == "1.0"
    counts = {name: count for name, (_, count) in CASES.items()} | {"none": AT_WORK, "waits": AT_WORK, "asleep": 2}
    world.stays_so(lambda: replicas(world) == counts, 10)
    for name in ("none", "waits"):
        assert world.condition(name, "Fallback")["status"] == "False"
        assert world.condition(name, "Active")["status"] == "Unknown"
    assert world.status("waits")["health"]["s0-metric-api-value"]["numberOfFailures"] > THRESHOLD + 1
    numbers.put(a=7)
    numbers.start()
    for name in counts:
        until_fallback(world, name, "False")
        world.until_replicas(name, 0 if name == "asleep" else 2, LONG)
        world.until_ready(name, seconds=LONG)
    for name in CASES:
        assert world.status(name)["health"]["s0-metric-api-value"] == {"numberOfFailures": 0, "status": "Happy"}
        assert len(world.events(name, "ScaledObjectFallbackDeactivated")) == 1


def active_in(metrics: str, name: str) -> str:
    """Return what /metrics says of whether an object's trigger is active."""
    (found,) = re.findall(rf'^keda_scaler_active\{{[^}}]*scaledObject="{name}"[^}}]*\}} (.*)$', metrics, re.MULTILINE)
    return str(found)


def replicas(world: World) -> dict[str, int]:
    return {item["metadata"]["name"]: item["spec"].get("replicas", 0) for item in world.get("deployments")["items"]}


def told(world: World, name: str) -> None:
    """Conditions, an event and the status say that something stands in, and for what."""
    fallback = world.condition(name, "Fallback")
    assert fallback["reason"] == "FallbackExists"
    assert fallback["message"].startswith("triggers[0] (metrics-api): failed more than 2 times in a row")
    assert world.condition(name, "Active")["status"] == "True"
    assert "spec.fallback stands in" in world.condition(name, "Ready")["message"]
    health = world.status(name)["health"]["s0-metric-api-value"]
    assert health == {"numberOfFailures": THRESHOLD + 1, "status": "Failing"}
    assert len(world.events(name, "ScaledObjectFallbackActivated")) == 1


@pytest.fixture
def other(tmp_path: Path) -> Any:
    with served(tmp_path / "other") as source:
        yield source


def test_only_the_trigger_that_fails_is_stood_in_for(world: World, numbers: Served, other: Served) -> None:
    numbers.put(a=12)
    other.put(b=2)
    world.scaled("a", numbers.trigger("a"), other.trigger("b"), **spec({"replicas": 2}))
    world.until_replicas("a", 3, LONG)
    other.kill()
    until_fallback(world, "a", "True")
    assert world.condition("a", "Fallback")["message"].startswith("triggers[1] (metrics-api): ")
    # The HPA takes the most that any asks for: what is read, and what stands in.
    world.stays("a", 3, 6)
    numbers.put(a=22)
    world.until_replicas("a", 5, LONG)
    numbers.put(a=0)
    world.until_replicas("a", 2, LONG)
    world.stays("a", 2, 8)
    other.put(b=0)
    other.start()
    until_fallback(world, "a", "False")
    world.until_replicas("a", 0, LONG)


def test_a_formula_decides_what_stands_in(world: World, numbers: Served, other: Served) -> None:
    """The behavior scalingModifiers, and beside it a formula whose result is replaced as a whole."""
    numbers.put(first=6)
    other.put(second=4)
    triggers = [numbers.trigger("first", name="first"), other.trigger("second", name="second")]
    modified = {**AT_ONCE, "scalingModifiers": MODIFIERS}
    by_formula = {"replicas": 1, "behavior": "scalingModifiers"}
    world.scaled("formula", *triggers, **spec(by_formula, advanced=modified))
    world.scaled("whole", *triggers, **spec({"replicas": 4}, advanced=modified))
    for name in ("formula", "whole"):
        world.until_replicas(name, 2, LONG)
    other.kill()
    for name in ("formula", "whole"):
        until_fallback(world, name, "True")
    world.until_replicas("formula", 6, LONG)  # 6 + 24 for nil
    world.until_replicas("whole", 4, LONG)
    numbers.put(first=11)
    world.until_replicas("formula", 7, LONG)
    world.stays("whole", 4, 6)
    other.start()
    for name in ("formula", "whole"):
        until_fallback(world, name, "False")
        world.until_replicas(name, 3, LONG)
