"""The command line. Everything heavy is imported only after the arguments were found right."""

import sys
from datetime import timedelta
from typing import Any

import click

from keda_py import __version__
from keda_py.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="keda-py")
def main() -> None:
    """Event-driven autoscaling for Kubernetes, for KEDA's manifests."""


@main.command()
@click.option(
    "--kubeconfig",
    default="",
    envvar="KUBECONFIG",
    help="Cluster to work on. Default: the pod's own, then ~/.kube/config.",
)
@click.option(
    "--watch-namespace",
    default="",
    envvar="WATCH_NAMESPACE",
    help="Namespaces to work in, comma separated. Default: all.",
)
@click.option(
    "--watch-label-selector",
    default="",
    envvar="WATCH_LABEL_SELECTOR",
    help="Only ScaledObjects with these labels.",
)
@click.option(
    "--max-reconciles",
    type=click.IntRange(1, 1000),
    default=20,
    envvar="KEDA_SCALEDOBJECT_CTRL_MAX_RECONCILES",
    show_default=True,
    help="ScaledObjects reconciled at a time.",
)
@click.option(
    "--http-timeout",
    type=click.IntRange(1),
    default=3000,
    envvar="KEDA_HTTP_DEFAULT_TIMEOUT",
    show_default=True,
    help="Deadline of a scaler's read, in milliseconds.",
)
@click.option(
    "--zap-log-level",
    "log_level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level that is logged.",
)
@click.option(
    "--zap-encoder",
    "log_encoder",
    default="console",
    show_default=True,
    type=click.Choice(["console", "json"]),
    help="Form of the log lines.",
)
def run(**given: Any) -> None:
    """Watch ScaledObjects and scale what they point at, until told to stop.

    Run one at a time: there is no leader election yet.
    """
    settings = Settings(
        kubeconfig=given["kubeconfig"],
        watch_namespaces=tuple(filter(None, (part.strip() for part in given["watch_namespace"].split(",")))),
        watch_label_selector=given["watch_label_selector"],
        reconciles=given["max_reconciles"],
        http_timeout=timedelta(milliseconds=given["http_timeout"]),
        log_level=given["log_level"],
        log_encoder=given["log_encoder"],
    )
    from keda_py import app  # noqa: PLC0415  a quarter of a second that --help and a bad flag need not wait for

    sys.exit(app.run(settings))
