"""A real Apache Kafka in KRaft mode: one broker with every kind of listener, or several that make a cluster.

The jars are fetched once with Maven and kept outside the tree, in a folder named after the pom.
"""

import base64
import fcntl
import hashlib
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.brokers.certificate import Authority
from tests.controlplane.build import cache
from tests.servers import free_port, program

POM: Final = Path(__file__).with_name("pom.xml")
READY_SECONDS: Final = 240.0
USER: Final = "alice"
PASSWORD: Final = "behind-the-looking-glass"
USERS: Final = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
STORAGE: Final = f"storage-{hashlib.sha256(repr(USERS).encode()).hexdigest()[:12]}"
"""For these users, whoever used the cache before."""
CONTROLLER: Final = "CONTROLLER"
PLAIN_LISTENER: Final = "INTERNAL"
JVM: Final = ("-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
ESTABLISHED: Final = "01"


def kept() -> Path:
    """Return the folder with Kafka's jars in `libs`, and in `STORAGE` how a cluster with a SCRAM user begins."""
    folder = cache() / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Test processes start together: one fetches, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "libs").exists():
            unfinished = folder / "libs.unfinished"
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
            subprocess.run([program("mvn"), "-q", "-B", "-f", str(POM), *goal], check=True, timeout=600)
            unfinished.rename(folder / "libs")
        if not (folder / STORAGE).exists():
            _format(folder)
    return folder


def _format(folder: Path) -> None:
    """Make a controller's storage; that takes a JVM, and comes out the same for every cluster but for the names."""
    unfinished, config = folder / "storage.unfinished", folder / "storage.config"
    shutil.rmtree(unfinished, ignore_errors=True)
    controller = "controller.quorum.voters=1@127.0.0.1:1\ncontroller.listener.names=C\nlisteners=C://127.0.0.1:1\n"
    names = "process.roles=controller\nnode.id=1\nlistener.security.protocol.map=C:PLAINTEXT\n"
    config.write_text(f"{names}{controller}log.dirs={unfinished}\n")
    scram = [word for user in USERS for word in ("--add-scram", user)]
    command = _java(folder, "kafka.tools.StorageTool", "format", "-t", unique(), "-c", str(config), *scram)
    subprocess.run(command, check=True, capture_output=True, timeout=READY_SECONDS)
    unfinished.rename(folder / STORAGE)


def unique() -> str:
    """Return an identifier as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def java(main: str, *arguments: str, options: Sequence[str] = JVM) -> list[str]:
    """Return the command that runs a class of Kafka's."""
    return _java(kept(), main, *arguments, options=options)


def _java(folder: Path, main: str, *arguments: str, options: Sequence[str] = JVM) -> list[str]:
    return [program("java"), *options, "-cp", f"{folder}/libs/*", main, *arguments]


@dataclass
class Listener:
    """Something a broker listens on; `config` are its own settings, `advertised` another port that it names."""

    name: str
    protocol: str = "PLAINTEXT"
    config: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    advertised: int | None = None


class Broker:
    """One broker of several; the first is the controller too."""

    def __init__(
        self,
        folder: Path,
        *,
        node: int,
        brokers: int,
        controller: Listener,
        listeners: list[Listener],
        settings: Mapping[str, str],
        options: Sequence[str],
    ) -> None:
        self.node = node
        self.listeners = {listener.name: listener for listener in listeners}
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder / f"broker-{node}"
        self._brokers = brokers
        self._controller = controller
        self._settings = settings
        self._options = options

    @property
    def port(self) -> int:
        """The port without TLS and SASL."""
        return self.listeners[PLAIN_LISTENER].port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def format(self, cluster: str) -> None:
        """Make its storage; the controller's has the SCRAM user in it."""
        data = self._folder / "data"
        data.mkdir(parents=True)
        names = {"version": "1", "cluster.id": cluster, "node.id": str(self.node), "directory.id": unique()}
        (data / "meta.properties").write_text("".join(f"{name}={text}\n" for name, text in names.items()))
        if self.node == 1:
            shutil.copy(kept() / STORAGE / "bootstrap.checkpoint", data)
        self.configure()

    def configure(self) -> None:
        """Write its settings."""
        leads = self.node == 1
        everyone = [*self.listeners.values(), *[self._controller] * leads]
        settings = {
            "process.roles": "broker,controller" if leads else "broker",
            "node.id": str(self.node),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller.port}",
            "listeners": ",".join(f"{one.name}://127.0.0.1:{one.port}" for one in everyone),
            "advertised.listeners": ",".join(
                f"{one.name}://127.0.0.1:{one.advertised or one.port}" for one in self.listeners.values()
            ),
            "listener.security.protocol.map": ",".join(
                f"{one.name}:{one.protocol}" for one in [self._controller, *self.listeners.values()]
            ),
            "controller.listener.names": CONTROLLER,
            "inter.broker.listener.name": PLAIN_LISTENER,
            "log.dirs": str(self._folder / "data"),
            "num.partitions": "1",
            "auto.create.topics.enable": "true",
            "offsets.topic.replication.factor": str(self._brokers),
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Leaders come back to where they belong within seconds, not minutes.
            "leader.imbalance.check.interval.seconds": "1",
            "leader.imbalance.per.broker.percentage": "0",
            # Long enough to see a broker silent that is not given up yet.
            "broker.session.timeout.ms": "18000",
            "broker.heartbeat.interval.ms": "2000",
            "num.network.threads": "2",
            "num.io.threads": "2",
            "log.cleaner.enable": "false",
        }
        for listener in self.listeners.values():
            prefix = f"listener.name.{listener.name.lower()}."
            settings |= {prefix + name: value for name, value in listener.config.items()}
        settings |= self._settings
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self._folder / "config").write_text(text)

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it listens."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        with (self._folder / "log").open("ab") as log:
            command = java("kafka.Kafka", str(self._folder / "config"), options=(*JVM, quiet, *self._options))
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Wait until every listener is open."""
        assert self.process is not None
        until = time.monotonic() + READY_SECONDS
        for listener in self.listeners.values():
            while not _listens(listener.port):
                log = (self._folder / "log").read_text()[-3000:]
                assert self.process.poll() is None, f"Kafka ended: {log}"
                assert time.monotonic() < until, f"Kafka did not get ready: {log}"
                time.sleep(0.1)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it at once; or send it another signal."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(READY_SECONDS)

    def stop(self) -> None:
        """End it; the folder is thrown away anyway."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(READY_SECONDS)

    def connections(self, listener: str = PLAIN_LISTENER) -> int:
        """Return how many connections a listener has, as the kernel knows them on the broker's side."""
        port = f"{self.listeners[listener].port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{port}") and row[3] == ESTABLISHED for row in rows)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def kafka(
    folder: Path,
    listeners: Sequence[Sequence[Listener]] = ((),),
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    options: Sequence[str] = (),
) -> Iterator[list[Broker]]:
    """Run a cluster with a broker for each list of further listeners; yield the brokers.

    `settings`: besides those that every broker has. `options`: of the JVM.
    """
    controller, count = Listener(CONTROLLER), len(listeners)
    brokers = [
        Broker(
            folder,
            node=node,
            brokers=count,
            controller=controller,
            listeners=[Listener(PLAIN_LISTENER), *further],
            settings=settings,
            options=options,
        )
        for node, further in enumerate(listeners, 1)
    ]
    cluster = unique()
    with ExitStack() as stack:
        for broker in brokers:
            broker.format(cluster)
            stack.callback(broker.stop)
            broker.start()
        for broker in brokers:
            broker.wait_ready()
        yield brokers


def committed(address: str) -> dict[tuple[str, str, int], tuple[int, int, int]]:
    """Return what Kafka's own tool says: committed offset, end and lag by group, topic and partition."""
    main = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    command = java(main, "--bootstrap-server", address, "--describe", "--all-groups", "--offsets")
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=READY_SECONDS).stdout
    found = {}
    for line in told.splitlines():
        match line.split():
            case [group, topic, partition, at, end, lag, *_] if at.isdecimal() and end.isdecimal():
                found[group, topic, int(partition)] = (int(at), int(end), int(lag))
    return found


def certified(folder: Path, authority: Authority, *, trusted: Authority) -> dict[str, str]:
    """Give a broker a certificate of an authority; return how a listener uses it, and whose clients it trusts."""
    certificate, key = authority.issue("broker")
    (folder / "server.pem").write_text(key + certificate)
    (folder / "ca.pem").write_text(trusted.pem)
    stores = {"keystore": "server.pem", "truststore": "ca.pem"}
    files = {f"ssl.{store}.location": str(folder / name) for store, name in stores.items()}
    return files | {f"ssl.{store}.type": "PEM" for store in stores}


def sasl(name: str, tls: Mapping[str, str]) -> Listener:
    """Return a listener with TLS and every mechanism; tokens of OAUTHBEARER are unsigned."""
    modules = {
        "plain": f'plain.PlainLoginModule required user_{USER}="{PASSWORD}"',
        "scram-sha-256": "scram.ScramLoginModule required",
        "scram-sha-512": "scram.ScramLoginModule required",
        "oauthbearer": 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"',
    }
    config = {
        f"{mechanism}.sasl.jaas.config": f"org.apache.kafka.common.security.{module};"
        for mechanism, module in modules.items()
    }
    config["sasl.enabled.mechanisms"] = ",".join(mechanism.upper() for mechanism in modules)
    return Listener(name, "SASL_SSL", {**tls, **config})
