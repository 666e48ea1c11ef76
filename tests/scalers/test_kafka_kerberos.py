"""Kafka triggers with Kerberos, against a real KDC and a real broker."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from keda_py_scalers.kafka import KafkaScaler
from keda_py_scalers.kafka_connection import LoginError
from keda_py_scalers.kafka_kerberos import LOGINS_AT_ONCE, Kerberos

from keda_py.scaler import SourceUnavailable
from tests.brokers.certificate import Authority
from tests.brokers.kafka import Broker, certified, kafka
from tests.brokers.kafka_admin import administered
from tests.brokers.kdc import REALM, Kdc, gssapi, java_option, kdc
from tests.servers import lacking

from .asking import Asked, asking, read, value
from .kafka_world import SECONDS, WAIT_SECONDS, left, warmed_up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
"""Starting a JVM takes its time on a slow machine, and the first time of all Kafka is fetched."""
KERBEROS, TLS = "KERBEROS", "TLS"
AUTHORITY: Final = Authority()
PASSWORD: Final = "c4nary"
TICKET_SECONDS: Final = 4


@dataclass(frozen=True)
class World:
    """A realm: `alice` has a password, `carol` a keytab, `dora` tickets that end soon. `bob` may read nothing."""

    kdc: Kdc
    broker: Broker
    keytab: str
    old_keytab: str

    def asked(self, username: str = "alice", config: str = "", *, listener: str = KERBEROS, **auth: str) -> Asked:
        who = {"username": username, "realm": REALM, "kerberosConfig": config or self.kdc.config()}
        if "keytab" not in auth:
            who["password"] = PASSWORD
        servers = f"127.0.0.1:{self.broker.listeners[listener].port}"
        given = {"bootstrapServers": servers, "consumerGroup": "g", "topic": "secured", "sasl": "gssapi"}
        return Asked(KafkaScaler, given, who | auth)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if find_spec("gssapi") is None:
        lacking("the Python module gssapi is not installed; `make kerberos` installs it")
    folder = tmp_path_factory.mktemp("kerberos")
    with kdc(folder) as one:
        for user in ("alice", "bob", f"-maxlife {TICKET_SECONDS}s dora"):
            one.administer(f"addprinc -pw {PASSWORD} {user}")
        one.administer("addprinc -randkey carol")
        keytab = one.keytab("carol")
        one.administer("addprinc -randkey eve")
        old_keytab = one.keytab("eve")
        one.administer("cpw -randkey eve")
        rights = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": ";".join(f"User:{user}" for user in ("ANONYMOUS", "alice", "carol", "dora")),
        }
        secure = certified(folder, AUTHORITY, trusted=AUTHORITY)
        listeners = [gssapi(KERBEROS, one), gssapi(TLS, one, tls=secure)]
        with kafka(folder, [listeners], settings=rights, options=[java_option(one)]) as (broker,):
            asyncio.run(made(broker))
            yield World(one, broker, as_text(keytab), as_text(old_keytab))


def as_text(keytab: bytes) -> str:
    """Return bytes as the engine hands over those of a Secret."""
    return keytab.decode(errors="surrogateescape")


async def made(broker: Broker) -> None:
    await warmed_up(broker)
    async with administered(broker.address) as admin:
        await admin.topic("secured")
        await admin.produce("secured", 0, 5)
        await admin.commit("g", {("secured", 0): 2})


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def in_folder(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def caches() -> set[str]:
    """Return where Kerberos keeps tickets if it is not told where."""
    return {path.name for path in Path("/tmp").glob("krb5cc*")}


@pytest.mark.parametrize("way", ["password", "keytab"])
async def test_a_login_leaves_nothing_behind(world: World, temporary: Path, way: str) -> None:
    before = caches()
    asked = world.asked() if way == "password" else world.asked("carol", keytab=world.keytab)
    async with asking(asked, seconds=SECONDS) as (live,):
        assert value(await live.current()) == 3
        assert in_folder(temporary) == []
    await left(world.broker, 0, KERBEROS)
    assert caches() == before


async def test_a_login_within_tls(world: World) -> None:
    assert value(await read(world.asked(listener=TLS, tls="enable", ca=AUTHORITY.pem), seconds=SECONDS)) == 3


@pytest.mark.parametrize(
    ("auth", "says"),
    [
        ({"password": "c4nary-wrong"}, "the KDC refused the password or keytab: is it the current one"),
        ({"username": "c4nary-nobody"}, "the KDC does not know the user: are username and realm right?"),
        ({"realm": "C4NARY.REALM"}, "kerberosConfig names no KDC of the realm: is realm right?"),
        ({"kerberosConfig": "c4nary", "realm": "C4NARY.REALM"}, "kerberosConfig names no KDC of the realm"),
        ({"kerberosServiceName": "c4nary"}, "the KDC does not know it: is it registered there by the host it"),
        ({"keytab": "c4nary"}, "keytab has no key of the user: is it a keytab, and are username and realm right?"),
        ({"username": "c4nary@nobody"}, "username or realm: not the name of a principal"),
        ({"kerberosConfig": "[realms]\nc4nary"}, "kerberosConfig: not the content of a krb5.conf"),
    ],
)
async def test_a_refusal_says_what_is_wrong(world: World, temporary: Path, auth: dict[str, str], says: str) -> None:
    outcome = await read(world.asked(**auth), seconds=SECONDS)
    assert f"no Kerberos ticket: {says}" in str(outcome.failure)
    assert "c4nary" not in str(outcome.failure).lower()
    assert in_folder(temporary) == []


async def test_a_keytab_of_old_keys_or_of_somebody_else(world: World) -> None:
    old = await read(world.asked("eve", keytab=world.old_keytab), seconds=SECONDS)
    assert "the KDC refused the password or keytab: is it the current one, and that of username?" in str(old.failure)
    others = await read(world.asked("alice", keytab=world.keytab), seconds=SECONDS)
    assert "keytab has no key of the user: is it a keytab, and are" in str(others.failure)


async def test_a_kdc_that_is_gone(world: World) -> None:
    outcome = await read(world.asked(config=world.kdc.config(port=1)), seconds=SECONDS)
    assert "no KDC of the realm can be reached: are its addresses in kerberosConfig right?" in str(outcome.failure)


async def test_a_broker_that_does_not_prove_who_it_is(world: World) -> None:
    who = Kerberos(principal=f"alice@{REALM}", password=PASSWORD, keytab="", config=world.kdc.config(), service="")
    async with AsyncExitStack() as stack:
        login = await who._begun(stack, "127.0.0.1")
        assert await login.step(None) is not None
        with pytest.raises(LoginError, match="its part of the Kerberos login is not valid"):
            await login.step(b"c4nary")
        # The program has ended by that.
        with pytest.raises(SourceUnavailable, match="the process of the login ended by itself"):
            await login.step(b"c4nary")


async def test_nobody_has_the_ticket_of_another(world: World) -> None:
    bobs = len(world.kdc.logins("bob"))
    async with asking(world.asked("bob"), world.asked("alice"), seconds=SECONDS) as (bob, alice):
        first = len(world.kdc.logins("alice"))
        while len(world.kdc.logins("alice")) < first + 2:
            refused, read = await asyncio.gather(bob.current(), alice.current())
            assert "topic secured may not be read: the user needs to Describe it" in str(refused.failure)
            assert value(read) == 3
            await asyncio.sleep(0.1)
    assert len(world.kdc.logins("bob")) > bobs


async def test_no_ticket_is_used_beyond_its_end(world: World) -> None:
    """The broker asks for a new login each second; with the ticket of the first it is over after some."""
    async with asking(world.asked("dora"), seconds=SECONDS) as (live,):
        while not (logins := world.kdc.logins("dora")) or logins[-1] <= logins[0] + TICKET_SECONDS:
            assert value(await live.current()) == 3
            await asyncio.sleep(0.1)


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Listen and say nothing; yield the port."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def under_way() -> int:
    """Return how many of our processes log in."""
    mine = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for path in mine for pid in path.read_text().split()]
    return sum("kerberos_login" in line for line in lines)


async def test_a_kdc_that_hangs_holds_nobody_else_up(world: World, temporary: Path) -> None:
    async with silent() as port, asyncio.TaskGroup() as tasks:
        config = world.kdc.config(port=port)
        who = Kerberos(principal=f"alice@{REALM}", password=PASSWORD, keytab="", config=config, service="")
        address = ("127.0.0.1", world.broker.listeners[KERBEROS].port)
        milliseconds = round(1000 * WAIT_SECONDS)
        hanging = [
            tasks.create_task(who.connect(*address, request_timeout_ms=milliseconds)) for _ in range(LOGINS_AT_ONCE)
        ]
        async with asyncio.timeout(WAIT_SECONDS):
            while under_way() < LOGINS_AT_ONCE:
                await asyncio.sleep(0.1)
        # No more processes than that, and no false reason.
        crowded = await read(world.asked(), seconds=1)
        assert f"{LOGINS_AT_ONCE} other logins are under way: does their KDC answer?" in str(crowded.failure)
        assert under_way() == LOGINS_AT_ONCE
        hanging.pop().cancel()
        # The others wait for their KDC all the while.
        assert value(await read(world.asked(), seconds=SECONDS)) == 3
        assert not any(login.done() for login in hanging)
        for login in hanging:
            login.cancel()
    assert under_way() == 0
    assert in_folder(temporary) == []


async def test_a_kdc_that_hangs_is_given_up(world: World, temporary: Path) -> None:
    async with silent() as port:
        outcome = await read(world.asked(config=world.kdc.config(port=port)), seconds=2)
    assert outcome.failure == (
        "no Kerberos ticket within 1.5 s, no answer: can the daemon reach a KDC that kerberosConfig names?"
    )
    assert under_way() == 0
    assert in_folder(temporary) == []
