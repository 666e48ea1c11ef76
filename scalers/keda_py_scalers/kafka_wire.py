"""Two requests of Kafka's protocol that carry many consumer groups at once, which aiokafka does not have.

FindCoordinator 4 and OffsetFetch 8 (KIP-699, KIP-709; brokers from 3.0 on) name any number of groups, so that a
thousand groups are one question to their coordinator. aiokafka sends whatever looks like one of its own requests; these
do, and read their answers without the generic schemas, which cost several times as much.

Raise `TooOldError` when a broker does not know the version: older ones are asked group by group.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Final, NamedTuple, Self

from keda_py_scalers.kafka_lag import Place

NOT_COMMITTED: Final = -1

_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")
_PARTITION: Final = struct.Struct(">iqi")
_HEADER: Final = struct.Struct(">hhi")
_NO_TAGS: Final = b"\0"
_NOTHING_MORE: Final = b"\1\0\0\0"
"""How nearly every partition ends: an empty note, no error, no tags."""
_GROUP: Final = b"\0"
_LONGEST_VARINT: Final = 28


class TooOldError(Exception):
    """The broker does not know a request in the version that is needed."""


class Commits(NamedTuple):
    """What a coordinator says about a group: an error code, and offset and error code of each partition."""

    error: int
    offsets: dict[Place, tuple[int, int]]


class Coordinator(NamedTuple):
    """Where a group is looked after, or the error code that says why nobody knows."""

    error: int
    host: str
    port: int


class _Correlation(NamedTuple):
    correlation_id: int


@dataclass(frozen=True, slots=True)
class _Bytes:
    content: bytes

    def encode(self) -> bytes:
        return self.content


class _Request:
    """What aiokafka's connections expect of a request; for versions with tagged fields."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]
    RESPONSE_TYPE: ClassVar[type]

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Self:
        lowest, highest = versions.get(self.API_KEY, (0, -1))
        if not lowest <= self.API_VERSION <= highest:
            raise TooOldError
        return self

    def build_request_header(self, *, correlation_id: int, client_id: str) -> _Bytes:
        name = client_id.encode()
        start = _HEADER.pack(self.API_KEY, self.API_VERSION, correlation_id)
        return _Bytes(start + _INT16.pack(len(name)) + name + _NO_TAGS)

    def parse_response_header(self, buffer: BytesIO) -> _Correlation:
        (correlation_id,) = _INT32.unpack(buffer.read(4))
        # Tagged fields of a header: there are none yet, and their number is a byte.
        buffer.read(1)
        return _Correlation(correlation_id)


class Coordinators(dict[str, Coordinator]):
    """The answer to `FindCoordinators`, by group."""

    @classmethod
    def decode(cls, buffer: BytesIO) -> Self:
        """Return what was read."""
        reader = _Reader(buffer.read())
        reader.int32()
        found = cls()
        for _ in range(reader.count()):
            group = reader.text()
            reader.int32()
            host, port, error = reader.text(), reader.int32(), reader.int16()
            reader.text()
            reader.skip_tags()
            found[group] = Coordinator(error, host, port)
        return found


class GroupCommits(dict[str, Commits]):
    """The answer to `FetchOffsets`, by group."""

    @classmethod
    def decode(cls, buffer: BytesIO) -> Self:
        """Return what was read."""
        reader = _Reader(buffer.read())
        reader.int32()
        found = cls()
        for _ in range(reader.count()):
            group, offsets = reader.text(), {}
            for _ in range(reader.count()):
                topic = reader.text()
                for _ in range(reader.count()):
                    partition, offset, error = reader.partition()
                    offsets[topic, partition] = (offset, error)
                reader.skip_tags()
            found[group] = Commits(reader.int16(), offsets)
            reader.skip_tags()
        return found


@dataclass(frozen=True, slots=True)
class FindCoordinators(_Request):
    """Which brokers look after these groups."""

    API_KEY: ClassVar = 10
    API_VERSION: ClassVar = 4
    RESPONSE_TYPE: ClassVar = Coordinators

    groups: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the request's body."""
        return _GROUP + _array(map(_text, self.groups)) + _NO_TAGS


@dataclass(frozen=True, slots=True)
class FetchOffsets(_Request):
    """What groups have committed: in these partitions, by topic, or for None in all they ever did."""

    API_KEY: ClassVar = 9
    API_VERSION: ClassVar = 8
    RESPONSE_TYPE: ClassVar = GroupCommits

    groups: Mapping[str, Mapping[str, Iterable[int]] | None]

    def encode(self) -> bytes:
        """Return the request's body; unstable offsets of open transactions are taken, as KEDA does."""
        parts = []
        for group, topics in self.groups.items():
            wanted = None if topics is None else [_topic(*item) for item in topics.items()]
            parts.append(_text(group) + _array(wanted) + _NO_TAGS)
        return _array(parts) + b"\0" + _NO_TAGS


def _topic(name: str, partitions: Iterable[int]) -> bytes:
    return _text(name) + _array(map(_INT32.pack, partitions)) + _NO_TAGS


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _varint(len(encoded) + 1) + encoded


def _array(items: Iterable[bytes] | None) -> bytes:
    if items is None:
        return b"\0"
    parts = list(items)
    return _varint(len(parts) + 1) + b"".join(parts)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


class _Reader:
    """Reads the compact encodings from one answer; struct.error or IndexError tell of one that is cut short."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def int16(self) -> int:
        (value,) = _INT16.unpack_from(self._content, self._at)
        self._at += 2
        return int(value)

    def int32(self) -> int:
        (value,) = _INT32.unpack_from(self._content, self._at)
        self._at += 4
        return int(value)

    def varint(self) -> int:
        value = shift = 0
        while (byte := self._content[self._at]) > 0x7F:  # noqa: PLR2004  the high bit says that more follows
            value |= (byte & 0x7F) << shift
            self._at += 1
            shift += 7
            if shift > _LONGEST_VARINT:
                raise ValueError("not a number of 32 bits")
        self._at += 1
        return value | byte << shift

    def count(self) -> int:
        return max(0, self.varint() - 1)

    def text(self) -> str:
        return self._take(self.count()).decode()

    def partition(self) -> tuple[int, int, int]:
        """Return the number of a partition, its committed offset and its error code."""
        number, offset, _ = _PARTITION.unpack_from(self._content, self._at)
        self._at += _PARTITION.size
        end = self._at + len(_NOTHING_MORE)
        if self._content[self._at : end] == _NOTHING_MORE:
            self._at = end
            return number, offset, 0
        self._take(self.count())
        error = self.int16()
        self.skip_tags()
        return number, offset, error

    def skip_tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self._take(self.varint())

    def _take(self, length: int) -> bytes:
        taken = self._content[self._at : self._at + length]
        if len(taken) != length:
            raise ValueError("the answer is cut short")
        self._at += length
        return taken
