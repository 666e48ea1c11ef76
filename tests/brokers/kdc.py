"""A real KDC of MIT Kerberos in a folder of its own, and the listener of a Kafka that takes its tickets.

Nothing of the system's Kerberos is read or written: each program is told its files by its environment.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.brokers.kafka import Listener
from tests.servers import free_port, program, running

REALM: Final = "TEST.REALM"
SERVICE: Final = "kafka/127.0.0.1"
"""As a broker that advertises this address is called; whatever DNS calls it."""
SESSION_SECONDS: Final = 1
"""After so long a broker wants to see a new ticket."""


@dataclass(frozen=True)
class Kdc:
    """One that runs."""

    folder: Path
    port: int

    def config(self, *, port: int | None = None) -> str:
        """Return the krb5.conf of who asks it; `port`: of another KDC."""
        # Over TCP at once: then it is seen who connects.
        names = f"[libdefaults]\ndefault_realm = {REALM}\nudp_preference_limit = 1\n"
        return f"{names}[realms]\n{REALM} = {{\n  kdc = 127.0.0.1:{port or self.port}\n}}\n"

    def administer(self, command: str) -> None:
        """Run a command of kadmin."""
        _run(self.folder, "kadmin.local", "-r", REALM, *command.split())

    def keytab(self, principal: str) -> bytes:
        """Return the current keys of a principal."""
        path = self.folder / "exported.keytab"
        path.unlink(missing_ok=True)
        self.administer(f"ktadd -k {path} -norandkey {principal}")
        return path.read_bytes()

    def logins(self, principal: str) -> list[int]:
        """Return when each ticket was given out with which somebody began (seconds, Unix time)."""
        log = (self.folder / "kdc.log").read_text()
        pattern = rf"AS_REQ .*ISSUE: authtime (\d+),.* {principal}@{REALM} for krbtgt/"
        return [int(found) for found in re.findall(pattern, log)]


def _run(folder: Path, name: str, *arguments: str) -> None:
    command = [_program(name), *arguments]
    told = os.environ | _files(folder)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=told)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _program(name: str) -> str:
    # Not everybody has the administrators' programs on the path.
    beside = Path("/usr/sbin") / name
    return str(beside) if beside.exists() else program(name)


def _files(folder: Path) -> dict[str, str]:
    return {"KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf")}


@contextmanager
def kdc(folder: Path) -> Iterator[Kdc]:
    """Run a KDC with a realm that nobody is in but a Kafka broker."""
    one = Kdc(folder, free_port())
    (folder / "krb5.conf").write_text(f"{one.config()}[logging]\nkdc = FILE:{folder}/kdc.log\n")
    files = f"database_name = {folder}/principals\nkey_stash_file = {folder}/stash\nacl_file = {folder}/none\n"
    listens = f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{one.port}\nkdc_tcp_listen = 127.0.0.1:{one.port}\n"
    keys = "supported_enctypes = aes256-cts-hmac-sha1-96:normal\n"
    (folder / "kdc.conf").write_text(f"{listens}[realms]\n{REALM} = {{\n{files}{keys}}}\n")
    _run(folder, "kdb5_util", "-r", REALM, "-P", "master", "create", "-s")
    one.administer(f"addprinc -randkey {SERVICE}")
    (folder / "broker.keytab").write_bytes(one.keytab(SERVICE))

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", one.port)) == 0

    told = [f"{name}={path}" for name, path in _files(folder).items()]
    command = ["env", *told, _program("krb5kdc"), "-n", "-r", REALM, "-P", str(folder / "pid")]
    with running(command, log=folder / "output", ready=ready):
        yield one


def gssapi(name: str, one: Kdc, *, tls: Mapping[str, str] = MappingProxyType({})) -> Listener:
    """Return a listener that lets in who has a ticket of a KDC; `tls`: how it uses a certificate, if it does."""
    module = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true"
    config = {
        "gssapi.sasl.jaas.config": f'{module} keyTab="{one.folder}/broker.keytab" principal="{SERVICE}@{REALM}";',
        "gssapi.connections.max.reauth.ms": str(1000 * SESSION_SECONDS),
        "sasl.enabled.mechanisms": "GSSAPI",
        "sasl.kerberos.service.name": SERVICE.partition("/")[0],
    }
    return Listener(name, "SASL_SSL" if tls else "SASL_PLAINTEXT", {**tls, **config})


def java_option(one: Kdc) -> str:
    """Return what tells a JVM where the KDC is."""
    return f"-Djava.security.krb5.conf={one.folder}/krb5.conf"
