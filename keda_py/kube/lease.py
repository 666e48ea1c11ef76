"""Leadership by a Lease: of several daemons, one acts.

The protocol is client-go's (tools/leaderelection): whoever holds the lease renews it; another takes it once it has seen
no renewal for the lease's duration *by its own clock*, so that machines' clocks need not agree. Every change is made
under the version that was read, so of two takers one loses. A holder that could not renew for `renew` seconds stops
holding, and it does so before any other may take over.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from keda_py.kube.client import ApiError, Client, Conflict, NotFound, Resource
from keda_py.settings import Leadership

log = structlog.get_logger("lease")

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
_RELEASED_SECONDS: Final = 1
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Lease:
    """One daemon's view of the lease; `run` keeps it up to date."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        identity: str,
        now: Callable[[], datetime],
        leadership: Leadership,
        changed: Callable[[bool], None],
    ) -> None:
        """`changed` is told whenever this daemon begins or ceases to hold the lease."""
        self.held = False
        self.name = leadership.name
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._now = now
        self._lasts = leadership.duration.total_seconds()
        self._renew = leadership.renew_deadline.total_seconds()
        self._retry = leadership.retry_period.total_seconds()
        self._changed = changed
        self._seen: dict[str, Any] | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0

    async def run(self) -> None:
        """Try to get the lease and keep it, until cancelled."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                # A try that takes longer than this could no longer count as a renewal in time.
                async with asyncio.timeout(self._patience(began)):
                    won = await self._try()
            except (ApiError, TimeoutError) as error:
                log.debug("not renewed", message=str(error) or type(error).__name__)
                won = None
            self._conclude(won, began)
            await asyncio.sleep(self._retry)

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for it to run out."""
        if not self.held or self._seen is None:
            return
        self._set_held(held=False)
        spec = {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_SECONDS, "renewTime": self._time()}
        try:
            async with asyncio.timeout(self._retry):
                await self._write(self._seen, spec)
        except (ApiError, TimeoutError) as error:
            log.info("not released", lease=self.name, message=str(error) or type(error).__name__)

    def _patience(self, began: float) -> float:
        return max(0.1, self._renewed_at + self._renew - began) if self.held else self._renew

    def _conclude(self, won: bool | None, began: float) -> None:
        """Take in how a try ended: won, lost to another, or, None, without an answer."""
        loop = asyncio.get_running_loop()
        if won:
            # Counted from before the request: the server stamped it no earlier than that.
            self._renewed_at = began
            self._set_held(held=True)
        elif won is False or loop.time() - self._renewed_at >= self._renew:
            self._set_held(held=False)

    def _set_held(self, *, held: bool) -> None:
        if held != self.held:
            self.held = held
            log.info("leading" if held else "not leading", lease=self.name, identity=self._identity)
            self._changed(held)

    async def _try(self) -> bool | None:
        """Take or renew the lease; return whether it is ours now, None if that is still open."""
        if self._seen is None or not self.held:
            try:
                self._observe(await self._client.get(LEASES, self._namespace, self.name))
            except NotFound:
                return await self._create()
        known = self._seen or {}
        if not self._may_take(known):
            return False
        try:
            self._observe(await self._write(known, self._claim(known)))
        except Conflict:
            # Somebody wrote it since. If it still names us, nothing is lost and nothing renewed: try again.
            found = await self._client.get(LEASES, self._namespace, self.name)
            self._observe(found)
            return None if (found.get("spec") or {}).get("holderIdentity") == self._identity else False
        return True

    async def _create(self) -> bool:
        body = {"metadata": {"name": self.name, "namespace": self._namespace}, "spec": self._claim({})}
        try:
            self._observe(await self._client.create(LEASES, self._namespace, body))
        except Conflict:
            return False
        return True

    def _observe(self, found: dict[str, Any]) -> None:
        """Remember a lease, and when by our own clock it was first seen in this state."""
        if self._seen is None or self._seen.get("spec") != found.get("spec"):
            self._seen_at = asyncio.get_running_loop().time()
        self._seen = found

    def _may_take(self, known: dict[str, Any]) -> bool:
        spec = known.get("spec") or {}
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        lasts = float(spec.get("leaseDurationSeconds") or self._lasts)
        return asyncio.get_running_loop().time() >= self._seen_at + lasts

    def _claim(self, known: dict[str, Any]) -> dict[str, Any]:
        spec = known.get("spec") or {}
        mine = spec.get("holderIdentity") == self._identity
        now = self._time()
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._lasts),
            "acquireTime": spec.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (0 if mine or not known else 1),
        }

    async def _write(self, known: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        patch = {"metadata": {"resourceVersion": known["metadata"]["resourceVersion"]}, "spec": spec}
        return await self._client.merge_patch(LEASES, self._namespace, self.name, patch)

    def _time(self) -> str:
        return self._now().astimezone(UTC).strftime(_FORMAT)
