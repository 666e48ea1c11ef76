"""Takes orders from Kafka, one after the other, until it is told to stop."""

import asyncio
import os
import signal

from aiokafka import AIOKafkaConsumer


async def work() -> None:
    consumer = AIOKafkaConsumer(
        "orders",
        bootstrap_servers=os.environ["KAFKA"],
        group_id="order-workers",
        auto_offset_reset="earliest",
        # An order counts as waiting until it is done.
        enable_auto_commit=False,
    )
    async with consumer:
        async for order in consumer:
            await asyncio.sleep(0.5)
            await consumer.commit()
            print(f"done: order {order.offset} of partition {order.partition}", flush=True)


async def main() -> None:
    working = asyncio.create_task(work())
    # Who leaves says so: then its partitions are another's at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    await asyncio.wait([working])


asyncio.run(main())
