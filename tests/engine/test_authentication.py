"""What a trigger is given by its authentication: KEDA's facts (scale_resolvers_test.go), in tables."""

from typing import Any

import pytest

from keda_py.api.scaled_object import ScaleTrigger
from keda_py.engine.authentication import Resolved, resolve
from keda_py.engine.lookup import Unread
from keda_py.scaler import PodIdentity, ScalerError

from .knowing import UNREAD, Known, Objects

ROLE = "arn:aws:iam::1:role/workload"
OBJECTS: Objects = {
    ("Secret", "ns", "s"): {"key": "hush", "empty": ""},
    ("Secret", "keda", "s"): {"key": "cluster's"},
    ("ConfigMap", "ns", "c"): {"key": "plain"},
    ("ConfigMap", "keda", "c"): {"key": "cluster's plain"},
    ("ServiceAccount", "ns", "worker"): {"eks.amazonaws.com/role-arn": ROLE},
    ("ServiceAccount", "ns", "default"): {},
}
TEMPLATE: dict[str, Any] = {
    "serviceAccountName": "worker",
    "containers": [
        {"name": "web", "env": [{"name": "A", "value": "a"}]},
        {"name": "side", "env": [{"name": "A", "value": "of the side"}]},
    ],
}
PLAIN = {**TEMPLATE, "serviceAccountName": ""}
CLUSTER = "ClusterTriggerAuthentication"


def ref(parameter: str, name: str = "s", key: str = "key") -> dict[str, str]:
    return {"parameter": parameter, "name": name, "key": key}


def resolved(
    spec: dict[str, Any] | None = None,
    *,
    template: Any = TEMPLATE,
    objects: Objects = OBJECTS,
    container: str = "",
    kind: str | None = None,
    **metadata: str,
) -> Resolved:
    known = Known(objects, template, {(kind, "auth"): spec or {}})
    wanted: dict[str, Any] = {"type": "x", "metadata": metadata}
    if spec is not None:
        wanted["authenticationRef"] = {"name": "auth"} | ({"kind": kind} if kind else {})
    return resolve(ScaleTrigger.model_validate(wanted), "ns", container=container, lookups=known)


AUTH: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("nothing", {}, {}),
    ("a Secret", {"secretTargetRef": [ref("p")]}, {"p": "hush"}),
    ("an empty key is what the Secret says", {"secretTargetRef": [ref("p", key="empty")]}, {"p": ""}),
    ("a ConfigMap", {"configMapTargetRef": [ref("p", "c")]}, {"p": "plain"}),
    ("a variable", {"env": [{"parameter": "p", "name": "A"}]}, {"p": "a"}),
    ("of a container", {"env": [{"parameter": "p", "name": "A", "containerName": "side"}]}, {"p": "of the side"}),
    (
        "several",
        {"secretTargetRef": [ref("p"), ref("q")], "configMapTargetRef": [ref("r", "c")]},
        {"p": "hush", "q": "hush", "r": "plain"},
    ),
    (
        "a ConfigMap over a variable",
        {"configMapTargetRef": [ref("p", "c")], "env": [{"parameter": "p", "name": "A"}]},
        {"p": "plain"},
    ),
    (
        "a Secret over a ConfigMap",
        {"secretTargetRef": [ref("p")], "configMapTargetRef": [ref("p", "c")]},
        {"p": "hush"},
    ),
    ("of two the later", {"secretTargetRef": [ref("p", key="empty"), ref("p")]}, {"p": "hush"}),
]


@pytest.mark.parametrize(("spec", "expected"), [case[1:] for case in AUTH], ids=[case[0] for case in AUTH])
def test_parameters(spec: dict[str, Any], expected: dict[str, str]) -> None:
    assert resolved(spec).auth == expected
    assert resolved(spec).pod_identity == PodIdentity()


def test_those_of_the_cluster_are_looked_up_in_its_namespace_and_variables_in_the_target() -> None:
    spec = {
        "secretTargetRef": [ref("p")],
        "configMapTargetRef": [ref("q", "c")],
        "env": [{"parameter": "r", "name": "A"}],
    }
    assert resolved(spec, kind=CLUSTER).auth == {"p": "cluster's", "q": "cluster's plain", "r": "a"}


@pytest.mark.parametrize(
    ("spec", "template", "expected"),
    [
        (None, None, PodIdentity()),
        ({"provider": "none"}, None, PodIdentity("none")),
        ({"provider": "gcp"}, None, PodIdentity("gcp")),
        ({"provider": "aws"}, None, PodIdentity("aws")),
        ({"provider": "aws", "roleArn": "r"}, None, PodIdentity("aws", role_arn="r")),
        (
            {"provider": "aws", "roleArn": "r", "externalID": "e"},
            None,
            PodIdentity("aws", role_arn="r", external_id="e"),
        ),
        ({"provider": "aws", "externalID": "e"}, None, PodIdentity("aws")),
        ({"provider": "aws", "identityOwner": "keda"}, None, PodIdentity("aws")),
        ({"provider": "aws", "identityOwner": "workload"}, TEMPLATE, PodIdentity("aws", role_arn=ROLE)),
        ({"provider": "aws-eks"}, TEMPLATE, PodIdentity("aws-eks", role_arn=ROLE)),
        ({"provider": "aws-eks"}, PLAIN, PodIdentity("aws-eks")),
        (
            {"provider": "azure-workload", "identityId": "i", "identityTenantId": "t", "identityAuthorityHost": "h"},
            None,
            PodIdentity("azure-workload", "i", "t", "h"),
        ),
    ],
)
def test_pod_identity(spec: dict[str, Any] | None, template: Any, expected: PodIdentity) -> None:
    found = resolved({"podIdentity": spec} if spec else {}, template=template)
    assert found.pod_identity == expected
    # As a parameter too: a scaler of KEDA's finds it there.
    assert found.auth.get("awsRoleArn", "") == expected.role_arn


def test_a_role_may_come_from_a_secret() -> None:
    objects: Objects = {("Secret", "ns", "s"): {"key": "r"}}
    spec = {"podIdentity": {"provider": "aws"}, "secretTargetRef": [ref("awsRoleArn")]}
    assert resolved(spec, objects=objects).pod_identity == PodIdentity("aws", role_arn="r")


LATER = {
    "filePath": "x",
    "hashiCorpVault": {
        "address": "http://v", "authentication": "token", "secrets": [{"parameter": "p", "path": "a", "key": "k"}]
    },
    "azureKeyVault": {"vaultUri": "https://v", "secrets": [{"parameter": "p", "name": "n"}]},
    "gcpSecretManager": {"secrets": [{"parameter": "p", "id": "i"}]},
    "awsSecretManager": {"secrets": [{"parameter": "p", "name": "n"}]},
    "boundServiceAccountToken": [{"parameter": "p", "serviceAccountName": "s"}],
    "oauth2": {"type": "clientCredentials", "clientId": "c", "tokenUrl": "https://t"},
}  # fmt: skip

WRONG: list[tuple[str, dict[str, Any], Any, str]] = [
    ("no Secret", {"secretTargetRef": [ref("p", "gone")]}, None, "Secret ns/gone does not exist"),
    ("no key", {"secretTargetRef": [ref("p", key="none")]}, None, "Secret ns/s has no key 'none'"),
    ("no ConfigMap", {"configMapTargetRef": [ref("p", "gone")]}, None, "ConfigMap ns/gone does not exist"),
    ("no variable", {"env": [{"parameter": "p", "name": "B"}]}, TEMPLATE, "has no variable B"),
    ("no container", {"env": [{"parameter": "p", "name": "A", "containerName": "x"}]}, TEMPLATE, "no container 'x'"),
    ("no template", {"env": [{"parameter": "p", "name": "A"}]}, None, "no pod template"),
    (
        "two roles",
        {"podIdentity": {"provider": "aws", "roleArn": "r", "identityOwner": "workload"}},
        TEMPLATE,
        "both roleArn and identityOwner workload",
    ),
    (
        "no role",
        {"podIdentity": {"provider": "aws", "identityOwner": "workload"}},
        PLAIN,
        "ServiceAccount ns/default, which the target runs with, has no annotation eks.amazonaws.com/role-arn",
    ),
    (
        "no ServiceAccount",
        {"podIdentity": {"provider": "aws", "identityOwner": "workload"}},
        {**TEMPLATE, "serviceAccountName": "gone"},
        "ServiceAccount ns/gone does not exist",
    ),
    ("no pods to be as", {"podIdentity": {"provider": "aws", "identityOwner": "workload"}}, None, "no pod template"),
    ("an empty id", {"podIdentity": {"provider": "azure-workload", "identityId": ""}}, None, "identityId is empty"),
    *((name, {name: value}, None, f"{name} is not supported yet") for name, value in LATER.items()),
]


@pytest.mark.parametrize(("spec", "template", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_missing_or_wrong_is_an_error_that_names_it(spec: dict[str, Any], template: Any, says: str) -> None:
    with pytest.raises(ScalerError) as error:
        resolved(spec, template=template)
    assert says in str(error.value)


def test_an_authentication_that_is_not_there_is_an_error() -> None:
    trigger = ScaleTrigger.model_validate({"type": "x", "authenticationRef": {"name": "gone"}})
    with pytest.raises(ScalerError, match="gone does not exist"):
        resolve(trigger, "ns", container="", lookups=Known())


def test_what_the_metadata_names_is_resolved_and_nothing_else() -> None:
    assert resolved(hostFromEnv="A", host="x", emptyFromEnv="").env == {"A": "a"}
    assert resolved(hostFromEnv="A", container="side").env == {"A": "of the side"}
    assert resolved(host="x", template=None).env == {}


def test_while_something_is_not_read_yet_nothing_is_known() -> None:
    unread: Objects = {("Secret", "ns", "s"): UNREAD}
    with pytest.raises(Unread):
        resolved({"secretTargetRef": [ref("p")]}, objects=unread)
    with pytest.raises(Unread):
        resolved(hostFromEnv="A", template=UNREAD)
    with pytest.raises(ScalerError, match="gone"):
        resolved({"secretTargetRef": [ref("p"), ref("q", "gone")]}, objects=unread)


def test_values_are_not_shown() -> None:
    found = resolved({"secretTargetRef": [ref("p")]}, hostFromEnv="A")
    assert "hush" not in repr(found)
    assert "'a'" not in repr(found)
