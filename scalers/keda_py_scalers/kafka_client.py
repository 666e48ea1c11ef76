"""Where many consumer groups and their partitions stand, in as few requests as Kafka's protocol allows.

One round answers any number of questions: the metadata of the topics that are asked about, what the groups have
committed (one request for each coordinator), the ends of the partitions (one for each leader). Commits are read before
ends, so that a group is never ahead of its partition. Who coordinates a group is remembered; everything else is asked
anew in each round, so that new partitions, a recreated topic or a new leader are seen at once. Whoever says that he is
not the one to ask, or cannot be reached, is looked up again once within the round.

Each topic, group and partition fails alone. A partition or group that nobody told about is an error, never a number.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from keda_py.scaler import ScalerError
from keda_py_scalers.kafka_brokers import Address, Brokers, UnreachableError
from keda_py_scalers.kafka_lag import Place, Position
from keda_py_scalers.kafka_wire import (
    NOT_COMMITTED,
    Commits,
    Coordinator,
    FetchOffsets,
    FindCoordinators,
    TooOldError,
)

LATEST: Final = -1
EARLIEST: Final = -2
MOST_COORDINATORS: Final = 50_000
"""How many groups' coordinators are remembered, those of triggers long gone included."""

_MOVED: Final = frozenset({3, 5, 6, 9, 15, 16, 56, 74, 75, 100})
"""Codes that say: ask somebody else, or look again (UNKNOWN_TOPIC_OR_PARTITION, NOT_COORDINATOR and the like)."""
_WORDS: Final = {
    3: "does not exist",
    5: "has no leader at the moment",
    14: "cannot be read yet: its coordinator is still loading",
    15: "has no coordinator at the moment",
    16: "has another coordinator than the one that was named",
    29: "may not be read: the user needs to Describe it",
    30: "may not be read: the user needs to Describe it",
}

K = TypeVar("K")
V = TypeVar("V")
Outcomes = dict[K, V | ScalerError]
Topic = Mapping[int, Address | ScalerError]
"""The leader of each partition."""
Wanted = Mapping[str, Collection[int]] | None
"""Partitions by topic; None for all in which the group ever committed."""


class MovedError(ScalerError):
    """The broker that was asked is not, or no longer, the one to ask."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where does a group stand in these topics?

    `topics`: none for all in which the group has committed. `partitions`: the only ones that count, as ranges; None for
    all. `from_start`: whether to find out what is the first record there where the group has not committed.
    """

    group: str
    topics: tuple[str, ...] = ()
    partitions: tuple[range, ...] | None = None
    from_start: bool = False


Positions = Mapping[Place, Position]


class KafkaConnection:
    """A cluster that can be asked."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._coordinators: dict[str, Address] = {}

    async def answer(self, questions: Sequence[Question]) -> list[Positions | ScalerError]:
        """Return for each question the positions, or the error that stands for them.

        Raise `SourceUnavailable` if nobody answers.
        """
        topics = await self._topics({topic for question in questions for topic in question.topics})
        groups = await self._commits(_wanted(questions, topics))
        found = {place[0] for commits in groups.values() if not isinstance(commits, ScalerError) for place in commits}
        topics |= await self._topics({topic for topic in found if topic not in topics})
        places = [_either(_places, question, topics, groups) for question in questions]
        ends = await self._offsets(
            {place for some in places if not isinstance(some, ScalerError) for place in some}, topics, when=LATEST
        )
        starts = await self._offsets(set(_without_commit(questions, places, groups)), topics, when=EARLIEST)
        return [
            some if isinstance(some, ScalerError) else _either(_positions, question, some, groups, ends, starts)
            for question, some in zip(questions, places, strict=True)
        ]

    # --- topics -----------------------------------------------------------------------------------------------------

    async def _topics(self, names: Collection[str]) -> Outcomes[str, Topic]:
        if not names:
            return {}
        answer = await self._brokers.ask_any(MetadataRequest(sorted(names), allow_auto_topic_creation=False))
        addresses = self._brokers.learn(answer)
        told: Outcomes[str, Topic] = {name: ScalerError(f"no broker told about topic {name}") for name in names}
        for error, name, _, partitions in answer.topics:
            told[name] = (
                _fault(error, f"topic {name}")
                if error
                else {number: _leader(name, number, addresses.get(leader)) for _, number, leader, *_ in partitions}
            )
        return told

    # --- groups -----------------------------------------------------------------------------------------------------

    async def _commits(self, wanted: Mapping[str, Wanted]) -> Outcomes[str, dict[Place, int | ScalerError]]:
        async def ask(address: Address, groups: Sequence[str]) -> Outcomes[str, dict[Place, int | ScalerError]]:
            told = await self._fetch(address, {group: wanted[group] for group in groups})
            return {group: _either(_committed, group, told.get(group), wanted[group]) for group in groups}

        told = await _from_each(wanted, self._coordinators_of, ask)
        for group, outcome in told.items():
            if isinstance(outcome, ScalerError):
                # Silent, or gone: look again next time.
                self._coordinators.pop(group, None)
        return told

    async def _fetch(self, address: Address, wanted: Mapping[str, Wanted]) -> Mapping[str, Commits]:
        try:
            answer: Mapping[str, Commits] = await self._brokers.ask(address, FetchOffsets(wanted))
        except TooOldError:
            answers = await asyncio.gather(*(self._fetch_one(address, *item) for item in wanted.items()))
            return dict(zip(wanted, answers, strict=True))
        return answer

    async def _fetch_one(self, address: Address, group: str, wanted: Wanted) -> Commits:
        topics = None if wanted is None else [(topic, list(numbers)) for topic, numbers in wanted.items()]
        answer = await self._brokers.ask(address, OffsetFetchRequest(group, topics))
        # Before version 2 there is no error of the group itself.
        return Commits(
            getattr(answer, "error_code", 0),
            {(topic, number): (at, error) for topic, some in answer.topics for number, at, _, error in some},
        )

    async def _coordinators_of(self, groups: Collection[str], again: bool) -> Outcomes[str, Address]:
        found: Outcomes[str, Address] = {}
        if not again:
            found |= {group: self._coordinators[group] for group in groups if group in self._coordinators}
        if len(self._coordinators) > MOST_COORDINATORS:
            self._coordinators.clear()
        if unknown := [group for group in groups if group not in found]:
            told = await self._find(unknown)
            for group in unknown:
                error, host, port = told.get(group, Coordinator(15, "", 0))
                found[group] = _fault(error, f"consumer group {group}") if error else (host, port)
                if not error:
                    self._coordinators[group] = (host, port)
        return found

    async def _find(self, groups: Sequence[str]) -> Mapping[str, Coordinator]:
        try:
            answer: Mapping[str, Coordinator] = await self._brokers.ask_any(FindCoordinators(tuple(groups)))
        except TooOldError:
            answers = await asyncio.gather(*(self._find_one(group) for group in groups))
            return dict(zip(groups, answers, strict=True))
        return answer

    async def _find_one(self, group: str) -> Coordinator:
        answer = await self._brokers.ask_any(FindCoordinatorRequest(group, 0))
        return Coordinator(answer.error_code, answer.host, answer.port)

    # --- partitions -------------------------------------------------------------------------------------------------

    async def _offsets(self, places: set[Place], topics: Outcomes[str, Topic], *, when: int) -> Outcomes[Place, int]:
        async def leaders(left: Collection[Place], again: bool) -> Outcomes[Place, Address]:
            if again:
                topics.update(await self._topics({topic for topic, _ in left}))
            return {place: _leader_of(place, topics) for place in left}

        async def ask(address: Address, some: Sequence[Place]) -> Outcomes[Place, int]:
            by_topic: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
            for topic, number in some:
                by_topic[topic].append((number, when))
            answer = await self._brokers.ask(address, OffsetRequest(-1, 0, list(by_topic.items())))
            return {
                (topic, number): _fault(error or -1, _named((topic, number))) if error or offset < 0 else offset
                for topic, partitions in answer.topics
                for number, error, _, offset in partitions
            }

        return await _from_each(places, leaders, ask)


async def _from_each(
    keys: Iterable[K],
    route: Callable[[Collection[K], bool], Awaitable[Outcomes[K, Address]]],
    ask: Callable[[Address, Sequence[K]], Awaitable[Outcomes[K, V]]],
) -> Outcomes[K, V]:
    """Return what the broker of each key says, asked once for all of its keys; twice if it was not the right one."""
    told: Outcomes[K, V] = {}
    left: Collection[K] = set(keys)
    for again in (False, True):
        if not left:
            break
        by_broker: defaultdict[Address, list[K]] = defaultdict(list)
        for key, address in (await route(left, again)).items():
            if isinstance(address, ScalerError):
                told[key] = address
            else:
                by_broker[address].append(key)
        for answer in await asyncio.gather(*(_guarded(ask, *item) for item in by_broker.items())):
            told |= answer
        left = {key for key in left if isinstance(told[key], MovedError | UnreachableError)}
    return told


async def _guarded(
    ask: Callable[[Address, Sequence[K]], Awaitable[Outcomes[K, V]]], address: Address, keys: Sequence[K]
) -> Outcomes[K, V]:
    try:
        told = await ask(address, keys)
    except ScalerError as error:
        return dict.fromkeys(keys, error)
    return told | {key: ScalerError(f"no broker told about {key}") for key in keys if key not in told}


# --- from answers to positions --------------------------------------------------------------------------------------


def _wanted(questions: Iterable[Question], topics: Outcomes[str, Topic]) -> dict[str, Wanted]:
    """Return what to ask about each group; a topic that failed fails its questions anyway."""
    wanted: dict[str, dict[str, set[int]] | None] = {}
    for question in questions:
        of_group = wanted.setdefault(question.group, {})
        if not question.topics:
            wanted[question.group] = None
        elif of_group is not None:
            for name in question.topics:
                topic = topics[name]
                if not isinstance(topic, ScalerError):
                    of_group.setdefault(name, set()).update(_counting(question, topic))
    return {group: some for group, some in wanted.items() if some is None or any(some.values())}


def _counting(question: Question, topic: Topic) -> list[int]:
    limits = question.partitions
    return [number for number in topic if limits is None or any(number in limit for limit in limits)]


def _places(question: Question, topics: Outcomes[str, Topic], groups: Outcomes[str, Any]) -> list[Place]:
    """Return the partitions that a question is about."""
    names: Iterable[str] = question.topics
    if not names:
        names = sorted({topic for topic, _ in _known(groups[question.group])})
        if not names:
            raise ScalerError(f"consumer group {question.group} has not committed in any topic yet: name its topic")
    places: list[Place] = []
    for name in names:
        some = _counting(question, _known(topics[name]))
        if not some:
            raise ScalerError(f"topic {name} has no partition that counts: is partitionLimitation right?")
        places.extend((name, number) for number in some)
    return places


def _without_commit(
    questions: Iterable[Question], places: Iterable[list[Place] | ScalerError], groups: Outcomes[str, Any]
) -> Iterable[Place]:
    for question, some in zip(questions, places, strict=True):
        commits = groups.get(question.group)
        if question.from_start and not isinstance(some, ScalerError) and not isinstance(commits, ScalerError | None):
            yield from (place for place in some if commits.get(place, NOT_COMMITTED) == NOT_COMMITTED)


def _positions(
    question: Question,
    places: Iterable[Place],
    groups: Outcomes[str, dict[Place, int | ScalerError]],
    ends: Outcomes[Place, int],
    starts: Outcomes[Place, int],
) -> Positions:
    commits = _known(groups[question.group])
    positions = {}
    for place in places:
        at = _known(commits.get(place, NOT_COMMITTED))
        open_start = question.from_start and at == NOT_COMMITTED
        start = _known(starts[place]) if open_start else None
        positions[place] = Position(None if at == NOT_COMMITTED else at, _known(ends[place]), start)
    return positions


def _committed(group: str, told: Commits | None, wanted: Wanted) -> dict[Place, int | ScalerError]:
    """Return what a group has committed; where all of it was asked for, what is not told was never committed."""
    if told is None:
        raise ScalerError(f"no broker told about consumer group {group}")
    if told.error:
        raise _fault(told.error, f"consumer group {group}")
    commits: dict[Place, int | ScalerError] = {
        place: _fault(error, f"consumer group {group} in {_named(place)}") if error else offset
        for place, (offset, error) in told.offsets.items()
    }
    for topic, numbers in (wanted or {}).items():
        for place in ((topic, number) for number in numbers):
            if place not in commits:
                commits[place] = ScalerError(f"no broker told about consumer group {group} in {_named(place)}")
    return commits


def _known(outcome: V | ScalerError) -> V:
    if isinstance(outcome, ScalerError):
        raise outcome
    return outcome


def _either(function: Callable[..., V], *arguments: Any) -> V | ScalerError:
    try:
        return function(*arguments)
    except ScalerError as error:
        return error


def _leader(topic: str, number: int, address: Address | None) -> Address | ScalerError:
    return address or ScalerError(f"{_named((topic, number))} has no leader at the moment")


def _leader_of(place: Place, topics: Outcomes[str, Topic]) -> Address | ScalerError:
    topic = topics[place[0]]
    if isinstance(topic, ScalerError):
        return topic
    return topic.get(place[1]) or ScalerError(f"{_named(place)} does not exist any more")


def _named(place: Place) -> str:
    return f"partition {place[1]} of topic {place[0]}"


def _fault(code: int, what: str) -> ScalerError:
    """Return the error of a code in words."""
    words = _WORDS.get(code) or f"cannot be read: {for_code(code).message} (error {code})"
    return (MovedError if code in _MOVED else ScalerError)(f"{what} {words}")
