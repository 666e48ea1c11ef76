"""`make run`, as a person types it: it shows the main job, ends when told to, and leaves nothing behind."""

import signal
from pathlib import Path

import pytest

from tests.servers import free_port

from .command import Dev

# One after the other: both would make the same environment.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.xdist_group("make run")]
ROOT = Path(__file__).parents[2]


def make_run(folder: Path, *arguments: str) -> Dev:
    """Run it on manifests that are the demo's but for the shop's port, which may be taken here."""
    port = str(free_port())
    orders = (ROOT / "manifests" / "demo" / "orders.yaml").read_text().replace("8642", port)
    (folder / "orders.yaml").write_text(orders)
    command = ["make", "--silent", "run", f"MANIFESTS={folder / 'orders.yaml'}", "PORT=0", *arguments]
    return Dev(command, folder, cwd=ROOT)


def test_it_shows_the_main_job_and_ends_by_itself(tmp_path: Path) -> None:
    running = make_run(tmp_path, "FOR=60s")
    assert running.process.wait(300) == 0, running.said()
    said = running.said()
    for told in (
        "keda-py: Deployment/order-worker 0 -> 1: triggers are active (s0-metric-api-waiting)",
        "HPA: keda-hpa-order-worker -> 5: external metric s0-metric-api-waiting above target",
        "order-worker: #####  5/5 ready",
        "keda-py: Deployment/order-worker 1 -> 0: triggers were inactive for the whole cooldown",
    ):
        assert told in said
    assert "not ready" not in said, "the shop is open before it is asked"
    assert said.rstrip().endswith("time is over; nothing is left behind")
    assert running.left() == []


def test_an_old_python_is_told_before_anything_is_made(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nif [ "$1" = -V ]; then echo Python 3.10.13; else exit 1; fi\n')
    old.chmod(0o755)
    running = Dev(["requirements/try.sh", str(tmp_path / "try"), str(old)], tmp_path, cwd=ROOT)
    assert running.process.wait(60) == 1
    assert "Python 3.10.13 is too old, 3.11 is needed" in running.said()
    assert not (tmp_path / "try").exists()


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    running = make_run(tmp_path)
    running.wait_until(lambda: "order-worker: #####  5/5 ready" in running.said(), "workers", seconds=300)
    assert len(running.processes()) > 6
    # What make itself returns after Ctrl-C is its own.
    running.end(signal.SIGINT)
    assert running.left() == []
    assert "stopped; nothing is left behind" in running.said()
