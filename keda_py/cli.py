"""The command line, with KEDA's flags and variables. Everything heavy is imported only after they were found right."""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from keda_py import __version__, authority, naming
from keda_py.dev.command import dev
from keda_py.flag import AddressType, CiphersType, DurationType, LevelType
from keda_py.settings import Certificates, Leadership, Settings, Tls

_TLS_VERSIONS: Final = click.Choice(["TLS10", "TLS11", "TLS12", "TLS13"])
IGNORED: Final = (
    "cache-miss-to-direct-client",
    "disable-compression",
    "http-idle-conn-timeout",
    "http-max-idle-conns",
    "http-max-idle-conns-per-host",
    "kube-api-burst",
    "kube-api-qps",
    "logtostderr",
    "metrics-service-bind-address",
    "profiling-bind-address",
    "stderrthreshold",
    "v",
    "zap-devel",
    "zap-stacktrace-level",
    "zap-time-encoding",
)
"""KEDA's flags that have nothing to set here, or not yet: taken, so that its manifests start, and told as unused."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _flag(name: str, default: Any, help_text: str, *, env: str | None = None, **rest: Any) -> Decorator:
    return click.option(
        f"--{name}",
        default=default,
        help=help_text,
        envvar=env,
        show_default=bool(default),
        show_envvar=env is not None,
        **rest,
    )


def _switch(name: str, help_text: str, *, default: bool | None, env: str | None = None) -> Decorator:
    """Return a flag that takes ``--name``, ``--name=true`` and ``--name=false``, as Go's flags do."""
    shown = "as needed" if default is None else str(default).lower()
    return click.option(
        f"--{name}",
        default=default,
        type=click.BOOL,
        is_flag=False,
        flag_value="true",
        help=help_text,
        show_default=shown,
        envvar=env,
        show_envvar=env is not None,
        metavar="[=true|false]",
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="keda-py")
def main() -> None:
    """Event-driven autoscaling for Kubernetes, for KEDA's manifests."""


_FLAGS: Final[list[Decorator]] = [
    _flag("kubeconfig", "", "Cluster to work on. Default: the pod's own, then ~/.kube/config.", env="KUBECONFIG"),
    _flag("watch-namespace", "", "Namespaces to work in, comma separated. Default: all.", env="WATCH_NAMESPACE"),
    _flag(
        "watch-label-selector", "", "Only ScaledObjects and ScaledJobs with these labels.", env="WATCH_LABEL_SELECTOR"
    ),
    _flag(
        "watch-label-selector-for-triggerauth",
        "",
        "Only (Cluster)TriggerAuthentications with these labels.",
        env="WATCH_LABEL_SELECTOR_FOR_TRIGGERAUTH",
    ),
    _flag(
        "cluster-object-namespace",
        "",
        "Namespace of what ClusterTriggerAuthentications refer to. Default: the daemon's own.",
        env="KEDA_CLUSTER_OBJECT_NAMESPACE",
    ),
    _switch(
        "restrict-secret-access",
        "Read the Secrets of triggers in that namespace only.",
        default=False,
        env="KEDA_RESTRICT_SECRET_ACCESS",
    ),
    _flag(
        "filepath-auth-root-path",
        "",
        "Folder of the files that ClusterTriggerAuthentications may name. Default: they may name none.",
    ),
    _flag(
        "bound-service-account-token-expiry",
        "1h",
        "How long tokens made for ServiceAccounts last: 1h to 6h.",
        env="KEDA_BOUND_SERVICE_ACCOUNT_TOKEN_EXPIRY",
        type=DurationType(timedelta(hours=1), timedelta(hours=6)),
    ),
    _flag(
        "pod-namespace",
        "keda",
        "Namespace of the daemon itself: of its lease, Secret and Services.",
        env="POD_NAMESPACE",
    ),
    _flag(
        "max-reconciles",
        20,
        "ScaledObjects reconciled at a time.",
        env="KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES",
        type=click.IntRange(1, 1000),
    ),
    _flag(
        "max-job-reconciles",
        20,
        "ScaledJobs reconciled at a time.",
        env="KEDA_SCALEDJOB_CTRL_MAX_RECONCILES",
        type=click.IntRange(1, 1000),
    ),
    _switch("leader-elect", "Act only while holding the lease; for several replicas.", default=False),
    _flag("leader-election-id", naming.LEASE, "Name of the lease."),
    _flag(
        "lease-duration",
        "15s",
        "How long a lease holds without renewal.",
        env="KEDA_OPERATOR_LEADER_ELECTION_LEASE_DURATION",
        type=DurationType(),
    ),
    _flag(
        "renew-deadline",
        "10s",
        "After how long without renewal the leader stops acting.",
        env="KEDA_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE",
        type=DurationType(),
    ),
    _flag(
        "retry-period",
        "2s",
        "How often to renew or try for the lease.",
        env="KEDA_OPERATOR_LEADER_ELECTION_RETRY_PERIOD",
        type=DurationType(),
    ),
    _flag(
        "secure-bind-address",
        ":6443",
        "Where external metrics are served to the API server; 0: off.",
        type=AddressType(),
    ),
    _flag(
        "webhook-bind-address",
        ":9443",
        "Where the API server has objects validated; 0: off.",
        type=AddressType(),
    ),
    _flag("metrics-bind-address", ":8080", "Where /metrics is served; 0: off.", type=AddressType()),
    _switch("enable-prometheus-metrics", "Serve /metrics.", default=True),
    _switch(
        "enable-opentelemetry-metrics",
        "Send metrics to an OpenTelemetry collector: that of OTEL_EXPORTER_OTLP_ENDPOINT.",
        default=False,
    ),
    _switch(
        "enable-high-cardinality-metrics-labels",
        "Tell for each trigger, not only for each type, how long HTTP requests of scalers take.",
        default=False,
    ),
    _flag("health-probe-bind-address", ":8081", "Where /healthz and /readyz are served; 0: off.", type=AddressType()),
    _flag("cert-dir", "/certs", "Folder with tls.crt, tls.key and ca.crt for external metrics and webhook."),
    _switch(
        "enable-cert-rotation",
        "Make and renew the certificate in a Secret. Default: unless --cert-dir has one.",
        default=None,
    ),
    _flag("cert-secret-name", naming.CERTIFICATE_SECRET, "The Secret for the certificate made here."),
    _switch("enable-apiservice-patching", "Put the certificate's authority into the APIService.", default=True),
    _switch("enable-webhook-patching", "Put it into the webhook configuration, too.", default=True),
    _flag("validating-webhook-name", naming.VALIDATING_WEBHOOK, "The ValidatingWebhookConfiguration."),
    _flag("operator-service-name", "keda-operator", "Service of the daemon, for the certificate."),
    _flag("metrics-server-service-name", "keda-metrics-apiserver", "Service that the APIService points at."),
    _flag("webhooks-service-name", "keda-admission-webhooks", "Service that the webhook configuration points at."),
    _flag("k8s-cluster-domain", "cluster.local", "DNS domain of the cluster."),
    _flag("k8s-cluster-name", "kubernetes-default", "What the cluster is called in CloudEvents."),
    _flag(
        "ca-dir",
        ("/custom/ca",),
        "Folder or file with authorities that scalers trust too; may be given several times.",
        multiple=True,
    ),
    _flag(
        "http-timeout",
        3000,
        "Deadline of a scaler's read, in milliseconds.",
        env="KEDA_HTTP_DEFAULT_TIMEOUT",
        type=click.IntRange(1),
    ),
    _switch(
        "http-disable-keep-alive",
        "Open a new connection for each request of a scaler.",
        default=False,
        env="KEDA_HTTP_DISABLE_KEEP_ALIVE",
    ),
    _flag(
        "http-min-tls-version",
        "TLS12",
        "Lowest TLS version of scalers.",
        env="KEDA_HTTP_MIN_TLS_VERSION",
        type=_TLS_VERSIONS,
    ),
    _flag(
        "http-tls-ciphers",
        "",
        "TLS 1.2 cipher suites of scalers, by Go's names.",
        env="KEDA_HTTP_TLS_CIPHER_LIST",
        type=CiphersType(),
    ),
    _flag(
        "service-min-tls-version",
        None,
        "Lowest TLS version of the servers. Default: that of scalers.",
        env="KEDA_SERVICE_MIN_TLS_VERSION",
        type=_TLS_VERSIONS,
    ),
    _flag(
        "service-tls-ciphers",
        None,
        "TLS 1.2 cipher suites of the servers. Default: those of scalers.",
        env="KEDA_SERVICE_TLS_CIPHER_LIST",
        type=CiphersType(),
    ),
    _flag("zap-log-level", "info", "Lowest level that is logged: debug, info, warn, error.", type=LevelType()),
    _flag("zap-encoder", "console", "Form of the log lines.", type=click.Choice(["console", "json"])),
    *(click.option(f"--{name}", hidden=True, expose_value=True, is_flag=False, flag_value="true") for name in IGNORED),
]


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


@main.command()
@_with_flags
def run(**given: Any) -> None:
    """Watch ScaledObjects and scale what they point at, until told to stop.

    Flags and variables are those of KEDA's operator, metrics server and webhooks where they have a counterpart here.
    Flags of theirs without one are taken and ignored.
    """
    settings = _settings(given)
    unused = tuple(_unused(given))
    from keda_py import app  # noqa: PLC0415  a quarter of a second that --help and a bad flag need not wait for

    sys.exit(app.run(settings, unused_flags=unused))


main.add_command(dev)


def _unused(given: Mapping[str, Any]) -> Iterator[str]:
    return (f"--{name}" for name in IGNORED if given[name.replace("-", "_")] is not None)


def _settings(given: Mapping[str, Any]) -> Settings:
    http_tls = Tls(given["http_min_tls_version"], given["http_tls_ciphers"])
    ciphers = given["service_tls_ciphers"]
    return Settings(
        kubeconfig=given["kubeconfig"],
        namespace=given["pod_namespace"],
        cluster_name=given["k8s_cluster_name"],
        watch_namespaces=tuple(filter(None, (part.strip() for part in given["watch_namespace"].split(",")))),
        watch_label_selector=given["watch_label_selector"],
        watch_label_selector_for_triggerauth=given["watch_label_selector_for_triggerauth"],
        cluster_object_namespace=given["cluster_object_namespace"] or given["pod_namespace"],
        restrict_secret_access=given["restrict_secret_access"],
        authentication_folder=Path(folder) if (folder := given["filepath_auth_root_path"]) else None,
        bound_token_life=given["bound_service_account_token_expiry"],
        reconciles=given["max_reconciles"],
        job_reconciles=given["max_job_reconciles"],
        leadership=_leadership(given),
        certificates=_certificates(given),
        external_metrics=given["secure_bind_address"],
        webhook=given["webhook_bind_address"],
        telemetry=given["metrics_bind_address"] if given["enable_prometheus_metrics"] else None,
        telemetry_by_trigger=given["enable_high_cardinality_metrics_labels"],
        opentelemetry=given["enable_opentelemetry_metrics"],
        health=given["health_probe_bind_address"],
        http_timeout=timedelta(milliseconds=given["http_timeout"]),
        http_tls=http_tls,
        http_keep_alive=not given["http_disable_keep_alive"],
        service_tls=Tls(given["service_min_tls_version"] or http_tls.minimum, ciphers or http_tls.ciphers),
        ca_folders=_authorities(given["ca_dir"]),
        log_level=given["zap_log_level"],
        log_encoder=given["zap_encoder"],
    )


def _leadership(given: Mapping[str, Any]) -> Leadership:
    found = Leadership(
        elect=given["leader_elect"],
        name=given["leader_election_id"],
        duration=given["lease_duration"],
        renew_deadline=given["renew_deadline"],
        retry_period=given["retry_period"],
    )
    if found.duration <= found.renew_deadline or found.renew_deadline <= 1.2 * found.retry_period:
        raise click.UsageError("--lease-duration must be longer than --renew-deadline, that than 1.2 --retry-period")
    return found


def _authorities(paths: tuple[str, ...]) -> tuple[str, ...]:
    # Told now: later it would be an error of every trigger that speaks TLS.
    try:
        authority.check(paths)
    except authority.AuthorityError as error:
        raise click.UsageError(f"--ca-dir: {error}") from None
    return paths


def _certificates(given: Mapping[str, Any]) -> Certificates:
    folder = Path(given["cert_dir"])
    if given["enable_cert_rotation"] is False and not (folder / "tls.crt").exists():
        raise click.UsageError(f"there is no {folder}/tls.crt; put one there, or use --enable-cert-rotation")
    services = (given["operator_service_name"], given["metrics_server_service_name"], given["webhooks_service_name"])
    return Certificates(
        folder=folder,
        rotates=given["enable_cert_rotation"],
        secret=given["cert_secret_name"],
        patches_api_service=given["enable_apiservice_patching"],
        patches_webhook=given["enable_webhook_patching"],
        services=services,
        metrics_service=given["metrics_server_service_name"],
        webhook_service=given["webhooks_service_name"],
        webhook_name=given["validating_webhook_name"],
        cluster_domain=given["k8s_cluster_domain"],
    )
