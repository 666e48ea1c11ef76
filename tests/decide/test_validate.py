"""What is wrong with a ScaledObject beyond its schema: one sentence for each thing, saying what to change."""

from typing import Any

import pytest

from keda_py.api.scaled_job import ScaledJobSpec
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.validate import job_problems, problems

CRON = {"type": "cron", "metadata": {}}


def told(**spec: Any) -> list[str]:
    whole = {"scaleTargetRef": {"name": "app"}, "triggers": [CRON], **spec}
    metadata = {"name": "app", "namespace": "default", "uid": "1"}
    return problems(ScaledObject.parse({"metadata": metadata, "spec": whole}).spec)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"minReplicaCount": 5, "maxReplicaCount": 5},
        {"minReplicaCount": 2, "idleReplicaCount": 0},
        {"triggers": [CRON | {"name": "a"}, CRON | {"name": "b"}, CRON]},
        {"triggers": [{"type": "prometheus", "metadata": {}, "useCachedMetrics": True}]},
    ],
)
def test_what_makes_sense(spec: dict[str, Any]) -> None:
    assert told(**spec) == []


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"minReplicaCount": 6, "maxReplicaCount": 5}, "spec.minReplicaCount (6) must not be above"),
        ({"minReplicaCount": 1, "idleReplicaCount": 1}, "spec.idleReplicaCount (1) must be below"),
        ({"triggers": []}, "spec.triggers is empty"),
        (
            {
                "triggers": [CRON | {"name": "a"}],
                "advanced": {"scalingModifiers": {"formula": "b + 1", "target": "2"}},
            },
            "spec.advanced.scalingModifiers.formula: ",
        ),
        ({"triggers": [CRON | {"name": "a"}, CRON | {"name": "a"}]}, "the name a is used 2 times"),
        ({"triggers": [CRON | {"useCachedMetrics": True}]}, "spec.triggers[0]: useCachedMetrics has no meaning"),
    ],
)
def test_what_does_not(spec: dict[str, Any], sentence: str) -> None:
    (problem,) = told(**spec)
    assert sentence in problem


def test_everything_at_once() -> None:
    found = told(minReplicaCount=6, maxReplicaCount=5, idleReplicaCount=7, triggers=[CRON | {"useCachedMetrics": True}])
    assert len(found) == 3


def test_a_scaled_job_has_no_metric_types() -> None:
    jobs = {"jobTargetRef": {"template": {}}, "triggers": [CRON, CRON | {"metricType": "Value"}]}
    assert job_problems(ScaledJobSpec.model_validate(jobs)) == [
        "spec.triggers[1].metricType has no meaning in a ScaledJob; remove it"
    ]
