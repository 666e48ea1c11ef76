"""The arithmetic of ScaledJobs: KEDA's own numbers as an oracle, and what differs on purpose."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keda_py import quantity
from keda_py.decide.jobs import (
    Backlog,
    Bounds,
    History,
    Job,
    Pod,
    Strategy,
    Work,
    count,
    measure,
    more,
    outdated,
    strategic,
    surplus,
    together,
)

ORACLE = Path(__file__).parents[1] / "oracle" / "jobs.jsonl"
T0 = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def cases(kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for line in ORACLE.read_text().splitlines():
        case = json.loads(line)
        if case["kind"] == kind:
            yield case["input"], case["result"]


def test_every_decision_of_the_oracle() -> None:
    for given, wanted in cases("decision"):
        bounds = Bounds.of(given["minReplicaCount"], given["maxReplicaCount"])
        assert (bounds.minimum, bounds.extra) == (wanted["specMinReplicaCount"], wanted["specMaxReplicaCount"]), given
        backlog = Backlog(given["scaleTo"], given["maxScale"], given["isActive"])
        work = Work(given["running"], given["pending"])
        strategy = Strategy(
            given["strategy"],
            given.get("customScalingQueueLengthDeduction") or 0,
            given.get("customScalingRunningJobPercentage") or "",
        )
        assert more(backlog, work, bounds, strategy) == wanted["jobsCreated"], given
        if work.running >= bounds.minimum:
            allowed = (wanted["strategyEffectiveMaxScale"], wanted["strategyScaleTo"])
            assert strategic(backlog, work, bounds, strategy) == allowed, given


def test_every_combination_of_the_oracle() -> None:
    for given, wanted in cases("combine"):
        bounds = Bounds.of(given["minReplicaCount"], given["maxReplicaCount"])
        seen = [Backlog(m["queueLength"], m["maxValue"], m["isActive"]) for m in given["metrics"]]
        found = together(seen, given["multipleScalersCalculation"], bounds)
        assert (found.length, found.jobs) == (wanted["queueLength"], wanted["maxValue"]), given
        assert found.active is wanted["isActive"], given


def test_every_queue_of_the_oracle() -> None:
    for given, wanted in cases("queue"):
        values = [(value["name"], float(quantity.parse(value["value"]))) for value in given["values"]]
        targets = [
            (spec["name"], float(quantity.parse(spec["target"])) if spec["type"] == "AverageValue" else 0.0)
            for spec in given["specs"]
        ]
        found = measure(values, targets, active=True, extra=given["maxReplica"])
        # To the last bit: a hair more than a whole number is one Job more.
        assert found.length == float(wanted["queueLength"]), given
        assert found.jobs == float(wanted["maxValue"]), given


def test_every_count_of_the_oracle() -> None:
    for given, wanted in cases("count"):
        jobs = [
            Job(
                f"job-{number}",
                next((kind for kind in ("Complete", "Failed") if job["conditions"].get(kind) == "True"), ""),
                pods=tuple(pod_of(pod) for pod in job["pods"]),
            )
            for number, job in enumerate(given["jobs"])
        ]
        found = count(jobs, given["pendingPodConditions"])
        assert (found.running, found.pending) == (wanted["running"], wanted["pending"]), given


def pod_of(pod: dict[str, Any]) -> Pod:
    return Pod(pod["phase"], frozenset(kind for kind, status in pod["conditions"].items() if status == "True"))


def test_a_queue_is_as_long_as_it_is() -> None:
    found = together([Backlog(1e19, 5, active=True)], "max", Bounds(0, 10))
    assert (found.length, more(found, Work(0, 0), Bounds(0, 10), Strategy())) == (10**19, 5)


def test_what_finished_first_goes_first_and_what_runs_stays() -> None:
    jobs = [Job(f"c{n}", "Complete", T0 + timedelta(seconds=-n)) for n in range(4)]
    jobs += [Job(f"f{n}", "Failed", T0 + timedelta(seconds=n)) for n in range(3)]
    jobs += [Job("undated", "Failed"), Job("running"), Job("going", "Failed", going=True)]
    gone = surplus(jobs, History(succeeded=2, failed=1))
    assert [job.name for job in gone] == ["c3", "c2", "undated", "f0", "f1"]
    assert surplus(jobs, History()) == []


def test_only_jobs_of_another_target_are_outdated() -> None:
    jobs = [Job("old", version="a"), Job("new", version="b"), Job("of KEDA"), Job("going", version="a", going=True)]
    jobs.append(Job("of this generation", version="a", generation="7"))
    assert [job.name for job in outdated(jobs, "b", "7")] == ["old"]


@pytest.mark.parametrize(
    ("minimum", "maximum", "bounds"),
    [
        (None, None, Bounds(0, 100)),
        (3, None, Bounds(3, 100)),
        (None, 5, Bounds(0, 5)),
        (2, 5, Bounds(2, 3)),
        (7, 5, Bounds(5, 5)),
        (None, -1, Bounds(0, -1)),
    ],
)
def test_how_many_there_may_be(minimum: int | None, maximum: int | None, bounds: Bounds) -> None:
    assert Bounds.of(minimum, maximum) == bounds


@pytest.mark.parametrize(("value", "jobs"), [("0.3", 4), ("0.2", 2), ("300m", 3)])
def test_a_value_is_what_kubernetes_makes_of_it(value: str, jobs: int) -> None:
    """0.3 is 3 * 0.1 there, which is a hair more than three times 0.1; 300m is 300 * 0.001."""
    found = measure(
        [("m", float(quantity.parse(value)))], [("m", float(quantity.parse("0.1")))], active=True, extra=100
    )
    assert together([found], "max", Bounds(0, 100)).jobs == jobs


def test_nothing_waits_where_nothing_is_measured() -> None:
    assert measure([("m", 5.0)], [], active=True, extra=10) == Backlog(0.0, 0.0, active=True)


@pytest.mark.parametrize(("calculation", "jobs"), [("max", 4), ("sum", 4), ("min", 0), ("avg", 0)])
def test_what_could_be_less_with_what_is_not_known_is_not_counted_on(calculation: str, jobs: int) -> None:
    seen = [Backlog(4, 4, active=True)]
    found = together(seen, calculation, Bounds(0, 10), some_unknown=True)
    assert (found.jobs, found.active) == (jobs, jobs > 0)
    assert together(seen, calculation, Bounds(2, 10), some_unknown=True).active
