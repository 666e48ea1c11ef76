"""What may happen to ScaledJobs and to the messages that they are for."""

import random
from typing import Any, Final

from keda_py.naming import Annotation

from . import action
from .backlog import LABEL, Backlog
from .world import SPACE, World

QUEUES: Final = {"jim": ("jim-1",), "kay": ("kay-1", "kay-2")}
"""The ScaledJobs there may be, and the queues of their triggers."""
MOST_WAITING: Final = 8
_OBJECTS: Final = f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledjobs"
_SCALED_JOB: Final = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob"}
_SHOWN: Final = ({}, {"strategy": "default"}, {"strategy": "custom", "customScalingRunningJobPercentage": "1"})
"""Strategies for queues in which messages that are worked on still count."""
_HIDDEN: Final = ({"strategy": "accurate"},)
"""Strategies for queues in which they do not."""
_OTHERS: Final = ({"strategy": "custom", "customScalingRunningJobPercentage": "0.5"}, {"strategy": "eager"})


def begin(world: World, chance: random.Random) -> None:
    """Have ScaledJobs in a scenario."""
    for name, queues in QUEUES.items():
        backlog = Backlog(name, queues, chance.random() < 0.5, world.truth.values)
        world.backlogs[name] = backlog
        world.observers.append(backlog.notice)
        world.tell(f"{name} has queues that {'show' if backlog.shows_taken else 'hide'} what is worked on")
        create_object(world, chance, name)


def spec(chance: random.Random, backlog: Backlog) -> dict[str, Any]:
    """Return any ScaledJob's spec."""
    fitting = _SHOWN if backlog.shows_taken else _HIDDEN
    strategy = chance.choice(fitting if chance.random() < 0.6 else [*_SHOWN, *_HIDDEN, *_OTHERS])
    made = {
        "jobTargetRef": _target(backlog.name, chance.choice([3, 20, 20])),
        "pollingInterval": chance.choice([5, 15]),
        "minReplicaCount": chance.choice([0, 0, 0, 0, 1, 2]),
        "maxReplicaCount": chance.choice([2, 4, 8]),
        "successfulJobsHistoryLimit": chance.choice([0, 1, 3, 10]),
        "scalingStrategy": strategy | {"multipleScalersCalculation": chance.choice(["max", "min", "avg", "sum"])},
        "rollout": {"strategy": chance.choice(["gradual", "immediate"])},
        "triggers": [_trigger(chance, queue) for queue in backlog.queues],
    }
    if chance.random() < 0.5:
        made["rollout"]["propagationPolicy"] = chance.choice(["foreground", "background"])
    return made


def _trigger(chance: random.Random, queue: str) -> dict[str, Any]:
    return {"type": "queue", "metadata": {"address": chance.choice(action.ADDRESSES), "queue": queue, "length": "1"}}


def _target(name: str, seconds: int) -> dict[str, Any]:
    container = {"name": "c", "image": "none", "command": ["sleep", str(seconds)]}
    return {"template": {"metadata": {"labels": {LABEL: name}}, "spec": {"containers": [container]}}}


def promises(spec: dict[str, Any], backlog: Backlog) -> bool:
    """Whether a spec promises a Job for each message, and none that finds no message."""
    strategy = {key: value for key, value in spec["scalingStrategy"].items() if key != "multipleScalersCalculation"}
    return not spec["minReplicaCount"] and strategy in (_SHOWN if backlog.shows_taken else _HIDDEN)


async def create(world: World, chance: random.Random) -> None:
    create_object(world, chance, chance.choice(list(QUEUES)))


def create_object(world: World, chance: random.Random, name: str) -> None:
    """Make a ScaledJob."""
    backlog = world.backlogs[name]
    made = spec(chance, backlog)
    body = {**_SCALED_JOB, "metadata": {"name": backlog.name}, "spec": made}
    answer = world.person("POST", _OBJECTS, body)
    world.tell(f"create {backlog.name}: {answer.status}, {made}")
    if answer.status == 201:
        backlog.exact = backlog.exact and promises(made, backlog)


async def edit(world: World, chance: random.Random) -> None:
    backlog = world.backlogs[chance.choice(list(QUEUES))]
    changed = spec(chance, backlog)
    part = chance.choice([list(changed), ["jobTargetRef"], ["maxReplicaCount"], ["successfulJobsHistoryLimit"]])
    _patch(world, backlog, {"spec": {key: changed[key] for key in part}})


async def pause(world: World, chance: random.Random) -> None:
    backlog = world.backlogs[chance.choice(list(QUEUES))]
    _patch(world, backlog, {"metadata": {"annotations": {Annotation.PAUSED: chance.choice(["true", "true", None])}}})


def _patch(world: World, backlog: Backlog, patch: dict[str, Any]) -> None:
    answer = world.person("PATCH", f"{_OBJECTS}/{backlog.name}", patch)
    world.tell(f"edit {backlog.name}: {answer.status}, {patch}")
    if answer.status == 200:
        # What was promised before is not taken up again: Jobs of then may be there.
        backlog.exact = backlog.exact and promises(answer.body["spec"], backlog)


async def delete(world: World, chance: random.Random) -> None:
    name = chance.choice(list(QUEUES))
    world.tell(f"delete {name}: {world.person('DELETE', f'{_OBJECTS}/{name}', {}).status}")


async def messages_come(world: World, chance: random.Random) -> None:
    backlog = world.backlogs[chance.choice(list(QUEUES))]
    if backlog.left < MOST_WAITING:
        queue, count = chance.choice(backlog.queues), chance.choice([1, 2, 4])
        world.tell(f"{count} messages come to {queue}")
        backlog.add(queue, count)


async def break_queue(world: World, chance: random.Random) -> None:
    queue = chance.choice([queue for queues in QUEUES.values() for queue in queues])
    world.truth.faults[queue] = chance.choice(action.FAULTS)
    world.tell(f"{queue} {world.truth.faults[queue]}")


def to_each(world: World, count: int) -> None:
    """Let messages come to each queue."""
    for backlog in world.backlogs.values():
        for queue in backlog.queues if backlog.left < MOST_WAITING else ():
            backlog.add(queue, count)


def rest(world: World) -> None:
    """End pauses and minimums, so that Jobs are only made for messages."""
    for found in world.scaled_jobs():
        patch = {"metadata": {"annotations": {Annotation.PAUSED: None}}, "spec": {"minReplicaCount": 0}}
        _patch(world, world.backlogs[found["metadata"]["name"]], patch)


ACTIONS: Final[list[tuple[action.Action, int]]] = [
    (create, 3),
    (edit, 3),
    (delete, 1),
    (pause, 3),
    (messages_come, 12),
    (break_queue, 3),
]
