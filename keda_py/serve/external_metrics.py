"""The external metrics API (external.metrics.k8s.io/v1beta1), where the HPA controller asks for values.

Answered from the same readings that the reconcile loop decides on (`engine.metrics`). A metric that cannot be read is
an error, never a number: the HPA controller then does not scale down.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

from keda_py.decide.status import format_time
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, MetricValue
from keda_py.naming import EXTERNAL_METRICS_GROUP, EXTERNAL_METRICS_VERSION, Label

GROUP_VERSION: Final = f"{EXTERNAL_METRICS_GROUP}/{EXTERNAL_METRICS_VERSION}"
ROOT: Final = f"/apis/{GROUP_VERSION}"
_REQUIREMENT: Final = re.compile(r"\s*([^\s=!,]+)\s*==?\s*([^\s=!,]*)\s*")

ReadMetric = Callable[[str, str, str], Awaitable[MetricValue]]
"""Takes namespace, ScaledObject and metric; raises the errors of `engine.metrics`."""


def application(read: ReadMetric, *, admits: Callable[[web.Request], bool]) -> web.Application:
    """Return the API; `admits` says whether a request may be answered at all."""

    async def discovery(request: web.Request) -> web.Response:
        return _json(_RESOURCES) if admits(request) else _unauthorized()

    async def value(request: web.Request) -> web.Response:
        if not admits(request):
            return _unauthorized()
        names = request.match_info
        selector = request.query.get("labelSelector", "")
        return _json(*await answer(read, names["namespace"], names["metric"], selector=selector))

    app = web.Application()
    app.add_routes([web.get(ROOT, discovery), web.get(f"{ROOT}/namespaces/{{namespace}}/{{metric}}", value)])
    return app


async def answer(read: ReadMetric, namespace: str, metric: str, *, selector: str) -> tuple[dict[str, Any], int]:
    """Return what is answered to a request for a metric: a body and its status code."""
    scaled_object = owner_of(selector)
    if scaled_object is None:
        return _failure(400, "BadRequest", f"the label selector must name the ScaledObject: {Label.OWNER}=<name>")
    try:
        return _listing(await read(namespace, scaled_object, metric)), 200
    except MetricUnknownError as error:
        return _failure(404, "NotFound", str(error))
    except MetricUnavailableError as error:
        return _failure(503, "ServiceUnavailable", str(error))


def owner_of(selector: str) -> str | None:
    """Return the ScaledObject that a label selector names, None if it names none."""
    for requirement in selector.split(","):
        found = _REQUIREMENT.fullmatch(requirement)
        if found and found[1] == Label.OWNER and found[2]:
            return found[2]
    return None


_RESOURCES: Final[dict[str, Any]] = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": GROUP_VERSION,
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


def _listing(value: MetricValue) -> dict[str, Any]:
    item = {"metricName": value.name, "metricLabels": None, "timestamp": format_time(value.at), "value": value.value}
    return {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [item]}


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _unauthorized() -> web.Response:
    return _json(*_failure(401, "Unauthorized", "only the API server's aggregation layer is answered"))


def _failure(code: int, reason: str, message: str) -> tuple[dict[str, Any], int]:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return status, code
