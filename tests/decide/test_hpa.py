"""The HPA against what KEDA makes of the same ScaledObject, and the patch that never is needed twice."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.formula import FormulaError
from keda_py.decide.hpa import (
    HpaError,
    ScaleTarget,
    build,
    can_stand_in,
    differs,
    kept_metrics,
    resource_names,
    stand_in,
    target_of_metric,
)
from keda_py.decide.modifiers import compiled
from keda_py.engine.registry import Registry
from keda_py.naming import indexed
from keda_py.quantity import parse
from keda_py.scaler import ExternalSpec, Inputs, MetricSpec, Platform, ScalerError, Target, Trigger
from keda_py.scaler import build as build_scaler

ORACLE: Final = Path(__file__).parents[1] / "oracle" / "hpa.jsonl"
REGISTRY: Final = Registry.installed()

Row = dict[str, Any]


def not_yet(row: Row) -> str | None:
    """Why a row is not for today; a feature that comes drops its reason here."""
    made = row["input"]
    if not all(trigger["type"] in REGISTRY.types for trigger in made["spec"]["triggers"]):
        return "trigger type"
    return None


ROWS: Final = [json.loads(line) for line in ORACLE.read_text().splitlines()]
TODAY: Final = [row for row in ROWS if not_yet(row) is None]


def specs(made: Row) -> list[tuple[int, MetricSpec]]:
    found: list[tuple[int, MetricSpec]] = []
    nothing: Any = None
    platform = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=nothing)
    for index, given in enumerate(made["spec"]["triggers"]):
        trigger = Trigger(
            given["type"],
            index,
            Inputs(given.get("metadata") or {}, {}, {"CONN": "fromenv"}),
            made["metadata"]["namespace"],
            made["metadata"]["name"],
            metric_type=given.get("metricType"),
            in_formula="scalingModifiers" in (made["spec"].get("advanced") or {}),
        )
        scaler = build_scaler(REGISTRY.load(given["type"]), trigger, platform=platform, source=lambda _: None)
        found += [(index, spec) for spec in scaler.metric_specs()]
    return found


def made_of(row: Row) -> dict[str, Any]:
    made = deepcopy(row["input"])
    made["metadata"]["uid"] = "uid"
    scaled_object = ScaledObject.parse(made)
    # In KEDA one without a formula gets as far as this.
    if scaled_object.spec.modifiers is not None and scaled_object.spec.modifiers.formula:
        compiled(scaled_object.spec.modifiers, scaled_object.spec.triggers)
    ref = made["spec"]["scaleTargetRef"]
    target = ScaleTarget(ref.get("apiVersion") or "apps/v1", ref.get("kind") or "Deployment", ref["name"])
    return build(scaled_object, specs(made), target=target, version="main")


def canonical(value: Any, name: str = "") -> Any:
    """Make two HPAs comparable: quantities as numbers, empty as absent."""
    if isinstance(value, dict):
        return {key: c for key, inner in value.items() if (c := canonical(inner, key)) not in (None, {}, [])}
    if isinstance(value, list):
        return [canonical(inner) for inner in value]
    return parse(str(value)).value if name in {"value", "averageValue", "tolerance"} else value


def test_every_row_of_today() -> None:
    wrong = []
    for row in TODAY:
        try:
            ours: Any = canonical(made_of(row))
        except (FormulaError, HpaError, ManifestError, ScalerError) as error:
            if row["result"]["ok"]:
                wrong.append((row["input"], str(error)))
            continue
        if not row["result"]["ok"]:
            wrong.append((row["input"], "accepted"))
            continue
        theirs = canonical(row["result"]["hpa"])
        if {k: ours[k] for k in ("metadata", "spec")} != {k: theirs[k] for k in ("metadata", "spec")}:
            wrong.append((ours, theirs))
    assert not wrong
    assert len(TODAY) >= 60


def test_every_other_row_waits_for_a_feature_that_has_a_name() -> None:
    assert {not_yet(row) for row in ROWS} == {None, "trigger type"}


# --- differing ------------------------------------------------------------------------------------------------------

MANIFEST: Final[dict[str, Any]] = {
    "metadata": {"name": "app", "namespace": "ns", "uid": "u1", "labels": {"team": "a"}, "annotations": {"note": "n"}},
    "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cron"}]},
}
QUEUE: Final = (0, ExternalSpec("queue", Target("AverageValue", "5")))


def wanted(*metrics: tuple[int, MetricSpec], **spec: Any) -> dict[str, Any]:
    manifest = deepcopy(MANIFEST)
    manifest["spec"] |= spec
    target = ScaleTarget("apps/v1", "Deployment", "web")
    return build(ScaledObject.parse(manifest), metrics or (QUEUE,), target=target, version="1")


def as_the_server_has_it(hpa: dict[str, Any]) -> dict[str, Any]:
    """Add what the API server fills in, and what others put there."""
    found = deepcopy(hpa)
    found["metadata"] |= {"uid": "x", "resourceVersion": "7"}
    found["metadata"]["labels"]["added-by"] = "someone"
    for metric in found["spec"]["metrics"]:
        target = metric["external"]["target"]
        target["averageValue"] = {"1000": "1k", "0.5": "500m"}.get(target["averageValue"], target["averageValue"])
    rules = found["spec"].get("behavior", {}).get("scaleDown")
    if rules is not None:
        rules.setdefault("selectPolicy", "Max")
        rules.setdefault("policies", [{"type": "Percent", "value": 100, "periodSeconds": 15}])
    return found


@pytest.mark.parametrize("amount", ["5", "1000", "0.5"])
def test_a_steady_hpa_is_left_alone(amount: str) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 10}}
    metric = (0, ExternalSpec("queue", Target("AverageValue", amount)))
    hpa = wanted(metric, advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}})
    assert differs(hpa, as_the_server_has_it(hpa)) is None


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({}, {"maxReplicaCount": 7}, {"spec": {"maxReplicas": 7}}),
        ({}, {"minReplicaCount": 2}, {"spec": {"minReplicas": 2}}),
        (
            {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {}}}}},
            {},
            {"spec": {"behavior": None}},
        ),
    ],
)
def test_what_changed_and_only_that_is_patched(before: Any, after: Any, patch: Any) -> None:
    assert differs(wanted(**after), as_the_server_has_it(wanted(**before))) == patch


OFF: Final = {"selectPolicy": "Disabled"}


@pytest.mark.parametrize(
    ("annotations", "behavior"),
    [
        ({}, None),
        ({}, {"scaleUp": {"tolerance": "0.2"}}),
        ({}, {"scaleDown": {"stabilizationWindowSeconds": 10}}),
        ({"autoscaling.keda.sh/paused-scale-out": ""}, None),
        ({"autoscaling.keda.sh/paused-scale-in": "true"}, {"scaleUp": {"selectPolicy": "Min"}}),
        ({}, {"scaleDown": {"selectPolicy": "Max"}}),
        ({}, {"scaleDown": OFF}),
    ],
)
def test_a_direction_that_is_not_paused_any_more_is_switched_on_again(
    annotations: dict[str, str], behavior: Any
) -> None:
    """Found: scaling in is paused, nothing else. Merging the patch leads to what is wanted, and there it ends."""
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behavior}} if behavior else {}
    manifest = deepcopy(MANIFEST)
    manifest["spec"]["advanced"] = advanced
    manifest["metadata"]["annotations"] = annotations
    target = ScaleTarget("apps/v1", "Deployment", "web")
    hpa = build(ScaledObject.parse(manifest), [QUEUE], target=target, version="1")
    found = as_the_server_has_it(hpa)
    found["spec"]["behavior"] = {"scaleDown": dict(OFF)}
    for _ in range(2):
        change = (differs(hpa, found) or {"spec": {}})["spec"]
        found["spec"] = merged(found["spec"], change)
    assert change == {}
    off = {d for d, rules in (found["spec"].get("behavior") or {}).items() if rules.get("selectPolicy") == "Disabled"}
    assert off == {d for d, rules in (hpa["spec"].get("behavior") or {}).items() if rules == OFF}


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386, and what the API server fills in."""
    if not isinstance(patch, dict):
        return patch
    old = old if isinstance(old, dict) else {}
    return {k: v for k, v in (old | {n: merged(old.get(n), p) for n, p in patch.items()}).items() if v is not None}


def test_metrics_that_came_or_went_are_a_difference() -> None:
    two = wanted(QUEUE, (1, ExternalSpec("more", Target("Value", "1"))))
    one = wanted(QUEUE)
    assert differs(one, as_the_server_has_it(one) | {"spec": two["spec"]}) == {
        "spec": {"metrics": one["spec"]["metrics"]}
    }


def test_an_hpa_that_others_made_is_adopted() -> None:
    hpa = wanted()
    found = as_the_server_has_it(hpa)
    del found["metadata"]["ownerReferences"]
    assert differs(hpa, found) == {"metadata": {"ownerReferences": hpa["metadata"]["ownerReferences"]}}


def test_of_an_hpa_that_is_taken_over_nothing_stays_of_how_fast_it_scaled() -> None:
    hpa = wanted()
    hpa["spec"]["behavior"] = {"scaleDown": {"selectPolicy": "Min"}}
    found = as_the_server_has_it(hpa)
    found["spec"]["behavior"] = {"scaleDown": {"selectPolicy": "Min"}, "scaleUp": {"selectPolicy": "Disabled"}}
    ours = differs(hpa, found)
    found["metadata"]["ownerReferences"] = []
    assert ours is not None
    assert "metadata" not in ours
    patch = differs(hpa, found)
    assert patch is not None
    assert patch["spec"] == {"behavior": {"scaleUp": None}}
    found["spec"]["behavior"] = {"scaleDown": {"selectPolicy": "Min"}}
    assert differs(hpa, found) == {"metadata": {"ownerReferences": hpa["metadata"]["ownerReferences"]}}
    del found["spec"]["behavior"]
    assert differs(hpa, found) == {
        "metadata": {"ownerReferences": hpa["metadata"]["ownerReferences"]},
        "spec": {"behavior": hpa["spec"]["behavior"]},
    }


def test_a_trigger_that_cannot_be_built_keeps_its_place() -> None:
    there = wanted(
        QUEUE, (1, ExternalSpec("more", Target("Value", "1"))), (11, ExternalSpec("far", Target("Value", "1")))
    )
    (kept,) = kept_metrics(there, 1)
    assert kept["external"]["metric"]["name"] == indexed(1, "more")
    assert kept_metrics(None, 0) == []


def test_what_stands_in_for_a_trigger_that_never_could_be_built_is_kept_as_any_other() -> None:
    made = stand_in(3, "no/such", "app")
    assert target_of_metric(made) == ("s3-no-such", Target("AverageValue", "1"))
    hpa = wanted()
    hpa["spec"]["metrics"].append(made)
    assert kept_metrics(hpa, 3) == [made]
    assert [can_stand_in(trigger_type) for trigger_type in ("kafka", "cpu", "memory")] == [True, False, False]


@pytest.mark.parametrize("target", [Target("AverageValue", "5"), Target("Value", "500m")])
def test_a_metric_says_what_it_is_compared_with(target: Target) -> None:
    (metric,) = wanted((2, ExternalSpec("queue", target)))["spec"]["metrics"]
    assert target_of_metric(metric) == ("s2-queue", target)


def test_what_makes_no_hpa() -> None:
    with pytest.raises(HpaError, match="s0-queue is defined more than once"):
        wanted(QUEUE, QUEUE)
    target = ScaleTarget("apps/v1", "Deployment", "web")
    with pytest.raises(HpaError, match="no trigger has a metric"):
        build(ScaledObject.parse(MANIFEST), [], target=target, version="1")
    assert resource_names([QUEUE]) == []
