"""A control plane, a Prometheus, the daemon and two samples on this machine; prints what happens, and cleans up.

The daemon is installed as in a cluster (its manifests, its ServiceAccount, its RBAC) and runs beside the control
plane. Orders come and go; Prometheus counts them; `order-worker` follows. `shift` follows the clock.
"""

import itertools
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from keda_py.duration import DurationError, parse_go_duration
from tests.controlplane.build import BuildError
from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import MANIFESTS, Daemon, install, point_webhooks
from tests.servers import prometheus

SAMPLES: Final = MANIFESTS / "samples"
IN_CLUSTER: Final = "http://prometheus.monitoring.svc:9090"
# How many orders wait, and for how many seconds.
ORDERS: Final = ((0, 10), (12, 20), (34, 20), (7, 15), (0, 35))


def main() -> int:
    """Run the demo until its time is over or Ctrl-C; return the exit code."""
    try:
        seconds = parse_go_duration(os.environ["FOR"]).total_seconds() if os.environ.get("FOR") else None
    except DurationError as error:
        print(f"FOR: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            show(*started(stack), seconds=seconds)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind")
    except (BuildError, FileNotFoundError, RuntimeError, AssertionError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    return 0


def started(stack: ExitStack) -> tuple[Cluster, Daemon]:
    """Start everything; what `stack` closes again at the end."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"keda-py-demo-{os.getpid()}-")))
    say("starting a Kubernetes control plane (etcd, API server, controllers, scheduler; pods are simulated by kwok)")
    cluster = stack.enter_context(Cluster(f"demo-{os.getpid()}", hpa_sync="5s"))
    say("installing the CRDs, the daemon's ServiceAccount and its RBAC")
    install(cluster)
    say("starting a Prometheus that counts waiting orders")
    address = stack.enter_context(prometheus(folder, targets=[stack.enter_context(Shop())]))
    say("starting keda-py with that ServiceAccount")
    daemon = stack.enter_context(Daemon(cluster, folder / "daemon", "--leader-elect"))
    point_webhooks(cluster, daemon.webhook_port)
    say(f"applying {', '.join(path.name for path in sorted(SAMPLES.glob('*.yaml')))}")
    for path in sorted(SAMPLES.glob("*.yaml")):
        cluster.kubectl("apply", "-f", "-", stdin=path.read_text().replace(IN_CLUSTER, address))
    say(f"look for yourself: export KUBECONFIG={cluster.kubeconfig}; kubectl get so,hpa,deploy")
    return cluster, daemon


class Shop:
    """Exposes how many orders wait, which changes with time."""

    def __enter__(self) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"orders_waiting {waiting()}\n".encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def waiting() -> int:
    """Return how many orders wait at the moment."""
    moment = (time.monotonic() - BEGAN) % sum(seconds for _, seconds in ORDERS)
    until = itertools.accumulate(seconds for _, seconds in ORDERS)
    return next(count for (count, _), end in zip(ORDERS, until, strict=True) if moment < end)


BEGAN: Final = time.monotonic()


def show(cluster: Cluster, daemon: Daemon, *, seconds: float | None) -> None:
    """Print replicas, decisions and reasons as they change, for so many seconds or until Ctrl-C."""
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    decisions = Decisions(daemon)
    before: dict[str, str] = {}
    while time.monotonic() < until:
        for line in decisions.new():
            say(line)
        now = states(cluster) | {"orders waiting": str(waiting())}
        for name in [name for name, state in now.items() if before.get(name) != state]:
            say(f"{name}: {now[name]}")
        before = now
        time.sleep(0.5)
    say("time is over")


class Decisions:
    """What the daemon logs, line by line."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.seen = 0

    def new(self) -> Iterator[str]:
        """Yield the decisions that are new."""
        lines = self.daemon.said().splitlines()
        for line in lines[self.seen :]:
            entry = json.loads(line) if line.startswith("{") else {}
            event = entry.get("event")
            if event == "scaled":
                change = f"{entry['target']} {entry['before']} -> {entry['after']}"
                names = f" ({', '.join(entry['triggers'])})" if entry["triggers"] else ""
                yield f"  keda-py: {change}, because {entry['why']}{names}"
            elif event == "created":
                yield f"  keda-py: HPA/{entry['hpa']} created"
            elif event == "created jobs":
                yield f"  keda-py: {entry['object']} created {entry['jobs']} Jobs: queue {entry['queue']:g}"
            elif event in ("ready", "not ready"):
                why = f": {entry['message']}" if entry.get("message") else ""
                yield f"  keda-py: {entry['object']} is {event}{why}"
        self.seen = len(lines)


def states(cluster: Cluster) -> dict[str, str]:
    """Return each ScaledObject's replicas, and what it says of them."""
    found = {}
    deployments = {item["metadata"]["name"]: item for item in cluster.get("deployments")["items"]}
    for scaled_object in cluster.get("scaledobjects")["items"]:
        name = scaled_object["metadata"]["name"]
        said = {c["type"]: c for c in (scaled_object.get("status") or {}).get("conditions") or []}
        target = deployments.get(scaled_object["spec"]["scaleTargetRef"]["name"])
        if target is None:
            found[name] = said.get("Ready", {}).get("message", "no Deployment of that name")
            continue
        wanted, running = target["spec"].get("replicas", 0), target.get("status", {}).get("readyReplicas", 0)
        active = said.get("Active", {}).get("message", "")
        found[name] = (
            f"{'#' * wanted or '-'}  {wanted} replica{'s' if wanted != 1 else ''}, {running} running; {active}"
        )
    return found


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
