"""An event source that is a process of its own: numbers by name over HTTP, until it is killed.

Being none of the test's threads it answers however busy the test is; and killed, it is gone as a server is: its port
refuses, and nothing says good-bye.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers import answers, free_port, running


class Served:
    """Files with numbers, and the server that may or may not run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder / "values", folder / "log"
        self._folder.mkdir(parents=True)
        self._port = free_port()
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.put(_probe=0)

    def put(self, **values: float) -> None:
        """Let names have other numbers from now on."""
        for name, value in values.items():
            # At once: half a file is no number.
            written = self._folder / f".{name}"
            written.write_text(json.dumps({"value": value}))
            written.rename(self._folder / name)

    def trigger(self, value_name: str, *, target: int = 5, **rest: Any) -> dict[str, Any]:
        """Return a trigger that reads a number."""
        metadata = {"url": f"{self._address}/{value_name}", "valueLocation": "value", "targetValue": str(target)}
        return {"type": "metrics-api", "metadata": metadata, **rest}

    def asked(self, name: str) -> int:
        """Return how often it was asked for a number."""
        return self._log.read_text().count(f"GET /{name} ")

    def start(self) -> None:
        """Start it, on the port that it always has."""
        command = [sys.executable, "-u", "-m", "http.server", str(self._port)]
        command += ["--bind", "127.0.0.1", "--directory", str(self._folder)]
        ready = f"{self._address}/_probe"
        self._process = self._running.enter_context(running(command, log=self._log, ready=lambda: answers(ready)))

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        self._running.close()


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Run a source within the block."""
    source = Served(folder)
    try:
        source.start()
        yield source
    finally:
        source.close()
