"""What the HPA needs of containers for cpu and memory (the cases of KEDA's scaledobject_webhook_test.go)."""

from typing import Any

import pytest

from keda_py.api.scaled_object import ScaledObjectSpec
from keda_py.decide.requests import cannot_sleep, defaulted, problems, requested
from keda_py.naming import Refusal

BOTH = ("cpu", "memory")


def spec(*types: str, container: str = "", **rest: Any) -> ScaledObjectSpec:
    named = {"containerName": container} if container else {}
    triggers = [{"type": one, "metadata": {"value": "60", **named}} for one in types]
    return ScaledObjectSpec.model_validate({"scaleTargetRef": {"name": "web"}, "triggers": triggers, **rest})


@pytest.mark.parametrize(
    ("resources", "has"),
    [
        (None, ()),
        ({}, ()),
        ({"requests": {"cpu": "100m"}}, ("cpu",)),
        ({"limits": {"memory": "1Gi"}}, ("memory",)),
        ({"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}, BOTH),
        ({"requests": {"cpu": "0"}, "limits": {"cpu": "0"}}, ()),
        ({"requests": {"cpu": "0"}, "limits": {"cpu": "1"}}, ("cpu",)),
        ({"requests": {"cpu": "many"}}, ()),
        ({"requests": None}, ()),
    ],
)
def test_what_a_container_requests(resources: Any, has: tuple[str, ...]) -> None:
    assert requested({"name": "c", "resources": resources}) == ("c", has)


@pytest.mark.parametrize(
    ("limits", "given"),
    [
        (None, ()),
        ([{"type": "Container", "defaultRequest": {"cpu": "1"}}], ("cpu",)),
        ([{"type": "Container", "default": {"cpu": "1"}}, {"type": "Container", "default": {"memory": "1"}}], BOTH),
        ([{"type": "Container", "default": {"cpu": "0"}, "max": {"memory": "1"}}], ()),
        ([{"type": "Pod", "default": {"cpu": "1"}}], ()),
    ],
)
def test_what_a_limit_range_gives(limits: Any, given: tuple[str, ...]) -> None:
    assert defaulted({"spec": {"limits": limits}}) == given
    assert defaulted({}) == ()


@pytest.mark.parametrize(
    ("wanted", "containers", "defaults", "missing"),
    [
        (spec("cpu"), [("c", BOTH)], [], []),
        (spec("cpu", "memory"), [("c", ("cpu",))], [], ["spec.triggers[1] (memory): container c"]),
        (spec("cpu"), [("c", BOTH), ("sidecar", ())], [], ["spec.triggers[0] (cpu): container sidecar"]),
        (spec("cpu", container="c"), [("c", BOTH), ("sidecar", ())], [], []),
        (
            spec("cpu", container="sidecar"),
            [("c", BOTH), ("sidecar", ())],
            [],
            ["spec.triggers[0] (cpu): container side"],
        ),
        (spec("cpu"), [("c", ())], ["cpu"], []),
        (spec("cpu"), [("c", ())], ["memory"], ["spec.triggers[0] (cpu): container c of Deployment web needs"]),
        (spec("cron"), [("c", ())], [], []),
    ],
)
def test_who_lacks_a_request(wanted: ScaledObjectSpec, containers: Any, defaults: Any, missing: list[str]) -> None:
    found, warnings = problems(wanted, "Deployment web", containers, defaults=defaults)
    assert [finding.reason for finding in found] == [Refusal.REQUESTS] * len(missing)
    assert all(finding.message.startswith(text) for finding, text in zip(found, missing, strict=True))
    assert warnings == []


def test_what_is_not_known_is_not_missing() -> None:
    found, warnings = problems(spec("cpu", "memory"), "Deployment web", [("c", ("cpu",))], defaults=None)
    assert found == []
    assert warnings == ["spec.triggers[1] (memory): whether LimitRanges give container c a request is not known"]


def test_a_container_that_is_not_there_is_a_warning() -> None:
    found, (warning,) = problems(spec("cpu", container="x"), "Deployment web", [("c", ()), ("d", ())], defaults=[])
    assert found == []
    assert warning.endswith("containerName: Deployment web has no container x; it has c, d")


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        (spec("cpu"), 1),
        (spec("cpu", "memory", minReplicaCount=0), 1),
        (spec("cpu", minReplicaCount=1), 0),
        (spec("cpu", "cron"), 0),
        (spec(), 0),
    ],
)
def test_nothing_wakes_by_the_usage_of_no_pods(wanted: ScaledObjectSpec, refused: int) -> None:
    assert [finding.reason for finding in cannot_sleep(wanted)] == [Refusal.SCALE_TO_ZERO] * refused
