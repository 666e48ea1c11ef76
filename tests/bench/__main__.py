"""Measures the daemon on a real control plane and prints a table: ``python -m tests.bench [SCENARIO...]``.

Everything is as installed, with default settings; the source is another process, and KEDA's numbers beside ours were
measured in the same way on the same kind of machine (two cores).
"""

import asyncio
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from keda_py.kube.client import ApiError, Client, Resource
from keda_py.kube.transport import connect
from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import Daemon, install
from tests.servers import answers, free_port, running

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
SCALED_OBJECTS: Final = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
HPAS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SPACE: Final = "bench"
WINDOW_SECONDS: Final = 60
WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")


@dataclass
class Bench:
    """A cluster, a source, and the daemon between them."""

    cluster: Cluster
    client: Client
    http: aiohttp.ClientSession
    daemon: Daemon
    address: str

    async def load(self, count: int, *, interval: int, trigger: Callable[[int], dict[str, Any]], replicas: int) -> None:
        """Make so many Deployments, each with a ScaledObject."""
        at_a_time = asyncio.Semaphore(12)

        async def make(number: int) -> None:
            async with at_a_time:
                await self.client.create(DEPLOYMENTS, SPACE, deployment(f"m{number}", replicas))
                await self.client.create(SCALED_OBJECTS, SPACE, scaled_object(f"m{number}", interval, trigger(number)))

        await asyncio.gather(*(make(number) for number in range(count)))

    def value(self, number: int) -> dict[str, Any]:
        metadata = {"url": f"{self.address}/value/m{number}", "valueLocation": "value", "targetValue": "5"}
        return {"type": "metrics-api", "metadata": metadata}

    def query(self, number: int) -> dict[str, Any]:
        query = f'sum(work{{queue="m{number % 50}"}})'
        return {"type": "prometheus", "metadata": {"serverAddress": self.address, "query": query, "threshold": "5"}}

    async def ask(self, path: str) -> Any:
        async with self.http.get(self.address + path) as answer:
            return await answer.json() if path == "/stats" else await answer.read()

    async def until_asked(self, names: int) -> float:
        """Return the seconds until so many names were asked for."""
        began = time.monotonic()
        while (await self.ask("/stats"))["names"] < names:
            await asyncio.sleep(0.05)
            if time.monotonic() - began > 300:
                return float("nan")
        return time.monotonic() - began

    async def window(self, seconds: float = WINDOW_SECONDS) -> dict[str, float]:
        """Return what the daemon, the source and the API server did per second."""
        assert self.daemon.process is not None
        pid = self.daemon.process.pid
        before = processor_seconds(pid), (await self.ask("/stats"))["requests"], self._writes()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        after = processor_seconds(pid), (await self.ask("/stats"))["requests"], self._writes()
        cores, questions, writes = ((b - a) / lasted for a, b in zip(before, after, strict=True))
        return {"cores": cores, "MiB": resident_mib(pid), "questions/s": questions, "writes/s": writes}

    def _writes(self) -> float:
        ours = {"scaledobjects", "horizontalpodautoscalers", "events", "secrets", "apiservices"}
        counts = self.cluster.request_counts()
        found = {
            k: v for k, v in counts.items() if k[0] in WRITES and (k[1] in ours or k[1:] == ("deployments", "scale"))
        }
        # The HPA controller writes the status of its HPAs; that is not ours.
        found = {key: value for key, value in found.items() if key[1:] != ("horizontalpodautoscalers", "status")}
        return sum(found.values())


def deployment(name: str, replicas: int) -> dict[str, Any]:
    """Return a Deployment."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def scaled_object(name: str, interval: int, trigger: dict[str, Any]) -> dict[str, Any]:
    """Return a ScaledObject for a Deployment of the same name."""
    spec = {"scaleTargetRef": {"name": name}, "pollingInterval": interval, "maxReplicaCount": 10, "triggers": [trigger]}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}


def processor_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the memory a process holds, in MiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


# --- scenarios ------------------------------------------------------------------------------------------------------


async def thousand(bench: Bench) -> list[str]:
    """1000 objects, each with a metrics-api trigger of its own, 30 s, at one replica."""
    await bench.load(1000, interval=30, trigger=bench.value, replicas=1)
    await bench.ask("/reset")
    bench.daemon.start(ready=False)
    first = await bench.until_asked(1000)
    bench.daemon.wait_ready()
    await settled(bench, 1000)
    await asyncio.sleep(30)
    steady = await bench.window()
    return [
        row("1000 x metrics-api, 30 s: until all were read", f"{first:.1f} s", "≤ 8 s", "54 s"),
        row("... processor", f"{steady['cores']:.3f} cores", "≤ 0.09", "0.223"),
        row("... memory", f"{steady['MiB']:.0f} MiB", "≤ 160", "354"),
        row("... questions to the source", f"{steady['questions/s']:.1f} /s", "≤ 67", "99.6"),
        row("... writes to the API server besides the lease", f"{steady['writes/s']:.2f} /s", "0", "59"),
    ]


async def queries(bench: Bench) -> list[str]:
    """1000 objects that share 50 Prometheus queries."""
    await bench.load(1000, interval=30, trigger=bench.query, replicas=1)
    bench.daemon.start(ready=False)
    await bench.until_asked(50)
    bench.daemon.wait_ready()
    await settled(bench, 1000)
    await asyncio.sleep(30)
    steady = await bench.window()
    return [
        row(
            "1000 objects, 50 distinct Prometheus queries, 30 s",
            f"{steady['questions/s']:.1f} questions/s",
            "≤ 10",
            "-",
        ),
        row("... processor", f"{steady['cores']:.3f} cores", "-", "-"),
    ]


async def hundred(bench: Bench) -> list[str]:
    """100 objects at 1 s, asleep; then how fast they wake; then awake, how fast the HPA is answered."""
    await bench.ask("/all/0")
    await bench.load(100, interval=1, trigger=bench.value, replicas=0)
    bench.daemon.start()
    await settled(bench, 100)
    await asyncio.sleep(5)
    asleep = await bench.window()
    woken = [await wake(bench, number) for number in range(60)]
    await bench.ask("/all/5")
    await asyncio.sleep(20)
    answered = sorted(await metric_times(bench, 4000))
    p50, p99 = (1000 * answered[int(len(answered) * part)] for part in (0.5, 0.99))
    return [
        row("100 x metrics-api, 1 s, at zero: processor", f"{asleep['cores']:.3f} cores", "≤ 0.067", "0.067"),
        row("0 → 1 at 1 s: median", f"{statistics.median(woken):.2f} s", "≤ 0.55 s", "0.76 s"),
        row("... longest of 60", f"{max(woken):.2f} s", "-", "1.0 s"),
        row("external metric through the API server: p50", f"{p50:.1f} ms", "-", "13 ms"),
        row("... p99", f"{p99:.1f} ms", "≤ 44 ms", "44 ms"),
    ]


async def wake(bench: Bench, number: int) -> float:
    """Return the seconds from a value at the source to a replica wanted."""
    # At any moment between two polls.
    await asyncio.sleep(random.uniform(0, 1))
    await bench.ask(f"/set/m{number}/5")
    began = time.monotonic()
    while not (await bench.client.get(DEPLOYMENTS, SPACE, f"m{number}"))["spec"].get("replicas"):
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def metric_times(bench: Bench, count: int) -> list[float]:
    """Return the seconds that external metrics took through the API server, eight at a time."""
    hpas, _ = await bench.client.list(HPAS, SPACE)
    paths = []
    for hpa in hpas:
        name = hpa["spec"]["metrics"][0]["external"]["metric"]["name"]
        owner = hpa["metadata"]["labels"]["scaledobject.keda.sh/name"]
        paths.append((f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{SPACE}/{name}", owner))
    times: list[float] = []

    async def some(part: int) -> None:
        for index in range(part, count, 8):
            path, owner = paths[index % len(paths)]
            began = time.perf_counter()
            await bench.client.call("GET", path, params={"labelSelector": f"scaledobject.keda.sh/name={owner}"})
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(some(part) for part in range(8)))
    return times


async def settled(bench: Bench, count: int) -> None:
    """Wait until every object is ready and its HPA has been heard."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        found, _ = await bench.client.list(SCALED_OBJECTS, SPACE)
        if sum(_is_settled(item) for item in found) == count:
            return
        await asyncio.sleep(2)
    print("not all objects are settled")


def _is_settled(found: dict[str, Any]) -> bool:
    said = {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions") or []}
    return said.get("Ready") == "True" and "HPAActive" in said


def row(what: str, ours: str, goal: str, keda: str) -> str:
    """Return a row of the table."""
    return f"| {what} | {ours} | {goal} | {keda} |"


SCENARIOS: Final[dict[str, Callable[[Bench], Awaitable[list[str]]]]] = {
    "thousand": thousand,
    "queries": queries,
    "hundred": hundred,
}


@asynccontextmanager
async def prepared() -> AsyncIterator[Bench]:
    """Start a cluster and a source; the daemon is installed, and for the scenario to start."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keda-py-bench-")))
        cluster = stack.enter_context(Cluster(f"bench-{os.getpid()}"))
        install(cluster)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        source = [sys.executable, "-m", "tests.bench.source", str(port)]
        stack.enter_context(running(source, log=folder / "source.log", ready=lambda: answers(f"{address}/stats")))
        transport = await connect(str(cluster.kubeconfig))
        stack.push_async_callback(transport.close)
        client = Client(transport)
        await client.create(NAMESPACES, "", {"metadata": {"name": SPACE}})
        http = await stack.enter_async_context(aiohttp.ClientSession())
        daemon = Daemon(cluster, folder / "daemon", "--leader-elect")
        stack.callback(daemon.stop)
        yield Bench(cluster, client, http, daemon, address)


async def main(names: list[str]) -> None:
    """Run scenarios one after the other, each on a cluster of its own."""
    print("| | keda-py | goal | KEDA |\n| --- | --- | --- | --- |", flush=True)
    for name in names or list(SCENARIOS):
        async with prepared() as bench:
            try:
                print("\n".join(await SCENARIOS[name](bench)), flush=True)
            except ApiError as error:
                print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
