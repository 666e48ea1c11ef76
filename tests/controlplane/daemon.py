"""The daemon as it is installed, next to a control plane: its manifests, its ServiceAccount's token, its RBAC.

The process runs beside the API server instead of in a pod; so the Service of the metrics server becomes an external
name for this machine. Nothing else differs from an installation.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import yaml

from keda_py.naming import VALIDATING_WEBHOOK
from tests.servers import free_port

from .cluster import Cluster

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
NAMESPACE: Final = "keda"
WEBHOOK_SERVICE: Final = "keda-admission-webhooks"
NOBODY: Final = 1
"""A port that nothing listens on."""


def install(cluster: Cluster) -> None:
    """Apply the manifests; the image that they name does not exist here, so their Deployment gets no pods."""
    cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "operator"))
    cluster.kubectl("scale", "deployment", "keda-operator", f"--namespace={NAMESPACE}", "--replicas=0")
    point_webhooks(cluster, NOBODY)


def point_webhooks(cluster: Cluster, port: int) -> None:
    """Have objects validated at a port of this machine; at that of `NOBODY` the API server finds so at once."""
    service = {"type": "ExternalName", "externalName": "localhost", "selector": None}
    space, patch = f"--namespace={NAMESPACE}", {"spec": {**service, "ports": [{"name": "https", "port": 443}]}}
    cluster.kubectl("patch", "service", WEBHOOK_SERVICE, space, "--type=merge", f"--patch={json.dumps(patch)}")
    found = cluster.get("validatingwebhookconfiguration", VALIDATING_WEBHOOK)["webhooks"]
    place = "/webhooks/{}/clientConfig/service/port"
    changes = [{"op": "add", "path": place.format(index), "value": port} for index in range(len(found))]
    cluster.kubectl(
        "patch",
        "validatingwebhookconfiguration",
        VALIDATING_WEBHOOK,
        "--type=json",
        f"--patch={json.dumps(changes)}",
    )


class Daemon:
    """One daemon process."""

    def __init__(
        self, cluster: Cluster, folder: Path, *arguments: str, environment: dict[str, str] | None = None
    ) -> None:
        self.cluster = cluster
        self.folder = folder
        self.arguments = arguments
        self.environment = environment or {}
        self.secure_port, self.metrics_port, self.health_port, self.webhook_port = (free_port() for _ in range(4))
        self.log = folder / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, *, ready: bool = True) -> None:
        """Start it; with `ready` return only when it can answer the HPA controller."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=os.environ | self.environment)
        if ready:
            self.wait_ready()

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (
            sys.executable,
            "-c",
            "from keda_py.cli import main; main()",
            "run",
            f"--kubeconfig={self._kubeconfig()}",
            f"--secure-bind-address=127.0.0.1:{self.secure_port}",
            f"--webhook-bind-address=127.0.0.1:{self.webhook_port}",
            f"--metrics-bind-address=127.0.0.1:{self.metrics_port}",
            f"--health-probe-bind-address=127.0.0.1:{self.health_port}",
            f"--cert-dir={self.folder}/certs",
            "--zap-encoder=json",
            *self.arguments,
        )

    def _kubeconfig(self) -> Path:
        """Return a kubeconfig with nothing but the ServiceAccount's token."""
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        token = self.cluster.kubectl("create", "token", "keda-operator", f"--namespace={NAMESPACE}", "--duration=8h")
        for user in config["users"]:
            user["user"] = {"token": token.strip()}
        path = self.folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def _point_service(self) -> None:
        service = {"type": "ExternalName", "externalName": "localhost", "selector": None}
        ports = [{"name": "https", "port": 443}]
        self._patch("service", "keda-metrics-apiserver", {"spec": {**service, "ports": ports}})
        self._patch("apiservice", "v1beta1.external.metrics.k8s.io", {"spec": {"service": {"port": self.secure_port}}})

    def _patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        self.cluster.kubectl(
            "patch", kind, name, f"--namespace={NAMESPACE}", "--type=merge", f"--patch={json.dumps(patch)}"
        )

    def wait_ready(self, seconds: float = 30) -> None:
        """Return when it is ready and the API server has found its metrics."""
        until = time.monotonic() + seconds
        self._wait(until, lambda: self.health() == 200)
        # Only now: what the API server could not reach, it looks for again ever more rarely. In a cluster the
        # Service's endpoints tell it when the pod is ready.
        self._point_service()
        self._wait(until, self._metrics_found)

    def _wait(self, until: float, holds: Callable[[], bool]) -> None:
        while not holds():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.said()}")
            if time.monotonic() > until:
                raise AssertionError(f"the daemon did not get ready:\n{self.said()}")
            time.sleep(0.1)

    def _metrics_found(self) -> bool:
        found = self.cluster.kubectl("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1", check=False)
        return "externalmetrics" in found

    def health(self, path: str = "/readyz") -> int:
        """Return the status of a health check, 0 without an answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=2) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metrics(self) -> str:
        """Return what /metrics says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def said(self) -> str:
        """Return everything it has logged."""
        return self.log.read_text() if self.log.exists() else ""

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 10) -> int | None:
        """Ask it to end; return its exit code."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not stop within {seconds} s:\n{self.said()[-4000:]}") from None
