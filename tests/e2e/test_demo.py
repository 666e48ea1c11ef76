"""`make demo`, as a person runs it: it shows the main job, ends when told to, and leaves nothing behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.build import cache

pytestmark = pytest.mark.timeout(240)


def demo(log: Path, **environment: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.demo"]
        return subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)


def nothing_is_left(process: subprocess.Popen[bytes]) -> None:
    # Others may run beside this one, with numbers that begin like its own.
    own = re.compile(rf"demo-{process.pid}\b")
    assert not [path for path in (cache() / "clusters").rglob("*") if own.search(path.name)]
    assert not [command for command in commands() if own.search(command)]


def commands() -> Iterator[str]:
    """Yield the command line of each process there is."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            yield path.read_text(errors="replace")


MAIN_JOB = (
    "keda-py: Deployment/order-worker 0 -> 1, because triggers are active (s0-prometheus)",
    "order-worker: ###  3 replicas",
)


def until_it_says(log: Path, process: subprocess.Popen[bytes], *expected: str) -> None:
    until = time.monotonic() + 180
    while not all(text in log.read_text() for text in expected):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def test_it_ends_by_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = demo(log, FOR="2s")
    assert process.wait(200) == 0, log.read_text()
    assert log.read_text().rstrip().endswith("time is over")
    nothing_is_left(process)


@pytest.mark.parametrize("moment", [("starting keda-py",), MAIN_JOB])
def test_it_shows_the_main_job_until_ctrl_c_and_leaves_nothing_behind(tmp_path: Path, moment: tuple[str, ...]) -> None:
    log = tmp_path / "log"
    process = demo(log)
    until_it_says(log, process, *moment)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, log.read_text()
    assert "nothing is left behind" in log.read_text()
    nothing_is_left(process)


def test_a_time_that_is_none_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert demo(log, FOR="soon").wait(30) == 2
    assert "FOR: " in log.read_text()
