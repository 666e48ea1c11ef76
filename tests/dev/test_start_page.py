"""The page for newcomers, run as it stands: its files are written, its commands run in a shell, its output compared.

In a ``console`` block a line that starts with ``$`` is a command, and what follows is what it prints. Spaces count as
one, an age stands for any age, ``...`` for any text within a line, and a line of only that for any number of lines.
"""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.build import binaries

from .command import KEDA_PY, dev

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PAGE: Final = Path(__file__).parents[2] / "docs" / "start.md"
SECONDS: Final = 60.0
_BLOCK: Final = re.compile(
    r"save this as `(?P<name>[^`]+)`.*?```yaml\n(?P<file>.*?)```|```console\n(?P<console>.*?)```", re.DOTALL
)
_AGE: Final = re.compile(r"\b\d+(?:s|m(?:\d+s)?|h(?:\d+m)?|d(?:\d+h)?)(?= |$)")


@dataclass(frozen=True)
class Command:
    text: str
    expected: str


def commands(console: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        text, _, expected = part.partition("\n")
        yield Command(text, expected.strip("\n"))


def pattern(expected: str) -> str:
    lines = []
    for line in expected.splitlines():
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*")
            continue
        whole = r".*".join(_escaped(part) for part in line.split("..."))
        lines.append(f"{whole} *\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    ages = _AGE.split(text)
    return r"\d[\dsmhd]*".join(re.sub(r"(?:\\ )+", " +", re.escape(part)) for part in ages)


def matches(expected: str, actual: str) -> bool:
    return re.fullmatch(pattern(expected), actual.rstrip("\n") + "\n" if actual.strip() else "") is not None


def test_what_the_page_may_leave_out() -> None:
    assert matches("a   b\n...\nz 3m10s", "a b\nc\nd\nz  12s\n")
    assert matches("x ... y", "x 1 2 y\n")
    assert matches("NAME   AGE\na      9s", "NAME AGE\na 2m30s\n")
    assert not matches("NAME   AGE\na      9s", "NAME AGE\na b\n")
    assert not matches("a b", "a c")
    assert not matches("a\nb", "a\n")
    assert not matches("READY 1/1", "READY 0/1")
    assert not matches("", "surprise")


def kubectl() -> Path:
    return Path(shutil.which("kubectl") or binaries() / "kubectl")


def test_the_page_is_true_word_for_word(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "keda-py").write_text(f'#!/bin/sh\nexec {shlex.join(KEDA_PY)} "$@"\n')
    (programs / "keda-py").chmod(0o755)
    (programs / "kubectl").symlink_to(kubectl())
    folder = tmp_path / "page"
    folder.mkdir()
    exports = [f"export PATH={programs}:$PATH KEDA_PY_DEV_PORT=0"]
    ran = 0
    with ExitStack() as stack:
        for block in _BLOCK.finditer(PAGE.read_text()):
            if block["file"]:
                (folder / block["name"]).write_text(block["file"])
            for command in commands(block["console"] or ""):
                ran += 1
                if command.text.startswith("keda-py dev"):
                    script = [*exports, f"exec {command.text}"]
                    started = stack.enter_context(dev(folder, command=["bash", "-c", "\n".join(script)]))
                    assert started.kubeconfig
                elif command.text.startswith("export "):
                    exports.append(command.text)
                else:
                    run(command, exports, folder)
    assert ran >= 12


def run(command: Command, exports: list[str], folder: Path) -> None:
    """Run a command and compare; what only looks is looked at again until it shows what the page says."""
    until = time.monotonic() + SECONDS
    while True:
        script = "\n".join([*exports, command.text])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if matches(command.expected, done.stdout):
            return
        looks = command.text.startswith("kubectl get")
        assert looks, f"$ {command.text}\n{done.stdout}\ninstead of\n{command.expected}"
        assert time.monotonic() < until, f"$ {command.text}\n{done.stdout}\ninstead of\n{command.expected}"
        time.sleep(0.5)
