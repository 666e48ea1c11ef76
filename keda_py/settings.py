"""What the daemon can be told, with KEDA's names and defaults; filled by the command line and the environment.

The source of the names: KEDA's cmd/operator/main.go and cmd/adapter/main.go, and pkg/util/env_resolver.go.
"""

from dataclasses import dataclass
from datetime import timedelta

from keda_py import naming


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of ``keda-py run``; addresses are ``host:port``, ``:port``, or ``0`` for "do not listen"."""

    kubeconfig: str = ""
    namespace: str = "keda"
    watch_namespaces: tuple[str, ...] = ()
    watch_label_selector: str = ""
    reconciles: int = 20

    leader_elect: bool = False
    leader_election_id: str = naming.LEASE
    lease_duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry_period: timedelta = timedelta(seconds=2)

    prometheus_metrics: bool = True
    metrics_address: str = ":8080"
    health_address: str = ":8081"
    secure_port: int = 6443

    cert_rotation: bool = False
    cert_secret: str = naming.CERTIFICATE_SECRET
    cert_dir: str = "/certs"
    service: str = "keda-metrics-apiserver"
    cluster_domain: str = "cluster.local"
    patch_api_service: bool = True

    ca_dirs: tuple[str, ...] = ("/custom/ca",)
    http_timeout: timedelta = timedelta(milliseconds=3000)
    http_keep_alive: bool = True
    http_min_tls: str = "TLS12"
    http_ciphers: str = ""
    service_min_tls: str = ""

    log_level: str = "info"
    log_encoder: str = "console"
