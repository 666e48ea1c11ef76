"""What tests do to a Kafka cluster: topics, records, commits."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.offset import OffsetRequest

WAIT_SECONDS = 120.0


class Admin:
    """A cluster as its administrator, its producers and its consumers see it."""

    def __init__(self, client: AIOKafkaAdminClient, producer: AIOKafkaProducer) -> None:
        self._client = client
        self._producer = producer

    async def topic(self, name: str, partitions: int = 1, *, replicas: int = 1) -> None:
        """Make a topic, and wait until each of its partitions has a leader."""
        await self._client.create_topics([NewTopic(name, partitions, replicas)])
        await self.until_led(name, partitions)

    async def until_led(self, name: str, partitions: int) -> None:
        """Wait until each partition has a leader that knows it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await self._is_led(name, partitions):
                await asyncio.sleep(0.1)

    async def _is_led(self, name: str, partitions: int) -> bool:
        leaders = await self.leaders(name)
        if len(leaders) != partitions or min(leaders.values()) < 0:
            return False
        for partition, leader in leaders.items():
            told = await self._client._client.send(leader, OffsetRequest(-1, 0, [(name, [(partition, -1)])]))
            if told.topics[0][1][0][1]:
                return False
        return True

    async def leaders(self, name: str) -> dict[int, int]:
        """Return the node that leads each partition."""
        (told,) = await self._client.describe_topics([name])
        return {partition["partition"]: partition["leader"] for partition in told["partitions"]}

    async def delete_topic(self, name: str) -> None:
        await self._client.delete_topics([name])
        async with asyncio.timeout(WAIT_SECONDS):
            while name in await self._client.list_topics():
                await asyncio.sleep(0.1)

    async def grow(self, name: str, partitions: int) -> None:
        """Add partitions until there are so many."""
        await self._client.create_partitions({name: NewPartitions(partitions)})
        await self.until_led(name, partitions)

    async def produce(self, topic: str, partition: int, count: int) -> None:
        sent = [await self._producer.send(topic, b"record", partition=partition) for _ in range(count)]
        await asyncio.gather(*sent)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records before an offset, as retention does."""
        await self._client.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})

    async def coordinator(self, group: str) -> tuple[int, str, int]:
        """Return node, host and port of the broker that looks after a group."""
        client = self._client._client
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                # Whoever is asked may be gone, or may not know yet.
                with suppress(KafkaError):
                    told = await client.send(client.get_random_node(), FindCoordinatorRequest(group, 0))
                    if not told.error_code:
                        return told.coordinator_id, told.host, told.port
                await asyncio.sleep(0.1)

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit offsets as a group without members does."""
        await self.commit_all({group: offsets})

    async def commit_all(self, offsets: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
        """Commit for many groups of one coordinator, again as long as that one is not ready or another one is."""
        left = dict(offsets)
        async with asyncio.timeout(WAIT_SECONDS):
            while left:
                _, host, port = await self.coordinator(next(iter(left)))
                connection = await create_conn(host, port, request_timeout_ms=round(WAIT_SECONDS * 1000))
                try:
                    answers = await asyncio.gather(*(connection.send(_commit(*item)) for item in left.items()))
                finally:
                    await connection.close()
                left = {group: left[group] for group, answer in zip(left, answers, strict=True) if _refused(answer)}
                await asyncio.sleep(0.1 if left else 0)


def _refused(answer: Any) -> bool:
    errors = [for_code(code) for _, partitions in answer.topics for _, code in partitions if code]
    for error in errors:
        if not error.retriable:
            raise error
    return bool(errors)


def _commit(group: str, offsets: Mapping[tuple[str, int], int]) -> OffsetCommitRequest:
    by_topic: defaultdict[str, list[Any]] = defaultdict(list)
    for (topic, partition), offset in offsets.items():
        by_topic[topic].append((partition, offset, ""))
    return OffsetCommitRequest(group, -1, "", -1, list(by_topic.items()))


@asynccontextmanager
async def administered(*addresses: str) -> AsyncIterator[Admin]:
    """Yield an administrator of the cluster at these addresses."""
    servers = list(addresses)
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=1)
    await client.start()
    try:
        await producer.start()
        yield Admin(client, producer)
    finally:
        await producer.stop()
        await client.close()
