"""What the admission webhook refuses: rules that need nothing but the object itself, and what becomes of findings.

The rules are those of KEDA's apis/keda/v1alpha1/*_webhook.go and apis/eventing/v1alpha1/cloudeventsource_webhook.go;
those that need the neighbourhood are in `ownership` and `requests`. All that is wrong is told at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from keda_py.api.authentication import OAuth2, PodIdentity, TriggerAuthenticationSpec
from keda_py.api.cloud_event_source import CloudEventSourceSpec
from keda_py.api.scaled_job import ScaledJobSpec
from keda_py.api.scaled_object import ScaledObject, ScaledObjectSpec
from keda_py.decide import modifiers, validate
from keda_py.decide.formula import FormulaError
from keda_py.naming import MAX_LABEL_LENGTH, Label, Refusal

RESOURCES: Final = frozenset({"cpu", "memory"})
LONGEST_WARNING: Final = 256
"""What the API server passes on of a warning at least (admission.k8s.io/v1, AdmissionResponse)."""
MOST: Final = 20
"""How many findings, and how many warnings, are told of at a time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: KEDA's word for it, and a sentence that says where, and what to do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of an object: it is let in if nothing was found wrong."""

    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the object is let in."""
        return not self.findings

    @property
    def message(self) -> str:
        """What a person is told: a sentence, or of several each on a line of its own."""
        told = [_printable(finding.message) for finding in self.findings[:MOST]]
        if (rest := len(self.findings) - len(told)) > 0:
            told.append(f"and {rest} more")
        return told[0] if len(told) == 1 else "".join(f"\n- {sentence}" for sentence in told)

    @property
    def shown_warnings(self) -> list[str]:
        """The warnings as the API server passes them on: one line each, and none of them cut short there."""
        return [_shortened(_printable(warning)) for warning in dict.fromkeys(self.warnings[:MOST])]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_WARNING else f"{text[: LONGEST_WARNING - 1]}…"


def spared(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> bool:
    """Return whether a change is let through unseen: what is being deleted, and what asks for nothing new.

    Finalizers, labels and annotations come and go on objects that were let in before there was a webhook, or while it
    was away; to refuse those would help nobody.
    """
    if new["metadata"].get("deletionTimestamp"):
        return True
    return old is not None and old.get("spec") == new.get("spec")


# --- ScaledObject and ScaledJob -------------------------------------------------------------------------------------


def of_scaled_object(scaled_object: ScaledObject) -> Iterator[Finding]:
    """Yield what is wrong with a ScaledObject by itself."""
    spec = scaled_object.spec
    yield from _findings(Refusal.REPLICAS, validate.replica_problems(spec))
    yield from _names(scaled_object)
    yield from _fallback(spec)
    yield from _findings(Refusal.TRIGGERS, validate.trigger_problems(spec.triggers))
    yield from _modifiers(spec)


def of_scaled_job(spec: ScaledJobSpec) -> Iterator[Finding]:
    """Yield what is wrong with a ScaledJob by itself."""
    return _findings(Refusal.TRIGGERS, validate.job_problems(spec))


def warnings_of(spec: ScaledObjectSpec) -> Iterator[str]:
    """Yield what has no effect: times that only count where something scales to zero, or to idle."""
    if not spec.min_replicas or spec.idle_replica_count is not None:
        return
    unless = f"while spec.minReplicaCount is {spec.min_replicas} and spec.idleReplicaCount is not set"
    if spec.polling_interval_seconds is not None and not any(t.use_cached_metrics for t in spec.triggers):
        yield f"spec.pollingInterval does not matter to the HPA {unless}, and no trigger has useCachedMetrics"
    if spec.cooldown_seconds is not None:
        yield f"spec.cooldownPeriod has no effect {unless}"


def _names(scaled_object: ScaledObject) -> Iterator[Finding]:
    name, hpa = scaled_object.metadata.name, scaled_object.hpa_name
    most = f"characters long, and may have {MAX_LABEL_LENGTH}"
    if len(name) > MAX_LABEL_LENGTH:
        where = f"because it is the value of the label {Label.OWNER}"
        yield Finding(Refusal.NAME, f"metadata.name: {name} is {len(name)} {most}, {where}; shorten it")
    if len(hpa) > MAX_LABEL_LENGTH:
        advice = "shorten metadata.name, or set spec.advanced.horizontalPodAutoscalerConfig.name"
        yield Finding(Refusal.HPA_NAME, f"the name of its HPA, {hpa}, is {len(hpa)} {most}; {advice}")


def _fallback(spec: ScaledObjectSpec) -> Iterator[Finding]:
    if spec.fallback is None or spec.modifiers is not None:
        return
    if all(trigger.type in RESOURCES for trigger in spec.triggers):
        sentence = "spec.fallback: the HPA reads cpu and memory itself, so that there is nothing to stand in for"
        yield Finding(Refusal.FALLBACK, f"{sentence}; remove it, or add a trigger of another type")


def _modifiers(spec: ScaledObjectSpec) -> Iterator[Finding]:
    if spec.modifiers is None:
        yield from _findings(Refusal.MODIFIERS_FALLBACK, modifiers.problems(spec))
        return
    yield from _findings(Refusal.MODIFIERS, modifiers.problems(spec))
    try:
        modifiers.activation(spec.modifiers)
    except FormulaError as problem:
        yield Finding(Refusal.MODIFIERS, str(problem))


def _findings(reason: str, sentences: Sequence[str]) -> Iterator[Finding]:
    return (Finding(reason, sentence) for sentence in sentences)


# --- the other kinds ------------------------------------------------------------------------------------------------


def of_authentication(spec: TriggerAuthenticationSpec) -> Iterator[Finding]:
    """Yield what is wrong with a TriggerAuthentication or ClusterTriggerAuthentication."""
    found = [*_identity(spec.pod_identity), *_oauth2(spec.oauth2)]
    return _findings(Refusal.AUTHENTICATION, found)


def _identity(identity: PodIdentity | None) -> Iterator[str]:
    where = "spec.podIdentity"
    match identity:
        case PodIdentity(provider="azure-workload"):
            if identity.identity_id == "":
                yield f"{where}.identityId is empty; give it, or remove it for that of the daemon's ServiceAccount"
            if identity.identity_authority_host and not identity.identity_tenant_id:
                yield f"{where}.identityTenantId is needed beside identityAuthorityHost"
            elif identity.identity_tenant_id == "":
                yield f"{where}.identityTenantId is empty; give it, or remove it"
        case PodIdentity(provider="aws"):
            if identity.role_arn and identity.identity_owner == "workload":
                yield f"{where} has both roleArn and identityOwner workload; remove one of them"
            if identity.external_id and not identity.role_arn:
                yield f"{where}.externalID is for a role: it needs roleArn"


def _oauth2(oauth2: OAuth2 | None) -> Iterator[str]:
    if oauth2 is None:
        return
    if not oauth2.client_id:
        yield "spec.oauth2.clientId is empty; give it"
    if not _is_web_address(oauth2.token_url):
        yield "spec.oauth2.tokenUrl: expected an address such as https://login.example.com/token"


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def of_event_source(spec: CloudEventSourceSpec) -> Iterator[Finding]:
    """Yield what is wrong with a CloudEventSource or ClusterCloudEventSource."""
    subscription = spec.event_subscription
    if subscription is not None and subscription.included_event_types and subscription.excluded_event_types:
        both = "spec.eventSubscription has both includedEventTypes and excludedEventTypes; remove one of them"
        yield Finding(Refusal.EVENTS, both)
