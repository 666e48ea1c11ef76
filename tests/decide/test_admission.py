"""What the webhook refuses of an object by itself, and how it is told. The tables are those of KEDA's own tests."""

from typing import Any

import pytest

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.api.cloud_event_source import CloudEventSourceSpec
from keda_py.api.scaled_job import ScaledJobSpec
from keda_py.api.scaled_object import ScaledObject
from keda_py.decide import admission
from keda_py.decide.admission import LONGEST_WARNING, MOST, Finding, Verdict
from keda_py.naming import Refusal

CRON = {"type": "cron", "metadata": {}}
CPU = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}
FALLBACK = {"failureThreshold": 3, "replicas": 2}
EVENT = "keda.scaledobject.ready.v1"


def scaled_object(name: str = "app", **spec: Any) -> ScaledObject:
    whole = {"scaleTargetRef": {"name": "app"}, "triggers": [CRON], **spec}
    return ScaledObject.parse({"metadata": {"name": name, "namespace": "shop"}, "spec": whole})


def reasons(name: str = "app", **spec: Any) -> list[str]:
    return [finding.reason for finding in admission.of_scaled_object(scaled_object(name, **spec))]


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({}, []),
        ({"minReplicaCount": 2, "idleReplicaCount": 1}, []),
        ({"minReplicaCount": 2, "idleReplicaCount": 2}, [Refusal.REPLICAS]),
        ({"idleReplicaCount": 0}, [Refusal.REPLICAS]),
        # A minimum of 0 that is written down is the HPA's, which is 1.
        ({"minReplicaCount": 0, "idleReplicaCount": 0}, []),
        ({"minReplicaCount": 101}, [Refusal.REPLICAS]),
        ({"fallback": FALLBACK}, []),
        ({"fallback": FALLBACK, "triggers": [CPU, CRON]}, []),
        ({"fallback": FALLBACK, "triggers": [CPU, CPU | {"type": "memory"}]}, [Refusal.FALLBACK]),
        ({"triggers": []}, [Refusal.TRIGGERS]),
        ({"triggers": [CRON | {"name": "a"}, CRON | {"name": "a"}]}, [Refusal.TRIGGERS]),
        ({"triggers": [CPU | {"useCachedMetrics": True}]}, [Refusal.TRIGGERS]),
        ({"fallback": FALLBACK | {"behavior": "scalingModifiers"}}, [Refusal.MODIFIERS_FALLBACK]),
    ],
)
def test_a_scaled_object(spec: dict[str, Any], refused: list[str]) -> None:
    assert reasons(**spec) == refused


@pytest.mark.parametrize(
    ("modifiers", "refused"),
    [
        ({}, []),
        ({"formula": "a + 1", "target": "2"}, []),
        ({"target": "2"}, [Refusal.MODIFIERS]),
        ({"formula": "a + b", "target": "2"}, [Refusal.MODIFIERS]),
        ({"formula": "a", "target": "none"}, [Refusal.MODIFIERS]),
        ({"formula": "a", "target": "0"}, [Refusal.MODIFIERS]),
        ({"formula": "a", "target": "2", "activationTarget": "none"}, [Refusal.MODIFIERS]),
        ({"formula": "a", "target": "2", "activationTarget": "1.5"}, []),
    ],
)
def test_scaling_modifiers(modifiers: dict[str, Any], refused: list[str]) -> None:
    spec = {"triggers": [CRON | {"name": "a"}], "advanced": {"scalingModifiers": modifiers}}
    assert reasons(**spec) == refused


def test_with_a_formula_cpu_alone_may_fall_back() -> None:
    modifiers = {"formula": "1.5", "target": "2"}
    assert reasons(triggers=[CPU], fallback=FALLBACK, advanced={"scalingModifiers": modifiers}) == []


@pytest.mark.parametrize(
    ("length", "hpa", "refused"),
    [
        (54, "", []),
        (55, "", [Refusal.HPA_NAME]),
        (63, "short", []),
        (64, "short", [Refusal.NAME]),
        (64, "", [Refusal.NAME, Refusal.HPA_NAME]),
        (5, "h" * 64, [Refusal.HPA_NAME]),
    ],
)
def test_names_that_become_labels(length: int, hpa: str, refused: list[str]) -> None:
    config = {"horizontalPodAutoscalerConfig": {"name": hpa}}
    assert reasons("n" * length, advanced=config) == refused


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"pollingInterval": 30, "cooldownPeriod": 300}, []),
        ({"minReplicaCount": 1}, []),
        ({"minReplicaCount": 1, "pollingInterval": 30}, ["spec.pollingInterval"]),
        ({"minReplicaCount": 1, "pollingInterval": 30, "idleReplicaCount": 0}, []),
        ({"minReplicaCount": 1, "cooldownPeriod": 300}, ["spec.cooldownPeriod"]),
        (
            {"minReplicaCount": 1, "cooldownPeriod": 300, "pollingInterval": 30},
            ["spec.pollingInterval", "spec.cooldownPeriod"],
        ),
        (
            {
                "minReplicaCount": 1,
                "pollingInterval": 30,
                "triggers": [CRON, {"type": "kafka", "metadata": {}, "useCachedMetrics": True}],
            },
            [],
        ),
    ],
)
def test_times_without_effect(spec: dict[str, Any], told: list[str]) -> None:
    found = admission.warnings_of(scaled_object(**spec).spec)
    assert [warning.split()[0] for warning in found] == told


def test_a_scaled_job() -> None:
    spec = {"jobTargetRef": {"template": {}}, "triggers": [CRON | {"useCachedMetrics": True, "metricType": "Value"}]}
    found = list(admission.of_scaled_job(ScaledJobSpec.model_validate(spec)))
    assert [finding.reason for finding in found] == [Refusal.TRIGGERS, Refusal.TRIGGERS]
    assert [finding.message.split()[0] for finding in found] == ["spec.triggers[0]:", "spec.triggers[0].metricType"]


AZURE, AWS = {"provider": "azure-workload"}, {"provider": "aws"}


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ({"provider": "none"}, None),
        ({"provider": "gcp", "roleArn": "r", "identityOwner": "workload"}, None),
        (AZURE, None),
        (AZURE | {"identityId": "id"}, None),
        (AZURE | {"identityId": ""}, "identityId is empty"),
        (AZURE | {"identityAuthorityHost": "h", "identityTenantId": "t"}, None),
        (AZURE | {"identityAuthorityHost": "h"}, "identityTenantId is needed beside identityAuthorityHost"),
        (AZURE | {"identityAuthorityHost": "h", "identityTenantId": ""}, "identityTenantId is needed"),
        (AZURE | {"identityTenantId": ""}, "identityTenantId is empty"),
        (AWS, None),
        (AWS | {"roleArn": "r", "externalID": "e"}, None),
        (AWS | {"identityOwner": "workload"}, None),
        (AWS | {"roleArn": "", "identityOwner": "workload"}, None),
        (AWS | {"roleArn": "r", "identityOwner": "workload"}, "remove one of them"),
        (AWS | {"externalID": "e"}, "needs roleArn"),
    ],
)
def test_pod_identities(identity: dict[str, Any], says: str | None) -> None:
    found = list(admission.of_authentication(TriggerAuthenticationSpec.model_validate({"podIdentity": identity})))
    assert [finding.reason for finding in found] == ([] if says is None else [Refusal.AUTHENTICATION])
    assert says is None or says in found[0].message


@pytest.mark.parametrize(
    ("client", "address", "refused"),
    [
        ("a", "https://login/token", 0),
        ("a", "http://login/token", 0),
        ("", "https://login/token", 1),
        ("", "", 2),
        ("a", "login/token", 1),
        ("a", "ftp://login/token", 1),
        ("a", "https://", 1),
        ("a", "https://[broken", 1),
    ],
)
def test_oauth2(client: str, address: str, refused: int) -> None:
    oauth2 = {"type": "clientCredentials", "clientId": client, "tokenUrl": address}
    found = list(admission.of_authentication(TriggerAuthenticationSpec.model_validate({"oauth2": oauth2})))
    assert len(found) == refused
    assert all(finding.message.startswith("spec.oauth2.") for finding in found)


@pytest.mark.parametrize(
    ("subscription", "refused"),
    [
        (None, 0),
        ({}, 0),
        ({"includedEventTypes": [EVENT]}, 0),
        ({"excludedEventTypes": [EVENT]}, 0),
        ({"includedEventTypes": [EVENT], "excludedEventTypes": [EVENT]}, 1),
        # KEDA's list for the webhook lacks those of authentications, which its CRD has.
        ({"includedEventTypes": ["keda.authentication.triggerauthentication.created.v1"]}, 0),
    ],
)
def test_event_sources(subscription: dict[str, Any] | None, refused: int) -> None:
    spec = {"destination": {"http": {"uri": "http://a"}}, "eventSubscription": subscription}
    found = list(admission.of_event_source(CloudEventSourceSpec.model_validate(spec)))
    assert [finding.reason for finding in found] == [Refusal.EVENTS] * refused


@pytest.mark.parametrize(
    ("new", "old", "spared"),
    [
        ({"metadata": {}, "spec": {"a": 1}}, None, False),
        ({"metadata": {}, "spec": {"a": 1}}, {"metadata": {}, "spec": {"a": 2}}, False),
        ({"metadata": {}, "spec": {"a": 1}}, {"metadata": {"finalizers": ["x"]}, "spec": {"a": 1}}, True),
        ({"metadata": {"labels": {"a": "b"}}, "spec": {"a": 1}}, {"metadata": {}, "spec": {"a": 1}}, True),
        ({"metadata": {"deletionTimestamp": "now"}, "spec": {"a": 1}}, {"metadata": {}, "spec": {"a": 2}}, True),
    ],
)
def test_what_asks_for_nothing_new_passes(new: dict[str, Any], old: dict[str, Any] | None, *, spared: bool) -> None:
    assert admission.spared(new, old) is spared


def test_how_it_is_told() -> None:
    assert Verdict().allowed
    one = Verdict((Finding("a", "spec.a: is\nwrong"),))
    assert not one.allowed
    assert one.message == "spec.a: is?wrong"
    many = Verdict(tuple(Finding("a", f"wrong {number}") for number in range(MOST + 2)))
    assert many.message.splitlines()[:2] == ["", "- wrong 0"]
    assert many.message.splitlines()[-1] == "- and 2 more"


def test_warnings_are_short_printable_and_told_once() -> None:
    warned = Verdict(warnings=("x" * LONGEST_WARNING, "y" * (LONGEST_WARNING + 1), "tab\t", "tab\t"))
    assert warned.allowed
    assert warned.shown_warnings == ["x" * LONGEST_WARNING, "y" * (LONGEST_WARNING - 1) + "…", "tab?"]
