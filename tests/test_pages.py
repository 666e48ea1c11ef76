"""What the documentation shows works as it stands there."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest

from keda_py.api.authentication import TriggerAuthenticationSpec
from tests.pages import DOCS, manifests, trying
from tests.vault.server import vault

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


@pytest.mark.parametrize(
    ("heading", "kind", "name"),
    [
        ("Tokens for a ServiceAccount", "TriggerAuthentication", "as-account"),
        ("OAuth 2", "TriggerAuthentication", "granted"),
        ("Files of the daemon", "ClusterTriggerAuthentication", "mounted"),
    ],
)
async def test_the_manifests_of_other_ways_are_such(heading: str, kind: str, name: str) -> None:
    # Roles are no concern of the embedded cluster.
    found = [one for one in manifests("authentication.md", heading=heading) if not one["kind"].startswith("Role")]
    async with trying() as cluster:
        cluster.apply(*found)
        known = cluster.get("keda.sh/v1alpha1", kind, name)
        assert known is not None
        # Every word of it has a meaning.
        model = TriggerAuthenticationSpec.model_validate(known["spec"])
        assert model.model_dump(by_alias=True, exclude_unset=True) == known["spec"]


@pytest.mark.e2e
async def test_a_vault(tmp_path: Path) -> None:
    place, welcome = "http://vault.vault.svc:8200", basic("orders", "correct-horse")
    with serving({"orders": {"waiting": 12}}, welcome) as server, vault(tmp_path) as store:
        store.call("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        store.call("PUT", "kv/data/queue", {"data": {"user": "orders", "password": "correct-horse"}})
        replaced = {place: store.address, "s.of-the-role": store.token, QUEUE: server.address}
        *found, certified = manifests("authentication.md", replaced, heading="HashiCorp Vault")
        # A login by ServiceAccount needs an API server that knows its tokens: the store's own tests have one.
        found[0]["spec"]["hashiCorpVault"] |= {"authentication": "token", "credential": {"token": store.token}}
        async with trying() as cluster:
            cluster.apply(*found)
            await cluster.until(lambda: cluster.replicas("orders") == 3 and cluster.ready("orders")[0] == "True")
            assert server.refused == 0
            # With tls the certificate must be one, with its key.
            cluster.apply(certified)
            trigger = found[-1]["spec"]["triggers"][0]
            trigger["metadata"]["authModes"], trigger["authenticationRef"] = "tls", {"name": "certified"}
            cluster.apply(found[-1])
            await cluster.until(lambda: "401" in cluster.ready("orders")[1])


async def test_cloud_event_sources() -> None:
    http, *topic = manifests("cloudevents.md")
    async with trying() as cluster:
        cluster.apply(http, *topic)
        for name in (http["metadata"]["name"], topic[-1]["metadata"]["name"]):

            def active(name: str = name) -> bool:
                found = cluster.get("eventing.keda.sh/v1alpha1", "CloudEventSource", name) or {}
                conditions = (found.get("status") or {}).get("conditions") or [{}]
                return bool(conditions[0].get("status") == "True")

            await cluster.until(active)


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
