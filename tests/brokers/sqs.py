"""Servers that speak SQS: ElasticMQ, whose jars are fetched once with Maven and kept outside the tree, and moto.

moto also is an STS, with roles. Both forget everything when they end.
"""

import fcntl
import hashlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aioboto3

from tests.controlplane.build import cache
from tests.servers import free_port, program

POM: Final = Path(__file__).with_name("sqs.pom.xml")
JVM: Final = ("-Xmx128m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
READY_SECONDS: Final = 90.0
REGION: Final = "eu-west-1"

Server = Callable[..., AbstractContextManager[str]]


def jars() -> Path:
    """Return the folder with ElasticMQ's jars."""
    folder = cache() / f"elasticmq-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Test processes start together: one fetches, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "libs").exists():
            unfinished = folder / "libs.unfinished"
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}", "-DincludeScope=runtime"]
            subprocess.run([program("mvn"), "-q", "-B", "-f", str(POM), *goal], check=True, timeout=600)
            unfinished.rename(folder / "libs")
    return folder / "libs"


@contextmanager
def elasticmq(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run an ElasticMQ; yield its address."""
    port = port or free_port()
    settings = {
        "rest-sqs.bind-hostname": "127.0.0.1",
        "rest-sqs.bind-port": port,
        "node-address.host": "127.0.0.1",
        "node-address.port": port,
        "rest-stats.enabled": "false",
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    command = [program("java"), *JVM, *options, "-cp", f"{jars()}/*", "org.elasticmq.server.Main"]
    with _running(command, folder / "elasticmq.log", port) as address:
        yield address


@contextmanager
def moto(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run moto's server; yield its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, folder / "moto.log", port) as address:
        yield address


SERVERS: Final[dict[str, Server]] = {"elasticmq": elasticmq, "moto": moto}


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[str]:
    address = f"http://127.0.0.1:{port}"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until = time.monotonic() + READY_SECONDS
        while not _speaks(address):
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{command[0]} did not get ready: {log.read_text()[-2000:]}"
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _speaks(address: str) -> bool:
    """Return whether anything speaks HTTP there: to a request that is none of SQS's, an error is an answer."""
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


@asynccontextmanager
async def client(address: str, service: str = "sqs", **keys: str) -> AsyncIterator[Any]:
    """Open AWS's own client of a server, for what a test does besides."""
    given = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"} | keys
    session = aioboto3.Session(region_name=REGION, **given)
    async with session.client(service, endpoint_url=address) as opened:
        yield opened
