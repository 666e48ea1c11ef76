"""Real servers that tests and demos start: found on this machine, run on free ports, ended with the test."""

import os
import random
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Final, NoReturn

import pytest

READY_SECONDS: Final = 30.0


def program(name: str) -> str:
    """Return a program's path; it is `lacking` if there is none."""
    found = shutil.which(name)
    return found or lacking(f"{name} is not installed; `make servers` installs what tests and demos need")


def lacking(reason: str) -> NoReturn:
    """Tell that something cannot be had: a visible skip on a person's machine and a failure in CI."""
    if "PYTEST_CURRENT_TEST" in os.environ and not os.environ.get("CI"):
        pytest.skip(reason)
    raise FileNotFoundError(reason)


_FIRST_PORT: Final = 10_000
"""This and its followers are below those that the system gives to outgoing connections, which would have one first."""
_SHARE: Final = 2_700
_SHARES: Final = 8


def _ports() -> Iterator[int]:
    """Yield the ports of this test process, which others leave alone; each again only after all the others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _SHARES * _SHARE
    mine = list(range(first, first + _SHARE))
    # Whoever was here before may have left something behind.
    random.SystemRandom().shuffle(mine)
    return cycle(mine)


_PORTS: Final = _ports()


def free_port() -> int:
    """Return a port that nobody listens on at the moment.

    A server that is stopped and started again finds it free as well: nobody else is given it meanwhile.
    """
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def running(command: list[str], *, log: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server within the block, from when it is ready."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until = time.monotonic() + READY_SECONDS
        while not ready():
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{command[0]} did not get ready: {log.read_text()[-2000:]}"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def answers(url: str) -> bool:
    """Return whether a URL answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def prometheus(folder: Path, *, targets: list[str] | None = None, port: int | None = None) -> Iterator[str]:
    """Run a real Prometheus that scrapes `targets` every second; yield its address."""
    port = port or free_port()
    config = folder / "prometheus.yml"
    static = f"[{{targets: {targets or []}}}]"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: tests, static_configs: {static}}}]\n"
    )
    address = f"http://127.0.0.1:{port}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--query.lookback-delta=5s",
        "--log.level=warn",
    ]
    with running(command, log=folder / "prometheus.log", ready=lambda: answers(f"{address}/-/ready")):
        yield address
