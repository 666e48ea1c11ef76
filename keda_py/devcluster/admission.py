"""Who else is asked before an object of KEDA's kinds is written, as an API server asks a validating webhook.

The webhooks are those of manifests/operator/webhook.yaml: status and scale are not asked about, and if nobody answers
in time, the object is let in. What the answer is about is what a dry run would store; while it is awaited others
write, so that an object that is another one by then is asked about again.
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

import structlog

from keda_py.decide.admission import Verdict
from keda_py.devcluster.api import Admit, Answer, Api, Request
from keda_py.devcluster.route import Route
from keda_py.devcluster.rule import Refusal, conflict
from keda_py.engine.admission import Asked

log = structlog.get_logger("devcluster")

SECONDS: Final = 10.0
_TRIES: Final = 5
_WRITES: Final = ("POST", "PUT", "PATCH")
WEBHOOKS: Final = {
    ("keda.sh", "ScaledObject"): "vscaledobject.kb.io",
    ("keda.sh", "ScaledJob"): "vscaledjob.kb.io",
    ("keda.sh", "TriggerAuthentication"): "vstriggerauthentication.kb.io",
    ("keda.sh", "ClusterTriggerAuthentication"): "vsclustertriggerauthentication.kb.io",
    ("eventing.keda.sh", "CloudEventSource"): "vcloudeventsource.kb.io",
    ("eventing.keda.sh", "ClusterCloudEventSource"): "vclustercloudeventsource.kb.io",
}
"""The name of the webhook of each kind that has one, by group and kind."""


async def answer(api: Api, request: Request) -> Answer:
    """Carry out a request that is no watch, if it is admitted; a refusal is an answer too."""
    route = _route(api, request)
    if api.admit is None or route is None:
        return api.answer(request)
    # As with any webhook a moment passes, in which whoever watches sees what was written just before.
    await asyncio.sleep(0)
    name = (route.namespace, route.name)
    for _ in range(_TRIES):
        before = api.store.get(route.kind.place, name)
        tried = api.answer(request if request.dry else _dry(request))
        if tried.status >= 400:  # noqa: PLR2004  HTTP's own number
            return tried
        asked = Asked(route.kind.resource.kind, route.namespace, tried.body, before, dry_run=request.dry)
        verdict = await _verdict(api.admit, asked)
        warnings = tuple(verdict.shown_warnings)
        if not verdict.allowed:
            return _denied(route, verdict, warnings)
        if request.dry:
            return replace(tried, warnings=warnings)
        if api.store.get(route.kind.place, name) is before:
            return replace(api.answer(request), warnings=warnings)
    late = conflict(route.kind, route.name)
    return Answer(late.status, late.body)


def _route(api: Api, request: Request) -> Route | None:
    """Return what a request writes; None if nobody need be asked."""
    if request.method not in _WRITES:
        return None
    try:
        route = api.route(request.path)
    except Refusal:
        return None
    resource = route.kind.resource
    return route if not route.subresource and (resource.group, resource.kind) in WEBHOOKS else None


def _dry(request: Request) -> Request:
    params: dict[str, Any] = {**request.params, "dryRun": "All"}
    return replace(request, params=params)


async def _verdict(admit: Admit, asked: Asked) -> Verdict:
    try:
        async with asyncio.timeout(SECONDS):
            return await admit(asked)
    except Exception as error:  # noqa: BLE001  failurePolicy Ignore, whatever it was
        about = f"{asked.namespace}/{asked.new['metadata']['name']}"
        log.warning("let in unchecked", kind=asked.kind, object=about, reason=type(error).__name__)
        return Verdict()


def _denied(route: Route, verdict: Verdict, warnings: tuple[str, ...]) -> Answer:
    webhook = WEBHOOKS[route.kind.resource.group, route.kind.resource.kind]
    denied = Refusal(403, "Forbidden", f'admission webhook "{webhook}" denied the request: {verdict.message}')
    return Answer(denied.status, denied.body, warnings)
