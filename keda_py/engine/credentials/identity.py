"""Who to be by the means of a cloud: from a `podIdentity` to the values that scalers and secret stores go by.

The rules are those of KEDA's pkg/scaling/resolver/scale_resolvers.go (ResolveAuthRefAndPodIdentity).
"""

from keda_py.api.authentication import PodIdentity as IdentitySpec
from keda_py.engine.credentials.lookup import Named, Reading
from keda_py.naming import Annotation
from keda_py.scaler import PodIdentity


def role_of(spec: IdentitySpec, title: str, namespace: str, *, reading: Reading) -> str | None:
    """Return the AWS role that an identity names, its own or that of the target's ServiceAccount; None for none.

    What makes no sense is noted as a problem of `title`.
    """
    workload = spec.identity_owner == "workload"
    if spec.provider == "azure-workload" and spec.identity_id == "":
        reading.problem(f"{title}: podIdentity.identityId is empty; give it, or remove it for the daemon's own")
    if spec.provider == "aws" and spec.role_arn and workload:
        reading.problem(f"{title}: podIdentity has both roleArn and identityOwner workload; remove one of them")
    elif spec.provider == "aws" and spec.role_arn:
        return spec.role_arn
    elif spec.provider == "aws-eks" or (spec.provider == "aws" and workload):
        return _role_of_workload(namespace, reading, required=workload)
    return None


def _role_of_workload(namespace: str, reading: Reading, *, required: bool) -> str:
    pod = reading.pod()
    if pod is None:
        return ""
    named = Named("ServiceAccount", namespace, pod.service_account_name or "default", Annotation.EKS_ROLE)
    found = reading.entry(named)
    if found is None and required:
        reading.problem(f"{named}, which the target runs with, has no annotation {named.key}; add it")
    return found or ""


def identity_of(spec: IdentitySpec, role: str) -> PodIdentity:
    """Return an identity as those who use it know it."""
    aws = spec.provider in ("aws", "aws-eks")
    return PodIdentity(
        provider=spec.provider,
        identity_id=spec.identity_id or "",
        tenant_id=spec.identity_tenant_id or "",
        authority_host=spec.identity_authority_host or "",
        role_arn=role if aws else "",
        external_id=(spec.external_id or "") if spec.role_arn else "",
    )
