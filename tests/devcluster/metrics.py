"""A server of external metrics that answers from a table, for the real HPA controller and for the embedded one."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from keda_py.devcluster.autoscaler import MetricError
from keda_py.serve.certificate import Bundle, renewed
from tests.controlplane.cluster import Cluster

NAMESPACE: Final = "keda"
SERVICE: Final = "keda-metrics-apiserver"
API_SERVICE: Final = "v1beta1.external.metrics.k8s.io"
_ROOT: Final = "/apis/external.metrics.k8s.io/v1beta1"


@dataclass
class Table:
    """What each metric is now, by namespace and name; None: it cannot be had."""

    values: dict[tuple[str, str], str | None] = field(default_factory=dict)

    async def read(self, namespace: str, name: str, _: str) -> str:
        """Return a value as the embedded cluster asks for it."""
        value = self.values.get((namespace, name))
        if value is None:
            raise MetricError("it cannot be had")
        return value

    async def answer(self, request: web.Request) -> web.Response:
        """Return a value as the API server asks for it."""
        name = request.match_info["name"]
        value = self.values.get((request.match_info["namespace"], name))
        if value is None:
            return web.Response(status=500, text="it cannot be had")
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        item = {"metricName": name, "metricLabels": {}, "timestamp": now, "value": value}
        return web.json_response({"kind": "ExternalMetricValueList", **_API, "metadata": {}, "items": [item]})


_API: Final = {"apiVersion": "external.metrics.k8s.io/v1beta1"}
_RESOURCES: Final = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": _API["apiVersion"],
    "resources": [
        {
            "name": "externalmetrics",
            "singularName": "",
            "namespaced": True,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }
    ],
}


@dataclass(frozen=True)
class Served:
    """A table that is served, and what its clients trust."""

    table: Table
    port: int
    authority: bytes


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve a table over TLS."""
    bundle = renewed(None, ["localhost", f"{SERVICE}.{NAMESPACE}.svc"], datetime.now(UTC))
    assert bundle is not None
    table, loop, ready = Table(), asyncio.new_event_loop(), threading.Event()
    found: list[int] = []

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get(_ROOT, _discovered)
        app.router.add_get(_ROOT + "/namespaces/{namespace}/{name}", table.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_tls(folder, bundle)).start()
        found.append(runner.addresses[0][1])
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="external metrics")
    thread.start()
    assert ready.wait(30)
    try:
        yield Served(table, found[0], bundle.authority)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


async def _discovered(_: web.Request) -> web.Response:
    return web.json_response(_RESOURCES)


def _tls(folder: Path, bundle: Bundle) -> ssl.SSLContext:
    chain, key = folder / "tls.crt", folder / "tls.key"
    chain.write_bytes(bundle.certificate)
    key.touch(mode=0o600)
    key.write_bytes(bundle.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    return tls


def register(cluster: Cluster, server: Served) -> None:
    """Let the API server ask this server for external metrics; a daemon that starts later takes its place."""
    service = {"type": "ExternalName", "externalName": "localhost", "selector": None, "ports": [{"port": 443}]}
    _patch(cluster, "service", SERVICE, {"spec": service})
    authority = base64.b64encode(server.authority).decode()
    spec = {"service": {"port": server.port}, "caBundle": authority}
    _patch(cluster, "apiservice", API_SERVICE, {"spec": spec})
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{API_SERVICE}", "--timeout=60s")


def _patch(cluster: Cluster, kind: str, name: str, patch: dict[str, Any]) -> None:
    arguments = ("--type=merge", f"--patch={json.dumps(patch)}", f"--namespace={NAMESPACE}")
    cluster.kubectl("patch", kind, name, *arguments)
