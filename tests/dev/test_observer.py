"""What is seen of the cluster and of the daemon's memory: no error is told twice."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.api.scaled_object import ScaledObject
from keda_py.decide.combine import Composed
from keda_py.dev.observer import observe
from keda_py.dev.snapshot import Activity, Measure, TriggerSeen
from keda_py.devcluster.api import Request
from keda_py.devcluster.cluster import DevCluster
from keda_py.engine.composite import Composite
from keda_py.engine.live import Live
from keda_py.engine.trigger import BrokenTrigger
from keda_py.scaler import ScalerError

from .manifests import scaled_object

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRON = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 * * * *", "end": "1 * * * *"}}
WHY = "the HPA was unable to compute the replica count: unable to get external metric default/s0-cron"


HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


def answered(cluster: DevCluster, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = cluster.api.answer(Request(method, path, body=body))
    assert answer.status in (200, 201), answer.body
    return answer.body


def cluster_with_an_hpa(reason: str) -> DevCluster:
    """Return a cluster with a ScaledObject whose HPA cannot scale, for a reason and with that message."""
    cluster = DevCluster(now=lambda: AT, chance=random.Random(1))
    answered(cluster, "POST", "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects", scaled_object("a", CRON))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": []}
    about = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "keda-hpa-a"}}
    made = answered(cluster, "POST", HPAS, {**about, "spec": spec})
    condition = {"type": "ScalingActive", "status": "False", "reason": reason, "message": WHY}
    answered(cluster, "PUT", f"{HPAS}/keda-hpa-a/status", {**made, "status": {"conditions": [condition]}})
    return cluster


def hpa_seen(cluster: DevCluster, live: Live | None) -> str:
    (seen,) = observe(cluster.api, {} if live is None else {("default", "a"): live}, {}, (), AT).scaled
    return seen.hpa


async def test_the_hpa_does_not_repeat_what_a_trigger_tells() -> None:
    failing = Live("uid", [BrokenTrigger(0, "cron", ScalerError("no such hour"), 30)])
    cluster = cluster_with_an_hpa("FailedGetExternalMetric")
    assert hpa_seen(cluster, failing) == "holds: it cannot read that either"
    assert hpa_seen(cluster, None) == f"cannot scale: {WHY}", "nobody else tells it"
    assert hpa_seen(cluster_with_an_hpa("FailedGetScale"), failing) == f"cannot scale: {WHY}", "that is another"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (Composed(active=True), Activity.ACTIVE),
        (Composed(active=False), Activity.INACTIVE),
        (Composed(), Activity.PENDING),
        (Composed(failure="no such name"), Activity.FAILING),
    ],
)
async def test_what_a_formula_makes_of_all_triggers_is_shown_after_them(said: Composed, seen: Activity) -> None:
    cluster = DevCluster(now=lambda: AT, chance=random.Random(1))
    modifiers = {"formula": "a + 1", "target": "5"}
    made = scaled_object("a", {**CRON, "name": "a"}, advanced={"scalingModifiers": modifiers})
    raw = answered(cluster, "POST", "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects", made)
    composite = Composite.of(ScaledObject.parse(raw).spec, lambda: AT)
    assert composite is not None
    composite.value, composite.said = 12.0, said
    live = Live("uid", [BrokenTrigger(0, "cron", ScalerError("no such hour"), 30)], composite=composite)
    (found,) = observe(cluster.api, {("default", "a"): live}, {}, (), AT).scaled
    assert [one.label for one in found.triggers] == ["cron", "formula"]
    assert found.triggers[1] == TriggerSeen("formula", seen, (Measure(12.0, 5.0, "replica"),), said.failure or "")
