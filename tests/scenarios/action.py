"""What may happen in a scenario: people, sources, the network and daemons at their worst."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from keda_py.devcluster.api import Answer

from . import wish
from .world import SPACE, World

NAMES: Final = ("ada", "bob", "cyd")
QUEUES: Final = ("q1", "q2", "q3", "q4")
ADDRESSES: Final = ("one", "two")
FAULTS: Final = ("slow", "hangs", "fails", "lies", "dies", "surprises")
LAG_SECONDS: Final = 8.0
_OBJECTS: Final = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledobjects"
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{SPACE}/deployments"
_DEPLOYMENT: Final = {"apiVersion": "apps/v1", "kind": "Deployment"}
_SCALED_OBJECT: Final = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}

Action = Callable[[World, random.Random], Awaitable[None]]


def spec(chance: random.Random, name: str) -> dict[str, Any]:
    """Return any ScaledObject's spec."""
    least = chance.choice([0, 0, 0, 1, 2])
    made: dict[str, Any] = {
        "scaleTargetRef": {"name": name},
        "pollingInterval": chance.choice([1, 5, 15, 30]),
        "cooldownPeriod": chance.choice([0, 10, 30, 90]),
        "minReplicaCount": least,
        "maxReplicaCount": least + chance.choice([1, 3, 8]),
        "triggers": [_trigger(chance) for _ in range(chance.choice([1, 1, 2]))],
    }
    if least > 1 and chance.random() < 0.5:
        made["idleReplicaCount"] = 0
    if chance.random() < 0.7:
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
        made["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    if chance.random() < 0.3:
        made.setdefault("advanced", {})["restoreToOriginalReplicaCount"] = True
    return made


def _spec(world: World, chance: random.Random, name: str) -> dict[str, Any]:
    return wish.wishes(chance, spec(chance, name)) if world.wishes else spec(chance, name)


def _trigger(chance: random.Random) -> dict[str, Any]:
    metadata = {"address": chance.choice(ADDRESSES), "queue": chance.choice(QUEUES), "length": "5"}
    if chance.random() < 0.3:
        metadata["activation"] = "3"
    return {"type": "queue", "metadata": metadata}


def deploy(world: World, name: str, count: int = 0) -> None:
    """Make a target."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    made = {"replicas": count, "selector": {"matchLabels": labels}, "template": pod}
    world.person("POST", _DEPLOYMENTS, {**_DEPLOYMENT, "metadata": {"name": name}, "spec": made})


def create_object(world: World, name: str, spec: dict[str, Any]) -> Answer:
    """Make a ScaledObject."""
    return world.person("POST", _OBJECTS, {**_SCALED_OBJECT, "metadata": {"name": name}, "spec": spec})


async def create(world: World, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    if world.deployment(name) is None:
        deploy(world, name, chance.choice([0, 0, 1, 3]))
    answer = create_object(world, name, made := _spec(world, chance, name))
    world.tell(f"create {name}: {answer.status}, {made}")


async def edit(world: World, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    changed = _spec(world, chance, name)
    if world.wishes:
        changed = wish.patched(changed)
    part = chance.choice([list(changed), ["triggers"], ["cooldownPeriod"], ["pollingInterval"]])
    patch = {"spec": {key: changed[key] for key in part}}
    if "idleReplicaCount" not in changed and part == list(changed):
        patch["spec"]["idleReplicaCount"] = None
    world.tell(f"edit {name}: {world.person('PATCH', f'{_OBJECTS}/{name}', patch).status}, {patch['spec']}")


async def delete(world: World, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    world.tell(f"delete {name}: {world.person('DELETE', f'{_OBJECTS}/{name}', {}).status}")


async def scale_by_hand(world: World, chance: random.Random) -> None:
    name, count = chance.choice(NAMES), chance.choice([0, 1, 2, 6])
    world.tell(f"scale {name} to {count} by hand")
    scale(world, name, count)


def scale(world: World, name: str, count: int) -> None:
    """Let a person scale a target."""
    world.person("PATCH", f"{_DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": count}})


async def delete_hpa(world: World, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    path = f"/apis/autoscaling/v2/namespaces/{SPACE}/horizontalpodautoscalers/keda-hpa-{name}"
    world.tell(f"delete the HPA of {name}: {world.person('DELETE', path, {}).status}")


async def lose_target(world: World, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    world.tell(f"delete the target of {name}: {world.person('DELETE', f'{_DEPLOYMENTS}/{name}', {}).status}")


async def change_value(world: World, chance: random.Random) -> None:
    queue, value = chance.choice(QUEUES), chance.choice([0.0, 0.0, 0.0, 2.0, 4.0, 11.0, 60.0])
    world.tell(f"{queue} = {value}")
    world.truth.values[queue] = value


async def work_comes(world: World, chance: random.Random) -> None:
    world.tell("all queues = 60")
    world.truth.values |= dict.fromkeys(QUEUES, 60.0)
    for backlog in world.backlogs.values():
        backlog.add(backlog.queues[0], 3)


async def end_of_work(world: World, chance: random.Random) -> None:
    """Let work come and go, and a daemon end while its objects cool down."""
    await work_comes(world, chance)
    await asyncio.sleep(32.0)
    world.tell("all queues = 0")
    world.truth.values |= dict.fromkeys(QUEUES, 0.0)
    await asyncio.sleep(chance.uniform(0.0, 32.0))
    await chance.choice([kill, restart])(world, chance)


async def break_queue(world: World, chance: random.Random) -> None:
    queue = chance.choice(QUEUES)
    world.truth.faults[queue] = chance.choice(FAULTS)
    world.tell(f"{queue} {world.truth.faults[queue]}")


async def mend_sources(world: World, chance: random.Random) -> None:
    world.tell("sources are mended")
    world.truth.faults.clear()
    world.truth.down.clear()


async def break_source(world: World, chance: random.Random) -> None:
    address = chance.choice(ADDRESSES)
    world.truth.down[address] = chance.choice(["refuses", "hangs"])
    world.tell(f"the source {address} {world.truth.down[address]}")


async def hurt_network(world: World, chance: random.Random) -> None:
    for number, network in world.network.items():
        what = chance.choice(["refused", "lost", "throttled", "slow", "lag"])
        setattr(network, what, chance.choice([0.2, 0.5, 0.9]))
        world.tell(f"network of daemon {number}: {what}")


async def partition(world: World, chance: random.Random) -> None:
    running = world.alive()
    if running:
        leading = [process for process in running if process.leads]
        number = chance.choice(leading or running).number
        world.network[number].partitioned = True
        world.tell(f"daemon {number} is cut off")
        if chance.random() < 0.5:
            # Long enough for another to take over, and to find something to do.
            await asyncio.sleep(20.0)
            await work_comes(world, chance)
            await asyncio.sleep(chance.uniform(1.0, 40.0))


async def outage(world: World, chance: random.Random) -> None:
    """Let the API server answer nobody for a while, in which somebody's change comes in by a watch that still works."""
    world.tell("the API server refuses all")
    for network in world.network.values():
        network.refused = 1.0
    await chance.choice([create, edit, work_comes])(world, chance)
    await asyncio.sleep(chance.uniform(0.1, 20.0))
    await mend_network(world, chance)


async def race(world: World, chance: random.Random) -> None:
    """Let a person scale a target while the daemon wakes it, which will hear of that late."""
    name = chance.choice(NAMES)
    for network in world.network.values():
        network.lag = LAG_SECONDS
    world.tell(f"watches are late, and {name} is scaled by hand")
    await work_comes(world, chance)
    scale(world, name, 6)
    await asyncio.sleep(LAG_SECONDS)
    await mend_network(world, chance)


async def mend_network(world: World, chance: random.Random) -> None:
    world.tell("the network is mended")
    for network in world.network.values():
        network.mend()


async def cut_watches(world: World, chance: random.Random) -> None:
    world.tell("watches are cut")
    for network in world.network.values():
        network.cut_at = world.time
    if chance.random() < 0.5:
        # What happens now ends the watches, and is gone from the history before they are opened again.
        await chance.choice([create, edit, delete, lose_target])(world, chance)
        world.store.forget()


async def kill(world: World, chance: random.Random) -> None:
    running = world.alive()
    if running:
        process = chance.choice(running)
        world.tell(f"kill -9 of daemon {process.number}")
        await world.kill(process)
    world.start()


async def doom(world: World, chance: random.Random) -> None:
    """Let a daemon die in the middle of one of its next requests, before or after it was carried out."""
    for process in world.alive():
        process.transport.until_death = chance.randint(1, 12)
        world.tell(f"daemon {process.number} will die in {process.transport.until_death} steps")


async def restart(world: World, chance: random.Random) -> None:
    running = world.alive()
    for process in running:
        world.tell(f"daemon {process.number} is asked to stop")
        await process.stop()
    world.alive()
    for _ in running or [None]:
        world.start()


async def jump(world: World, chance: random.Random) -> None:
    seconds = chance.choice([-40, -5, 20, 3600])
    world.tell(f"the clock jumps by {seconds} s")
    world.skew += timedelta(seconds=seconds)


async def wait(world: World, chance: random.Random) -> None:
    """Let things take their course."""


TO_OBJECTS: Final[list[tuple[Action, int]]] = [
    (create, 3),
    (edit, 3),
    (delete, 1),
    (scale_by_hand, 1),
    (delete_hpa, 1),
    (lose_target, 1),
    (change_value, 8),
    (break_queue, 3),
]
TO_ALL: Final[list[tuple[Action, int]]] = [
    (break_source, 1),
    (mend_sources, 3),
    (hurt_network, 2),
    (partition, 1),
    (mend_network, 3),
    (cut_watches, 2),
    (kill, 2),
    (doom, 2),
    (restart, 1),
    (end_of_work, 2),
    (outage, 2),
    (race, 2),
    (jump, 1),
    (wait, 4),
]
