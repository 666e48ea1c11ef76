"""The sections of an authentication that lead to secret stores: what each refers to, made into an `Access`."""

from collections.abc import Iterator, Mapping
from typing import Any

from keda_py.api.authentication import HashiCorpVault, SecretValue
from keda_py.api.authentication import PodIdentity as IdentitySpec
from keda_py.engine.credentials.identity import identity_of, role_of
from keda_py.engine.credentials.lookup import TOKEN, Authentication, Named, Reading, Section, Token
from keda_py.scaler import PodIdentity
from keda_py.secret_store import Access


def sections(found: Authentication, namespace: str, reading: Reading) -> Iterator[Section]:
    """Yield what is to be read in stores, in KEDA's order; nothing of a section whose credentials cannot be had.

    `namespace`: the object's, whose ServiceAccounts those of Vault and of the workload are.
    """
    spec = found.spec
    if (vault := spec.hashi_corp_vault) is not None:
        yield from _vault(found, vault, namespace, reading)
    if (azure := spec.azure_key_vault) is not None:
        keys = {} if azure.credentials is None else {"clientSecret": azure.credentials.client_secret}
        yield from _cloud(found, "azureKeyVault", azure, keys, namespace=namespace, reading=reading)
    if (gcp := spec.gcp_secret_manager) is not None:
        keys = {} if gcp.credentials is None else {"clientSecret": gcp.credentials.client_secret}
        yield from _cloud(found, "gcpSecretManager", gcp, keys, namespace=namespace, reading=reading)
    if (aws := spec.aws_secret_manager) is not None:
        keys = {}
        if (given := aws.credentials) is not None:
            keys = {"accessKey": given.access_key, "accessSecretKey": given.access_secret_key}
            keys |= {} if given.access_token is None else {"accessToken": given.access_token}
        yield from _cloud(found, "awsSecretManager", aws, keys, namespace=namespace, reading=reading)


def _vault(found: Authentication, spec: HashiCorpVault, namespace: str, reading: Reading) -> Iterator[Section]:
    credential, credentials, failed = spec.credential, {}, reading.failed
    if spec.authentication == "kubernetes" and credential is not None and credential.service_account_name:
        token = reading.elsewhere(Token(namespace, credential.service_account_name))
        credentials = {"serviceAccountToken": token.get(TOKEN, "")}
    if reading.failed == failed:
        yield Section(found.title, "hashiCorpVault", Access(spec, credentials))


def _cloud(
    found: Authentication,
    name: str,
    spec: Any,
    keys: Mapping[str, SecretValue],
    *,
    namespace: str,
    reading: Reading,
) -> Iterator[Section]:
    failed = reading.failed
    credentials = {}
    for key, value in keys.items():
        ref = value.value_from.secret_key_ref
        credentials[key] = reading.required(Named("Secret", found.namespace, ref.name, ref.key))
    identity = _identity(spec.pod_identity, f"{found.title}: {name}", namespace, reading)
    if reading.failed == failed:
        yield Section(found.title, name, Access(spec, credentials, identity))


def _identity(spec: IdentitySpec | None, title: str, namespace: str, reading: Reading) -> PodIdentity:
    if spec is None:
        return PodIdentity()
    return identity_of(spec, role_of(spec, title, namespace, reading=reading) or "")
