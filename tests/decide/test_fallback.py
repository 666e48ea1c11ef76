"""What stands in for a metric that cannot be read: KEDA's own answers as an oracle, and what differs on purpose."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from keda_py.api.meta import ManifestError
from keda_py.api.scaled_object import Fallback, ScaledObject, ScalingModifiers
from keda_py.decide import fallback
from keda_py.decide.fallback import Policy
from keda_py.quantity import parse
from keda_py.scaler import Target

ORACLE: Final = Path(__file__).parents[1] / "oracle" / "fallback.jsonl"
ROWS: Final = [json.loads(line) for line in ORACLE.read_text().splitlines()]

Row = dict[str, Any]

DIFFERENT: Final = {
    "refused": "counts below zero, and behaviors that do not exist, are refused by the API server and by us",
    "no behavior": "is static, and static needs no target; KEDA reads one for it, and fails without",
    "placeholder": "the -1 that KEDA hands on for a formula is no number: nothing stands in",
}
"""Where rows differ on purpose; docs/compatibility.md has those that a user can see."""


def scaled_object(row: Row) -> ScaledObject:
    given = row["input"]
    spec: Row = {"scaleTargetRef": {"name": "web"}, "triggers": [], "fallback": given["fallback"]}
    if spec["fallback"] is not None:
        # What the API server fills in.
        spec["fallback"] = {k: v for k, v in spec["fallback"].items() if v not in (None, "")}
    spec["advanced"] = {"scalingModifiers": given["scalingModifiers"]}
    return ScaledObject.parse({"metadata": {"name": "app", "namespace": "ns", "uid": "u"}, "spec": spec})


def differs(row: Row) -> str | None:
    """Why a row is not to come out as in KEDA."""
    wanted = row["input"]["fallback"] or {}
    try:
        scaled_object(row)
    except ManifestError:
        return "refused"
    if not wanted.get("behavior") and row["input"]["targetMissing"] and wanted:
        return "no behavior"
    if any(metric["value"] == "-1" for metric in row["result"].get("metrics", ())):
        return "placeholder"
    return None


def answered(row: Row) -> tuple[Row, Policy | None]:
    """Return what we make of a row, in its form."""
    given, spec = row["input"], scaled_object(row).spec
    wanted = fallback.policy(spec.fallback, spec.advanced.scaling_modifiers if spec.advanced else None)
    known = dict(given["health"] or {})
    failed, result = given["value"] == "", Row(fallbackActive=False)
    if not failed:
        result["metrics"] = [{"name": "s0-metric", "value": given["value"]}]
    if wanted is None:
        return result | {"health": given["health"], "fallbackCondition": "Unknown"}, None
    count = (fallback.failures(known.get("s0-metric")) or 0) + 1 if failed else 0
    entry = fallback.health(known.get("s0-metric"), count, wanted)
    known["s0-metric"] = entry
    over = any((fallback.failures(one) or 0) >= wanted.enough for one in known.values())
    result |= {"health": known, "fallbackCondition": fallback.condition(wanted, ["x"] if over else []).status}
    if failed and count >= wanted.enough:
        missing = given["targetMissing"]
        current = None if missing else 1 if given["currentReplicas"] is None else given["currentReplicas"]
        target = Target(given["metricType"], given["target"])
        ready = None if missing else given["readyReplicas"]
        value = fallback.value(wanted, target, current=current, ready=ready)
        if value is not None:
            name = "composite-metric" if wanted.composite else "s0-metric"
            result |= {"fallbackActive": True, "metrics": [{"name": name, "value": f"{value:.3f}"}]}
    return result, wanted


def comparable(metrics: list[Row] | None) -> list[tuple[str, Any]] | None:
    return None if metrics is None else [(metric["name"], parse(metric["value"]).value) for metric in metrics]


def test_every_row_of_the_oracle() -> None:
    compared = 0
    for row in ROWS:
        if differs(row) is not None:
            continue
        ours, wanted = answered(row)
        theirs = row["result"]
        assert comparable(ours.get("metrics")) == comparable(theirs.get("metrics")), row
        assert ours["fallbackActive"] is theirs["fallbackActive"], row
        assert ours["fallbackCondition"] == theirs["fallbackCondition"]["status"], row
        for name, entry in (theirs["health"] or {}).items():
            before = (row["input"]["health"] or {}).get(name)
            same = entry == ours["health"][name]
            # Past the threshold the number stands still: nobody decides by it.
            still = wanted is not None and ours["health"][name] == before and entry["status"] == before["status"]
            assert same or (still and entry["numberOfFailures"] > wanted.enough), row
        compared += 1
    assert compared > 0.7 * len(ROWS)


def test_every_row_that_differs_has_a_reason() -> None:
    assert {differs(row) for row in ROWS} == {None, *DIFFERENT}


def test_without_a_behavior_it_is_static_and_needs_no_target() -> None:
    wanted = fallback.policy(Fallback(failure_threshold=1, replicas=3))
    assert wanted == Policy(1, 3, "static")
    assert fallback.value(wanted, Target("AverageValue", "5"), current=None, ready=None) == 15
    assert not fallback.needs_current(wanted)


@pytest.mark.parametrize("amount", ["1e15", "1e309"])
def test_what_no_metric_can_be_stands_in_for_none(amount: str) -> None:
    assert fallback.value(Policy(1, 100), Target("AverageValue", amount), current=None, ready=None) is None


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("5", True),
        ("+5", True),
        ("0000000000000000000000005", True),
        ("9223372036854775807", True),
        ("9223372036854775808", False),
        ("0", False),
        ("-1", False),
        ("2.5", False),
        ("1_0", False),
        ("", False),
    ],
)
def test_with_a_formula_its_target_has_to_be_a_whole_number(target: str, counts: bool) -> None:
    wanted = fallback.policy(Fallback(failure_threshold=1, replicas=3), ScalingModifiers(formula="a", target=target))
    assert (wanted is not None) is counts


def test_nothing_stands_in_where_a_formula_decides() -> None:
    wanted = Policy(1, 3, "scalingModifiers")
    assert not wanted.stands_in
    assert fallback.value(wanted, Target("AverageValue", "5"), current=4, ready=4) is None


@pytest.mark.parametrize(("target", "needed"), [(Target("Value", "5"), True), (Target("AverageValue", "5"), False)])
def test_what_has_to_be_known(target: Target, needed: bool) -> None:
    assert fallback.needs_ready(Policy(1, 3), target) is needed
    assert fallback.needs_current(Policy(1, 3, "currentReplicas"))


def test_what_is_written_says_as_much_as_a_new_process_needs() -> None:
    wanted = Policy(2, 5)
    written, entry = [], None
    for count in [0, 1, 2, 3, 4, 5, 0, 0]:
        after = fallback.health(entry, count, wanted)
        written.append(after != entry)
        assert min(fallback.failures(after) or 0, 3) == min(count, 3)
        entry = after
    assert written == [True, True, True, True, False, False, True, False]


def test_what_another_process_counted_beyond_stays_as_it_is() -> None:
    kedas = {"numberOfFailures": 57, "status": "Failing"}
    assert fallback.health(kedas, 4, Policy(2, 5)) == kedas
    assert fallback.health(kedas, 0, Policy(2, 5)) == {"numberOfFailures": 0, "status": "Happy"}
    # The threshold was raised since.
    assert fallback.health(kedas, 4, Policy(90, 5)) == {"numberOfFailures": 4, "status": "Failing"}


def test_the_condition_names_the_triggers() -> None:
    said = fallback.condition(Policy(3, 5), ["triggers[0] (kafka)", "triggers[2] (cron)"])
    assert (said.status, said.reason) == ("True", "FallbackExists")
    assert said.message.startswith("triggers[0] (kafka), triggers[2] (cron): failed more than 3 times in a row")
    assert fallback.condition(None, []).reason == "NoFallbackFound"
