"""The command, run as a person would: a clear line and the right exit code for what cannot work."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from keda_py.cli import run

pytestmark = pytest.mark.e2e


def keda_py(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [sys.executable, "-c", "from keda_py.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


# KEDA's flags (cmd/operator/main.go, cmd/adapter/main.go); one here stands for what a manifest of KEDA's may pass.
KEDA_FLAGS = [
    "--enable-prometheus-metrics=true",
    "--enable-opentelemetry-metrics=false",
    "--enable-high-cardinality-metrics-labels=true",
    "--metrics-bind-address=:0",
    "--health-probe-bind-address=:0",
    "--metrics-service-bind-address=:9666",
    "--profiling-bind-address=",
    "--leader-elect",
    "--leader-election-id=x",
    "--kube-api-qps=20",
    "--kube-api-burst=30",
    "--disable-compression=true",
    "--cert-secret-name=s",
    "--cert-dir=/certs",
    "--operator-service-name=o",
    "--metrics-server-service-name=m",
    "--webhooks-service-name=w",
    "--k8s-cluster-name=c",
    "--k8s-cluster-domain=d",
    "--enable-cert-rotation=true",
    "--validating-webhook-name=v",
    "--ca-dir=/a",
    "--ca-dir=/b",
    "--enable-webhook-patching=true",
    "--enable-apiservice-patching=true",
    "--filepath-auth-root-path=",
    "--http-max-idle-conns=0",
    "--http-max-idle-conns-per-host=1000",
    "--http-idle-conn-timeout=90s",
    "--zap-log-level=5",
    "--zap-encoder=console",
    "--zap-time-encoding=rfc3339",
    "--zap-devel",
    "--zap-stacktrace-level=error",
]


def test_help_is_complete(tmp_path: Path) -> None:
    shown = keda_py("run", "--help", home=tmp_path)
    assert shown.returncode == 0
    for flag in _FLAGS_SHOWN:
        assert f"--{flag}" in shown.stdout
    for variable in ("WATCH_NAMESPACE", "POD_NAMESPACE", "KEDA_HTTP_DEFAULT_TIMEOUT", "KEDA_HTTP_MIN_TLS_VERSION"):
        assert variable in shown.stdout


_FLAGS_SHOWN = [
    option.opts[0].removeprefix("--") for option in run.params if isinstance(option, click.Option) and not option.hidden
]


def test_every_flag_of_keda_is_taken(tmp_path: Path) -> None:
    shown = keda_py("run", *KEDA_FLAGS, "--kubeconfig=missing", home=tmp_path)
    assert shown.returncode == 2
    assert "no cluster to work on" in shown.stderr
    assert "without effect here" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--no-such-flag"], "No such option"),
        (["run", "--max-reconciles", "many"], "is not a valid integer"),
        (["run", "--zap-log-level", "loud"], "is not one of"),
        (["run", "--metrics-bind-address", "8080x"], "is not an address such as :8080"),
        (["run", "--metrics-bind-address", ":99999"], "is not an address such as :8080"),
        (["run", "--lease-duration", "15"], "is not a duration such as 15s"),
        (["run", "--lease-duration", "5s"], "--lease-duration must be longer than --renew-deadline"),
        (["run", "--bound-service-account-token-expiry", "30m"], "'30m' must be from 1:00:00 to 6:00:00"),
        (["run", "--enable-cert-rotation=false", "--cert-dir=/none"], "there is no /none/tls.crt"),
        (["run", "--http-tls-ciphers", "ROT13"], "unknown cipher suites ROT13"),
        (["run", "--leader-elect=perhaps"], "is not a valid boolean"),
        (["run", "--kubeconfig", "missing"], "tried kubeconfig missing: the file does not exist; set --kubeconfig"),
        (["run"], "tried this pod's service account and ~/.kube/config: the file does not exist; set --kubeconfig"),
    ],
)
def test_what_cannot_work_is_told_without_a_traceback(arguments: list[str], says: str, tmp_path: Path) -> None:
    shown = keda_py(*arguments, home=tmp_path)
    assert shown.returncode == 2
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_kubeconfig_in_its_usual_place_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("a: [")
    shown = keda_py("run", home=tmp_path)
    assert shown.returncode == 2
    tried = "tried this pod's service account and ~/.kube/config"
    *_, line = shown.stderr.splitlines()
    assert line == f"keda-py: no cluster to work on: {tried}: it is no YAML, see line 1; set --kubeconfig or KUBECONFIG"
    assert "Traceback" not in shown.stderr


def test_a_cluster_that_does_not_answer_is_told_too(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, users: [], "
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], "
        "contexts: [{name: a, context: {cluster: a, user: ''}}]}"
    )
    shown = keda_py("run", "--kubeconfig", str(config), home=tmp_path)
    assert shown.returncode == 2
    assert "the API server did not answer: 127.0.0.1:9: Connection refused" in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("name", "told"), [("README", "Error: --ca-dir: "), ("", "passed over in --ca-dir")], ids=["file", "folder"]
)
def test_an_authority_that_is_none_is_told_before_anything_starts(name: str, told: str, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "README").write_text("put certificates here")
    shown = keda_py("run", f"--ca-dir={folder / name}", "--kubeconfig=missing", home=tmp_path)
    assert shown.returncode == 2
    assert told in shown.stderr
    assert f"{folder}/README: no certificate in PEM form; put one there, or remove the file" in shown.stderr
    assert ("tried kubeconfig missing" in shown.stderr) is (not name), "more in a folder keeps nothing from starting"
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("module", ["opentelemetry", "grpc"])
def test_a_library_that_is_missing_for_opentelemetry_is_told_before_anything_starts(
    module: str, tmp_path: Path
) -> None:
    code = f"import sys; sys.modules['{module}'] = None; from keda_py.cli import main; main()"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    shown = subprocess.run(
        [sys.executable, "-c", code, "run", "--enable-opentelemetry-metrics", "--kubeconfig=missing"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert shown.returncode == 2
    said = f"keda-py: --enable-opentelemetry-metrics needs the Python module {module}"
    assert shown.stderr.startswith(said)
    assert "install it where keda-py runs (in a clone: pip install '.[otlp]')" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
