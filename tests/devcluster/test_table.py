"""What ``kubectl get`` shows: columns, in their order and with their priority, and cells."""

import re
from typing import Any

import pytest

from keda_py.api.crd import KINDS, definition

from .side import TABLE, Side, at, config_map, deployment
from .widget import widget

AGE = re.compile(r"\d+s")


def shown(side: Side, path: str, **params: Any) -> dict[str, Any]:
    found = side.ask("GET", path, accept=TABLE, **params)
    assert (found.code, found.body["kind"], found.body["apiVersion"]) == (200, "Table", "meta.k8s.io/v1")
    return dict(found.body)


def columns(table: dict[str, Any]) -> list[str]:
    """Return the names of the columns; in brackets those that are shown with ``-o wide`` only."""
    return [f"({c['name']})" if c["priority"] else c["name"] for c in table["columnDefinitions"]]


@pytest.mark.parametrize(
    ("version", "plural", "names"),
    [
        ("v1", "pods", "Name Ready Status Restarts Age (IP) (Node) (Nominated Node) (Readiness Gates)"),
        ("v1", "configmaps", "Name Data Age"),
        ("v1", "secrets", "Name Type Data Age"),
        ("v1", "serviceaccounts", "Name Age"),
        ("v1", "services", "Name Type Cluster-IP External-IP Port(s) Age (Selector)"),
        ("apps/v1", "deployments", "Name Ready Up-to-date Available Age (Containers) (Images) (Selector)"),
        ("apps/v1", "replicasets", "Name Desired Current Ready Age (Containers) (Images) (Selector)"),
        ("apps/v1", "statefulsets", "Name Ready Age (Containers) (Images)"),
        ("batch/v1", "jobs", "Name Status Completions Duration Age (Containers) (Images) (Selector)"),
        ("autoscaling/v2", "horizontalpodautoscalers", "Name Reference Targets MinPods MaxPods Replicas Age"),
        ("coordination.k8s.io/v1", "leases", "Name Holder Age"),
        ("v1", "events",
         "Last Seen, Type, Reason, Object, (Subobject), (Source), Message, (First Seen), (Count), (Name)"),
        ("events.k8s.io/v1", "events",
         "Last Seen, Type, Reason, Object, (Subobject), (Source), Message, (First Seen), (Count), (Name)"),
        ("test.example/v1", "widgets", "Name Size Phase (Color) Age"),
    ],
)  # fmt: skip
def test_columns(side: Side, space: str, version: str, plural: str, names: str) -> None:
    joined = ", ".join(columns(shown(side, at(version, space, plural))))
    assert joined.replace(", ", " ") == names.replace(", ", " ")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_of_our_kinds(side: Side, space: str, kind: Any) -> None:
    defined = definition(kind)["spec"]
    version = defined["versions"][0]
    names = ["Name", *(c["name"] for c in version["additionalPrinterColumns"])]
    here = space if defined["scope"] == "Namespaced" else ""
    table = shown(side, at(f"{defined['group']}/{version['name']}", here, defined["names"]["plural"]))
    assert [c["name"] for c in table["columnDefinitions"]] == names


def cells(side: Side, path: str) -> list[Any]:
    """Return the cells of the only row."""
    (row,) = shown(side, path)["rows"]
    return list(row["cells"])


def test_cells_of_a_deployment(side: Side, deployments: str) -> None:
    side.make(deployments, deployment("one", replicas=2))
    side.until(lambda: cells(side, deployments)[1] == "2/2", "both run")
    found = cells(side, deployments)
    assert AGE.fullmatch(found[4])
    assert [*found[:4], *found[5:]] == ["one", "2/2", 2, 2, "main", "none", "app=one"]
    side.patch(f"{deployments}/one/scale", {"spec": {"replicas": 0}})
    side.until(lambda: cells(side, deployments)[1:4] == ["0/0", 0, 0], "none runs")


def test_cells_of_replica_sets_and_pods(side: Side, space: str, deployments: str) -> None:
    side.make(deployments, deployment("one", replicas=1))
    sets, pods = at("apps/v1", space, "replicasets"), at("v1", space, "pods")
    side.until(lambda: [r["cells"][3] for r in shown(side, sets)["rows"]] == [1], "it runs")
    name, *rest = cells(side, sets)
    assert re.fullmatch(r"one-[a-z0-9]+", name)
    assert [*rest[:3], *rest[4:6]] == [1, 1, 1, "main", "none"]
    assert re.fullmatch(r"app=one,pod-template-hash=[a-z0-9]+", rest[6])
    pod, *rest = cells(side, pods)
    assert pod.startswith(f"{name}-")
    assert rest[:3] == ["1/1", "Running", "0"]
    assert rest[6:] == ["<none>", "<none>"]


def external(**target: str) -> dict[str, Any]:
    type_ = "AverageValue" if "averageValue" in target else "Value"
    return {"type": "External", "external": {"metric": {"name": "none"}, "target": {"type": type_, **target}}}


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


@pytest.mark.parametrize(
    ("specs", "targets"),
    [
        ([external(averageValue="5")], "<unknown>/5 (avg)"),
        ([external(value="1500m")], "<unknown>/1500m"),
        ([CPU], "cpu: <unknown>/50%"),
        ([external(averageValue="5"), CPU], "<unknown>/5 (avg), cpu: <unknown>/50%"),
        ([external(averageValue="5"), CPU, external(value="7")], "<unknown>/5 (avg), cpu: <unknown>/50% + 1 more..."),
    ],
)
def test_cells_of_an_hpa(side: Side, space: str, specs: list[Any], targets: str) -> None:
    hpas = at("autoscaling/v2", space, "horizontalpodautoscalers")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    spec = {"scaleTargetRef": target, "maxReplicas": 5, "metrics": specs}
    side.make(hpas, {"metadata": {"name": "one"}, "spec": spec})
    found = cells(side, hpas)
    assert found[:6] == ["one", "Deployment/none", targets, "1", 5, 0]


def test_cells_of_an_event(side: Side, space: str) -> None:
    event = {
        "metadata": {"name": "one"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "type": "Normal",
        "reason": "Tried",
        "action": "Try",
        "note": "it works",
        "regarding": {"kind": "ConfigMap", "name": "thing", "namespace": space},
        "reportingController": "tester",
        "reportingInstance": "tester-0",
    }
    side.make(at("events.k8s.io/v1", space, "events"), event)
    for version in ("v1", "events.k8s.io/v1"):
        found = cells(side, at(version, space, "events"))
        assert found[1:7] == ["Normal", "Tried", "configmap/thing", "", "tester, tester-0", "it works"]
        assert found[8:] == [1, "one"]
        assert re.fullmatch(r"\d+[dy].*", found[0])


def test_cells_of_a_custom_resource(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one", size=3))
    assert cells(side, widgets)[:4] == ["one", 3, None, "red"]
    side.patch(f"{widgets}/one/status", {"status": {"phase": "Up"}})
    found = cells(side, widgets)
    assert found[:4] == ["one", 3, "Up", "red"]
    assert AGE.fullmatch(found[4])


def test_a_scaled_object(side: Side, space: str) -> None:
    path = at("keda.sh/v1alpha1", space, "scaledobjects")
    spec = {"scaleTargetRef": {"name": "worker"}, "triggers": [{"type": "cron", "metadata": {}}], "maxReplicaCount": 7}
    api = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
    side.make(path, {**api, "metadata": {"name": "one"}, "spec": spec})
    table = shown(side, path)
    row = dict(zip(columns(table), table["rows"][0]["cells"], strict=True))
    assert (row["Name"], row["ScaleTargetName"], row["Max"], row["Ready"]) == ("one", "worker", 7, None)


def test_one_object_and_a_page_as_tables(side: Side, widgets: str) -> None:
    for name in "abc":
        side.make(widgets, widget(name))
    assert [row["cells"][0] for row in shown(side, f"{widgets}/b")["rows"]] == ["b"]
    first = shown(side, widgets, limit=2)
    assert [row["cells"][0] for row in first["rows"]] == ["a", "b"]
    rest = shown(side, widgets, limit=2, **{"continue": first["metadata"]["continue"]})
    assert [row["cells"][0] for row in rest["rows"]] == ["c"]
    row = rest["rows"][0]["object"]
    assert (row["kind"], row["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert row["metadata"]["name"] == "c"
    assert "spec" not in row


def test_how_much_of_its_object_a_row_carries(side: Side, space: str, widgets: str) -> None:
    made = side.make(widgets, widget("one"))
    for wanted in ("Object", "Metadata", "", "None"):
        rows = [shown(side, path, includeObject=wanted)["rows"] for path in (widgets, f"{widgets}/one")]
        assert rows[0] == rows[1]
        found = rows[0][0]["object"]
        if wanted == "Object":
            assert without_fields(found) == without_fields(made)
        elif wanted == "None":
            assert found is None
        else:
            assert (found["kind"], found["metadata"]["uid"]) == ("PartialObjectMetadata", made["metadata"]["uid"])
            assert "spec" not in found
    # Of built-in kinds too a row says of what kind its object is, as a list does not.
    side.make(at("v1", space, "configmaps"), config_map("one", a="1"))
    rows = shown(side, at("v1", space, "configmaps"), includeObject="Object")["rows"]
    assert ("ConfigMap", "v1", {"a": "1"}) in [
        (r["object"]["kind"], r["object"]["apiVersion"], r["object"].get("data")) for r in rows
    ]


def without_fields(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"metadata": {name: v for name, v in found["metadata"].items() if name != "managedFields"}}


def test_a_watch_as_a_table_carries_them_too(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one", size=3))
    for wanted in ("Object", "Metadata", "None"):
        with side.watch(widgets, TABLE, includeObject=wanted) as events:
            (row,) = next(events)["object"]["rows"]
        found = row["object"]
        assert (found and found["kind"]) == {"Object": "Widget", "Metadata": "PartialObjectMetadata"}.get(wanted)
        assert (found or {}).get("spec", {}).get("size") == (3 if wanted == "Object" else None)


def test_more_than_the_object_is_refused(side: Side, widgets: str) -> None:
    side.make(widgets, widget("one"))
    for path, more in ((widgets, {}), (f"{widgets}/one", {}), (widgets, {"watch": "1", "timeoutSeconds": "1"})):
        found = side.ask("GET", path, accept=TABLE, includeObject="All", **more)
        assert (found.code, found.reason) == (400, "BadRequest")
        assert "includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty" in found.message
