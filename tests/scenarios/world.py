"""Everything of one scenario: the cluster, the sources, the daemons, and the record of what each of them did."""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from keda_py.decide.pause import Asked, paused
from keda_py.devcluster.api import MERGE, Answer, Request
from keda_py.devcluster.autoscaler import MetricError
from keda_py.devcluster.cluster import DevCluster
from keda_py.devcluster.fault import Faults
from keda_py.devcluster.store import Change
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.runtime.clock import loop_clock
from keda_py.serve.external_metrics import owner_of

from .process import Process
from .source import Asker, Heard, Truth, name_of, scaler

if TYPE_CHECKING:
    from .backlog import Backlog

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
SPACE: Final = "default"
SCALED_OBJECTS: Final = ("keda.sh", "scaledobjects")
SCALED_JOBS: Final = ("keda.sh", "scaledjobs")
JOBS: Final = ("batch", "jobs")
PODS: Final = ("", "pods")
DEPLOYMENTS: Final = ("apps", "deployments")
HPAS: Final = ("autoscaling", "horizontalpodautoscalers")
INSTANT: Final = 1e-9
"""What is told at one time is told in an order: so many seconds lie between one and the next."""
PERSON: Final = -1
CONTROLLER: Final = 0
_USUAL: Final = (200, 201, 404, 409)
"""What a person is answered; anything else would mean that the scenario makes no sense."""


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Memory:
    """What is known of an object's activity: when a trigger was read as active, as loop time and by the wall clock.

    `active`: by each daemon. `recorded`: what the status tells of it, by the loop time from when on it does.
    """

    uid: str
    active: dict[int, list[tuple[float, datetime]]] = field(default_factory=lambda: defaultdict(list))
    recorded: list[tuple[float, tuple[float, datetime]]] = field(default_factory=list)


class World:
    """One scenario."""

    def __init__(self, seed: int, *, batched: bool = False, elects: bool = False) -> None:
        self.chance = random.Random(seed)
        self.truth = Truth()
        self.network: dict[int, Faults] = {}
        self.processes: dict[int, Process] = {}
        self.skew = timedelta(0)
        self.elects = elects
        self.batched = batched
        self.heard: dict[tuple[int, str, str], list[Heard]] = defaultdict(list)
        self.memories: dict[str, Memory] = {}
        self.specs: dict[tuple[int, str], list[tuple[float, dict[str, Any] | None]]] = defaultdict(list)
        """What objects ask for, by a spec, "paused" and "asked", and since when: in truth (`CONTROLLER`), and as far as
        each daemon has heard."""
        self.wishes = False
        """Whether people ask for pauses, fallback and formulas."""
        self.counts_set: dict[tuple[str, int], float] = {}
        """When the status first told of the count that an object, by its uid, is paused at."""
        self.backlogs: dict[str, Backlog] = {}
        """The messages that wait for each ScaledJob there may be."""
        self.story: list[str] = []
        self.deleted: dict[tuple[int, str], float] = {}
        """When a daemon heard that an object, by its uid, is to go."""
        self.restored: set[str] = set()
        self.questions = 0
        self.writes = 0
        self.wrote_at = 0.0
        self._told = 0.0
        self.lasted = 0.0
        self._clock = loop_clock(START)
        self._writer = CONTROLLER
        self._last = 0
        self.cluster = DevCluster(now=self.now, chance=random.Random(seed + 1))
        self.cluster.read_metric = self._read_metric
        self.api, self.store = self.cluster.api, self.cluster.store
        self._running = asyncio.create_task(self.cluster.run(), name="cluster")
        self.observers: list[Any] = []
        self.violations: list[Violation] = []
        self.recent_writes: deque[float] = deque(maxlen=100)
        self.store.listen(self._notice)

    # --- time -------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return what the clock on the wall says, which may be set."""
        return self._clock() + self.skew

    @property
    def time(self) -> float:
        """Return the seconds since the beginning, which nobody sets."""
        return asyncio.get_running_loop().time()

    @property
    def moment(self) -> float:
        """Return a time after all that has been told."""
        return max(self.time, self._told)

    def tell(self, what: str) -> None:
        """Add a line to the story, for whoever reads a failure."""
        self.story.append(f"{self.time:9.2f}  {what}")

    # --- the API, as a person uses it -------------------------------------------------------------------------------

    def person(self, method: str, path: str, body: Any = None) -> Answer:
        """Make a request as a person with kubectl."""
        with self.writing(PERSON):
            content_type = MERGE if method == "PATCH" else "application/json"
            answer = self.api.answer(Request(method, path, {}, body, content_type))
        if answer.status not in _USUAL:
            raise Violation(f"harness: {method} {path}: {answer.body}")
        return answer

    @contextmanager
    def writing(self, number: int) -> Iterator[None]:
        """Make what is written within the block known as somebody's."""
        before, self._writer = self._writer, number
        try:
            yield
        finally:
            self._writer = before

    def scaled_object(self, name: str) -> dict[str, Any] | None:
        return self.store.get(SCALED_OBJECTS, (SPACE, name))

    def deployment(self, name: str) -> dict[str, Any] | None:
        return self.store.get(DEPLOYMENTS, (SPACE, name))

    def hpa(self, name: str) -> dict[str, Any] | None:
        return self.store.get(HPAS, (SPACE, f"keda-hpa-{name}"))

    def scaled_objects(self) -> list[dict[str, Any]]:
        return self.store.items(SCALED_OBJECTS, SPACE)

    def scaled_job(self, name: str) -> dict[str, Any] | None:
        return self.store.get(SCALED_JOBS, (SPACE, name))

    def scaled_jobs(self) -> list[dict[str, Any]]:
        return self.store.items(SCALED_JOBS, SPACE)

    def jobs_of(self, owner: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the Jobs that a ScaledJob controls."""
        uid = owner["metadata"]["uid"]
        return [job for job in self.store.items(JOBS, SPACE) if job["metadata"]["ownerReferences"][0]["uid"] == uid]

    # --- daemons ----------------------------------------------------------------------------------------------------

    def start(self) -> Process:
        """Start a daemon."""
        self._last += 1
        number = self._last
        self.network[number] = Faults()
        chance = random.Random(self.chance.getrandbits(32))

        made = scaler(Asker(self.truth, lambda heard: self._hear(number, heard)), batched=self.batched)
        process = Process(
            number,
            self.api,
            self.network[number],
            {"queue": made},
            now=self.now,
            chance=chance,
            writing=self.writing,
            elects=self.elects,
        )
        # A daemon acts on what it has heard: one that is cut off knows nothing of an edit.
        for watched in process.watched:
            watched.on_change(lambda key, _, new: self._note_spec(number, key, new))
            watched.on_change(lambda _, __, new: self._note_deletion(number, new))
        self.processes[number] = process
        self.tell(f"daemon {number} starts")
        return process

    def alive(self) -> list[Process]:
        """Return the daemons that run; those that were killed by their network are buried."""
        for number, process in list(self.processes.items()):
            if not process.alive:
                self._bury(number)
        return list(self.processes.values())

    def _bury(self, number: int) -> None:
        self.processes.pop(number).bury()
        self.tell(f"daemon {number} is dead")
        for memory in self.memories.values():
            # What only it knew is lost with it.
            memory.active.pop(number, None)

    async def kill(self, process: Process) -> None:
        await process.kill()
        self.alive()

    async def close(self) -> None:
        for process in list(self.processes.values()):
            await process.kill()
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    async def _read_metric(self, namespace: str, name: str, selector: str) -> str:
        serving = next((p for p in self.alive() if p.leads), None) or next(iter(self.alive()), None)
        owner = owner_of(selector)
        if serving is None or owner is None:
            raise MetricError("no daemon answers")
        try:
            return (await read_metric(serving.daemon.live, namespace, owner, name)).value
        except (MetricUnknownError, MetricUnavailableError) as error:
            raise MetricError(str(error)) from None

    # --- what is observed -------------------------------------------------------------------------------------------

    def _hear(self, number: int, heard: Heard) -> None:
        self.questions += 1
        self._told = max(heard.told, self._told + INSTANT)
        self.heard[number, heard.owner, heard.name].append(replace(heard, told=self._told))
        process, found = self.processes.get(number), self.scaled_object(heard.owner)
        if found is None or not heard.active or process is None or not process.alive:
            return
        if modified(found["spec"]):
            # What one trigger says is not what is made of all.
            return
        memory = self._memory(found)
        read = (self.time, self.now())
        memory.active[number].append(read)
        if said(found, "Active") == "True":
            memory.recorded.append((self.time, read))

    def heard_of(self, number: int, owner: str, trigger: dict[str, Any], *, at: float) -> Heard | None:
        """Return what a daemon had last been told of one of an object's triggers at a moment."""
        metadata = trigger["metadata"]
        name = name_of(metadata["address"], metadata["queue"], activation(trigger))
        told = self.heard.get((number, owner, name), [])
        return next((heard for heard in reversed(told) if heard.told <= at), None)

    def _memory(self, found: dict[str, Any]) -> Memory:
        name, uid = found["metadata"]["name"], found["metadata"]["uid"]
        if name not in self.memories or self.memories[name].uid != uid:
            self.memories[name] = Memory(uid)
        return self.memories[name]

    def _notice(self, change: Change) -> None:
        writer, name = self._writer, change.name[1]
        if change.place in (SCALED_OBJECTS, SCALED_JOBS):
            self._note_spec(CONTROLLER, change.name, change.after)
        if change.place == SCALED_OBJECTS:
            self._notice_scaled_object(change, writer)
        if writer > 0 and change.place != ("coordination.k8s.io", "leases"):
            self.writes += 1
            self.wrote_at = self.time
            does = "creates" if change.before is None else "deletes" if change.after is None else "writes"
            self.tell(f"daemon {writer} {does} {change.place[1]}/{name}")
        before, after = replicas(change.before), replicas(change.after)
        if change.place == DEPLOYMENTS and before != after:
            self.tell(f"{name}: {before} -> {after} by {who(writer)}")
        for observer in self.observers:
            try:
                observer(self, change, writer)
            except Violation as violation:
                # Raised here it would end up in whoever wrote.
                self.violations.append(violation)

    def check(self) -> None:
        """Raise the first violation there was, and what a daemon died of by itself."""
        if self.violations:
            raise self.violations[0]
        self.alive()

    def _note_deletion(self, number: int, found: dict[str, Any] | None) -> None:
        if found is not None and "deletionTimestamp" in found["metadata"]:
            self.deleted.setdefault((number, found["metadata"]["uid"]), self.time)

    def _note_spec(self, number: int, key: tuple[str, str], found: dict[str, Any] | None) -> None:
        history = self.specs[number, key[1]]
        annotations = (found or {}).get("metadata", {}).get("annotations")
        spec = found and {**found["spec"], "paused": paused(annotations), "asked": Asked.of(annotations)}
        if not history or history[-1][1] != spec:
            history.append((self.time, spec))

    def _notice_scaled_object(self, change: Change, writer: int) -> None:
        found = change.after
        if found is not None and writer > 0 and said(found, "Active") == "True":
            # What the status says now, the next daemon knows.
            memory = self._memory(found)
            memory.recorded += [(self.time, read) for read in memory.active[writer][-1:]]


def who(writer: int) -> str:
    """Return a writer's name."""
    return {PERSON: "a person", CONTROLLER: "the cluster"}.get(writer, f"daemon {writer}")


def replicas(found: dict[str, Any] | None) -> int | None:
    """Return the replicas that an object wants."""
    return None if found is None else found.get("spec", {}).get("replicas")


def restores(spec: dict[str, Any]) -> bool:
    """Return whether the target gets the replicas back that it had, when its object goes."""
    return bool((spec.get("advanced") or {}).get("restoreToOriginalReplicaCount"))


def modified(spec: dict[str, Any]) -> bool:
    """Return whether a formula decides over all triggers."""
    return bool((spec.get("advanced") or {}).get("scalingModifiers"))


def activation(trigger: dict[str, Any]) -> float:
    """Return above which value a trigger is active."""
    return float(trigger["metadata"].get("activation", "0"))


def said(found: dict[str, Any], type_: str) -> str:
    """Return what a condition says."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((c["status"] for c in conditions if c["type"] == type_), "")
