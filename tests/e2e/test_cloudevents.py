"""CloudEvents on a real control plane, by the documentation's own manifest: what is sent, and what is said of it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keda_py.naming import FINALIZER
from tests.controlplane.daemon import Daemon
from tests.pages import manifests

from .source import Source
from .world import World

RECEIVER = "http://receiver.ops.svc:8080"


class Receiver:
    """An HTTP server that remembers what it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.status = 200
        self.address = ""


@contextmanager
def receiving() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.got.append({name.lower(): value for name, value in self.headers.items()} | body)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def test_the_documentation_s_source_tells_a_receiver_what_happens(daemon: Daemon, world: World, source: Source) -> None:
    def active() -> str:
        conditions = (world.get("cloudeventsource", "on-call").get("status") or {}).get("conditions") or [{}]
        return str(conditions[0].get("status", ""))

    with receiving() as receiver:
        (manifest,) = manifests("cloudevents.md", {RECEIVER: receiver.address}, heading="")[:1]
        # KEDA has been here before.
        manifest["metadata"]["finalizers"] = [FINALIZER]
        world.apply(manifest)
        world.until(lambda: active() == "True", "the source is at work")
        source.values["app"] = 1
        world.scaled("app", source.trigger("app"))
        world.until(lambda: bool(receiver.got), "the receiver is told")
        (ready,) = receiver.got
        assert (ready["ce-type"], ready["reason"]) == ("keda.scaledobject.ready.v1", "ScaledObjectReady")
        assert ready["ce-source"] == "/production/keda/keda"
        assert ready["ce-subject"] == f"/production/{world.namespace}/scaledobject/app"
        assert (ready["ce-specversion"], ready["content-type"]) == ("1.0", "application/json")
        assert 'events_emitted_total{cloudeventsource="on-call",eventsink="http"' in daemon.metrics()
        receiver.status = 500
        world.delete("so", "app")
        world.until(lambda: active() == "False", "it is told that the receiver is unwell")
        assert {one["ce-type"] for one in receiver.got[1:]} == {"keda.scaledobject.removed.v1"}
        assert len({one["ce-id"] for one in receiver.got[1:]}) == 1
        world.delete("cloudeventsource", "on-call")
        world.until(lambda: world.get("cloudeventsources")["items"] == [], "it is gone")
        assert "Traceback" not in daemon.said()
