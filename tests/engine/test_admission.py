"""The webhook's answers from what is watched: at once, without a write, and never more than is known."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.decide.admission import Verdict
from keda_py.engine.admission import LIMIT_RANGES, Admission, Asked, Watched, trim_limit_range
from keda_py.engine.cluster import HPAS, SCALED_JOBS, SCALED_OBJECTS, trim_scalable
from keda_py.engine.credentials.reference import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    TRIGGER_AUTHENTICATIONS,
    trim_authentication,
)
from keda_py.engine.hpa import trim_hpa
from keda_py.engine.registry import Registry
from keda_py.engine.target import DEPLOYMENTS, STATEFUL_SETS, trim_workload
from keda_py.engine.trigger_check import TriggerCheck
from keda_py.kube.client import Client
from keda_py.kube.reflector import Store
from keda_py.kube.transport import Response
from keda_py.naming import Refusal
from keda_py.scaler import Platform
from keda_py.testing import FakeKubernetes
from tests.memory import MemoryApi

CRON = {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Etc/UTC", "desiredReplicas": "1"}
CPU = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}
PATH = "/apis/apps/v1/namespaces/ns/deployments/web"


class Asking(MemoryApi):
    """An API server that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.answers: list[Response | Exception] = []

    async def request(self, method: str, path: str, **rest: Any) -> Response:
        self.asked.append(path)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return await super().request(method, path, **rest)


class World:
    def __init__(self) -> None:
        self.api = Asking()
        self.stores = {
            SCALED_OBJECTS: Store(trim_scalable),
            SCALED_JOBS: Store(trim_scalable),
            HPAS: Store(trim_hpa),
            DEPLOYMENTS: Store(trim_workload),
            STATEFUL_SETS: Store(trim_workload),
        }
        self.authentications = {
            resource.kind: Store(trim_authentication)
            for resource in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS)
        }
        self.limit_ranges = Store(trim_limit_range)
        self.limits_known = self.listed = self.sees = True
        watched = Watched(
            self.stores,
            authentications=self.authentications,
            limit_ranges=self.limit_ranges,
            limits_known=lambda: self.limits_known,
            listed=lambda: self.listed,
            sees=lambda _: self.sees,
        )
        platform = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=FakeKubernetes())
        self.admission = Admission(watched, Client(self.api), TriggerCheck(Registry.installed(), platform))

    async def review(
        self, manifest: dict[str, Any], kind: str = "ScaledObject", old: Any = None, *, dry_run: bool = False
    ) -> Verdict:
        return await self.admission.review(Asked(kind, "ns", manifest, old, dry_run))

    async def reasons(self, manifest: dict[str, Any], **rest: Any) -> list[str]:
        return [finding.reason for finding in (await self.review(manifest, **rest)).findings]


def so(name: str, *triggers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    usual = {"scaleTargetRef": {"name": "web"}, "triggers": list(triggers) or [{"type": "cron", "metadata": CRON}]}
    return {"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}, "spec": {**usual, **spec}}


def workload(requests: dict[str, str] | None = None, version: str = "1") -> dict[str, Any]:
    containers = [{"name": "c", "resources": {"requests": requests or {}}}]
    metadata = {"name": "web", "namespace": "ns", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}}}


def hpa(name: str, owner: str = "") -> dict[str, Any]:
    owners = [{"kind": "ScaledObject", "name": owner, "uid": "1"}] if owner else []
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metadata = {"name": name, "namespace": "ns", "resourceVersion": "1", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"scaleTargetRef": ref}}


async def test_a_good_one_is_let_in_from_memory_alone() -> None:
    world = World()
    world.stores[DEPLOYMENTS].put(workload({"cpu": "100m"}))
    verdict = await world.review(so("a", CPU, minReplicaCount=1))
    assert verdict == Verdict()
    assert world.api.asked == []
    assert world.admission.counts.validations == {("ns", "create"): 1}


async def test_neighbours_come_and_go() -> None:
    world = World()
    world.stores[SCALED_OBJECTS].put(so("b"))
    world.stores[HPAS].put(hpa("keda-hpa-b", "b"))
    assert await world.reasons(so("a")) == [Refusal.OTHER_OBJECT]
    moved = so("b", scaleTargetRef={"name": "elsewhere"})
    moved["metadata"]["resourceVersion"] = "2"
    world.stores[SCALED_OBJECTS].put(moved)
    # Its HPA is there yet, and scales the target.
    assert await world.reasons(so("a")) == [Refusal.OTHER_HPA]
    world.stores[HPAS].remove(("ns", "keda-hpa-b"))
    assert await world.reasons(so("a")) == []
    named = {"horizontalPodAutoscalerConfig": {"name": "keda-hpa-b"}}
    assert await world.reasons(so("a", advanced=named)) == [Refusal.OTHER_OBJECT_HPA]
    world.stores[SCALED_OBJECTS].remove(("ns", "b"))
    assert await world.reasons(so("a", advanced=named)) == []
    assert world.api.asked == []


async def test_the_same_name_in_another_namespace_is_somebody_else() -> None:
    world = World()
    other = so("b")
    other["metadata"]["namespace"] = "elsewhere"
    world.stores[SCALED_OBJECTS].put(other)
    assert await world.reasons(so("a")) == []


async def test_requests_and_what_limit_ranges_give() -> None:
    world = World()
    world.stores[DEPLOYMENTS].put(workload())
    asked = so("a", CPU, minReplicaCount=1)
    assert await world.reasons(asked) == [Refusal.REQUESTS]
    assert await world.reasons(asked, dry_run=True) == []
    assert await world.reasons(so("a", CPU)) == [Refusal.SCALE_TO_ZERO, Refusal.REQUESTS]
    assert await world.reasons(so("a", CPU), dry_run=True) == []
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}
    assert await world.reasons(so("a", CPU, scaleTargetRef=rollout)) == []
    world.limits_known = False
    verdict = await world.review(asked)
    assert verdict.allowed
    assert "whether LimitRanges give" in verdict.warnings[0]
    world.limits_known = True
    limit = {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}
    world.limit_ranges.put({"metadata": {"name": "l", "namespace": "ns", "resourceVersion": "1"}, "spec": limit})
    assert await world.reasons(asked) == []
    world.limit_ranges.remove(("ns", "l"))
    world.stores[DEPLOYMENTS].put(workload({"cpu": "1"}, version="2"))
    assert await world.reasons(asked) == []


async def test_a_target_that_the_watch_has_not_shown_yet_is_asked_for_once() -> None:
    world = World()
    asked = so("a", CPU, minReplicaCount=1)
    assert (await world.review(asked)).warnings == (
        "spec.scaleTargetRef: Deployment web does not exist yet; create it",
    )
    world.api.put(PATH, workload())
    assert await world.reasons(asked) == [Refusal.REQUESTS]
    assert world.api.asked == [PATH, PATH]
    assert world.api.writes == []


@pytest.mark.parametrize("answer", [Response(403, b'{"message": "not you"}'), TimeoutError("too slow")])
async def test_a_target_that_cannot_be_asked_for_is_let_be(answer: Response | Exception) -> None:
    world = World()
    world.api.answers.append(answer)
    verdict = await world.review(so("a", CPU, minReplicaCount=1))
    assert verdict.allowed
    assert "whether containers request enough is not known: " in verdict.warnings[0]


@pytest.mark.parametrize("blind", ["listed", "sees"])
async def test_where_it_does_not_see_it_says_only_what_the_manifest_says(blind: str) -> None:
    world = World()
    world.stores[SCALED_OBJECTS].put(so("b"))
    setattr(world, blind, False)
    asked = so("a", CPU, {"type": "cron", "metadata": CRON, "authenticationRef": {"name": "x"}})
    assert await world.review(asked) == Verdict()
    assert await world.reasons(so("a", {"type": "cron", "metadata": {}})) == [Refusal.PARAMETERS] * 4
    assert world.api.asked == []


async def test_an_authentication_that_is_not_there_is_a_warning() -> None:
    world = World()
    refs = [{"name": "x"}, {"name": "x", "kind": "ClusterTriggerAuthentication"}]
    asked = so("a", *({"type": "cron", "metadata": CRON, "authenticationRef": ref} for ref in refs))
    assert (await world.review(asked)).warnings == (
        "spec.triggers[0].authenticationRef: TriggerAuthentication ns/x does not exist yet; create it",
        "spec.triggers[1].authenticationRef: ClusterTriggerAuthentication x does not exist yet; create it",
    )
    world.authentications["TriggerAuthentication"].put({"metadata": {"name": "x", "namespace": "ns"}})
    world.authentications["ClusterTriggerAuthentication"].put({"metadata": {"name": "x"}})
    assert await world.review(asked) == Verdict()


async def test_an_update_is_minded_if_it_asks_for_something_else() -> None:
    world = World()
    broken, mended = so("a", {"type": "cron", "metadata": {}}), so("a")
    assert await world.review(broken, old=broken) == Verdict()
    assert await world.reasons(broken, old=mended) == [Refusal.PARAMETERS] * 4
    assert await world.reasons(mended, old=broken) == []
    broken["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await world.review(broken, old=mended) == Verdict()
    assert world.admission.counts.validations == {("ns", "update"): 2}
    assert world.admission.counts.errors == {("ns", "update", Refusal.PARAMETERS): 1}


@pytest.mark.parametrize(
    ("kind", "spec", "reason"),
    [
        ("ScaledObject", {"triggers": []}, Refusal.MANIFEST),
        ("ScaledObject", None, Refusal.MANIFEST),
        ("ScaledJob", {"jobTargetRef": {"template": {}}, "triggers": []}, Refusal.TRIGGERS),
        (
            "ScaledJob",
            {"jobTargetRef": {"template": {"spec": {"containers": "none"}}}, "triggers": [{"type": "cron"}]},
            Refusal.MANIFEST,
        ),
        (
            "ScaledJob",
            {"jobTargetRef": {"template": {"metadata": {"labels": "none"}}}, "triggers": [{"type": "cron"}]},
            Refusal.MANIFEST,
        ),
        ("TriggerAuthentication", {"podIdentity": {"provider": "aws", "externalID": "x"}}, Refusal.AUTHENTICATION),
        ("ClusterTriggerAuthentication", {"podIdentity": {"provider": "no-cloud"}}, Refusal.MANIFEST),
        ("CloudEventSource", {"destination": {}, "eventSubscription": {"includedEventTypes": ["x"]}}, Refusal.MANIFEST),
        ("ClusterCloudEventSource", {}, Refusal.MANIFEST),
    ],
)
async def test_every_kind_has_its_rules(kind: str, spec: Any, reason: str) -> None:
    world = World()
    manifest = {"metadata": {"name": "a", "namespace": "ns"}, "spec": spec}
    (finding,) = (await world.review(manifest, kind)).findings
    assert finding.reason == reason
    assert finding.message.startswith("spec")
    # KEDA counts no others.
    assert bool(world.admission.counts.errors) == (kind in ("ScaledObject", "ScaledJob"))


def test_what_is_kept_of_a_workload_is_kept_when_it_is_written_back() -> None:
    trimmed = trim_workload(workload({"memory": "1Gi"}))
    assert trim_workload(trimmed) == trimmed
    assert trimmed["spec"]["containers"] == (("c", ("memory",)),)
    assert LIMIT_RANGES.path("ns") == "/api/v1/namespaces/ns/limitranges"
