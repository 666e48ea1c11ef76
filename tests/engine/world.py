"""The whole daemon on the embedded cluster, in virtual time, for tests that need both and nothing else."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from keda_py.daemon import Daemon
from keda_py.devcluster.api import MERGE, Request
from keda_py.devcluster.autoscaler import MetricError
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.metrics import MetricUnavailableError, read_metric
from keda_py.engine.registry import Registry
from keda_py.event_sink import EventSink
from keda_py.kube.client import Client
from keda_py.kube.transport import Response
from keda_py.runtime.clock import loop_clock
from keda_py.scaler import Scaler
from keda_py.secret_store import SecretStore
from keda_py.settings import Settings

SPACE = "default"


class Installed:
    """An entry point that leads to a scaler or secret store made for a test."""

    dist = None

    def __init__(self, name: str, found: type[Any]) -> None:
        self.name = name
        self.value = f"test:{name}"
        self._found = found

    def load(self) -> type[Any]:
        return self._found


class Wire:
    """The way to the API server: counts calls, and can be cut, or have the server refuse what a test names."""

    def __init__(self, local: LocalTransport) -> None:
        self._local = local
        self.calls: list[str] = []
        self.refused: tuple[str, ...] = ()
        self.lost: set[str] = set()
        """Calls that are carried out, and not answered."""
        self.late: dict[str, float] = {}
        """Calls, by how they begin, that are carried out at once and answered so many seconds later."""
        self.room: Callable[[], bool] = lambda: True
        """Whether one more Job may be made."""
        self.no_room = _forbidden("exceeded quota")
        """What is said if not."""
        self.cut = asyncio.Event()
        self.streams: Counter[str] = Counter()

    def _check(self, path: str, method: str = "GET") -> Response | None:
        if self.cut.is_set():
            raise ConnectionError("connection refused")
        if any(part in path for part in self.refused):
            return _forbidden(f"{path} is forbidden: not you")
        if method == "POST" and path.endswith("/jobs") and not self.room():
            return self.no_room
        return None

    async def request(self, method: str, path: str, *, params: Mapping[str, str], **rest: Any) -> Response:
        await asyncio.sleep(0.002)
        about = f"{method} {path} {params.get('fieldSelector', '')}".strip()
        self.calls.append(about)
        answer = self._check(path, method) or await self._local.request(method, path, params=params, **rest)
        if about in self.lost:
            raise ConnectionError("connection reset")
        await asyncio.sleep(sum(seconds for start, seconds in self.late.items() if about.startswith(start)))
        return answer

    @asynccontextmanager
    async def stream(self, path: str, *, params: Mapping[str, str], silence: float) -> AsyncIterator[Any]:
        refusal = self._check(path)
        if refusal is not None:
            yield refusal, None
            return
        about = f"{path} {params.get('fieldSelector', '')}".strip()
        self.streams[about] += 1
        try:
            async with self._local.stream(path, params=params, silence=silence) as (answer, lines):
                yield answer, self._until_cut(lines)
        finally:
            self.streams[about] -= 1

    async def _until_cut(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        cut = asyncio.ensure_future(self.cut.wait())
        try:
            while True:
                line = asyncio.ensure_future(anext(lines))
                try:
                    await asyncio.wait({line, cut}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not line.done():
                        line.cancel()
                        await asyncio.wait({line})
                if cut.done():
                    raise ConnectionError("connection reset")
                if isinstance(line.exception(), StopAsyncIteration):
                    return
                yield line.result()
        finally:
            cut.cancel()

    def watches(self, plural: str) -> list[str]:
        """Return the open watches of single objects of a kind."""
        return [about for about, count in self.streams.items() if count and f"/{plural} metadata.name" in about]


def _forbidden(message: str) -> Response:
    return Response(403, orjson.dumps({"reason": "Forbidden", "message": message}))


class Embedded:
    """A cluster and a daemon on it."""

    def __init__(
        self,
        scalers: Mapping[str, type[Scaler[Any]]],
        stores: Mapping[str, type[SecretStore[Any]]] | None = None,
        sinks: Mapping[str, type[EventSink]] | None = None,
        **settings: Any,
    ) -> None:
        chance = random.Random(1)
        now = loop_clock(datetime(2026, 1, 5, tzinfo=UTC))
        self.cluster = DevCluster(now=now, chance=chance)
        self.api = self.cluster.api
        self.wire = Wire(LocalTransport(self.api))
        self.registry = Registry(
            [Installed(name, found) for name, found in scalers.items()],  # type: ignore[misc]
            [Installed(name, found) for name, found in (stores or {}).items()],  # type: ignore[misc]
            [Installed(name, found) for name, found in (sinks or {}).items()],  # type: ignore[misc]
        )
        self.settings = Settings(
            external_metrics=None, webhook=None, telemetry=None, health=None, reconciles=3, job_reconciles=3, **settings
        )
        self.chance, self.now = chance, now
        self.daemon = self.another(self.wire)
        self.cluster.read_metric = self._read_metric

    async def _read_metric(self, namespace: str, name: str, selector: str) -> str:
        owner = selector.rpartition("=")[2]
        try:
            return (await read_metric(self.daemon.live, namespace, owner, name)).value
        except MetricUnavailableError as error:
            raise MetricError(str(error)) from None

    def another(self, wire: Wire) -> Daemon:
        """Return a daemon that does not run yet."""
        return Daemon(self.settings, self.registry, Client(wire), now=self.now, chance=self.chance)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        tasks = [asyncio.create_task(self.cluster.run()), asyncio.create_task(self.daemon.run())]
        try:
            await asyncio.sleep(1)
            yield self
            for task in tasks:
                assert not task.done(), task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- a person with kubectl --------------------------------------------------------------------------------------

    def do(self, method: str, path: str, body: Any = None) -> Any:
        content = MERGE if method == "PATCH" else "application/json"
        answer = self.api.answer(Request(method, path, {}, body, content))
        assert answer.status < 300 or (method, answer.status) == ("GET", 404), answer.body
        return answer.body

    def put(self, api: str, plural: str, name: str, *, namespace: str = SPACE, **content: Any) -> None:
        place = f"/{api}/namespaces/{namespace}/{plural}" if namespace else f"/{api}/{plural}"
        if (
            "metadata" in self.do("GET", f"{place}/{name}")
            and self.do("GET", f"{place}/{name}").get("kind") != "Status"
        ):
            self.do("PATCH", f"{place}/{name}", content)
        else:
            kind = self.api.route(place).kind.resource
            metadata = {"name": name, **content.pop("metadata", {})}
            self.do("POST", place, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content})

    def secret(self, name: str, *, namespace: str = SPACE, **values: str | None) -> None:
        data = {
            key: value if value is None else base64.b64encode(value.encode()).decode() for key, value in values.items()
        }
        self.put("api/v1", "secrets", name, namespace=namespace, data=data)

    def config_map(self, name: str, **values: str) -> None:
        self.put("api/v1", "configmaps", name, data=values)

    def authentication(self, name: str, *, of_cluster: bool = False, **spec: Any) -> None:
        plural, namespace = ("clustertriggerauthentications", "") if of_cluster else ("triggerauthentications", SPACE)
        self.put("apis/keda.sh/v1alpha1", plural, name, namespace=namespace, spec=spec)

    def deploy(self, name: str, **pod: Any) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}], **pod}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        self.put("apis/apps/v1", "deployments", name, spec=spec)

    def scale(self, name: str, *triggers: dict[str, Any], **spec: Any) -> None:
        made = {"scaleTargetRef": {"name": name}, "triggers": list(triggers), **spec}
        self.put("apis/keda.sh/v1alpha1", "scaledobjects", name, spec=made)

    def delete(self, api: str, plural: str, name: str, *, namespace: str = SPACE) -> None:
        self.do("DELETE", f"/{api}/namespaces/{namespace}/{plural}/{name}")

    # --- what there is to see ---------------------------------------------------------------------------------------

    def status(self, name: str, plural: str = "scaledobjects") -> dict[str, Any]:
        found = self.do("GET", f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/{plural}/{name}")
        return dict(found.get("status") or {})

    def conditions(self, name: str, plural: str = "scaledobjects") -> dict[str, tuple[str, str, str]]:
        """Return status, reason and message of each condition."""
        found = self.status(name, plural).get("conditions") or []
        return {c["type"]: (c["status"], c.get("reason", ""), c.get("message", "")) for c in found}

    def told(self, reason: str = "", namespace: str = SPACE) -> list[dict[str, Any]]:
        """Return the events that there are, of one reason or of all."""
        found = self.do("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
        return [event for event in found if reason in ("", event["reason"])]

    def ready(self, name: str) -> tuple[str, str]:
        conditions = self.status(name).get("conditions") or []
        found = next((c for c in conditions if c["type"] == "Ready"), {"status": "", "message": ""})
        return found["status"], found["message"]

    def replicas(self, name: str) -> int:
        found = self.do("GET", f"/apis/apps/v1/namespaces/{SPACE}/deployments/{name}")
        return int(found["spec"]["replicas"])

    def users(self, name: str, *, of_cluster: bool = False) -> str | None:
        place = "clustertriggerauthentications" if of_cluster else f"namespaces/{SPACE}/triggerauthentications"
        found = self.do("GET", f"/apis/keda.sh/v1alpha1/{place}/{name}")
        return (found.get("status") or {}).get("scaledobjects")
