"""Measures ScaledJobs on a real control plane, and prints a table: ``python -m tests.bench.jobs``.

Everything is as in `tests.bench`. 200 ScaledJobs are polled each 5 s, half of them with a Job at work; then, with a
daemon of its own, 500 with ten finished Jobs each.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from keda_py.kube.client import Resource
from tests.bench.__main__ import SPACE, WINDOW_SECONDS, Bench, prepared, resident_mib, row
from tests.controlplane.cluster import Cluster

SCALED_JOBS: Final = Resource("keda.sh", "v1alpha1", "scaledjobs", "ScaledJob")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
POLLED: Final = 200
KEPT: Final = 500
FINISHED_EACH: Final = 10
AT_A_TIME: Final = 12
# What the cluster does all the time: leases, nodes, who may do what, and the metrics that are read here.
BESIDES: Final = {"leases", "nodes", "csinodes", "tokenreviews", "subjectaccessreviews", ""}


def scaled_job(bench: Bench, number: int, interval: int) -> dict[str, Any]:
    """Return a ScaledJob whose Jobs run for an hour."""
    container = {"name": "c", "image": "none", "command": ["sleep", "3600"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    trigger = bench.value(number)
    trigger["metadata"]["targetValue"] = "1"
    spec = {"jobTargetRef": {"template": template}, "pollingInterval": interval, "triggers": [trigger]}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": f"m{number}"}, "spec": spec}


async def each(count: int, make: Callable[[int], Awaitable[Any]]) -> None:
    """Do something for each number, some at a time."""
    at_a_time = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int) -> None:
        async with at_a_time:
            await make(number)

    await asyncio.gather(*(one(number) for number in range(count)))


async def until(bench: Bench, resource: Resource, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait until something holds of all objects of a kind."""
    while not holds((await bench.client.list(resource, SPACE))[0]):
        await asyncio.sleep(5)


def calls(cluster: Cluster) -> dict[tuple[str, str], float]:
    """Return how many requests the API server has served, by verb and resource."""
    found: dict[tuple[str, str], float] = {}
    for (verb, resource, _), count in cluster.request_counts().items():
        if resource not in BESIDES:
            found[verb, resource] = found.get((verb, resource), 0) + count
    return found


async def polled(bench: Bench) -> list[str]:
    """200 ScaledJobs, 5 s, half of them with a Job at work."""
    await bench.ask("/all/0")
    for number in range(0, POLLED, 2):
        await bench.ask(f"/set/m{number}/1")
    bench.daemon.start()
    await each(POLLED, lambda number: bench.client.create(SCALED_JOBS, SPACE, scaled_job(bench, number, 5)))
    await until(bench, JOBS, lambda jobs: sum(job["status"].get("ready", 0) for job in jobs) == POLLED // 2)
    await asyncio.sleep(30)
    before = calls(bench.cluster)
    steady = await bench.window()
    after = calls(bench.cluster)
    rates = {key: (after[key] - before.get(key, 0)) / WINDOW_SECONDS for key in after}
    called = {key: rate for key, rate in sorted(rates.items()) if rate}
    lists = sum(rate for (verb, _), rate in called.items() if verb == "LIST")
    said = ", ".join(f"{verb} {resource} {rate:.2f}/s" for (verb, resource), rate in called.items())
    return [
        row(f"{POLLED} ScaledJobs, 5 s: processor", f"{steady['cores']:.3f} cores", "≤ 0.1", "-"),
        row("... memory", f"{steady['MiB']:.0f} MiB", "-", "-"),
        row("... questions to the source", f"{steady['questions/s']:.1f} /s", "40", "-"),
        row("... lists of anything, by anybody", f"{lists:.2f} /s", "0", "-"),
        row("... other calls to the API server, by anybody, itself too", said or "none", "-", "-"),
    ]


async def kept(bench: Bench) -> list[str]:
    """500 ScaledJobs, each with ten finished Jobs."""
    await bench.ask("/all/0")
    bench.daemon.start()
    assert bench.daemon.process is not None
    await asyncio.sleep(10)
    idle = resident_mib(bench.daemon.process.pid)
    await each(KEPT, lambda number: bench.client.create(SCALED_JOBS, SPACE, scaled_job(bench, number, 30)))
    alone = await settled(bench)

    await each(KEPT * FINISHED_EACH, lambda number: finished(bench, f"m{number % KEPT}", number // KEPT))
    grown = await settled(bench)
    bench.daemon.stop()
    bench.daemon.start()
    anew = await settled(bench)
    return [
        row(f"{KEPT} ScaledJobs, 30 s: memory above an idle daemon", f"{alone - idle:.0f} MiB ({idle:.0f})", "-", "-"),
        row(f"... with {KEPT * FINISHED_EACH} finished Jobs that it saw end", f"{grown - idle:.0f} MiB", "-", "-"),
        row("... that it found when it started", f"{anew - idle:.0f} MiB", "-", "-"),
    ]


async def finished(bench: Bench, owner: str, number: int) -> None:
    """Make a Job of a ScaledJob, and its pod, that have come to their end.

    `managedBy` keeps the cluster's own controller away, which would take most of an hour to play five thousand.
    """
    name, labels = f"{owner}-{number}", {"scaledjob.keda.sh/name": owner}
    container = {"name": "c", "image": "none", "command": ["sleep", "3600"]}
    pod = {"restartPolicy": "Never", "schedulerName": "example.com/nobody", "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"managedBy": "example.com/bench", "template": template}
    made = await bench.client.create(JOBS, SPACE, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    owned = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made["metadata"]["uid"], "controller": True}
    selected = made["spec"]["template"]["metadata"]["labels"]
    await bench.client.create(
        PODS, SPACE, {"metadata": {"name": name, "labels": selected, "ownerReferences": [owned]}, "spec": pod}
    )
    await bench.client.patch_status(PODS, SPACE, name, {"phase": "Succeeded"})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": reached, "status": "True", "lastTransitionTime": now} for reached in ("SuccessCriteriaMet", "Complete")
    ]
    times = {"startTime": made["metadata"]["creationTimestamp"], "completionTime": now}
    await bench.client.patch_status(JOBS, SPACE, name, {**times, "succeeded": 1, "conditions": conditions})


async def settled(bench: Bench) -> float:
    """Return the memory of the daemon in MiB, a while after everything has been told."""
    assert bench.daemon.process is not None
    await asyncio.sleep(45)
    return resident_mib(bench.daemon.process.pid)


async def main() -> None:
    """Measure, each on a cluster of its own."""
    print("| | keda-py | goal | KEDA |\n| --- | --- | --- | --- |", flush=True)
    for measure in (polled, kept):
        async with prepared() as bench:
            print("\n".join(await measure(bench)), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
