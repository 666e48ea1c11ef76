"""Built-in kinds: what is filled in, what is left out, and what is refused of their fields."""

import json
from copy import deepcopy
from typing import Any

import pytest

from keda_py.devcluster import builtin

from .side import JSON_PATCH, MERGE, STRATEGIC, Side, at, config_map, deployment
from .widget import WIDGETS, widget

DEPLOYMENT = ("apps/v1", "deployments", deployment("one"))
CONTAINER = {"name": "main", "image": "none"}
LABELS = {"app": "one"}
POD = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
STATEFUL_SET = ("apps/v1", "statefulsets", {"metadata": {"name": "one"}, "spec": {
    "replicas": 0, "serviceName": "s", "selector": {"matchLabels": LABELS}, "template": POD}})  # fmt: skip
JOB = ("batch/v1", "jobs", {"metadata": {"name": "one"}, "spec": {"suspend": True, "template": {
    "spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}})  # fmt: skip
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
HPA = ("autoscaling/v2", "horizontalpodautoscalers", {
    "metadata": {"name": "one"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3}})  # fmt: skip
EXTERNAL = {"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}
SECRET = ("v1", "secrets", {"metadata": {"name": "one"}, "data": {"a": "MQ=="}})
MAP = ("v1", "configmaps", config_map("one", a="1"))
POLICY = {"type": "Pods", "value": 1, "periodSeconds": 15}
ABSENT = object()


def with_(body: Any, path: str, value: Any) -> Any:
    """Return a body with another value at a path; without one if that is `ABSENT`."""
    made = deepcopy(body)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    found = made
    for step in way:
        found = found.setdefault(step, {}) if isinstance(found, dict) else found[step]
    if value is ABSENT:
        del found[last]
    else:
        found[last] = value
    return made


def value_at(body: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(body, dict) and step not in body:
            return ABSENT
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


TEMPLATE = "spec.template.spec"


@pytest.mark.parametrize(
    ("kind", "path", "value", "shown", "as_"),
    [
        (DEPLOYMENT, "spec.replicas", ABSENT, "spec.replicas", 1),
        (DEPLOYMENT, "spec.strategy", {}, "spec.strategy",
         {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        (DEPLOYMENT, "spec.strategy", {"rollingUpdate": {"maxSurge": 2}}, "spec.strategy.rollingUpdate",
         {"maxSurge": 2, "maxUnavailable": "25%"}),
        (DEPLOYMENT, "spec.strategy", {"type": "Recreate"}, "spec.strategy", {"type": "Recreate"}),
        (DEPLOYMENT, f"{TEMPLATE}.terminationGracePeriodSeconds", None, TEMPLATE, {
            "containers": [{**CONTAINER, "resources": {}, "terminationMessagePath": "/dev/termination-log",
                            "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler"}),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.image", "a:1", f"{TEMPLATE}.containers.0.imagePullPolicy",
         "IfNotPresent"),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.image", "h:5/a:latest", f"{TEMPLATE}.containers.0.imagePullPolicy",
         "Always"),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.ports", [{"containerPort": 8}], f"{TEMPLATE}.containers.0.ports",
         [{"containerPort": 8, "protocol": "TCP"}]),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.livenessProbe", {"httpGet": {"port": "http"}},
         f"{TEMPLATE}.containers.0.livenessProbe",
         {"httpGet": {"path": "/", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
          "successThreshold": 1, "failureThreshold": 3}),
        (DEPLOYMENT, f"{TEMPLATE}.volumes", [{"name": "v", "secret": {"secretName": "s"}}], f"{TEMPLATE}.volumes",
         [{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}]),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.resources", {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
         f"{TEMPLATE}.containers.0.resources.requests", {"cpu": "500m", "memory": "1Gi"}),
        (DEPLOYMENT, f"{TEMPLATE}.hostNetwork", False, f"{TEMPLATE}.hostNetwork", ABSENT),
        (DEPLOYMENT, f"{TEMPLATE}.automountServiceAccountToken", False, f"{TEMPLATE}.automountServiceAccountToken",
         False),
        (STATEFUL_SET, "metadata.name", "one", "spec.updateStrategy",
         {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        (STATEFUL_SET, "metadata.name", "one", "spec.persistentVolumeClaimRetentionPolicy",
         {"whenDeleted": "Retain", "whenScaled": "Retain"}),
        (JOB, "spec.parallelism", None, "spec.completions", 1),
        (JOB, "spec.parallelism", 3, "spec.completions", ABSENT),
        (JOB, "spec.parallelism", 3, "spec.completionMode", "NonIndexed"),
        (JOB, "spec.parallelism", 3, "spec.podReplacementPolicy", "TerminatingOrFailed"),
        (HPA, "spec.minReplicas", None, "spec.metrics", [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
        (HPA, "spec.behavior", {"scaleDown": {"stabilizationWindowSeconds": 5}}, "spec.behavior", {
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"stabilizationWindowSeconds": 5, "selectPolicy": "Max", "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15}]}}),
        (HPA, "spec.metrics", [with_(EXTERNAL, "external.target.value", "1000m")],
         "spec.metrics.0.external.target.value", "1"),
        (HPA, "metadata.name", "one", "metadata.generation", ABSENT),
        (SECRET, "type", None, "type", "Opaque"),
        (MAP, "data", {}, "data", ABSENT),
        (MAP, "metadata.labels", {}, "metadata.labels", ABSENT),
        (MAP, "metadata.labels", None, "metadata.labels", ABSENT),
    ],
)  # fmt: skip
def test_what_is_filled_in_and_left_out(
    side: Side, space: str, *, kind: Any, path: str, value: Any, shown: str, as_: Any
) -> None:
    version, plural, body = kind
    made = side.make(at(version, space, plural), with_(body, path, value))
    assert value_at(made, shown) == as_
    assert value_at(side.get(at(version, space, plural, "one")), shown) == as_


@pytest.mark.parametrize(
    ("kind", "path", "value", "code", "said"),
    [
        (DEPLOYMENT, "spec.replicas", "two", 400, 'Deployment in version "v1" cannot be handled as a Deployment: '),
        (DEPLOYMENT, "spec.replicas", "two", 400,
         "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, "spec.replicas", 1.5, 400,
         "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.env", [{"name": "A", "value": 1}], 400,
         "Go struct field EnvVar.spec.template.spec.containers.env.value of type string"),
        (DEPLOYMENT, f"{TEMPLATE}.containers", {}, 400,
         "Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.resources", {"requests": {"cpu": "much"}}, 400,
         "quantities must match the regular expression"),
        (DEPLOYMENT, "metadata.labels", {"a": 1}, 400,
         "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
        (DEPLOYMENT, "spec.replicas", -1, 422, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (DEPLOYMENT, f"{TEMPLATE}.containers", [], 422, "spec.template.spec.containers: Required value"),
        (DEPLOYMENT, f"{TEMPLATE}.containers.0.image", "", 422,
         "spec.template.spec.containers[0].image: Required value"),
        (DEPLOYMENT, f"{TEMPLATE}.restartPolicy", "Never", 422, 'Unsupported value: "Never": supported'),
        (DEPLOYMENT, "spec.selector", {"matchLabels": {"other": "x"}}, 422,
         'spec.template.metadata.labels: Invalid value: {"app":"one"}: `selector` does not match template `labels`'),
        (JOB, "spec.parallelism", -1, 422, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        (JOB, f"{TEMPLATE}.restartPolicy", None, 422,
         'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (MAP, "data", {"a": 1}, 400,
         "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (MAP, "data", {"a b": "1"}, 422, 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        (SECRET, "data", {"a": "no base64"}, 400, "illegal base64 data at input byte 2"),
        (HPA, "spec.maxReplicas", 0, 422, "spec.maxReplicas: Required value: must be set and greater than 0"),
        (HPA, "spec.minReplicas", 0, 422, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
        (HPA, "spec.minReplicas", 4, 422, "Invalid value: 3: must be greater than or equal to `minReplicas`"),
        (HPA, "spec.scaleTargetRef.name", "", 422, "spec.scaleTargetRef.name: Required value"),
        (HPA, "spec.metrics", [{"type": "Sum"}], 422, 'spec.metrics[0].type: Unsupported value: "Sum"'),
        (HPA, "spec.metrics", [{"type": "External"}], 422,
         "spec.metrics[0].external: Required value: must populate information for the given metric source"),
        (HPA, "spec.metrics", [with_(EXTERNAL, "external.target.value", "0")], 422,
         'spec.metrics[0].external.target.value: Invalid value: "0": must be positive'),
        (HPA, "spec.metrics", [with_(EXTERNAL, "external.target.averageValue", "1")], 422,
         "may not set both a target value for metric and a per-pod target"),
        (HPA, "spec.behavior", {"scaleUp": {"stabilizationWindowSeconds": 3601}}, 422,
         "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600"),
        (HPA, "spec.behavior", {"scaleUp": {"selectPolicy": "All"}}, 422,
         'spec.behavior.scaleUp.selectPolicy: Unsupported value: "All": supported values: "Disabled", "Max", "Min"'),
        (HPA, "spec.behavior", {"scaleDown": {"policies": [{**POLICY, "value": 0}]}}, 422,
         "spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero"),
        (HPA, "spec.behavior", {"scaleDown": {"policies": [{**POLICY, "periodSeconds": 1801}]}}, 422,
         "policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"),
        (HPA, "spec.behavior", {"scaleDown": {"policies": [{**POLICY, "type": "Share"}]}}, 422,
         'policies[0].type: Unsupported value: "Share": supported values: "Percent", "Pods"'),
        (HPA, "spec.behavior", {"scaleDown": {"tolerance": "-1"}}, 422,
         'spec.behavior.scaleDown.tolerance: Invalid value: "-1": must be greater than or equal to 0'),
    ],
)  # fmt: skip
def test_what_is_refused(side: Side, space: str, *, kind: Any, path: str, value: Any, code: int, said: str) -> None:
    version, plural, body = kind
    refused = side.ask("POST", at(version, space, plural), with_(body, path, value))
    assert refused.code == code, refused
    assert said in refused.message


@pytest.mark.parametrize(
    ("kind", "path", "patch", "said"),
    [
        (DEPLOYMENT, "", {"spec": {"selector": {"matchLabels": {"app": "b"}}}}, "spec.selector: Invalid value: "),
        (JOB, "", {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}, "field is immutable"),
        (SECRET, "type", {"type": "other/type"}, 'type: Invalid value: "other/type": field is immutable'),
        (SECRET, "immutable", {"data": {"a": "Mg=="}}, "data: Forbidden: field is immutable when `immutable` is set"),
        (MAP, "immutable", {"data": {"a": "2"}}, "data: Forbidden: field is immutable when `immutable` is set"),
        (MAP, "immutable", {"immutable": None}, "immutable: Forbidden: field is immutable when `immutable` is set"),
    ],
)
def test_what_is_not_changed(side: Side, space: str, *, kind: Any, path: str, patch: Any, said: str) -> None:
    version, plural, body = kind
    side.make(at(version, space, plural), with_(body, path, True) if path == "immutable" else body)
    refused = side.ask("PATCH", at(version, space, plural, "one"), patch, type_=MERGE)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert said in refused.message


@pytest.mark.parametrize(
    ("version", "plural", "body", "field"),
    [
        (*DEPLOYMENT[:2], with_(DEPLOYMENT[2], f"{TEMPLATE}.containers.0.imaje", "x"),
         "spec.template.spec.containers[0].imaje"),
        ("v1", "configmaps", config_map("one") | {"dada": {}}, "dada"),
        ("v1", "configmaps", with_(config_map("one"), "metadata.label", {}), "metadata.label"),
        ("test.example/v1", WIDGETS, widget("one", sise=2), "spec.sise"),
    ],
)  # fmt: skip
def test_fields_that_do_not_exist(side: Side, space: str, *, version: str, plural: str, body: Any, field: str) -> None:
    path = at(version, space, plural)
    refused = side.ask("POST", path, body, fieldValidation="Strict")
    assert (refused.code, refused.reason) == (400, "BadRequest")
    assert f'strict decoding error: unknown field "{field}"' in refused.message
    assert side.ask("POST", path, body, dryRun="All", fieldValidation="Ignore").warnings == ()
    warned = side.ask("POST", path, body)
    assert (warned.code, warned.warnings) == (201, (f'299 - "unknown field \\"{field}\\""',))
    assert field.rpartition(".")[2] not in json.dumps(side.get(f"{path}/one"))
    assert side.ask("PATCH", f"{path}/one", {"spek": {}}, type_=MERGE).warnings == ('299 - "unknown field \\"spek\\""',)
    refused = side.ask("PATCH", f"{path}/one", {"spek": {}}, type_=MERGE, fieldValidation="Strict")
    assert (refused.code, refused.reason) == (422, "Invalid")


def test_a_patch_that_makes_a_value_of_another_type(side: Side, maps: str) -> None:
    side.make(maps, config_map("one", {"l": "m"}, a="1"))
    refused = side.ask("PATCH", f"{maps}/one", {"data": {"a": 1}}, type_=MERGE)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "json: cannot unmarshal number into Go struct field ConfigMap.data of type string" in refused.message
    assert [cause["field"] for cause in refused.body["details"]["causes"]] == ["patch"]
    assert side.ask("PATCH", f"{maps}/one", {"op": "add"}, type_=JSON_PATCH).code == 400
    assert side.ask("PATCH", f"{maps}/one", {"metadata": {"labels": {"$patch": "bad"}}}, type_=STRATEGIC).code == 500
    emptied = {"data": {"$patch": "delete"}}
    assert "data" not in side.patch(f"{maps}/one", emptied, STRATEGIC)


def test_the_labels_of_a_job_and_of_a_namespace(side: Side, space: str) -> None:
    version, plural, body = JOB
    made = side.make(at(version, space, plural), body)
    uid = made["metadata"]["uid"]
    labels = {"controller-uid": uid, "batch.kubernetes.io/controller-uid": uid}
    labels |= {"job-name": "one", "batch.kubernetes.io/job-name": "one"}
    assert made["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"] == labels
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    (warned,) = side.ask("DELETE", at(version, space, plural, "one")).warnings
    assert "child pods are preserved by default when jobs are deleted" in warned
    found = side.get(f"/api/v1/namespaces/{space}")
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": space}
    side.until(lambda: side.ask("GET", at("v1", space, "serviceaccounts", "default")).code == 200, "who pods run as")


def flat(schema: Any, known: Any, path: str = "", within: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the types of all fields of a schema by their paths."""
    for wrapper in ("allOf", "oneOf"):
        schema = {**schema, **schema[wrapper][0]} if schema.get(wrapper) else schema
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name in within:
            return {}
        return flat(known[name], known, path, (*within, name))
    if schema.get("properties"):
        fields = (flat(inner, known, f"{path}.{name}", within) for name, inner in schema["properties"].items())
        return {key: type_ for found in fields for key, type_ in found.items()}
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            return flat(schema[word], known, f"{path}[]" if word == "items" else f"{path}{{}}", within)
    return {path: schema.get("type", "any").replace("object", "any")}


GROUPS = {f"apis/{version}": version.partition("/")[0] for version in (
    "apps/v1", "batch/v1", "autoscaling/v2", "coordination.k8s.io/v1", "events.k8s.io/v1")}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("api/v1", "ConfigMap"), ("api/v1", "Secret"), ("api/v1", "Pod"), ("api/v1", "ServiceAccount"),
        ("api/v1", "Service"), ("api/v1", "Event"), ("apis/apps/v1", "Deployment"), ("apis/apps/v1", "StatefulSet"),
        ("apis/apps/v1", "ReplicaSet"), ("apis/batch/v1", "Job"), ("apis/coordination.k8s.io/v1", "Lease"),
        ("apis/autoscaling/v2", "HorizontalPodAutoscaler"), ("apis/events.k8s.io/v1", "Event"),
    ],
)  # fmt: skip
def test_the_fields_of_each_kind(side: Side, *, version: str, kind: str) -> None:
    """What is declared here are the fields that the API server has, all of them, with their types."""
    known = side.get(f"/openapi/v3/{version}")["components"]["schemas"]
    about = {"group": GROUPS.get(version, ""), "version": version.rpartition("/")[2], "kind": kind}
    name = next(name for name, found in known.items() if about in found.get("x-kubernetes-group-version-kind", ()))
    found = flat(known[name], known)
    declared = flat(builtin.schema("events.Event" if "events" in version else kind), {})
    assert set(declared) == set(found)
    same = {path for path in declared if "any" not in (declared[path], found[path])}
    assert {path: declared[path] for path in same} == {path: found[path] for path in same}
