"""In a terminal it draws the table, and leaves the terminal as it was."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from .command import KEDA_PY, SECONDS
from .manifests import deployment, scaled_object, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PODS = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=tickets", "value": "1"}}


def test_the_table_is_drawn_until_ctrl_c(tmp_path: Path) -> None:
    manifest = write(tmp_path / "a.yaml", deployment("desk"), deployment("tickets"), scaled_object("desk", PODS))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 130, 0, 0))
    command = [*KEDA_PY, "dev", "--port=0", manifest]
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    size = ("COLUMNS", "LINES")
    environment = {name: value for name, value in os.environ.items() if name not in size} | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, **terminal, env=environment, start_new_session=True)
    os.close(theirs)
    try:
        shown = read_until(ours, "triggers are not active")
        assert "○" in shown
        assert "kubernetes-workload" in shown
        assert "\x1b[?25l" in shown, "no cursor within the table"
        os.killpg(process.pid, signal.SIGINT)
        rest = read_until(ours, "nothing is left behind")
        assert "\x1b[?25h" in rest
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    shown = b""
    until = time.monotonic() + SECONDS
    while text.encode() not in shown:
        assert time.monotonic() < until, shown[-2000:]
        shown += os.read(terminal, 65536)
    return shown.decode(errors="replace")
