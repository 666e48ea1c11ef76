"""What the daemon logs, as it is told: who it is about, what happened, and why, in one form."""

from datetime import UTC, datetime

import pytest
import structlog

from keda_py.dev.journal import Journal
from keda_py.devcluster.store import Change

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OBJECT = {"object": "default/orders"}
HPA = {**OBJECT, "hpa": "keda-hpa-orders"}
SCALED = {**OBJECT, "target": "Deployment/worker", "before": 0, "after": 1, "why": "triggers are active"}
MADE = {**OBJECT, "jobs": 2, "queue": 2.0, "running": 1, "pending": 0}


def told(event: str, **fields: object) -> str:
    journal = Journal(lambda: AT)
    with pytest.raises(structlog.DropEvent):
        journal.log("scaledobject", "info", {"event": event, **fields})
    return journal.entries[-1].text


@pytest.mark.parametrize(
    ("event", "fields", "text"),
    [
        ("scaled", {**SCALED, "triggers": ["s0-x"]}, "Deployment/worker 0 -> 1: triggers are active (s0-x)"),
        ("ready", OBJECT, "orders is ready"),
        ("not ready", {**OBJECT, "message": "no target"}, "orders is not ready: no target"),
        ("created", HPA, "HPA/keda-hpa-orders created"),
        (
            "updated",
            {**HPA, "why": "spec.maxReplicas differed"},
            "HPA/keda-hpa-orders updated: spec.maxReplicas differed",
        ),
        ("deleted", {**HPA, "why": "paused"}, "HPA/keda-hpa-orders deleted: paused"),
        ("created jobs", MADE, "orders created 2 Jobs: queue 2, 1 running"),
        ("created jobs", {**MADE, "jobs": 1}, "orders created 1 Job: queue 2, 1 running"),
        ("ScaledObject is paused", OBJECT, "orders is paused"),
        ("will retry", {**OBJECT, "message": "gone", "seconds": 1.5}, "orders will retry (seconds 1.5): gone"),
        ("will retry", {**OBJECT, "exc_info": ValueError("x")}, "orders will retry: ValueError: x"),
        ("leading", {"lease": "operator", "identity": "a"}, "leading (lease operator, identity a)"),
    ],
)
def test_every_line_has_the_same_form(event: str, fields: dict[str, object], text: str) -> None:
    assert told(event, **fields) == text
    if "object" in fields and not text.startswith("Deployment"):
        there = told(event, **{**fields, "object": "shop/orders"})
        assert there == f"shop/{text}", "another namespace is told, as in the table"


def test_a_target_elsewhere() -> None:
    fields = {**SCALED, "object": "shop/orders", "triggers": []}
    assert told("scaled", **fields) == "shop/Deployment/worker 0 -> 1: triggers are active"


SELECTOR = "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}"


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("cpu above target", "cpu above target"),
        (f"external metric s0-cron({SELECTOR}) above target", "external metric s0-cron above target"),
        ("external metric s0-cron(nil) above target", "external metric s0-cron above target"),
    ],
)
def test_the_hpa_controller(reason: str, why: str) -> None:
    journal = Journal(lambda: AT)
    about = {"namespace": "shop", "name": "keda-hpa-orders"}
    event = {"reason": "SuccessfulRescale", "note": f"New size: 5; reason: {reason}", "regarding": about}
    journal.notice(Change(1, ("events.k8s.io", "events"), ("shop", "e"), None, event))
    assert [(entry.who, entry.text) for entry in journal.entries] == [("HPA", f"shop/keda-hpa-orders -> 5: {why}")]
