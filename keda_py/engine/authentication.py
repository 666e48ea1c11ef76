"""Resolving a trigger: from its authenticationRef and its ``…FromEnv`` to credentials, or to a sentence why not.

The order and the merging are those of KEDA's pkg/scaling/resolver/scale_resolvers.go: variables of the target, then
ConfigMaps, then Secrets; a later one wins. What is not there is an error here and never an empty credential.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from keda_py.api.authentication import PodIdentity as IdentitySpec
from keda_py.api.trigger import ScaleTrigger
from keda_py.engine.environment import container_of, variables
from keda_py.engine.lookup import Authentication, Lookups, Named, Reading
from keda_py.naming import Annotation
from keda_py.scaler import PodIdentity, ScalerError

FROM_ENV: Final = "FromEnv"

_NOT_YET: Final = {
    "filePath": "file_path",
    "hashiCorpVault": "hashi_corp_vault",
    "azureKeyVault": "azure_key_vault",
    "gcpSecretManager": "gcp_secret_manager",
    "awsSecretManager": "aws_secret_manager",
    "boundServiceAccountToken": "bound_service_account_token",
    "oauth2": "oauth2",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was resolved for a trigger; values stay out of `repr`."""

    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    pod_identity: PodIdentity = field(default_factory=PodIdentity)


def resolve(trigger: ScaleTrigger, namespace: str, *, container: str, lookups: Lookups) -> Resolved:
    """Return the credentials of a trigger of an object in `namespace`.

    `container`: whose environment ``…FromEnv`` means. Raises `ScalerError` with everything that is wrong, or `Unread`
    while something has not been read yet.
    """
    reading = Reading(lookups)
    auth: dict[str, str] = {}
    identity = PodIdentity()
    env = _environment(_referenced(trigger.metadata), namespace, container, reading)
    found = None if trigger.authentication_ref is None else reading.authentication(trigger.authentication_ref)
    if found is not None:
        auth = _parameters(found, namespace, reading)
        identity = _identity(found, namespace, auth, reading)
    reading.finish()
    return Resolved(auth, env, identity)


def _referenced(metadata: Mapping[str, str]) -> set[str]:
    """Return the variables that a trigger's metadata names."""
    return {value for name, value in metadata.items() if name.endswith(FROM_ENV) and value.strip()}


def _environment(names: set[str], namespace: str, container: str, reading: Reading) -> dict[str, str]:
    if not names or (pod := reading.pod()) is None:
        return {}
    try:
        return variables(container_of(pod, container), names, namespace, reading=reading)
    except ScalerError as error:
        reading.problem(str(error))
        return {}


def _parameters(found: Authentication, namespace: str, reading: Reading) -> dict[str, str]:
    for problem in _not_yet(found):
        reading.problem(problem)
    auth: dict[str, str] = {}
    for wanted in found.spec.env:
        # The target is the object's, also when the authentication is the cluster's.
        known = _environment({wanted.name}, namespace, wanted.container_name, reading)
        if wanted.name in known:
            auth[wanted.parameter] = known[wanted.name]
    for kind, refs in (("ConfigMap", found.spec.config_map_target_ref), ("Secret", found.spec.secret_target_ref)):
        for ref in refs:
            auth[ref.parameter] = reading.required(Named(kind, found.namespace, ref.name, ref.key))
    return auth


def _not_yet(found: Authentication) -> Iterator[str]:
    for name, attribute in _NOT_YET.items():
        if getattr(found.spec, attribute):
            yield f"{found.title}: {name} is not supported yet; use secretTargetRef, configMapTargetRef or env"


def _identity(found: Authentication, namespace: str, auth: dict[str, str], reading: Reading) -> PodIdentity:
    """Return who to be; the role that the target's ServiceAccount names is a parameter too, as in KEDA."""
    spec = found.spec.pod_identity
    if spec is None:
        return PodIdentity()
    workload = spec.identity_owner == "workload"
    if spec.provider == "aws" and spec.role_arn and workload:
        reading.problem(f"{found.title}: podIdentity has both roleArn and identityOwner workload; remove one of them")
    elif spec.provider == "aws" and spec.role_arn:
        auth["awsRoleArn"] = spec.role_arn
    elif spec.provider == "aws-eks" or (spec.provider == "aws" and workload):
        auth["awsRoleArn"] = _role_of_workload(namespace, reading, required=workload)
    if spec.provider == "azure-workload" and spec.identity_id == "":
        reading.problem(f"{found.title}: podIdentity.identityId is empty; give it, or remove it for the daemon's own")
    return _as_value(spec, auth.get("awsRoleArn", ""))


def _role_of_workload(namespace: str, reading: Reading, *, required: bool) -> str:
    pod = reading.pod()
    if pod is None:
        return ""
    named = Named("ServiceAccount", namespace, pod.service_account_name or "default", Annotation.EKS_ROLE)
    found = reading.entry(named)
    if found is None and required:
        reading.problem(f"{named}, which the target runs with, has no annotation {named.key}; add it")
    return found or ""


def _as_value(spec: IdentitySpec, role: str) -> PodIdentity:
    aws = spec.provider in ("aws", "aws-eks")
    return PodIdentity(
        provider=spec.provider,
        identity_id=spec.identity_id or "",
        tenant_id=spec.identity_tenant_id or "",
        authority_host=spec.identity_authority_host or "",
        role_arn=role if aws else "",
        external_id=(spec.external_id or "") if spec.role_arn else "",
    )
