"""`keda-py dev` as a person starts it, and what is left of it when it has ended."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 90.0
KEDA_PY = [sys.executable, "-c", "from keda_py.cli import main; main()"]


class Dev:
    """A command that runs, in a process group of its own, with its output in a file."""

    def __init__(self, command: list[str], folder: Path, *, cwd: Path | None = None) -> None:
        self.mark = f"mark-{uuid.uuid4().hex}"
        self.temporary = folder / f"tmp-{self.mark}"
        self.temporary.mkdir()
        self._log = folder / f"log-{self.mark}"
        environment = os.environ | {"TMPDIR": str(self.temporary), "KEDA_PY_TEST": self.mark}
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=cwd or folder,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until a text was printed so often."""
        self.wait_until(lambda: self.said().count(text) >= times, text)

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, f"{what!r} did not come: {self.said()}"
            time.sleep(0.05)

    @property
    def kubeconfig(self) -> str:
        self.wait_for("export KUBECONFIG=")
        return self.said().split("export KUBECONFIG=")[1].split("\n")[0]

    def end(self, number: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does, by a signal to the whole group; return the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(SECONDS)

    def processes(self) -> dict[int, str]:
        """Return it and the processes that it started, by id."""
        found: dict[int, str] = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().decode()
            except OSError:
                continue
        return found

    def workers(self) -> list[int]:
        """Return the ids of pods' processes that run `manifests.WORKER`."""
        return [pid for pid, command in self.processes().items() if "at work" in command]

    def left(self) -> list[str]:
        """Return the processes and files that it should not have left behind."""
        return [*map(str, self.temporary.iterdir()), *self.processes().values()]


@contextmanager
def dev(folder: Path, *arguments: str, command: list[str] | None = None) -> Iterator[Dev]:
    """Run `keda-py dev` within the block, on any free port; it ends well, and leaves nothing behind."""
    running = Dev(command or [*KEDA_PY, "dev", "--port", "0", *arguments], folder)
    try:
        yield running
        if running.process.poll() is None:
            assert running.end() == 0, running.said()
        assert "Traceback" not in running.said()
        assert running.left() == []
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


def refused(folder: Path, *arguments: str) -> str:
    """Return the one line that is said of something that cannot work."""
    running = Dev([*KEDA_PY, "dev", "--port", "0", *arguments], folder)
    assert running.process.wait(SECONDS) == 2, running.said()
    assert running.left() == []
    assert "Traceback" not in running.said()
    *_, line = running.said().strip().splitlines()
    return line
