"""One control plane: started, asked with kubectl, hurt on purpose, stopped.

kwokctl runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler as plain processes, and kwok plays the
kubelets, so that pods become Running, and those of Jobs end (stages.yaml). Authorisation is RBAC, and the aggregation
layer presents front-proxy client certificates, as on a cluster made by kubeadm.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self, TextIO

from .build import KUBERNETES, binaries, cache

FRONT_PROXY: Final = "kwok-admin"
"""The common name in the certificate that the API server presents to aggregated APIs."""
STAGES: Final = Path(__file__).with_name("stages.yaml")
"""What kwok plays."""
AUDIT: Final = Path(__file__).with_name("audit.yaml")
"""Whose requests the API server writes down."""
_CONTROLLERS: Final = ("kube-controller-manager", "kube-scheduler")
_REQUEST_HEADERS: Final = {
    "requestheader-allowed-names": FRONT_PROXY,
    "requestheader-username-headers": "X-Remote-User",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
}


class Cluster:
    """A cluster to test on: one of our own, or the one that a given kubeconfig names."""

    def __init__(self, name: str, *, nodes: int = 2, hpa_sync: str = "15s") -> None:
        """`hpa_sync`: how often the HPA controller looks, as a Go duration; 15s is Kubernetes' default."""
        self.name = name
        self.nodes = nodes
        self.hpa_sync = hpa_sync
        self.given = os.environ.get("KEDA_PY_TEST_KUBECONFIG")
        self.folder = cache() / "clusters"
        self.kubeconfig = Path(self.given) if self.given else self.folder / f"{name}.kubeconfig"
        self.bin = binaries()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # --- the cluster as a whole -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the cluster anew; a given one is used as it is."""
        if self.given:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stop()
        headers = _REQUEST_HEADERS | {"requestheader-client-ca-file": str(self.pki / "ca.crt")}
        # Not kwokctl's --disable-qps-limits: it turns the API server's priority and fairness off as well. Each
        # component's first argument before any second one, or kwokctl mixes them up.
        # There is one of each controller: losing an election while the API server is away would end it for good.
        unlimited = ["kube-api-qps=1000", "kube-api-burst=1000", "leader-elect=false"]
        arguments = [
            *(f"{component}={limit}" for limit in unlimited for component in _CONTROLLERS),
            f"kube-controller-manager=horizontal-pod-autoscaler-sync-period={self.hpa_sync}",
        ]
        arguments[2:2] = [f"kube-apiserver={key}={value}" for key, value in headers.items()]
        extra = [f"--extra-args={argument}" for argument in arguments]
        tools = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
        programs = [f"--{tool}-binary={self.bin / tool}" for tool in sorted(tools)]
        with self._ports_locked():
            self._create(programs, extra)
        self._kwokctl("scale", "node", f"--replicas={self.nodes}")

    def _create(self, programs: list[str], extra: list[str]) -> None:
        self._kwokctl(
            "create",
            "cluster",
            "--runtime=binary",
            "--secure-port",
            "--kube-authorization",
            f"--config={STAGES}",
            f"--kube-audit-policy={AUDIT}",
            f"--kwok-controller-binary={self.bin / 'kwok'}",
            f"--kubeconfig={self.kubeconfig}",
            "--wait=90s",
            *programs,
            *extra,
        )

    def stop(self) -> None:
        """Stop everything and leave nothing behind."""
        if self.given:
            return
        for process in self.pids().values():
            _signal(process, signal.SIGCONT)
        self._kwokctl("delete", "cluster", check=False)
        shutil.rmtree(self._workdir, ignore_errors=True)
        self.kubeconfig.unlink(missing_ok=True)

    def _ports_locked(self) -> TextIO:
        """Keep others from looking for free ports until what is returned is closed: they would find the same."""
        lock = (self.folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    @property
    def pki(self) -> Path:
        """The folder of the cluster's own certificates."""
        return self._workdir / "pki"

    @property
    def _workdir(self) -> Path:
        return self.folder / "clusters" / self.name

    def _kwokctl(self, *arguments: str, check: bool = True) -> None:
        environment = os.environ | {"KWOK_WORKDIR": str(self.folder), "KWOK_KUBE_VERSION": KUBERNETES}
        done = subprocess.run(
            [self.bin / "kwokctl", *arguments, f"--name={self.name}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"kwokctl {arguments[0]} {arguments[1]}: {done.stderr[-2000:]}")

    # --- its parts --------------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """Return the process ids of the components that run."""
        found = {}
        for path in (self._workdir / "pids").glob("*.pid"):
            pid = int(path.read_text().strip() or 0)
            if pid and Path(f"/proc/{pid}").exists():
                found[path.stem] = pid
        return found

    def kill_api_server(self) -> Callable[[], None]:
        """Kill the API server at once; return what starts it again, just as it was, and waits until it is ready."""
        pid = self.pids()["kube-apiserver"]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        folder = Path(f"/proc/{pid}/cwd").resolve()
        # Its port is free meanwhile.
        lock = self._ports_locked()
        _signal(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
            time.sleep(0.02)

        def start() -> None:
            with (self._workdir / "logs" / "kube-apiserver.log").open("ab") as log:
                process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
            (self._workdir / "pids" / "kube-apiserver.pid").write_text(str(process.pid))
            while self.kubectl("get", "--raw", "/readyz", check=False).strip() != "ok":
                time.sleep(0.2)
            lock.close()

        return start

    @contextlib.contextmanager
    def frozen(self, component: str) -> Iterator[None]:
        """Let a component do nothing within the block, with its connections open, and go on after it."""
        _signal(self.pids()[component], signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(self.pids()[component], signal.SIGCONT)

    # --- asking it --------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Return what kubectl prints, as the cluster's administrator; raise `AssertionError` with what it complains."""
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [self.bin / "kubectl", *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *documents: Mapping[str, Any], namespace: str = "default") -> None:
        """Apply manifests."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=json.dumps(items))

    def get(self, *arguments: str, namespace: str = "default") -> Any:
        """Return what ``kubectl get`` finds."""
        return json.loads(self.kubectl("get", f"--namespace={namespace}", *arguments, "-o", "json"))

    def request_counts(self, code: str = "") -> dict[tuple[str, str, str], float]:
        """Return how many requests the API server has served, by verb, resource and subresource.

        `code`: only those answered with this HTTP status.
        """
        counts: dict[tuple[str, str, str], float] = {}
        for line in self.kubectl("get", "--raw", "/metrics").splitlines():
            if line.startswith("apiserver_request_total{"):
                labels, _, value = line.removeprefix("apiserver_request_total{").rpartition("} ")
                pairs = dict(part.split("=", 1) for part in labels.split(",") if "=" in part)
                if code and pairs["code"].strip('"') != code:
                    continue
                key = tuple(pairs.get(name, "").strip('"') for name in ("verb", "resource", "subresource"))
                counts[key] = counts.get(key, 0.0) + float(value)  # type: ignore[index,arg-type]
        return counts

    def audited(self, *namespaces: str) -> Counter[tuple[str, str]]:
        """Return how often the daemon has asked the API server for what: verbs and resources, of all daemons so far.

        Resources are written `pods` or `pods/status`. By its audit log, so that nobody else's requests are among them;
        and without those in other namespaces, where what is left of other tests may still be going.
        """
        counts: Counter[tuple[str, str]] = Counter()
        # The last line may be half written.
        whole, _, _ = (self._workdir / "logs" / "audit.log").read_text().rpartition("\n")
        for event in map(json.loads, whole.splitlines()):
            reference = event.get("objectRef", {})
            if reference.get("namespace") in {None, *namespaces}:
                parts = (reference.get("resource"), reference.get("subresource"))
                counts[event["verb"], "/".join(part for part in parts if part)] += 1
        return counts


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
