"""SASL GSSAPI with credentials of the trigger's own: a keytab or a password, and a krb5.conf.

aiokafka logs in as whoever the process is to Kerberos, and triggers are different somebodies. MIT Kerberos has one
configuration for each process, and waits for a KDC as long as that takes. So each login is a process of its own
(`kerberos_login`), which is ended with the login or when its time is up, and takes its tickets along.

A login gets its tickets before it connects to the broker: they are never old, and whose fault it is that there are none
is known. What Kerberos wants to have in files is on disk for as long as the login takes.
"""

import asyncio
import base64
import json
import os
import re
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py_scalers.kafka_connection import KafkaWire, LoginError

LOGINS_AT_ONCE: Final = 16
"""Each is a process of some megabytes, and a daemon that starts wants all of its logins now."""
KDC_SHARE: Final = 0.75
"""How much of the time that a broker has for an answer may go to the KDC."""
LONGEST_TOKEN: Final = 2**20
"""Of bytes in a line: tickets tell all groups of a user."""
_ROOM: Final = asyncio.Semaphore(LOGINS_AT_ONCE)
_PROGRAM: Final = ("-P", "-m", "keda_py_scalers.kerberos_login")
_KEPT: Final = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
"""What a Python may need of the environment to start: the rest may have secrets in it, or another Kerberos setup."""

_SECTIONS: Final = frozenset({"libdefaults", "realms", "domain_realm", "capaths"})
_LOADS: Final = re.compile(r"include|module|.*(plugin_base_dir|pkinit_)", re.IGNORECASE)
_LONGEST_LINE: Final = 1000
"""Of bytes: MIT Kerberos takes what is beyond 1023 for the next line."""

_FIRST: Final = -1765328384
"""The first of Kerberos' codes (krb5.h); those of its protocol are counted from here (RFC 4120, 7.5.9)."""
_WRONG_KEY: Final = "the KDC refused the password or keytab: is it the current one, and that of username?"
_CLOCK: Final = "the daemon's clock does not agree with the KDC's"
_UNKNOWN_SERVICE: Final = 7
_SAYS: Final[Mapping[int, str]] = {
    1: "the user's account has expired",
    6: "the KDC does not know the user: are username and realm right?",
    _UNKNOWN_SERVICE: "the KDC does not know it: is it registered there by the host it advertises, "
    "and is kerberosServiceName right?",
    12: "the KDC's policy does not allow it",
    14: "the KDC has no key of the user or broker for the kinds of encryption that kerberosConfig allows",
    18: "the user's account is locked or was revoked",
    23: "the user's password has expired",
    24: _WRONG_KEY,
    31: _WRONG_KEY,
    37: _CLOCK,
    68: "the user is in another realm: is realm right?",
    134: "username or realm: not the name of a principal",
    136: "kerberosConfig: not the content of a krb5.conf",
    148: _CLOCK,
    154: "kerberosConfig names no KDC of the realm: is realm right?",
    156: "no KDC of the realm can be reached: are its addresses in kerberosConfig right?",
    195: "keytab has no key of the user: is it a keytab, and are username and realm right?",
}


class Kerberos:
    """A principal, and what its logins need."""

    def __init__(self, *, principal: str, password: str, keytab: str, config: str, service: str) -> None:
        self._who = {"principal": principal, "password": password}
        self._keytab = keytab
        self._service = service or "kafka"
        realm = principal.rpartition("@")[2]
        self._files = {"krb5.conf": reduced(config), "defaults.conf": _defaults(realm)}

    async def connect(self, host: str, port: int, **options: Any) -> Any:
        """Return an open connection (as kafka_connection.open_wire does).

        Raise `SourceUnavailable` where no ticket is to be had, `LoginError` where none for this broker is.
        """
        seconds = KDC_SHARE * options["request_timeout_ms"] / 1000
        waits_for = f"{LOGINS_AT_ONCE} other logins are under way: does their KDC answer?"
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(seconds):
                    await stack.enter_async_context(_ROOM)
                    waits_for = "no answer: can the daemon reach a KDC that kerberosConfig names?"
                    login = await self._begun(stack, host)
            except TimeoutError:
                raise SourceUnavailable(f"no Kerberos ticket within {seconds:g} s, {waits_for}") from None
            except OSError as error:
                needs = "a process and a place for temporary files, such as an emptyDir at /tmp"
                raise SourceUnavailable(f"a Kerberos login needs {needs}: {error.strerror}") from None
            connection = _Connection(host, port, **options)
            connection.login = login
            await connection.connect()
            return connection

    async def _begun(self, stack: AsyncExitStack, host: str) -> "Login":
        """Return a login that has its tickets; leaving the stack ends it."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keda-py-")))
        for name, content in self._files.items():
            (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape")
        who = self._who | {"service": f"{self._service}@{host}"}
        if self._keytab:
            # A Secret's bytes came as text.
            (folder / "keytab").write_bytes(self._keytab.encode(errors="surrogateescape"))
            who["keytab"] = f"FILE:{folder / 'keytab'}"
        config = ":".join(str(folder / name) for name in self._files)
        login = Login(await stack.enter_async_context(_started(config)))
        await login.begin(who)
        return login


class Login:
    """A login under way, as aiokafka's connection wants to have it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._token = b""
        self._begun = False
        self._done = False

    async def begin(self, who: Mapping[str, str]) -> None:
        """Get the tickets that are needed."""
        await self._tell(who)
        self._begun = True

    async def step(self, heard: bytes | None) -> tuple[bytes, bool] | None:
        """Return what to send next, None if nothing."""
        if self._done:
            return None
        if heard is not None:
            await self._tell({"token": base64.b64encode(heard).decode()})
        return self._token, True

    async def _tell(self, told: Mapping[str, str]) -> None:
        to, back = self._process.stdin, self._process.stdout
        assert to is not None  # noqa: S101  both are pipes
        assert back is not None  # noqa: S101
        with suppress(OSError):
            to.write(json.dumps(dict(told)).encode() + b"\n")
            await to.drain()
        line = await back.readline()
        if not line:
            raise SourceUnavailable("no Kerberos ticket: the process of the login ended by itself")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failure(answer["error"])
        self._token = base64.b64decode(answer["token"])
        self._done = "last" in answer

    def _failure(self, code: int) -> ScalerError:
        # Kerberos' own texts are not quoted: they name principals, and may repeat what is in kerberosConfig.
        signed = (code & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        says = _SAYS.get(signed - _FIRST)
        if self._begun:
            return LoginError(f"its part of the Kerberos login is not valid{'' if says is None else f': {says}'}")
        kind = LoginError if signed - _FIRST == _UNKNOWN_SERVICE else SourceUnavailable
        return kind(f"no Kerberos ticket: {says or f'error {signed} of Kerberos'}")


class _Connection(KafkaWire):
    login: Login

    def authenticator_gssapi(self) -> Login:
        return self.login


@asynccontextmanager
async def _started(config: str) -> AsyncIterator[Process]:
    """Run the program of a login within the block."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"KRB5_CONFIG": config, "KRB5CCNAME": "MEMORY:"}
    command = [sys.executable, *_PROGRAM]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LONGEST_TOKEN, env=environment
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.communicate()


def reduced(config: str) -> str:
    """Return of a krb5.conf what KEDA's library reads: servers, realms and settings.

    MIT Kerberos would also read other files, and load libraries, that a line names: of the daemon's.
    """
    lines, section = [], ""
    for line in config.removeprefix("\ufeff").split("\n"):
        text = line.strip()
        if "\0" in text or len(line.encode(errors="surrogateescape")) > _LONGEST_LINE:
            continue
        if text.startswith("["):
            section = text[1:].partition("]")[0]
        if section in _SECTIONS and not _LOADS.match(text):
            lines.append(text)
    return "\n".join([*lines, ""])


def _defaults(realm: str) -> str:
    """Return what holds where a krb5.conf says nothing: as in KEDA, DNS is not asked who a broker or a KDC is."""
    lines = ["[libdefaults]", "dns_canonicalize_hostname = false", "dns_lookup_kdc = false"]
    # It is to be one line.
    if re.fullmatch(r"[\w.-]+", realm):
        lines.append(f"default_realm = {realm}")
    return "\n".join([*lines, ""])
