"""aiokafka's connection to a broker, with an end to how much one answer may be."""

from typing import Any

from aiokafka.conn import AIOKafkaConnection

from keda_py_scalers.bounded import BoundedReader


class KafkaWire(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """One connection; an answer that is too large breaks it."""

    _reader: Any

    def _create_reader_task(self) -> Any:
        # Before the first byte is read: a wrong server is wrong from there on.
        self._reader = BoundedReader(self._reader)
        return super()._create_reader_task()


async def open_wire(host: str, port: int, **options: Any) -> KafkaWire:
    """Return an open connection (as aiokafka.conn.create_conn does)."""
    connection = KafkaWire(host, port, **options)
    await connection.connect()
    return connection
