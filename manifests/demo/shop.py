"""A shop whose orders come in bursts. GET /orders says how many wait; POST /take gives one to whoever will do it."""

import json
import os
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST_SECONDS = 2
EVERY_SECONDS = 60
BURST = 45

orders: deque[int] = deque()


class Counter(BaseHTTPRequestHandler):
    """Answers over HTTP."""

    def do_GET(self) -> None:
        """Say how many orders wait."""
        self._answer(200, {"waiting": len(orders)})

    def do_POST(self) -> None:
        """Give one order away, if there is one."""
        try:
            self._answer(200, {"order": orders.popleft()})
        except IndexError:
            self._answer(404, {})

    def _answer(self, status: int, content: dict[str, int]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def sell() -> None:
    """Take in orders, a burst at a time."""
    time.sleep(FIRST_SECONDS)
    for first in range(1, 10**9, BURST):
        orders.extend(range(first, first + BURST))
        print(f"{BURST} new orders", flush=True)
        time.sleep(EVERY_SECONDS)


threading.Thread(target=sell, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Counter).serve_forever()
