"""Events with their two faces, and Leases as they are used to elect a leader."""

from typing import Any

from .side import MERGE, Side, at, deployment

NEW: dict[str, Any] = {
    "metadata": {"name": "one"},
    "eventTime": "2026-01-02T03:04:05.000006Z",
    "type": "Normal",
    "reason": "Tried",
    "action": "Try",
    "note": "it works",
    "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "name": "thing", "uid": "u"},
    "reportingController": "tester",
    "reportingInstance": "tester-0",
}


def test_an_event_as_core_shows_it(side: Side, space: str) -> None:
    new, core = at("events.k8s.io/v1", space, "events"), at("v1", space, "events")
    side.make(new, NEW | {"regarding": {**NEW["regarding"], "namespace": space}})
    found = side.get(f"{core}/one")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Event")
    assert found["message"] == "it works"
    assert found["involvedObject"] == {**NEW["regarding"], "namespace": space}
    assert (found["reportingComponent"], found["reportingInstance"]) == ("tester", "tester-0")
    assert found["eventTime"] == NEW["eventTime"]
    assert (found["source"], found["firstTimestamp"], found["lastTimestamp"]) == ({}, None, None)
    assert not {"note", "regarding", "reportingController"} & set(found)


def test_an_event_as_the_newer_one_shows_it(side: Side, space: str) -> None:
    new, core = at("events.k8s.io/v1", space, "events"), at("v1", space, "events")
    about = {"kind": "Pod", "name": "thing", "namespace": space}
    seen = "2026-01-02T03:04:05Z"
    event = {
        "metadata": {"name": "one", "namespace": space},
        "type": "Warning",
        "reason": "Failed",
        "message": "it does not",
        "involvedObject": about,
        "source": {"component": "kubelet", "host": "node"},
        "firstTimestamp": seen,
        "lastTimestamp": seen,
        "count": 2,
    }
    made = side.make(core, event)
    assert (made["apiVersion"], made["message"], made["count"]) == ("v1", "it does not", 2)
    found = side.get(f"{new}/one")
    assert (found["apiVersion"], found["note"], found["regarding"]) == ("events.k8s.io/v1", "it does not", about)
    assert found["deprecatedSource"] == {"component": "kubelet", "host": "node"}
    assert (found["deprecatedFirstTimestamp"], found["deprecatedLastTimestamp"]) == (seen, seen)
    assert found["deprecatedCount"] == 2
    assert side.get(f"{core}/one") == made


def test_events_by_what_they_are_about(side: Side, space: str) -> None:
    new, core = at("events.k8s.io/v1", space, "events"), at("v1", space, "events")
    for name in ("a", "b"):
        about = {**NEW["regarding"], "namespace": space, "name": name}
        side.make(new, NEW | {"metadata": {"name": name}, "regarding": about})
    chosen = "involvedObject.kind=ConfigMap,involvedObject.name=b,reason=Tried"
    assert [e["metadata"]["name"] for e in side.get(core, fieldSelector=chosen)["items"]] == ["b"]
    assert [e["metadata"]["name"] for e in side.get(new, fieldSelector="regarding.name=a")["items"]] == ["a"]


def test_events_that_are_refused(side: Side, space: str) -> None:
    new = at("events.k8s.io/v1", space, "events")
    nowhere = NEW | {"regarding": {**NEW["regarding"], "namespace": ""}}
    refused = side.ask("POST", new, nowhere)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "does not match event.namespace" in refused.message
    nobody = NEW | {"regarding": {**NEW["regarding"], "namespace": space}, "action": ""}
    refused = side.ask("POST", new, nobody)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "action: Required value" in refused.message


def test_a_put_makes_an_event_and_a_lease(side: Side, space: str) -> None:
    event = NEW | {"regarding": {**NEW["regarding"], "namespace": space}}
    lease = {"metadata": {"name": "one"}, "spec": {"holderIdentity": "me"}}
    for path, body in ((at("events.k8s.io/v1", space, "events"), event),
                       (at("coordination.k8s.io/v1", space, "leases"), lease)):  # fmt: skip
        made = side.ask("PUT", f"{path}/one", body)
        assert made.code == 201
        assert side.ask("PUT", f"{path}/one", made.body).code == 200
    # Whoever takes a lease says from which version of it.
    blind = side.ask("PUT", f"{path}/one", lease)
    assert (blind.code, blind.reason) == (422, "Invalid")


def test_what_the_hpa_controller_says_of_metrics(side: Side, space: str, deployments: str) -> None:
    """In the words in which people search for it: which metric, by which selector."""
    side.make(deployments, deployment("one", replicas=2))
    side.until(lambda: side.get(f"{deployments}/one").get("status", {}).get("readyReplicas") == 2, "its pods are ready")
    hpas = at("autoscaling/v2", space, "horizontalpodautoscalers")
    selector = {"matchLabels": {"scaledobject.keda.sh/name": "one"}}
    external = {"metric": {"name": "none", "selector": selector}, "target": {"type": "Value", "value": "1"}}
    spec = {"maxReplicas": 5, "metrics": [{"type": "External", "external": external}]}
    for name, target in (("one", "one"), ("two", "nobody")):
        target_ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        side.make(hpas, {"metadata": {"name": name}, "spec": {**spec, "scaleTargetRef": target_ref}})

    def said(name: str, type_: str) -> str:
        found = (side.get(f"{hpas}/{name}").get("status") or {}).get("conditions") or []
        return next((str(c["message"]) for c in found if c["type"] == type_ and c["status"] == "False"), "")

    words = "&LabelSelector{MatchLabels:map[string]string{scaledobject.keda.sh/name: one,},MatchExpressions"
    message = side.until(lambda: said("one", "ScalingActive"), "it says so")
    assert (
        f"the HPA was unable to compute the replica count: unable to get external metric {space}/none/{words}"
        in message
    )
    message = side.until(lambda: said("two", "AbleToScale"), "it says so")
    assert message.endswith('unable to get the target\'s current scale: deployments.apps "nobody" not found')


def test_a_series(side: Side, space: str) -> None:
    new, core = at("events.k8s.io/v1", space, "events"), at("v1", space, "events")
    side.make(new, NEW | {"regarding": {**NEW["regarding"], "namespace": space}})
    series = {"count": 3, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}
    assert side.patch(f"{new}/one", {"series": series})["series"] == series
    assert side.get(f"{core}/one")["series"] == series


def test_what_the_hpa_controller_tells_is_counted(side: Side, space: str, deployments: str) -> None:
    side.make(deployments, deployment("one", replicas=1))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}
    metric = {"metric": {"name": "none"}, "target": {"type": "Value", "value": "1"}}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5}
    spec["metrics"] = [{"type": "External", "external": metric}]
    side.make(at("autoscaling/v2", space, "horizontalpodautoscalers"), {"metadata": {"name": "one"}, "spec": spec})
    for times in (1, 2):
        found = told(side, at("v1", space, "events"), times)
        assert found["message"] == "New size: 2; reason: Current number of replicas below Spec.MinReplicas"
        assert found["source"] == {"component": "horizontal-pod-autoscaler"}
        assert found["reportingComponent"] == "horizontal-pod-autoscaler"
        assert (found["eventTime"], found["metadata"]["name"].startswith("one.")) == (None, True)
        assert found["firstTimestamp"] <= found["lastTimestamp"]
        side.patch(f"{deployments}/one/scale", {"spec": {"replicas": 1}})


def told(side: Side, events: str, times: int) -> Any:
    """Return the only event about the HPA, once it was told so often."""

    def counted() -> list[Any]:
        items = side.get(events, fieldSelector="reason=SuccessfulRescale,involvedObject.name=one")["items"]
        return [event for event in items if event["count"] == times]

    (found,) = side.until(counted, f"told {times} times")
    return found


def test_a_lease_is_taken_by_one(side: Side, space: str) -> None:
    leases = at("coordination.k8s.io/v1", space, "leases")
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.000006Z"}
    made = side.make(leases, {"metadata": {"name": "one"}, "spec": spec})
    assert made["spec"] == spec
    first, second = ({**made, "spec": {**spec, "holderIdentity": who}} for who in "bc")
    assert side.ask("PUT", f"{leases}/one", first).code == 200
    late = side.ask("PUT", f"{leases}/one", second)
    assert (late.code, late.reason) == (409, "Conflict")
    assert side.get(f"{leases}/one")["spec"]["holderIdentity"] == "b"
    version = {"resourceVersion": made["metadata"]["resourceVersion"]}
    stale = {"metadata": version, "spec": {"holderIdentity": "c"}}
    assert side.ask("PATCH", f"{leases}/one", stale, type_=MERGE).code == 409
