"""What the daemon can be told, with KEDA's names and defaults; filled by the command line and the environment.

The source of the names: KEDA's cmd/operator/main.go, and pkg/util/env_resolver.go.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from keda_py import naming


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an empty host means all interfaces."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """The lowest version (``TLS12``) and the ciphers for TLS 1.2 in OpenSSL's words, empty for its default."""

    minimum: str = "TLS12"
    ciphers: str = ""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Whether and how one of several daemons is chosen to act; times are client-go's."""

    elect: bool = False
    name: str = naming.LEASE
    duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry_period: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the serving certificate comes from, and the names that it must cover.

    `rotates`: make and renew it in the Secret; None for that unless the folder holds one.
    """

    folder: Path = Path("/certs")
    rotates: bool | None = None
    secret: str = naming.CERTIFICATE_SECRET
    patches_api_service: bool = True
    patches_webhook: bool = True
    services: tuple[str, ...] = ("keda-operator", "keda-metrics-apiserver", "keda-admission-webhooks")
    metrics_service: str = "keda-metrics-apiserver"
    webhook_service: str = "keda-admission-webhooks"
    webhook_name: str = naming.VALIDATING_WEBHOOK
    cluster_domain: str = "cluster.local"

    def names(self, namespace: str) -> list[str]:
        """Return the DNS names that a certificate must cover."""
        suffixes = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.{self.cluster_domain}")
        return ["localhost", *(service + suffix for service in self.services for suffix in suffixes)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of ``keda-py run``."""

    kubeconfig: str = ""
    namespace: str = "keda"
    cluster_name: str = "kubernetes-default"
    """What the cluster is called in CloudEvents."""
    watch_namespaces: tuple[str, ...] = ()
    watch_label_selector: str = ""
    watch_label_selector_for_triggerauth: str = ""
    cluster_object_namespace: str = "keda"
    restrict_secret_access: bool = False
    authentication_folder: Path | None = None
    """Where the files are that ClusterTriggerAuthentications name; None for nowhere."""
    bound_token_life: timedelta = timedelta(hours=1)
    """Of the tokens that are made for ServiceAccounts."""
    reconciles: int = 20
    """How many ScaledObjects are worked on at a time, and `job_reconciles` how many ScaledJobs."""
    job_reconciles: int = 20
    leadership: Leadership = field(default_factory=Leadership)
    certificates: Certificates = field(default_factory=Certificates)
    external_metrics: Address | None = Address("", 6443)
    webhook: Address | None = Address("", 9443)
    telemetry: Address | None = Address("", 8080)
    telemetry_by_trigger: bool = False
    """Whether how long HTTP requests take is told for each trigger, instead of each type."""
    opentelemetry: bool = False
    """Whether metrics are sent to a collector, which the variables of OpenTelemetry name."""
    health: Address | None = Address("", 8081)
    service_tls: Tls = field(default_factory=Tls)
    http_timeout: timedelta = timedelta(milliseconds=3000)
    http_tls: Tls = field(default_factory=Tls)
    http_keep_alive: bool = True
    ca_folders: tuple[str, ...] = ("/custom/ca",)
    log_level: str = "info"
    log_encoder: str = "console"
