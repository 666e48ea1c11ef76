"""Documentation tried out: a page's manifests, applied to an embedded cluster on which the daemon works, in real time.

async with trying() as cluster:
    cluster.apply(*manifests("triggers/x.md", {"http://x.shop.svc": server.address}))
    await cluster.until(lambda: cluster.replicas("orders") == 3)
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from keda_py.daemon import Daemon
from keda_py.devcluster.api import APPLY, Request
from keda_py.devcluster.autoscaler import MetricError
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.transport import LocalTransport
from keda_py.engine.live import Live
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.engine.registry import Registry
from keda_py.kube.client import Client
from keda_py.runtime.clock import wall_clock
from keda_py.serve.external_metrics import owner_of
from keda_py.serve.otlp import Exporter
from keda_py.settings import Settings

DOCS: Final = Path(__file__).parents[1] / "docs"
NAMESPACE: Final = "default"
COOLDOWN_SECONDS: Final = 3
Manifest = dict[str, Any]


def manifests(page: str, replaced: Mapping[str, str] | None = None, *, heading: str = "") -> list[Manifest]:
    """Return the manifests in a page's YAML blocks, or in those below one of its headings.

    `replaced`: what stands in the page (a host of a cluster, say) and what to put there; each must be found. A block
    with nothing but ``triggers`` becomes a ScaledObject called as the page.
    """
    path = DOCS / page
    text = path.read_text()
    if heading:
        text = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```yaml[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no YAML {heading and 'below ' + heading}"
    joined = "\n---\n".join(blocks)
    for old, new in (replaced or {}).items():
        assert old in joined, f"{page} does not say {old}"
        joined = joined.replace(old, new)
    return [_whole(found, path.stem) for found in yaml.safe_load_all(joined) if found]


def _whole(found: Manifest, name: str) -> Manifest:
    if "kind" in found:
        return found
    spec = {"scaleTargetRef": {"name": name}, **found}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}


class Tried:
    """A cluster in this process, as a person with kubectl knows it."""

    def __init__(self, cluster: DevCluster, daemon: Daemon) -> None:
        self._api = cluster.api
        self.daemon = daemon

    def apply(self, *found: Manifest) -> None:
        """Apply manifests; targets that none of them makes are made.

        Polling is every second and targets sleep after a few, unless the manifests say something else.
        """
        for manifest in sorted(found, key=lambda one: one["kind"] in {"ScaledObject", "ScaledJob"}):
            if manifest["kind"] == "ScaledJob":
                manifest["spec"].setdefault("pollingInterval", 1)
            if manifest["kind"] == "ScaledObject":
                manifest["spec"].setdefault("pollingInterval", 1)
                manifest["spec"].setdefault("cooldownPeriod", COOLDOWN_SECONDS)
                target = manifest["spec"]["scaleTargetRef"]
                if self.get("apps/v1", target.get("kind", "Deployment"), target["name"]) is None:
                    self._apply(deployment(target["name"]))
            self._apply(manifest)

    def _apply(self, manifest: Manifest) -> None:
        path = self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"])
        answer = self._api.answer(Request("PATCH", path, {"fieldManager": "person", "force": "true"}, manifest, APPLY))
        assert answer.status < 300, answer.body

    def delete(self, api_version: str, kind: str, name: str) -> None:
        answer = self._api.answer(Request("DELETE", self._path(api_version, kind, {"name": name})))
        assert answer.status < 300, answer.body

    def get(self, api_version: str, kind: str, name: str) -> Manifest | None:
        answer = self._api.answer(Request("GET", self._path(api_version, kind, {"name": name})))
        return answer.body if answer.status == 200 else None

    def _path(self, api_version: str, kind: str, metadata: Manifest) -> str:
        known = self._api.kind_of(api_version, kind)
        assert known is not None, f"there is no kind {kind} in {api_version}"
        namespace = metadata.get("namespace", NAMESPACE) if known.namespaced else ""
        return known.resource.path(namespace, metadata["name"])

    def replicas(self, name: str) -> int:
        found = self.get("apps/v1", "Deployment", name)
        assert found is not None, name
        return int(found["spec"]["replicas"])

    def listed(self, path: str) -> list[Manifest]:
        """Return what there is in a place of the API."""
        return list(self._api.answer(Request("GET", path)).body["items"])

    def jobs(self, name: str) -> list[Manifest]:
        """Return the Jobs of a ScaledJob."""
        selector = {"labelSelector": f"scaledjob.keda.sh/name={name}"}
        found = self._api.answer(Request("GET", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", selector))
        return list(found.body["items"])

    def generations(self) -> dict[str, int]:
        """Return the generation of each Deployment, which grows whenever somebody scales it."""
        found = self._api.answer(Request("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")).body["items"]
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in found}

    def all_read_since(self, moment: float) -> bool:
        """Return whether each trigger was read, and could be, after a moment of the loop's time."""
        outcomes = [trigger.outcome for live in self._at_work() for trigger in live.working()]
        return all(outcome and not outcome.failure and outcome.at > moment for outcome in outcomes)

    def _at_work(self) -> list[Live]:
        return [*self.daemon.live.values(), *self.daemon.live_jobs.values()]

    def ready(self, name: str, kind: str = "ScaledObject") -> tuple[str, str]:
        """Return the status of an object's Ready condition, and its message."""
        found = self.get("keda.sh/v1alpha1", kind, name) or {}
        said = [c for c in (found.get("status") or {}).get("conditions") or [] if c["type"] == "Ready"]
        return (said[0]["status"], said[0].get("message", "")) if said else ("", "")

    async def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Return when something holds; fail with how the objects are if it never does."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            kinds = {"ScaledObject": self.daemon.live, "ScaledJob": self.daemon.live_jobs}
            said = {f"{kind} {name}": self.ready(name, kind) for kind, live in kinds.items() for _, name in live}
            raise AssertionError(said) from None


def deployment(name: str, **env: str) -> Manifest:
    """Return a Deployment that is asleep; its container has some variables."""
    labels = {"app": name}
    container = {"name": name, "image": name, "env": [{"name": key, "value": text} for key, text in env.items()]}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@asynccontextmanager
async def trying(*, processes: bool = False, exporter: Exporter | None = None, **settings: Any) -> AsyncIterator[Tried]:
    """Run an embedded cluster and the daemon within the block.

    `processes`: what containers say is really run. `exporter`: whom the daemon's metrics go to.
    """
    cluster = DevCluster(now=wall_clock, chance=random.Random(1), processes=processes, sync_seconds=0.5)
    usual = Settings(external_metrics=None, webhook=None, telemetry=None, health=None, **settings)
    daemon = Daemon(usual, Registry.installed(), Client(LocalTransport(cluster.api)), exporter=exporter)

    async def metric(namespace: str, name: str, selector: str) -> str:
        try:
            return (await read_metric(daemon.live, namespace, owner_of(selector) or "", name)).value
        except (MetricUnknownError, MetricUnavailableError) as error:
            raise MetricError(str(error)) from None

    cluster.read_metric = metric
    tasks = [asyncio.create_task(cluster.run()), asyncio.create_task(daemon.run())]
    try:
        yield Tried(cluster, daemon)
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # Nothing is left at work.
    assert not any(live.triggers for live in [*daemon.live.values(), *daemon.live_jobs.values()])
    assert not {"read", "source"} & {task.get_name() for task in asyncio.all_tasks()}
