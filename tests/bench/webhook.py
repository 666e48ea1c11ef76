"""How long the webhook takes: ``python -m tests.bench.webhook``; the result is kept in docs/performance.md.

Over TLS on one connection after the other, as the API server asks, with a thousand ScaledObjects, their HPAs and
Deployments in the caches; asker and webhook share one process, so that both are in the numbers. No cluster.
"""

import asyncio
import copy
import gc
import ssl
import time
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson
import uvloop

from keda_py.engine.admission import Admission, Watched, trim_limit_range
from keda_py.engine.cluster import HPAS, SCALED_JOBS, SCALED_OBJECTS, trim_scalable
from keda_py.engine.credentials.reference import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    TRIGGER_AUTHENTICATIONS,
    trim_authentication,
)
from keda_py.engine.hpa import trim_hpa
from keda_py.engine.registry import Registry
from keda_py.engine.target import DEPLOYMENTS, STATEFUL_SETS, trim_workload
from keda_py.engine.trigger_check import TriggerCheck
from keda_py.kube.client import Client
from keda_py.kube.reflector import Store
from keda_py.scaler import Platform
from keda_py.serve.admission import application
from keda_py.serve.certificate import renewed
from keda_py.serve.listen import listening
from keda_py.serve.tls import ServerTls
from keda_py.settings import Address
from keda_py.testing import FakeKubernetes
from tests.memory import MemoryApi

OBJECTS: Final = 1000
REQUESTS: Final = 5000
PATH: Final = "/validate-keda-sh-v1alpha1-scaledobject"
TRIGGERS: Final[list[dict[str, Any]]] = [
    {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
    {
        "type": "cron",
        "name": "day",
        "metadata": {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Europe/Berlin", "desiredReplicas": "3"},
    },
    {
        "type": "kafka",
        "name": "lag",
        "metadata": {"bootstrapServers": "a:9092", "consumerGroup": "g", "topic": "t", "lagThreshold": "10"},
        "authenticationRef": {"name": "kafka"},
    },
]


def scaled_object(number: int) -> dict[str, Any]:
    """Return a ScaledObject with three triggers and a formula."""
    spec = {
        "scaleTargetRef": {"name": f"web{number}"},
        "minReplicaCount": 1,
        "triggers": TRIGGERS,
        "advanced": {"scalingModifiers": {"formula": "lag > 5 ? lag : day", "target": "2"}},
    }
    return {"metadata": metadata(f"so{number}"), "spec": spec}


def metadata(name: str) -> dict[str, Any]:
    """Return an object's metadata."""
    return {"name": name, "namespace": "shop", "resourceVersion": "1", "uid": name}


def hpa(number: int) -> dict[str, Any]:
    """Return the HPA of a ScaledObject."""
    owners = [{"kind": "ScaledObject", "name": f"so{number}", "uid": f"so{number}"}]
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"web{number}"}
    return {"metadata": metadata(f"keda-hpa-so{number}") | {"ownerReferences": owners}, "spec": {"scaleTargetRef": ref}}


def deployment(number: int) -> dict[str, Any]:
    """Return a Deployment."""
    containers = [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]
    return {"metadata": metadata(f"web{number}"), "spec": {"template": {"spec": {"containers": containers}}}}


def admission() -> Admission:
    """Return the webhook with its caches full."""
    stores = {SCALED_OBJECTS: Store(trim_scalable), SCALED_JOBS: Store(trim_scalable), HPAS: Store(trim_hpa)}
    stores |= {resource: Store(trim_workload) for resource in (DEPLOYMENTS, STATEFUL_SETS)}
    kinds = (TRIGGER_AUTHENTICATIONS.kind, CLUSTER_TRIGGER_AUTHENTICATIONS.kind)
    authentications = {kind: Store(trim_authentication) for kind in kinds}
    watched = Watched(
        stores,
        authentications=authentications,
        limit_ranges=Store(trim_limit_range),
        limits_known=lambda: True,
        listed=lambda: True,
        sees=lambda _: True,
    )
    authentications[TRIGGER_AUTHENTICATIONS.kind].put({"metadata": metadata("kafka")})
    for number in range(OBJECTS):
        stores[SCALED_OBJECTS].put(scaled_object(number))
        stores[HPAS].put(hpa(number))
        stores[DEPLOYMENTS].put(deployment(number))
    platform = Platform(now=lambda: datetime.now(UTC), kubernetes=FakeKubernetes())
    return Admission(watched, Client(MemoryApi()), TriggerCheck(Registry.installed(), platform))


async def measure() -> tuple[list[float], list[float]]:
    """Return the seconds that each request took, and those of the processor, each sorted; the first loads scalers."""
    own = renewed(None, ["localhost"], datetime.now(UTC))
    assert own is not None
    tls = ServerTls(asks_clients=False)
    tls.set_certificate(own.certificate, own.key)
    trusted = ssl.create_default_context(cadata=own.authority.decode())
    times, processor = [], []
    asked = admission()
    # As the daemon does once it knows the cluster (keda_py.app).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    async with (
        listening(application(asked.review), Address("127.0.0.1", 0), flag="-", tls=tls.context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session,
    ):
        for count in range(REQUESTS):
            old = scaled_object(count % OBJECTS)
            new = copy.deepcopy(old)
            new["spec"]["maxReplicaCount"] = 7
            request = {"uid": "u", "operation": "UPDATE", "namespace": "shop", "object": new, "oldObject": old}
            body = orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            began, used = time.perf_counter(), time.thread_time()
            async with session.post(f"https://localhost:{port}{PATH}", data=body) as answer:
                response = orjson.loads(await answer.read())["response"]
            times.append(time.perf_counter() - began)
            processor.append(time.thread_time() - used)
            assert response == {"uid": "u", "allowed": True}, response
    return sorted(times), sorted(processor)


def main() -> None:
    """Measure, and print a line for the table."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure())
    for what, times in zip(("time", "processor"), measured, strict=True):
        p50, p99, longest = (1000 * times[int((len(times) - 1) * part)] for part in (0.5, 0.99, 1.0))
        print(f"| {what} | {p50:.1f} ms | {p99:.1f} ms | {longest:.0f} ms |")


if __name__ == "__main__":
    main()
