"""TriggerAuthentication and ClusterTriggerAuthentication (KEDA apis/keda/v1alpha1/triggerauthentication_types.go)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from keda_py.api.meta import Model
from keda_py.api.schema import server_default

AtLeastOne = Field(json_schema_extra={"minItems": 1})


class PodIdentity(Model):
    """Who to be, by the means of a cloud."""

    provider: Literal["azure-workload", "gcp", "aws", "aws-eks", "none"]
    """The cloud's means."""
    identity_id: str | None = None
    """Azure: the client id, the ServiceAccount's unless set."""
    identity_tenant_id: str | None = None
    """Azure: the tenant."""
    identity_authority_host: str | None = None
    """Azure: who issues tokens."""
    role_arn: str | None = None
    """AWS: a role to assume."""
    external_id: str | None = Field(None, alias="externalID")
    """AWS: the external id for the role."""
    identity_owner: Literal["keda", "workload"] | None = None
    """AWS: whose ServiceAccount names the role, keda unless set."""


class SecretKeyRef(Model):
    """A key of a Secret."""

    name: str
    """The Secret."""
    key: str
    """The key in it."""


class _FromSecret(Model):
    """Where a value is."""

    secret_key_ref: SecretKeyRef


class SecretValue(Model):
    """A value that is in a Secret."""

    value_from: _FromSecret


class TargetRef(Model):
    """A parameter, and the key of a Secret or ConfigMap that holds it."""

    parameter: str
    """The scaler's parameter."""
    name: str
    """The Secret or ConfigMap."""
    key: str
    """The key in it."""


class EnvironmentVariable(Model):
    """A parameter, and the variable of the target that holds it."""

    parameter: str
    """The scaler's parameter."""
    name: str
    """The variable."""
    container_name: str = ""
    """Its container, the first unless set."""


class BoundServiceAccountToken(Model):
    """A parameter that is given a token for a ServiceAccount."""

    parameter: str
    """The scaler's parameter."""
    service_account_name: str
    """The ServiceAccount."""


class VaultCredential(Model):
    """How to log in to Vault."""

    token: str = Field("", repr=False)
    """A token."""
    service_account: str = ""
    """A file with a ServiceAccount's token."""
    service_account_name: str = ""
    """A ServiceAccount to make a token for."""


class VaultPki(Model):
    """What certificate to ask for."""

    common_name: str = ""
    """Its common name."""
    alt_names: str = ""
    """Further names."""
    ip_sans: str = ""
    """Further addresses."""
    uri_sans: str = ""
    """Further URIs."""
    other_sans: str = ""
    """Other names."""
    ttl: str = ""
    """How long it is to last."""
    format: str = ""
    """Its format."""


class VaultSecret(Model):
    """A parameter, and where it is in Vault."""

    parameter: str
    """The scaler's parameter."""
    path: str
    """The path."""
    key: str
    """The key there."""
    type: Literal["", "secretV2", "secret", "pki"] | None = None
    """What kind of engine is at that path."""
    pki_data: VaultPki | None = None


class HashiCorpVault(Model):
    """Secrets in HashiCorp Vault."""

    address: str
    """Its address."""
    namespace: str = ""
    """Its namespace."""
    authentication: Literal["token", "kubernetes"]
    """How to log in."""
    role: str = ""
    """The role to log in as."""
    mount: str = ""
    """Where the login is mounted."""
    credential: VaultCredential | None = None
    secrets: Annotated[list[VaultSecret], AtLeastOne]
    """What to read."""


class AzureSecret(Model):
    """A parameter, and the secret that holds it."""

    parameter: str
    """The scaler's parameter."""
    name: str
    """The secret."""
    version: str = ""
    """Its version, the newest unless set."""


class AzureCredentials(Model):
    """A service principal."""

    client_id: str
    """Its id."""
    tenant_id: str
    """Its tenant."""
    client_secret: SecretValue


class AzureCloud(Model):
    """Which Azure."""

    type: str
    """Its name, or Private."""
    key_vault_resource_url: str = Field("", alias="keyVaultResourceURL")
    """With Private: the audience of tokens."""
    active_directory_endpoint: str = ""
    """With Private: who issues them."""


class AzureKeyVault(Model):
    """Secrets in Azure Key Vault."""

    vault_uri: str
    """Its address."""
    secrets: Annotated[list[AzureSecret], AtLeastOne]
    """What to read."""
    credentials: AzureCredentials | None = None
    pod_identity: PodIdentity | None = None
    cloud: AzureCloud | None = None


class GcpSecret(Model):
    """A parameter, and the secret that holds it."""

    parameter: str
    """The scaler's parameter."""
    id: str
    """The secret."""
    version: str = ""
    """Its version, the latest unless set."""


class GcpCredentials(Model):
    """A service account's key."""

    client_secret: SecretValue


class GcpSecretManager(Model):
    """Secrets in Google Cloud Secret Manager."""

    secrets: Annotated[list[GcpSecret], AtLeastOne]
    """What to read."""
    credentials: GcpCredentials | None = None
    pod_identity: PodIdentity | None = None


class AwsSecret(Model):
    """A parameter, and the secret that holds it."""

    parameter: str
    """The scaler's parameter."""
    name: str
    """The secret."""
    version_id: str = ""
    """Its version."""
    version_stage: str = ""
    """Its stage."""
    secret_key: str = ""
    """The key in it, if it is JSON."""


class AwsCredentials(Model):
    """Keys of a user."""

    access_key: SecretValue
    access_secret_key: SecretValue
    access_token: SecretValue | None = None


class AwsSecretManager(Model):
    """Secrets in AWS Secrets Manager."""

    secrets: Annotated[list[AwsSecret], AtLeastOne]
    """What to read."""
    credentials: AwsCredentials | None = None
    pod_identity: PodIdentity | None = None
    region: str = ""
    """Its region."""


class OAuth2(Model):
    """A token from an OAuth 2 server."""

    # Required beside its default, as in KEDA's: the server fills it in before it checks.
    model_config = ConfigDict(json_schema_extra={"required": ["clientId", "tokenUrl", "type"]})

    type: Literal["clientCredentials"] = server_default("clientCredentials")
    """The grant."""
    client_id: str
    """Who asks."""
    client_secret: SecretValue | None = None
    token_url: str
    """Where tokens are issued."""
    scopes: list[str] = Field(default_factory=list)
    """What for."""
    token_url_params: dict[str, str] = Field(default_factory=dict)
    """Further parameters of the request."""


class TriggerAuthenticationSpec(Model):
    """Where the parameters of an authentication come from."""

    pod_identity: PodIdentity | None = None
    secret_target_ref: list[TargetRef] = Field(default_factory=list)
    """From Secrets."""
    config_map_target_ref: list[TargetRef] = Field(default_factory=list)
    """From ConfigMaps."""
    env: list[EnvironmentVariable] = Field(default_factory=list)
    """From the environment of the target."""
    file_path: str = ""
    """From a file, for ClusterTriggerAuthentications."""
    hashi_corp_vault: HashiCorpVault | None = None
    azure_key_vault: AzureKeyVault | None = None
    gcp_secret_manager: GcpSecretManager | None = None
    aws_secret_manager: AwsSecretManager | None = None
    bound_service_account_token: list[BoundServiceAccountToken] = Field(default_factory=list)
    """Tokens made for ServiceAccounts."""
    oauth2: OAuth2 | None = None


class TriggerAuthenticationStatus(Model):
    """Who uses an authentication."""

    scaled_objects: str = Field("", alias="scaledobjects")
    """ScaledObjects, comma separated."""
    scaled_jobs: str = Field("", alias="scaledjobs")
    """ScaledJobs, comma separated."""
