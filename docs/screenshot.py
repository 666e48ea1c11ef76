"""Takes the picture of `keda-py dev` for the documentation: a real run of the demo, seen when there is much to see."""

import asyncio
import re
import sys
import tempfile
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console

from keda_py.dev.options import Options
from keda_py.dev.session import Session
from keda_py.dev.snapshot import Snapshot
from keda_py.dev.view import View

MANIFESTS: Final = Path(__file__).parents[1] / "manifests"
SECONDS: Final = 120.0
WIDTH, HEIGHT = 120, 32
NAMES: Final = ("order-worker", "mailer")
# A third object whose second source is not there: what is wrong is told, and the first one goes on.
BROKEN: Final = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: mailer}
spec:
  replicas: 0
  selector: {matchLabels: {app: mailer}}
  template:
    metadata: {labels: {app: mailer}}
    spec: {containers: [{name: mailer, image: busybox}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: mailer}
spec:
  scaleTargetRef: {name: mailer}
  pollingInterval: 2
  triggers:
    - type: kubernetes-workload
      metadata: {podSelector: app=order-worker, value: "4"}
    - type: prometheus
      metadata: {serverAddress: "http://127.0.0.1:9", query: sum(mails), threshold: "10"}
"""


async def take(folder: Path) -> str:
    """Return the picture, as SVG."""
    (folder / "mailer.yaml").write_text(BROKEN)
    files = (MANIFESTS / "demo", MANIFESTS / "samples" / "cron.yaml", folder / "mailer.yaml")
    sync = timedelta(seconds=5)
    session = Session(Options(files, port=0, processes=True, hpa_sync=sync, plain=True), folder)
    running = asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(SECONDS):
            while not worth_showing(session.snapshot()):
                await asyncio.sleep(0.2)
                if running.done():
                    running.result()
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True)
        console.print(View(session.snapshot(), "export KUBECONFIG=/tmp/keda-py-dev/kubeconfig"))
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    svg = console.export_svg(title="keda-py dev manifests", unique_id="keda-py-dev")
    # Fonts of this machine's browser: a page of ours asks nobody else for anything.
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")


def worth_showing(seen: Snapshot) -> bool:
    """Return whether there is work, and enough workers for it."""
    replicas = [one.replicas for one in seen.scaled if one.name in NAMES]
    return len(replicas) == len(NAMES) and all(
        one.wanted is not None and one.ready == one.wanted > 1 for one in replicas
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        Path(sys.argv[1]).write_text(runner.run(take(Path(folder))))
