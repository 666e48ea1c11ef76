"""Pausing on a real cluster, as docs/pausing.md says: in each way, back from each, and what becomes of the HPA."""

from collections.abc import Callable
from typing import Any

import pytest

from .served import Served
from .world import AT_ONCE, World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(600)]

POLL = 2
COOLDOWN = 3
LONG = 120.0
"""Seconds that anything may take here on a busy machine; what is awaited comes within a few."""
QUIET = 4 * POLL + COOLDOWN
"""Seconds in which whatever was going to happen would have."""


def scaled(world: World, numbers: Served, *, replicas: int = 0, **spec: Any) -> None:
    given: dict[str, Any] = {"pollingInterval": POLL, "cooldownPeriod": COOLDOWN, "advanced": AT_ONCE, **spec}
    world.scaled("a", numbers.trigger("a"), replicas=replicas, **given)
    world.until_ready("a", seconds=LONG)


def awake(world: World, numbers: Served) -> None:
    """Scale to three replicas."""
    numbers.put(a=12)
    scaled(world, numbers)
    until_count(world, 3)


def until_paused(world: World, status: str, message: str) -> None:
    def so() -> bool:
        said = world.condition("a", "Paused")
        return said["status"] == status and said["message"] == message

    world.until(so, f"Paused is {status}, {message}", LONG)
    assert world.column("a", "PAUSED") == status


def until_goes_on(world: World, count: int) -> None:
    """Wait until nothing is paused, and the target has so many replicas."""
    until_paused(world, "False", "ScaledObject is not paused")
    until_count(world, count)
    until_hpa(world)


def until_active(world: World, status: str) -> None:
    """Wait until what its source says has arrived."""
    world.until(lambda: world.condition("a", "Active")["status"] == status, f"Active is {status}", LONG)


def until_count(world: World, count: int) -> None:
    world.until_replicas("a", count, LONG)


def hpas(world: World) -> list[dict[str, Any]]:
    return list(world.get("hpa")["items"])


def until_hpa(world: World, **policies: str) -> None:
    """Wait until there is an HPA, in which these directions are switched off and no other is."""

    def so() -> bool:
        found = hpas(world)
        rules = found[0]["spec"].get("behavior", {}) if found else {}
        off = {way: rule["selectPolicy"] for way, rule in rules.items() if rule.get("selectPolicy") == "Disabled"}
        return bool(found) and off == policies

    world.until(so, f"there is an HPA with {policies or 'no direction'} switched off", LONG)


def until_no_hpa(world: World) -> None:
    world.until(lambda: hpas(world) == [], "there is no HPA", LONG)


def stays(world: World, count: int) -> None:
    world.stays("a", count, QUIET)


def by_hand(world: World, count: int) -> None:
    world.cluster.kubectl("scale", "deployment", "a", f"--replicas={count}", f"--namespace={world.namespace}")


def test_paused_it_is_left_alone_and_afterwards_goes_on(world: World, numbers: Served) -> None:
    awake(world, numbers)
    assert world.column("a", "PAUSED") == "False"
    world.annotate("a", paused="true")
    until_paused(world, "True", "ScaledObject is paused")
    until_no_hpa(world)
    asked = numbers.asked("a")
    numbers.put(a=40)
    stays(world, 3)
    by_hand(world, 5)
    numbers.put(a=0)
    stays(world, 5)
    # One that was under way may still have come.
    assert numbers.asked("a") <= asked + 1
    assert len(world.events("a", "ScaledObjectPaused")) == 1
    world.annotate("a", paused="false")
    until_goes_on(world, 0)
    assert len(world.events("a", "ScaledObjectUnpaused")) == 1
    numbers.put(a=12)
    until_count(world, 3)


def test_paused_at_a_count_it_has_that_and_no_hpa(world: World, numbers: Served) -> None:
    awake(world, numbers)
    for count in (1, 4, 0):
        world.annotate("a", paused_replicas=str(count))
        until_count(world, count)
        until_paused(world, "True", f"ScaledObject is paused at {count} replicas")
        assert world.status("a")["pausedReplicaCount"] == count
        until_no_hpa(world)
    by_hand(world, 2)
    stays(world, 2)
    world.annotate("a", paused_replicas=None)
    until_goes_on(world, 3)
    assert "pausedReplicaCount" not in world.status("a")
    # From asleep it is woken too.
    world.annotate("a", paused_replicas="0")
    until_count(world, 0)
    world.annotate("a", paused_replicas=None)
    until_count(world, 3)


def test_scaling_in_paused_it_becomes_more_and_not_fewer(world: World, numbers: Served) -> None:
    awake(world, numbers)
    world.annotate("a", paused_scale_in="true")
    until_paused(world, "True", "ScaledObject is paused: it does not scale in")
    until_hpa(world, scaleDown="Disabled")
    numbers.put(a=22)
    until_count(world, 5)
    numbers.put(a=2)
    stays(world, 5)
    numbers.put(a=0)
    until_active(world, "False")
    stays(world, 5)
    world.annotate("a", paused_scale_in=None)
    until_goes_on(world, 0)


def test_scaling_out_paused_it_becomes_fewer_and_not_more(world: World, numbers: Served) -> None:
    awake(world, numbers)
    world.annotate("a", paused_scale_out="true")
    until_paused(world, "True", "ScaledObject is paused: it does not scale out")
    until_hpa(world, scaleUp="Disabled")
    numbers.put(a=40)
    stays(world, 3)
    numbers.put(a=7)
    until_count(world, 2)
    numbers.put(a=0)
    until_count(world, 0)
    numbers.put(a=12)
    until_active(world, "True")
    stays(world, 0)
    # Even an activation that is forced does not wake it.
    world.annotate("a", force_activation="true")
    stays(world, 0)
    world.annotate("a", paused_scale_out=None, force_activation=None)
    until_goes_on(world, 3)


def test_with_both_directions_paused_nothing_moves_until_one_may(world: World, numbers: Served) -> None:
    awake(world, numbers)
    world.annotate("a", paused_scale_in="true", paused_scale_out="true")
    until_paused(world, "True", "ScaledObject is paused: it does not scale in and out")
    until_hpa(world, scaleDown="Disabled", scaleUp="Disabled")
    numbers.put(a=40)
    stays(world, 3)
    numbers.put(a=0)
    until_active(world, "False")
    stays(world, 3)
    world.annotate("a", paused_scale_in=None)
    until_count(world, 0)
    until_hpa(world, scaleUp="Disabled")
    world.annotate("a", paused_scale_in="true", paused_scale_out=None)
    numbers.put(a=12)
    until_count(world, 3)
    until_hpa(world, scaleDown="Disabled")


def test_from_each_pause_there_is_a_way_to_each_other(world: World, numbers: Served) -> None:
    """What weighs more is in force; when it goes, what is left is."""
    awake(world, numbers)
    stopped, one_way = until_no_hpa, until_hpa
    steps: list[tuple[dict[str, str | None], str, Callable[[], None]]] = [
        ({"paused_scale_in": "true"}, ": it does not scale in", lambda: one_way(world, scaleDown="Disabled")),
        ({"paused": ""}, "", lambda: stopped(world)),
        ({"paused_replicas": "2"}, " at 2 replicas", lambda: stopped(world)),
        ({"paused": None}, " at 2 replicas", lambda: stopped(world)),
        ({"paused_replicas": None}, ": it does not scale in", lambda: one_way(world, scaleDown="Disabled")),
        (
            {"paused_scale_in": None, "paused_scale_out": "true"},
            ": it does not scale out",
            lambda: one_way(world, scaleUp="Disabled"),
        ),
        ({"paused_replicas": "1"}, " at 1 replicas", lambda: stopped(world)),
        ({"paused": "true", "paused_replicas": None}, "", lambda: stopped(world)),
        ({"paused": None}, ": it does not scale out", lambda: one_way(world, scaleUp="Disabled")),
    ]
    for annotations, says, then in steps:
        world.annotate("a", **annotations)
        until_paused(world, "True", f"ScaledObject is paused{says}")
        then()
    stays(world, 1)
    world.annotate("a", paused_scale_out=None)
    until_goes_on(world, 3)


def test_forced_activation_wakes_and_keeps_awake_and_ends_with_the_cooldown(world: World, numbers: Served) -> None:
    numbers.put(a=0)
    scaled(world, numbers)
    until_active(world, "False")
    assert world.replicas("a") == 0
    world.annotate("a", force_activation="true")
    until_count(world, 1)
    until_active(world, "True")
    assert world.column("a", "PAUSED") == "False"
    until_hpa(world)
    (woke,) = world.events("a", "KEDAScaleTargetActivated")
    assert "caused by forced activation annotation" in woke["note"]
    stays(world, 1)
    # From one on the HPA decides.
    numbers.put(a=12)
    until_count(world, 3)
    numbers.put(a=0)
    until_count(world, 1)
    stays(world, 1)
    world.annotate("a", force_activation=None)
    until_active(world, "False")
    until_count(world, 0)
