"""What the documentation shows works as it stands there."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson
import pytest

from tests.pages import DOCS, manifests, trying

QUEUE = "http://queue.shop.svc"
PROMETHEUS = "http://prometheus.monitoring.svc:9090"


class Server:
    """Answers what a page's triggers ask, to who says the right thing; `welcome` is an Authorization header."""

    def __init__(self, answer: Any, welcome: str | None) -> None:
        self.answer = answer
        self.welcome = welcome
        self.refused = 0
        self.address = ""


@contextmanager
def serving(answer: Any, welcome: str | None = None) -> Iterator[Server]:
    found = Server(answer, welcome)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            allowed = found.welcome in (None, self.headers.get("Authorization"))
            found.refused += not allowed
            body = orjson.dumps(found.answer) if allowed else b"no"
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def sample(value: float) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, str(value)]}]}}


AUTHENTICATION: list[tuple[str, str, str, Any, str]] = [
    ("Secrets and ConfigMaps", "orders", QUEUE, {"orders": {"waiting": 12}}, basic("orders", "correct-horse")),
    ("Variables of the target", "mailer", QUEUE, {"mails": {"waiting": 12}}, "Bearer let-me-in"),
    ("For the whole cluster", "web", PROMETHEUS, sample(250), "Bearer read-only"),
]


@pytest.mark.parametrize(
    ("heading", "name", "host", "answer", "welcome"), AUTHENTICATION, ids=[case[0] for case in AUTHENTICATION]
)
async def test_authentication(heading: str, name: str, host: str, answer: Any, welcome: str) -> None:
    with serving(answer, welcome) as server:
        async with trying() as cluster:
            cluster.apply(*manifests("authentication.md", {host: server.address}, heading=heading))
            await cluster.until(lambda: cluster.replicas(name) == 3 and cluster.ready(name)[0] == "True")
            assert server.refused == 0


async def test_authentication_s_own_words_about_what_is_missing_and_what_changes() -> None:
    found = manifests("authentication.md", heading="Secrets and ConfigMaps", replaced={"correct-horse": "wrong"})
    text = (DOCS / "authentication.md").read_text()
    with serving({"orders": {"waiting": 12}}, basic("orders", "right")) as server:
        for one in found:
            if one["kind"] == "ScaledObject":
                one["spec"]["triggers"][0]["metadata"]["url"] = f"{server.address}/stats"
        secret = next(one for one in found if one["kind"] == "Secret")
        async with trying() as cluster:
            cluster.apply(*(one for one in found if one is not secret), secret | {"stringData": {"other": "x"}})
            await cluster.until(lambda: "has no key" in cluster.ready("orders")[1])
            assert cluster.ready("orders")[1].replace("default/", "shop/") in text
            cluster.apply(secret)
            await cluster.until(lambda: "401" in cluster.ready("orders")[1])
            cluster.apply(secret | {"stringData": {"password": "right"}})
            await cluster.until(lambda: cluster.replicas("orders") == 3)


async def test_the_pod_identity_s_manifest_is_one() -> None:
    async with trying() as cluster:
        cluster.apply(*manifests("authentication.md", heading="Pod identity"))
        assert cluster.get("keda.sh/v1alpha1", "TriggerAuthentication", "as-reader") is not None


async def test_metrics_api() -> None:
    answer = {"queues": [{"name": "mails", "length": 1}, {"name": "orders", "length": 12}]}
    with serving(answer) as server:
        async with trying() as cluster:
            cluster.apply(*manifests("triggers/metrics-api.md", {QUEUE: server.address}))
            await cluster.until(lambda: cluster.replicas("metrics-api") == 3)


async def test_prometheus() -> None:
    with serving(sample(250)) as server:
        async with trying() as cluster:
            cluster.apply(*manifests("triggers/prometheus.md", {PROMETHEUS: server.address}))
            await cluster.until(lambda: cluster.replicas("prometheus") == 3)
