"""The two sides of the comparison: the embedded cluster and the real control plane, asked in the same way."""

import asyncio
import http.client
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import yaml
from aiohttp import web

from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.http import application
from keda_py.runtime.clock import wall_clock

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
YAML: Final = "application/yaml"
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
DEADLINE: Final = 60.0
TOO_EARLY: Final = 429

Object = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """An answer: its status code and its body; what its headers warn of, and of which type they say it is."""

    code: int
    body: Any
    warnings: tuple[str, ...] = ()
    type: str = ""

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


@dataclass
class Side:
    """An API server."""

    name: str
    url: str
    kubeconfig: Path
    tls: ssl.SSLContext | None = None
    embedded: DevCluster | None = None
    call: Callable[..., Any] = field(default=lambda do: do())
    """Does something on the loop of the embedded cluster."""

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        host = urlsplit(self.url).netloc
        if self.tls is not None:
            return http.client.HTTPSConnection(host, timeout=seconds, context=self.tls)
        return http.client.HTTPConnection(host, timeout=seconds)

    def ask(
        self, method: str, path: str, body: Any = None, *, type_: str = JSON, accept: str = JSON, **params: Any
    ) -> Said:
        """Make a request, again if it came too early: a kind that was just defined is not served at once."""
        target = f"{path}?{urlencode(params)}" if params else path
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Accept": accept, "User-Agent": "tests/1"} | ({"Content-Type": type_} if data is not None else {})
        until = time.monotonic() + DEADLINE
        while True:
            with closing(self._connect(DEADLINE)) as connection:
                connection.request(method, target, data, headers)
                answer = connection.getresponse()
                said = answer.read()
            if answer.status != TOO_EARLY or time.monotonic() > until:
                body = json.loads(said) if said[:1] in (b"{", b"[") else said.decode()
                warned = tuple(answer.headers.get_all("Warning") or ())
                return Said(answer.status, body, warned, answer.headers.get_content_type())
            time.sleep(float(answer.headers.get("Retry-After") or 1))

    def get(self, path: str, **params: Any) -> Any:
        """Return what stands at a path."""
        said = self.ask("GET", path, **params)
        assert said.code == 200, said
        return said.body

    def make(self, path: str, body: Any, **params: Any) -> Object:
        """Create an object."""
        said = self.ask("POST", path, body, **params)
        assert said.code == 201, said
        return dict(said.body)

    def patch(self, path: str, patch: Any, type_: str = MERGE, **params: Any) -> Object:
        """Change an object."""
        said = self.ask("PATCH", path, patch, type_=type_, **params)
        assert said.code in (200, 201), said
        return dict(said.body)

    @contextmanager
    def watch(self, path: str, accept: str = JSON, **params: Any) -> Iterator[Iterator[Object]]:
        """Open a watch; it ends after the time that is asked for, by itself."""
        asked = {"watch": "1", "timeoutSeconds": 30} | params
        query = urlencode(asked)
        with closing(self._connect(DEADLINE + float(asked["timeoutSeconds"]))) as connection:
            connection.request("GET", f"{path}?{query}", headers={"Accept": accept})
            answer = connection.getresponse()
            yield (json.loads(line) for line in answer)

    def until(self, holds: Callable[[], Any], what: str = "it holds", seconds: float = DEADLINE) -> Any:
        """Return what is found once something is."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, f"{self.name}: not within {seconds} s: {what}"
            time.sleep(0.05)
        return found

    def ask_embedded(self) -> DevCluster:
        """Return the embedded cluster itself; fail on the other side."""
        assert self.embedded is not None
        return self.embedded


@contextmanager
def embedded(folder: Path, *, sync_seconds: float = 1.0) -> Iterator[Side]:
    """Run the embedded cluster in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready: threading.Event = threading.Event()
    made: list[Any] = []

    async def run() -> None:
        cluster = DevCluster(now=wall_clock, chance=random.Random(1), sync_seconds=sync_seconds)
        runner = web.AppRunner(application(cluster.api, proxied=_nobody), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.extend((cluster, runner.addresses[0][1], asyncio.current_task()))
        ready.set()
        try:
            await cluster.run()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: _until_cancelled(loop, run()), name="embedded cluster")
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        cluster, port = made[:2]
        url = f"http://127.0.0.1:{port}"
        kubeconfig = folder / "embedded.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url)))

        def call(do: Callable[[], Any]) -> Any:
            async def done() -> Any:
                return do()

            return asyncio.run_coroutine_threadsafe(done(), loop).result(DEADLINE)

        yield Side("embedded", url, kubeconfig, embedded=cluster, call=call)
    finally:
        if made:
            loop.call_soon_threadsafe(made[2].cancel)
        thread.join(DEADLINE)
        loop.close()


def _until_cancelled(loop: asyncio.AbstractEventLoop, running: Any) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(running)
    except asyncio.CancelledError:
        loop.run_until_complete(loop.shutdown_asyncgens())


async def _nobody(_: Any) -> None:
    return None


def _kubeconfig(url: str) -> Object:
    name = "embedded"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def real(kubeconfig: Path) -> Side:
    """Return the side of a control plane that runs."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(user["client-certificate"], user["client-key"])
    return Side("real", cluster["server"], kubeconfig, tls=tls)


def at(version: str, space: str, plural: str, *rest: str) -> str:
    """Return the path of a collection in a namespace (empty: of all), or of what is in it."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return "/".join([root, *(("namespaces", space) if space else ()), plural, *rest])


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    metadata = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str, replicas: int = 0) -> Object:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
