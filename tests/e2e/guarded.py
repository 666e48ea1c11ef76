"""An event source that lets nobody in without credentials, and counts who came how often, and on which connections."""

import base64
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Guarded:
    """An HTTP server whose every path wants its own bearer token or user; it counts connections."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        self.connections: dict[str, set[tuple[str, int]]] = {}
        self.welcomed: Counter[str] = Counter()
        self.refused: list[str] = []
        self.address = ""

    def trigger(self, name: str, auth: str, *, mode: str = "bearer", **ref: str) -> dict[str, Any]:
        metadata = {"url": f"{self.address}/{name}", "valueLocation": "n", "targetValue": "5", "authMode": mode}
        return {"type": "metrics-api", "metadata": metadata, "authenticationRef": {"name": auth, **ref}}

    def bearer(self, name: str, token: str) -> None:
        self.wanted[name] = f"Bearer {token}"

    def basic(self, name: str, user: str, password: str) -> None:
        self.wanted[name] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.strip("/")
        self.connections.setdefault(name, set()).add(handler.client_address)
        welcome = handler.headers.get("Authorization") == self.wanted.get(name)
        if welcome:
            self.welcomed[name] += 1
        else:
            self.refused.append(name)
        body = b'{"n": 1}' if welcome else b"no"
        handler.send_response(200 if welcome else 401)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def guarding() -> Iterator[Guarded]:
    guarded = Guarded()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            guarded.answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    guarded.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield guarded
    finally:
        server.shutdown()
        server.server_close()
