"""What tests share that run brokers and the engine together, and how patient they are: the machine may be slow."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from tests.pages import Manifest, Tried

PATIENCE: Final = timedelta(seconds=20)
"""How long a broker may take for an answer where its silence is not the point."""
WAIT_SECONDS: Final = 180.0
OUTAGE_SECONDS: Final = 15.0
"""Several polls, and several times as long as targets stay awake without a reason."""
WORKER: Final = Path(__file__).with_name("worker.py")
"""What Jobs run."""


async def readings(cluster: Tried, count: int) -> None:
    """Return when all triggers have been read so many times more."""
    for _ in range(count):
        await cluster.until(partial(cluster.all_read_since, asyncio.get_running_loop().time()), WAIT_SECONDS)


def is_complete(job: Manifest) -> bool:
    """Return whether a Job has succeeded."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Complete", "True") for one in conditions)
