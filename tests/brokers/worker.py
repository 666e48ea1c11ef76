"""What a Job runs in tests: takes one message, works on it until a file is there, and is done with it.

    python worker.py rabbitmq URL QUEUE FILE
    python worker.py sqs ENDPOINT QUEUE_URL FILE

It ends well when there is nothing to take.
"""

import asyncio
import sys
from pathlib import Path

import aio_pika
import aioboto3


async def from_rabbitmq(url: str, queue: str, file: Path) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        message = await (await channel.get_queue(queue)).get(fail=False)
        if message is not None:
            await there(file)
            await message.ack()


async def from_sqs(endpoint: str, queue: str, file: Path) -> None:
    keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"}
    session = aioboto3.Session(region_name="eu-west-1", **keys)
    async with session.client("sqs", endpoint_url=endpoint) as sqs:
        for message in (await sqs.receive_message(QueueUrl=queue)).get("Messages", []):
            await there(file)
            await sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


async def there(file: Path) -> None:
    while not await asyncio.to_thread(file.exists):
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    take = {"rabbitmq": from_rabbitmq, "sqs": from_sqs}[sys.argv[1]]
    asyncio.run(take(sys.argv[2], sys.argv[3], Path(sys.argv[4])))
