"""An event source in the test's hand: numbers by name over HTTP, and every way of not giving them."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TEN_MB = 10 * 2**20


class Source:
    """Answers /<name> as metrics-api and queries for <name> as Prometheus would."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.faults: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.address = ""

    def trigger(self, name: str, /, *, target: int = 5, **rest: Any) -> dict[str, Any]:
        """Return a metrics-api trigger that reads a number."""
        metadata = {"url": f"{self.address}/{name}", "valueLocation": "value", "targetValue": str(target)}
        return {"type": "metrics-api", "metadata": metadata, **rest}

    def query(self, name: str, *, target: int = 5, **rest: str) -> dict[str, Any]:
        """Return a prometheus trigger that reads a number."""
        metadata = {"serverAddress": self.address, "query": name, "threshold": str(target), **rest}
        return {"type": "prometheus", "metadata": metadata}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        is_query = url.path == "/api/v1/query"
        name = parse_qs(url.query)["query"][0] if is_query else url.path.removeprefix("/")
        self.asked[name] += 1
        status, body = self._content(name, is_query=is_query)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _content(self, name: str, *, is_query: bool) -> tuple[int, bytes]:
        value: Any = self.values.get(name, 0)
        match self.faults.get(name):
            case "slow":
                time.sleep(10)
            case "500":
                return 500, b"out of order"
            case "garbage":
                return 200, b"<html>login</html>"
            case "nothing":
                return 200, b""
            case "10 MB":
                return 200, b" " * TEN_MB
            case "NaN":
                value = "NaN"
        if is_query:
            sample = {"metric": {}, "value": [time.time(), str(value)]}
            return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": [sample]}}).encode()
        return 200, json.dumps({"value": value}).encode()


@contextmanager
def sourced(port: int = 0) -> Iterator[Source]:
    """Run a source within the block."""
    source = Source()
    open_connections: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            open_connections.add(self.connection)

        def finish(self) -> None:
            open_connections.discard(self.connection)
            super().finish()

        def do_GET(self) -> None:
            source.answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    source.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        # A client may still have one open, on which a source that is gone would go on answering.
        for connection in list(open_connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
