"""Scaling modifiers on a real cluster, as docs/formulas.md says: one metric of two sources, from zero and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keda_py.naming import COMPOSITE
from tests.controlplane.daemon import Daemon

from .served import Served, served
from .world import AT_ONCE, World

pytestmark = [pytest.mark.usefixtures("daemon"), pytest.mark.timeout(600)]

LONG = 120.0
"""Seconds that anything may take here on a busy machine; what is awaited comes within some."""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "other") as source:
        yield source


def scaled(world: World, *triggers: dict[str, Any], **modifiers: str) -> None:
    advanced = {**AT_ONCE, "scalingModifiers": modifiers}
    world.scaled("a", *triggers, pollingInterval=2, cooldownPeriod=3, advanced=advanced)
    world.until_ready("a", seconds=LONG)


def until_active(world: World, status: str) -> None:
    world.until(lambda: world.condition("a", "Active")["status"] == status, f"Active is {status}", LONG)


def test_a_formula_of_two_sources_scales_from_zero_to_many_and_back(
    world: World, numbers: Served, other: Served, daemon: Daemon
) -> None:
    numbers.put(queue=0)
    other.put(errors=10)
    # More errors than work are no work.
    triggers = [numbers.trigger("queue", name="queue"), other.trigger("errors", name="errors")]
    scaled(world, *triggers, formula="errors > 5 ? 0 : queue - errors", target="5", activationTarget="2")
    until_active(world, "False")
    numbers.put(queue=50)
    # Each trigger is active, and what is made of them is not.
    world.stays("a", 0, 8)
    other.put(errors=1)
    world.until_replicas("a", 10, LONG)
    has_the_composite_metric_only(world)
    assert f'metric="{COMPOSITE}"' in daemon.metrics()
    numbers.put(queue=16)
    world.until_replicas("a", 3, LONG)
    numbers.put(queue=4)
    world.until_replicas("a", 1, LONG)
    until_active(world, "True")
    # At the activation target it is not above it.
    numbers.put(queue=3)
    world.until_replicas("a", 0, LONG)
    numbers.put(queue=4)
    world.until_replicas("a", 1, LONG)


def has_the_composite_metric_only(world: World) -> None:
    status = world.status("a")
    assert status["compositeScalerName"] == COMPOSITE
    assert status["externalMetricNames"] == ["s0-metric-api-value", "s1-metric-api-value"]
    (metric,) = world.get("hpa", "keda-hpa-a")["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == COMPOSITE
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "5"}


def test_without_one_of_the_sources_it_is_held_and_then_goes_on(world: World, numbers: Served, other: Served) -> None:
    numbers.put(first=8)
    other.put(second=7)
    triggers = [numbers.trigger("first", name="first"), other.trigger("second", name="second")]
    scaled(world, *triggers, formula="first + second", target="5")
    world.until_replicas("a", 3, LONG)
    other.kill()
    world.until_ready("a", "False", LONG)
    assert "triggers[1] (metrics-api): " in world.condition("a", "Ready")["message"]
    numbers.put(first=0)
    world.stays("a", 3, 10)
    other.start()
    world.until_replicas("a", 2, LONG)
    other.put(second=0)
    world.until_replicas("a", 0, LONG)


def test_an_edit_takes_it_to_and_fro_between_a_formula_and_its_triggers(world: World, numbers: Served) -> None:
    numbers.put(first=10, second=15)
    triggers = [numbers.trigger("first", name="first"), numbers.trigger("second", name="second")]
    scaled(world, *triggers, formula="first + second", target="5")
    world.until_replicas("a", 5, LONG)
    world.apply(world.scaled_object("a", *triggers, pollingInterval=2, cooldownPeriod=3, advanced=AT_ONCE))
    world.until_replicas("a", 3, LONG)
    names = [metric["external"]["metric"]["name"] for metric in world.get("hpa", "keda-hpa-a")["spec"]["metrics"]]
    assert names == ["s0-metric-api-value", "s1-metric-api-value"]
    world.until(lambda: "compositeScalerName" not in world.status("a"), "the status tells of no formula", LONG)
    scaled(world, *triggers, formula="first / second * 15", target="5")
    world.until_replicas("a", 2, LONG)
