"""Measures 200 queues on one client and prints a table: ``python -m tests.bench.sqs``.

The queues are ElasticMQ's, behind a front that takes some milliseconds, as AWS does, and that can throttle.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from keda_py_scalers.aws_sqs_queue import AwsSqsQueueScaler

from keda_py.engine.trigger import LiveTrigger
from tests.bench.__main__ import processor_seconds, resident_mib
from tests.brokers.sqs import REGION, client, elasticmq
from tests.brokers.sqs_front import Front, front, refused
from tests.scalers.asking import Asked, asking

QUEUES: Final = 200
ROUNDS: Final = 5
AWAY_SECONDS: Final = 0.01
KEYS: Final = {"awsAccessKeyID": "bench", "awsSecretAccessKey": "bench"}


class Allowance:
    """Lets through so many requests per second, and as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = time.monotonic()

    async def __call__(self, request: Any) -> Any:
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return await refused("RequestThrottled")(request)
        self._left -= 1
        return None


async def rounds(name: str, live: Sequence[LiveTrigger], before: Front) -> str:
    """Read everything some times; return a row."""
    seconds: list[float] = []
    failed = 0
    before.asked.clear()
    before.most_at_once = 0
    for _ in range(ROUNDS):
        await asyncio.sleep(0.05)
        began = time.monotonic()
        outcomes = await asyncio.gather(*(one.current() for one in live))
        seconds.append(time.monotonic() - began)
        failed += sum(outcome.failure is not None for outcome in outcomes)
    middle, longest = f"{sorted(seconds)[ROUNDS // 2]:.2f}", f"{max(seconds):.2f}"
    requests, lost = f"{before.asked.total() / ROUNDS:.0f}", f"{failed / ROUNDS:.1f}"
    return row(name, middle, longest, before.most_at_once, len(before.connections), requests, lost)


def row(name: str, *cells: object) -> str:
    """Return a row of the table."""
    return f"| {name:20} | {' | '.join(f'{cell!s:>11}' for cell in cells)} |"


async def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, elasticmq(Path(folder)) as server:
        async with client(server) as sqs:
            urls = [(await sqs.create_queue(QueueName=f"bench-{number}"))["QueueUrl"] for number in range(QUEUES)]
        async with front(server) as before:
            before.pause = AWAY_SECONDS
            where = {"awsRegion": REGION, "awsEndpoint": before.url}
            asked = (Asked(AwsSqsQueueScaler, {"queueURL": url} | where, KEYS) for url in urls)
            async with asking(*asked, seconds=30) as live:
                print(f"{QUEUES} queues, {ROUNDS} rounds, {AWAY_SECONDS * 1000:g} ms away\n")
                print(row("", "s per round", "longest", "at once", "connections", "requests", "failed"))
                print(row(*["---"] * 7))
                print(await rounds("first", live, before))
                used = processor_seconds(os.getpid())
                print(await rounds("warm", live, before))
                used = processor_seconds(os.getpid()) - used
                for rate in (100, 50):
                    before.deed = Allowance(rate)
                    print(await rounds(f"throttled to {rate}/s", live, before))
                before.deed = Front().deed
                print(await rounds("no longer throttled", live, before))
                each = 1000 * used / ROUNDS / QUEUES
                print(f"\n{each:.2f} ms of processor a question, that of the front included", end="; ")
                print(f"{resident_mib(os.getpid()):.0f} MiB")


if __name__ == "__main__":
    asyncio.run(main())
