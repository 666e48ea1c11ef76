"""The validating webhook: AdmissionReview in, AdmissionReview out (admission.k8s.io/v1), at the paths that KEDA has.

Whatever goes wrong here lets the object in, with a warning: the cluster must not depend on us to be changed. What is no
review at all is answered with 400.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from keda_py.decide.admission import Verdict
from keda_py.engine.admission import Asked
from keda_py.runtime.source import as_scaler_error

log = structlog.get_logger("webhook")

API_VERSION: Final = "admission.k8s.io/v1"
LARGEST: Final = 8 * 2**20
"""An update carries two objects, of 1.5 MiB at most each."""
PATHS: Final = {
    f"/validate-{group}-v1alpha1-{kind.lower()}": kind
    for group, kinds in {
        "keda-sh": ("ScaledObject", "ScaledJob", "TriggerAuthentication", "ClusterTriggerAuthentication"),
        "eventing-keda-sh": ("CloudEventSource", "ClusterCloudEventSource"),
    }.items()
    for kind in kinds
}
"""The kind that is validated at each path."""

Review = Callable[[Asked], Awaitable[Verdict]]


class NoReviewError(Exception):
    """A request that is no AdmissionReview; the message says what was expected."""


def application(review: Review) -> web.Application:
    """Return the webhook; `review` says whether an object may be let in."""

    async def answer(request: web.Request) -> web.Response:
        try:
            uid, asked = understood(await request.read(), PATHS[request.path])
        except NoReviewError as error:
            return web.Response(text=str(error), status=400)
        verdict = Verdict() if asked is None else await reviewed(review, asked)
        return web.Response(body=orjson.dumps(_review(uid, verdict)), content_type="application/json")

    app = web.Application(client_max_size=LARGEST)
    app.add_routes([web.post(path, answer) for path in PATHS])
    return app


async def reviewed(review: Review, asked: Asked) -> Verdict:
    """Return what is to be said of an object; one that cannot be checked is let in, with a warning."""
    about = {"kind": asked.kind, "object": f"{asked.namespace}/{asked.new['metadata'].get('name')}"}
    try:
        verdict = await review(asked)
    except Exception as error:  # noqa: BLE001  a mistake of ours must not keep anybody from changing the cluster
        # Where, and not what: the text of an unforeseen exception may hold whatever it was raised over.
        log.error("could not be checked", **about, message=str(as_scaler_error(error)))  # noqa: TRY400
        reason = f"keda-py could not check this {asked.kind}, and let it in: {type(error).__name__}"
        return Verdict(warnings=(reason,))
    if not verdict.allowed:
        log.info("refused", **about, reasons=sorted({finding.reason for finding in verdict.findings}))
    return verdict


def understood(body: bytes, kind: str) -> tuple[str, Asked | None]:
    """Return the uid of a request, and what is asked, None if nothing need be said; raise `NoReviewError`."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoReviewError("expected an AdmissionReview in JSON") from None
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or review.get("apiVersion") != API_VERSION:
        raise NoReviewError(f"expected an AdmissionReview of {API_VERSION} with a request")
    if not isinstance(uid := request.get("uid"), str) or not uid:
        raise NoReviewError("the request has no uid")
    if request.get("operation") not in ("CREATE", "UPDATE"):
        return uid, None
    new, old = _object(request.get("object")), _object(request.get("oldObject") or {"metadata": {}})
    if new is None or old is None:
        raise NoReviewError("object and oldObject must be objects with metadata")
    namespace = request.get("namespace") or ""
    if not isinstance(namespace, str):
        raise NoReviewError("namespace must be a text")
    # The API server has filled it in, or checked that both are the same.
    new["metadata"]["namespace"] = namespace
    before = old if request["operation"] == "UPDATE" else None
    return uid, Asked(kind, namespace, new, before, dry_run=request.get("dryRun") is True)


def _object(found: Any) -> dict[str, Any] | None:
    return found if isinstance(found, dict) and isinstance(found.get("metadata"), dict) else None


def _review(uid: str, verdict: Verdict) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    if not verdict.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": verdict.message}
    if warnings := verdict.shown_warnings:
        response["warnings"] = warnings
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
