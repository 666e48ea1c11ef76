"""The way in for kubectl: the embedded API server on 127.0.0.1, and the kubeconfig that opens it.

Whoever may write to the cluster may, with processes, run commands as this user. So it is not enough to listen on
127.0.0.1, where every user of the machine and every page in a browser can reach: requests need the token that is in
the kubeconfig, and that is readable for this user alone.
"""

import base64
import hmac
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from keda_py.devcluster.api import Answer, Request
from keda_py.devcluster.autoscaler import MetricError
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.controller import PODS
from keda_py.devcluster.http import application
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError
from keda_py.runtime.clock import Now
from keda_py.serve import external_metrics
from keda_py.serve.certificate import renewed
from keda_py.serve.external_metrics import ReadMetric
from keda_py.serve.listen import listening
from keda_py.serve.tls import ServerTls
from keda_py.settings import Address

_HOST: Final = "localhost"
_NAME: Final = "keda-py-dev"
_METRIC: Final = re.compile(rf"{external_metrics.ROOT}/namespaces/([^/]+)/([^/]+)")
_LOG: Final = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/log")
_IN_NAME_ONLY: Final = "This pod runs in name only; keda-py dev --run-processes runs its command.\n"


@asynccontextmanager
async def opened(
    cluster: DevCluster, read: ReadMetric, *, port: int, kubeconfig: Path, now: Now, processes: bool
) -> AsyncIterator[int]:
    """Serve the cluster within the block and yield the port; write the kubeconfig (`ListenError`)."""
    token = secrets.token_urlsafe(32)
    bundle = renewed(None, [_HOST], now())
    assert bundle is not None  # noqa: S101  there was none before, so there is a new one
    tls = ServerTls()
    tls.set_certificate(bundle.certificate, bundle.key)
    app = application(cluster.api, proxied=_others(cluster, read, processes=processes))
    app.middlewares.append(_admitting(token))
    async with listening(app, Address("127.0.0.1", port), flag="--port", tls=tls.context) as found:
        _write(kubeconfig, _kubeconfig(found, token, bundle.authority))
        yield found


def metric_reader(read: ReadMetric) -> Callable[[str, str, str], Awaitable[str]]:
    """Return the way from the embedded HPA controller to external metrics, without a wire."""

    async def value(namespace: str, metric: str, selector: str) -> str:
        owner = external_metrics.owner_of(selector)
        if owner is None:
            raise MetricError("the HPA's selector names no ScaledObject")
        try:
            return (await read(namespace, owner, metric)).value
        except (MetricUnknownError, MetricUnavailableError) as error:
            raise MetricError(str(error)) from None

    return value


def _others(cluster: DevCluster, read: ReadMetric, *, processes: bool) -> Callable[[Request], Awaitable[Answer | None]]:
    """Return what answers for the other servers of a cluster: for external metrics, and the kubelet's logs."""

    async def answer(request: Request) -> Answer | None:
        if request.method != "GET":
            return None
        if (found := _METRIC.fullmatch(request.path)) is not None:
            selector = request.params.get("labelSelector", "")
            body, status = await external_metrics.answer(read, found[1], found[2], selector=selector)
            return Answer(status, body)
        if (found := _LOG.fullmatch(request.path)) is not None and cluster.store.get(PODS, (found[1], found[2])):
            return Answer(200, cluster.kubelet.logs(found[1], found[2]) if processes else _IN_NAME_ONLY)
        return None

    return answer


def _admitting(token: str) -> Any:
    wanted = f"Bearer {token}".encode()

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if hmac.compare_digest(given, wanted):
            return await handler(request)
        message = "Unauthorized: use the kubeconfig that keda-py dev has written"
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": 401}
        return web.Response(body=orjson.dumps(status), status=401, content_type="application/json")

    return admit


def _kubeconfig(port: int, token: str, authority: bytes) -> dict[str, Any]:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "tls-server-name": _HOST,
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    context = {"cluster": _NAME, "user": _NAME, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": _NAME,
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "contexts": [{"name": _NAME, "context": context}],
        "users": [{"name": _NAME, "user": {"token": token}}],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    # In its place at once and as a whole, and never readable for others.
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    unfinished.replace(path)
