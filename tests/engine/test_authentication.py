"""What a trigger is given by its authentication: KEDA's facts (scale_resolvers_test.go), in tables."""

from typing import Any

import pytest

from keda_py.api.scaled_object import ScaleTrigger
from keda_py.engine.credentials.authentication import Resolved, resolve
from keda_py.engine.credentials.lookup import Section, Token, Unread
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
BOUND = {"parameter": "p", "serviceAccountName": "gone"}
GRANT: dict[str, Any] = {"type": "clientCredentials", "clientId": "me", "tokenUrl": "https://t/x"}


def in_secret(name: str, key: str = "key") -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def ref(parameter: str, name: str = "s", key: str = "key") -> dict[str, str]:
    return {"parameter": parameter, "name": name, "key": key}


def resolved(
    spec: dict[str, Any] | None = None,
    *,
    template: Any = TEMPLATE,
    objects: Objects = OBJECTS,
    container: str = "",
    kind: str | None = None,
    known: Known | None = None,
    **metadata: str,
) -> Resolved:
    known = known or Known()
    known.objects, known.template, known.authentications = objects, template, {(kind, "auth"): spec or {}}
    known.stored.setdefault("a token for ServiceAccount ns/gone", ScalerError("may not be made"))
    wanted: dict[str, Any] = {"type": "x", "metadata": metadata}
    if spec is not None:
        wanted["authenticationRef"] = {"name": "auth"} | ({"kind": kind} if kind else {})
    return resolve(ScaleTrigger.model_validate(wanted), "ns", container=container, lookups=known)


VAULT = {"address": "http://v", "authentication": "token", "secrets": [ref("clientID") | {"path": "x"}]}
# Every way to a parameter, in the order in which KEDA goes through them, with what each gives for it.
WAYS: list[tuple[dict[str, Any], str]] = [
    ({"env": [{"parameter": "clientID", "name": "A"}]}, "a"),
    ({"configMapTargetRef": [ref("clientID", "c")]}, "cluster's plain"),
    ({"secretTargetRef": [ref("clientID")]}, "cluster's"),
    ({"hashiCorpVault": VAULT}, "of hashiCorpVault"),
    ({"azureKeyVault": {"vaultUri": "https://v", "secrets": [ref("clientID")]}}, "of azureKeyVault"),
    ({"gcpSecretManager": {"secrets": [{"parameter": "clientID", "id": "i"}]}}, "of gcpSecretManager"),
    ({"awsSecretManager": {"secrets": [ref("clientID")]}}, "of awsSecretManager"),
    ({"boundServiceAccountToken": [{"parameter": "clientID", "serviceAccountName": "worker"}]}, "a bound token"),
    ({"oauth2": GRANT}, "me"),
]  # fmt: skip
STORES = ("hashiCorpVault", "azureKeyVault", "gcpSecretManager", "awsSecretManager")


def everything() -> Known:
    """Return what knows all stores, tokens and files."""
    stored: dict[str, dict[str, str] | Exception] = {
        f"{CLUSTER} auth: {name}": {"clientID": f"of {name}"} for name in STORES
    }
    stored["a token for ServiceAccount keda/worker"] = {"token": "a bound token"}
    stored["filePath creds.json"] = {"clientID": "of a file"}
    return Known(stored=stored)


@pytest.mark.parametrize("later", range(len(WAYS)))
@pytest.mark.parametrize("earlier", range(len(WAYS)))
def test_of_all_ways_to_a_parameter_the_later_wins(earlier: int, later: int) -> None:
    if earlier > later:
        earlier, later = later, earlier
    # The order in the manifest has no say.
    found = resolved({**WAYS[later][0], **WAYS[earlier][0]}, kind=CLUSTER, known=everything())
    assert found.auth["clientID"] == WAYS[later][1]


def test_a_file_stands_for_all_but_the_pod_identity() -> None:
    spec = {name: value for way, _ in WAYS for name, value in way.items()}
    spec |= {"filePath": "creds.json", "podIdentity": {"provider": "aws", "roleArn": "r"}}
    known = everything()
    found = resolved(spec, kind=CLUSTER, template=None, known=known)
    assert found.auth == {"clientID": "of a file", "awsRoleArn": "r"}
    assert found.pod_identity == PodIdentity("aws", role_arn="r")
    assert (known.asked, [str(what) for what in known.looked]) == (set(), ["filePath creds.json"]), "only what counts"


def test_a_grant_is_the_parameters_of_scalers_that_ask_for_a_token() -> None:
    spec = GRANT | {
        "clientSecret": in_secret("s"),
        "scopes": ["a", "b"],
        "tokenUrlParams": {"z": "1", "audience": "https://x y"},
    }
    assert resolved({"oauth2": GRANT}).auth == {"oauthTokenURI": "https://t/x", "clientID": "me"}
    assert resolved({"oauth2": spec}).auth == {
        "oauthTokenURI": "https://t/x",
        "clientID": "me",
        "clientSecret": "hush",
        "scopes": "a,b",
        "endpointParams": "audience=https%3A%2F%2Fx+y&z=1",
    }


def sections(spec: dict[str, Any], kind: str, known: Known) -> list[Section]:
    title = f"{kind} auth"
    known.stored |= {f"{title}: {name}": {} for name in STORES}
    resolved(spec, kind=kind, known=known)
    return [what for what in known.looked if isinstance(what, Section)]


ACCOUNT = {"authentication": "kubernetes", "credential": {"serviceAccountName": "worker"}}
AZURE = {"clientId": "c", "tenantId": "t", "clientSecret": in_secret("s")}
AWS = {"accessKey": in_secret("s"), "accessSecretKey": in_secret("s")}


@pytest.mark.parametrize(
    ("section", "credentials", "identity"),
    [
        (WAYS[3][0], {}, PodIdentity()),
        ({"hashiCorpVault": VAULT | ACCOUNT}, {"serviceAccountToken": "of ns"}, PodIdentity()),
        ({"azureKeyVault": WAYS[4][0]["azureKeyVault"] | {"credentials": AZURE}}, {"clientSecret": "S"}, PodIdentity()),
        (
            {"azureKeyVault": WAYS[4][0]["azureKeyVault"] | {"podIdentity": {"provider": "azure-workload"}}},
            {},
            PodIdentity("azure-workload"),
        ),
        (
            {"gcpSecretManager": WAYS[5][0]["gcpSecretManager"] | {"credentials": {"clientSecret": in_secret("s")}}},
            {"clientSecret": "S"},
            PodIdentity(),
        ),
        (
            {"awsSecretManager": WAYS[6][0]["awsSecretManager"] | {"credentials": AWS}},
            {"accessKey": "S", "accessSecretKey": "S"},
            PodIdentity(),
        ),
        (
            {
                "awsSecretManager": WAYS[6][0]["awsSecretManager"]
                | {"credentials": AWS | {"accessToken": in_secret("s")}},
            },
            {"accessKey": "S", "accessSecretKey": "S", "accessToken": "S"},
            PodIdentity(),
        ),
        (
            {
                "awsSecretManager": WAYS[6][0]["awsSecretManager"]
                | {"podIdentity": {"provider": "aws", "identityOwner": "workload"}},
            },
            {},
            PodIdentity("aws", role_arn=ROLE),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "secret"), [("TriggerAuthentication", "hush"), (CLUSTER, "cluster's")])
def test_a_store_is_opened_with_what_its_section_refers_to(
    section: dict[str, Any], credentials: dict[str, str], identity: PodIdentity, kind: str, secret: str
) -> None:
    # As in KEDA, Vault's ServiceAccount is of the object's namespace, and Secrets are of the authentication's.
    known = Known(stored={"a token for ServiceAccount ns/worker": {"token": "of ns"}})
    (found,) = sections(section, kind, known)
    wanted = {name: secret if value == "S" else value for name, value in credentials.items()}
    assert (found.access.credentials, found.access.pod_identity) == (wanted, identity)
    assert secret not in repr(found)


def test_a_store_is_not_asked_with_credentials_that_are_not_there() -> None:
    azure = {"vaultUri": "https://v", "secrets": [ref("p")], "credentials": AZURE | {"clientSecret": in_secret("gone")}}
    vault = {**VAULT, **ACCOUNT, "credential": {"serviceAccountName": "gone"}}
    known = Known()
    with pytest.raises(ScalerError, match="Secret ns/gone does not exist"):
        resolved({"azureKeyVault": azure}, known=known)
    with pytest.raises(ScalerError, match="may not be made"):
        resolved({"hashiCorpVault": vault}, known=known)
    known.stored["a token for ServiceAccount ns/gone"] = UNREAD
    with pytest.raises(Unread):
        resolved({"hashiCorpVault": vault}, known=known)
    assert {type(what) for what in known.looked} == {Token}


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


def test_a_token_is_for_the_authentications_namespace() -> None:
    spec = {"boundServiceAccountToken": [{"parameter": "p", "serviceAccountName": "worker"}]}
    stored: dict[str, dict[str, str] | Exception] = {
        f"a token for ServiceAccount {namespace}/worker": {"token": f"of {namespace}"} for namespace in ("ns", "keda")
    }
    assert resolved(spec, known=Known(stored=stored)).auth == {"p": "of ns"}
    assert resolved(spec, kind=CLUSTER, known=Known(stored=stored)).auth == {"p": "of keda"}


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
    ("a file", {"filePath": "x"}, None, "filePath is for ClusterTriggerAuthentications"),
    ("no ServiceAccount's token", {"boundServiceAccountToken": [BOUND]}, None, "may not be made"),
    ("no grant's Secret", {"oauth2": GRANT | {"clientSecret": in_secret("gone")}}, None, "Secret ns/gone does not"),
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
