"""ScaledObjects: what they mean where they say nothing, and what they say when they make no sense."""

from copy import deepcopy
from datetime import timedelta
from typing import Any, Final

import pytest

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import validate

LEAST: Final[dict[str, Any]] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "app", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cron", "metadata": {"start": "0 8 * * *"}}]},
}


def manifest(**spec: Any) -> dict[str, Any]:
    made = deepcopy(LEAST)
    made["spec"] |= spec
    return made


def test_defaults_are_kedas() -> None:
    scaled_object = ScaledObject.parse(LEAST)
    spec = scaled_object.spec
    assert (spec.polling_interval, spec.cooldown_period) == (timedelta(seconds=30), timedelta(seconds=300))
    assert spec.initial_cooldown_period == timedelta(0)
    assert (spec.min_replicas, spec.max_replicas, spec.idle_replica_count) == (0, 100, None)
    assert scaled_object.hpa_name == "keda-hpa-app"
    assert not spec.restores


def test_what_is_said_counts() -> None:
    config = {"name": "mine", "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}
    advanced = {"restoreToOriginalReplicaCount": True, "horizontalPodAutoscalerConfig": config}
    scaled_object = ScaledObject.parse(
        manifest(pollingInterval=5, cooldownPeriod=0, minReplicaCount=2, maxReplicaCount=9, advanced=advanced)
    )
    spec = scaled_object.spec
    assert (spec.polling_interval, spec.cooldown_period) == (timedelta(seconds=5), timedelta(0))
    assert (spec.min_replicas, spec.max_replicas, spec.restores) == (2, 9, True)
    assert scaled_object.hpa_name == "mine"
    assert spec.hpa_config.behavior == config["behavior"]


def test_what_is_not_known_is_left_alone() -> None:
    assert ScaledObject.parse(manifest(comingWithNextRelease={"x": 1})).spec.min_replicas == 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"pollingInterval": 0}, "spec.pollingInterval: Input should be greater than or equal to 1"),
        ({"pollingInterval": "soon"}, "spec.pollingInterval: Input should be a valid integer"),
        ({"scaleTargetRef": {}}, "spec.scaleTargetRef.name: Field required"),
        (
            {"triggers": [{"type": "cron", "metadata": {"desiredReplicas": 5}}]},
            r"spec.triggers\[0\].metadata.desiredReplicas: Input should be a valid string; put it in quotes",
        ),
    ],
)
def test_a_wrong_manifest_says_where(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        ScaledObject.parse(manifest(**spec))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"minReplicaCount": 5, "maxReplicaCount": 4}, "must not be above spec.maxReplicaCount (4)"),
        ({"minReplicaCount": 200}, "must not be above spec.maxReplicaCount (100)"),
        ({"minReplicaCount": 2, "idleReplicaCount": 2}, "must be below spec.minReplicaCount (2)"),
        ({"triggers": []}, "name at least one trigger"),
        ({"triggers": [{"type": t, "name": "a", "metadata": {}} for t in "xy"]}, "the name a is used 2 times"),
        (
            {"triggers": [{"type": "cron", "metadata": {}, "useCachedMetrics": True}]},
            "useCachedMetrics has no meaning for type cron",
        ),
    ],
)
def test_what_makes_no_sense_together_is_told(spec: dict[str, Any], says: str) -> None:
    (problem,) = validate.problems(ScaledObject.parse(manifest(**spec)).spec)
    assert says in problem


def test_what_makes_sense_has_no_problems() -> None:
    assert validate.problems(ScaledObject.parse(manifest(minReplicaCount=2, idleReplicaCount=0)).spec) == []
