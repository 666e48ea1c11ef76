"""A real RabbitMQ with its management API, over TCP and TLS, run as whoever runs the tests.

Everything it writes is in a folder of its own, and so is its place among Erlang's nodes: several run side by side.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.brokers.certificate import Authority
from tests.servers import free_port, program

READY_SECONDS: Final = 110.0
# Debian's program of the same name would become the user rabbitmq.
SCRIPTS: Final = Path("/usr/lib/rabbitmq/bin")
CONFIGURATION: Final = """
listeners.tcp.1 = 127.0.0.1:{amqp}
listeners.ssl.1 = 127.0.0.1:{amqps}
ssl_options.cacertfile = {folder}/authority.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
management.ssl.ip = 127.0.0.1
management.ssl.port = {https}
management.ssl.cacertfile = {folder}/authority.pem
management.ssl.certfile = {folder}/server.pem
management.ssl.keyfile = {folder}/server.key
management.ssl.verify = verify_peer
management.ssl.fail_if_no_peer_cert = true
collect_statistics_interval = 500
disk_free_limit.absolute = 1MB
log.console = true
log.console.level = warning
"""
# A sample of the statistics each second, instead of five.
ADVANCED: Final = """
[{rabbitmq_management_agent, [{sample_retention_policies,
  [{global, [{60, 1}]}, {basic, [{60, 1}]}, {detailed, [{60, 1}]}]}]}].
"""


class Broker:
    """A broker that can be stopped in several ways, and asked what it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("amqp", "amqps", "http", "https", "epmd", "distribution")}
        self.authority = Authority()
        self.process: subprocess.Popen[bytes] | None = None
        self.mapper: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(CONFIGURATION.format(folder=folder, **self.ports))
        (folder / "advanced.config").write_text(ADVANCED)
        (folder / "plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].")
        self.certify(self.authority)

    def certify(self, authority: Authority) -> None:
        """Let the server have a certificate of an authority, from its next start on."""
        certificate, key = authority.issue("localhost")
        (self.folder / "authority.pem").write_text(self.authority.pem)
        (self.folder / "server.pem").write_text(certificate)
        (self.folder / "server.key").write_text(key)

    def host(self, scheme: str, *, user: str = "guest:guest", path: str = "") -> str:
        """Return the address that a manifest has for it."""
        return f"{scheme}://{user}@127.0.0.1:{self.ports[scheme]}{path}"

    @property
    def environment(self) -> dict[str, str]:
        """What the broker's own programs are told."""
        return os.environ | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{self.ports['amqp']}@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "ERL_CRASH_DUMP": str(self.folder / "crash"),
            # Idle schedulers sleep: other servers run beside it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            # Makes the script become the virtual machine instead of waiting for it: signals reach the broker.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program("rabbitmq-server")
        with (self.folder / "output").open("ab") as output:
            if self.mapper is None:
                command = [program("epmd"), "-address", "127.0.0.1", "-port", str(self.ports["epmd"])]
                self.mapper = subprocess.Popen(command, stdout=output, stderr=output)
            self.process = subprocess.Popen(
                [SCRIPTS / "rabbitmq-server"],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            log = (self.folder / "output").read_text()[-2000:]
            assert self.process.poll() is None, f"RabbitMQ ended: {log}"
            assert time.monotonic() < until, f"RabbitMQ did not get ready: {log}"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            for name in ("amqp", "amqps", "https"):
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1).close()
            self.call("GET", "/api/overview")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and what it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def close(self) -> None:
        """End it and its port mapper."""
        self.kill()
        if self.mapper is not None:
            self.mapper.kill()
            self.mapper.wait(10)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask its management API as its administrator; return what it says."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['http']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {b64encode(b'guest:guest').decode()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def add_user(self, name: str, password: str, *, vhosts: tuple[str, ...] = ("/",)) -> None:
        """Add a user, or give it another password; it may do everything in some virtual hosts."""
        self.call("PUT", f"/api/users/{name}", {"password": password, "tags": "management"})
        for vhost in vhosts:
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            self.call("PUT", f"/api/permissions/{quote(vhost, safe='')}/{name}", everything)

    def evaluate(self, expression: str) -> str:
        """Return what an Erlang expression comes to on the broker."""
        command = [SCRIPTS / "rabbitmqctl", "eval", expression]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    """Run a broker within the block."""
    broker = Broker(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
