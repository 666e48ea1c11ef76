"""Measures 1000 Kafka triggers on one broker at 30 s, with the HPA controller asking: ``python -m tests.bench.kafka``.

Everything is as in `tests.bench`; requests are counted by a proxy before the broker, connections by the kernel on the
broker's side.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from tests.bench.__main__ import Bench, prepared, resident_mib, row, settled
from tests.brokers.kafka import Broker, Listener, kafka
from tests.brokers.kafka_admin import administered
from tests.brokers.kafka_proxy import METADATA, Proxy, proxied
from tests.servers import free_port

COUNT: Final = 1000
PARTITIONS: Final = 8
COUNTED: Final = "COUNTED"


async def fill(broker: Broker) -> None:
    """Make a topic, and so many groups with lag in it."""
    async with administered(broker.address) as admin:
        await admin.topic("orders", PARTITIONS)
        for partition in range(PARTITIONS):
            await admin.produce("orders", partition, 5)
        offsets = {("orders", partition): 4 for partition in range(PARTITIONS)}
        await admin.commit_all({f"g{number}": offsets for number in range(COUNT)})


async def measure(bench: Bench, broker: Broker, proxy: Proxy) -> list[str]:
    """Return the rows of the table."""
    bench.daemon.start(ready=False)
    bench.daemon.wait_ready(120)
    assert bench.daemon.process is not None
    await asyncio.sleep(20)
    idle = resident_mib(bench.daemon.process.pid)

    def trigger(number: int) -> dict[str, Any]:
        servers = f"127.0.0.1:{broker.listeners[COUNTED].advertised}"
        metadata = {"bootstrapServers": servers, "consumerGroup": f"g{number}", "topic": "orders", "lagThreshold": "5"}
        return {"type": "kafka", "metadata": metadata}

    # As many as the lag asks for, or the HPA controller would be busy scaling a thousand targets.
    await bench.load(COUNT, interval=30, trigger=trigger, replicas=2)
    await settled(bench, COUNT)
    await asyncio.sleep(30)
    proxy.requests.clear()
    steady = await bench.window()
    requests, rounds = proxy.requests.total(), proxy.requests[METADATA]
    print(f"requests by API: {dict(proxy.requests)}", file=sys.stderr)
    return [
        row("1000 x kafka on one broker, 30 s: connections", str(broker.connections(COUNTED)), "≤ 3", "-"),
        row("... requests a round", f"{requests / rounds:.1f} ({rounds} rounds a minute)", "≤ 10", "-"),
        row("... processor", f"{steady['cores']:.3f} cores", "≤ 0.08", "-"),
        row("... memory above an idle daemon", f"{steady['MiB'] - idle:.0f} MiB (idle: {idle:.0f})", "≤ 60", "-"),
        row("... writes to the API server besides the lease", f"{steady['writes/s']:.2f} /s", "0", "-"),
    ]


async def main() -> None:
    """Start everything, measure, print."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keda-py-bench-")))
        listener = Listener(COUNTED, advertised=free_port())
        (broker,) = stack.enter_context(kafka(folder, [[listener]]))
        await fill(broker)
        assert listener.advertised is not None
        proxy = await stack.enter_async_context(proxied(listener.advertised, listener.port))
        bench = await stack.enter_async_context(prepared())
        print("| | keda-py | goal | KEDA |\n| --- | --- | --- | --- |", *await measure(bench, broker, proxy), sep="\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
