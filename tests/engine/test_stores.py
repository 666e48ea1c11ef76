"""Secret stores, tokens and files of the whole daemon, in virtual time: read, shared, rotated, lost, ended."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from keda_py.engine.trigger import WaitingTrigger
from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py.secret_store import Access, SecretStore, Values

from .doors import World, door
from .world import SPACE, Embedded

pytestmark = pytest.mark.looptime

CANARY = "tweet-tweet"
TEN_MINUTES = timedelta(minutes=10)


class Safe:
    """A place with secrets by their path, and what was done with it."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = dict(secrets)
        self.error: Exception | None = None
        self.good_for: float | None = None
        self.silent = False
        self.opened: list[Access[Any]] = []
        self.reads: Counter[str] = Counter()
        self.closed = 0

    @property
    def store(self) -> type[SecretStore[Any]]:
        safe = self

        class SafeStore(SecretStore[Any]):
            def __init__(self, access: Access[Any]) -> None:
                super().__init__(access)
                safe.opened.append(access)

            async def read(self) -> Values:
                await asyncio.sleep(3600 if safe.silent else 0.05)
                if safe.error is not None:
                    raise safe.error
                secrets = self.access.spec.secrets
                safe.reads.update(secret.path for secret in secrets)
                return Values({secret.parameter: safe.secrets[secret.path] for secret in secrets}, safe.good_for)

            async def close(self) -> None:
                safe.closed += 1

        return SafeStore

    def world(self, **settings: Any) -> World:
        return World({"hashiCorpVault": self.store}, **settings)


def vault(path: str, **rest: Any) -> dict[str, Any]:
    secret = {"parameter": "password", "path": path, "key": "k"}
    return {"address": "http://v", "authentication": "token", "secrets": [secret], **rest}


def deployed(world: World, *doors: str, auth: str = "auth", **spec: Any) -> None:
    """Let an object of each name use an authentication."""
    world.authentication(auth, **spec)
    for name in doors:
        world.deploy(name)
        world.scale(name, door(name, auth=auth), door(f"{name}-plain"))


@asynccontextmanager
async def read_by_a(safe: Safe) -> AsyncIterator[World]:
    """Run a daemon with an object `a` that has read what is mine."""
    async with safe.world().running() as world:
        deployed(world, "a", hashiCorpVault=vault("mine"))
        await asyncio.sleep(2)
        yield world


async def test_a_rotated_secret_rebuilds_the_triggers_that_use_it_and_no_other() -> None:
    safe = Safe(mine="old", theirs="theirs")
    async with safe.world().running() as world:
        deployed(world, "a", hashiCorpVault=vault("mine"))
        deployed(world, "b", auth="other", hashiCorpVault=vault("theirs"))
        await asyncio.sleep(2)
        passwords = {"a": "old", "b": "theirs", "a-plain": "", "b-plain": ""}
        assert (world.doors.passwords, world.ready("a")[0]) == (passwords, "True")
        before = [world.trigger("a"), world.trigger("a", 1), world.trigger("b")]
        await asyncio.sleep(200)
        assert [world.trigger("a"), world.trigger("a", 1), world.trigger("b")] == before, "equal values change nothing"
        safe.secrets["mine"] = "new"
        await asyncio.sleep(65)
        after = [world.trigger("a"), world.trigger("a", 1), world.trigger("b")]
        assert [one is other for one, other in zip(before, after, strict=True)] == [False, True, True]
        assert world.doors.passwords["a"] == "new"
        assert world.doors.opened == {"a": 2, "b": 1, "a-plain": 1, "b-plain": 1}
        assert len(safe.opened) == 2, "read again, and not opened again"


async def test_one_store_serves_all_who_use_an_equal_one_and_is_closed_with_the_last() -> None:
    safe = Safe(mine="p")
    async with safe.world().running() as world:
        deployed(world, "a", "b", hashiCorpVault=vault("mine"))
        deployed(world, "c", auth="equal", hashiCorpVault=vault("mine"))
        job = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}
        spec = {"jobTargetRef": job, "triggers": [door("d", auth="equal")]}
        world.put("apis/keda.sh/v1alpha1", "scaledjobs", "d", spec=spec)
        await asyncio.sleep(2)
        assert {name: world.doors.passwords[name] for name in "abcd"} == dict.fromkeys("abcd", "p")
        assert (len(safe.opened), safe.reads["mine"]) == (1, 1)
        for name in "abc":
            world.delete("apis/keda.sh/v1alpha1", "scaledobjects", name)
        await asyncio.sleep(2)
        assert safe.closed == 0
        world.delete("apis/keda.sh/v1alpha1", "scaledjobs", "d")
        await asyncio.sleep(2)
        assert safe.closed == 1
        reads = safe.reads["mine"]
        await asyncio.sleep(300)
        assert safe.reads["mine"] == reads


async def test_until_a_store_was_read_its_trigger_waits() -> None:
    safe = Safe(mine="p")
    safe.silent = True
    async with safe.world().running() as world:
        deployed(world, "a", hashiCorpVault=vault("mine"))
        await asyncio.sleep(15)
        assert isinstance(world.trigger("a"), WaitingTrigger)
        assert world.doors.opened["a"] == 0
        await asyncio.sleep(15)
        assert world.ready("a") == (
            "False",
            f"triggers[0] (door): TriggerAuthentication {SPACE}/auth: hashiCorpVault: no answer within 20 s",
        )
        safe.silent = False
        await asyncio.sleep(90)
        assert (world.ready("a")[0], world.doors.passwords["a"]) == ("True", "p")


async def test_what_was_read_stays_known_while_the_store_is_away_and_changes_when_it_is_back() -> None:
    safe = Safe(mine="p")
    async with read_by_a(safe) as world:
        before = world.trigger("a")
        safe.error = SourceUnavailable("http://v: connection refused")
        await asyncio.sleep(600)
        assert world.trigger("a") is before
        assert world.ready("a")[0] == "True"
        safe.error, safe.secrets["mine"] = None, "new"
        await asyncio.sleep(65)
        assert world.doors.passwords["a"] == "new"


async def test_what_has_ended_is_known_no_more() -> None:
    safe = Safe(mine="p")
    safe.good_for = 300
    async with read_by_a(safe) as world:
        before = world.trigger("a")
        safe.error = SourceUnavailable("http://v: connection refused")
        await asyncio.sleep(200)
        assert world.trigger("a") is before
        await asyncio.sleep(160)
        assert "hashiCorpVault: http://v: connection refused" in world.ready("a")[1]
        assert world.doors.closed["a"] == 1
        assert world.replicas("a") == 1, "held"
        safe.error = None
        await asyncio.sleep(70)
        assert world.ready("a")[0] == "True"


async def test_it_is_read_again_before_it_ends() -> None:
    safe = Safe(mine="p")
    safe.good_for = 6
    async with safe.world().running() as world:
        deployed(world, "a", hashiCorpVault=vault("mine"))
        await asyncio.sleep(61)
        assert 10 <= safe.reads["mine"] <= 25
        assert world.doors.opened["a"] == 1


async def test_a_short_refusal_costs_nothing_and_a_lasting_one_is_named() -> None:
    safe = Safe(mine="p")
    async with read_by_a(safe) as world:
        before = world.trigger("a")
        safe.error = ScalerError("mine: there is nothing")
        await asyncio.sleep(60)
        safe.error = None
        await asyncio.sleep(60)
        assert world.trigger("a") is before
        safe.error = ScalerError("mine: there is nothing")
        await asyncio.sleep(150)
        assert "mine: there is nothing" in world.ready("a")[1]
        assert (world.doors.opened["a"], world.doors.closed["a"]) == (1, 1)


async def test_an_authors_bug_costs_who_uses_the_store() -> None:
    safe = Safe(mine="p")
    safe.error = RuntimeError(CANARY)
    async with safe.world().running() as world:
        deployed(world, "a", hashiCorpVault=vault("mine"))
        deployed(world, "b", auth="none", secretTargetRef=[])
        await asyncio.sleep(3)
        assert "hashiCorpVault: unexpected RuntimeError at test_stores.py" in world.ready("a")[1]
        assert CANARY not in world.ready("a")[1]
        assert world.ready("b")[0] == "True"


async def test_a_store_that_is_not_installed_is_named() -> None:
    async with Safe().world().running() as world:
        secret = {"parameter": "password", "id": "i"}
        deployed(world, "a", gcpSecretManager={"secrets": [secret]})
        await asyncio.sleep(3)
        assert "gcpSecretManager: there is no secret store 'gcpSecretManager'" in world.ready("a")[1]
        assert "known are hashiCorpVault" in world.ready("a")[1]


# --- credentials of a store -----------------------------------------------------------------------------------------

GCP = {
    "secrets": [{"parameter": "password", "id": "i"}],
    "credentials": {"clientSecret": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}},
}


def guarded(allows: Callable[[str], Exception | None]) -> tuple[World, list[str]]:
    """Return a world whose store reads as `p` to whom it is opened by, and the credentials that it was closed with."""
    closed: list[str] = []

    class Guarded(SecretStore[Any]):
        async def read(self) -> Values:
            if (error := allows(self.access.credentials["clientSecret"])) is not None:
                raise error
            return Values({"password": "p"})

        async def close(self) -> None:
            closed.append(self.access.credentials["clientSecret"])

    return World({"gcpSecretManager": Guarded}), closed


async def test_new_credentials_of_a_store_disturb_nobody_while_what_they_lead_to_reads_the_same() -> None:
    away = SourceUnavailable("away")
    errors: dict[str, Exception | None] = {"one": None, "two": away, "three": ScalerError("not with this key")}
    world, closed = guarded(lambda key: errors[key])
    async with world.running():
        world.secret("s", key="one")
        deployed(world, "a", gcpSecretManager=GCP)
        await asyncio.sleep(2)
        before = world.trigger("a")
        world.secret("s", key="two")
        await asyncio.sleep(300)
        assert (world.trigger("a") is before, closed) == (True, []), "the store is away: the former still holds"
        errors["two"] = None
        await asyncio.sleep(120)
        assert (world.trigger("a") is before, closed) == (True, ["one"])
        world.secret("s", key="three")
        await asyncio.sleep(5)
        assert "gcpSecretManager: not with this key" in world.ready("a")[1]


async def test_a_vault_is_opened_anew_with_each_token_for_its_service_account() -> None:
    safe = Safe(mine="p")
    async with safe.world(bound_token_life=TEN_MINUTES).running() as world:
        world.put("api/v1", "serviceaccounts", "reader")
        spec = vault("mine", authentication="kubernetes", credential={"serviceAccountName": "reader"})
        deployed(world, "a", hashiCorpVault=spec)
        await asyncio.sleep(2)
        before = world.trigger("a")
        await asyncio.sleep(450)
        assert world.trigger("a") is before
        tokens = [access.credentials["serviceAccountToken"] for access in safe.opened]
        assert len(set(tokens)) == len(tokens) == 2
        assert safe.closed == 1


# --- tokens ---------------------------------------------------------------------------------------------------------

BOUND = [{"parameter": "password", "serviceAccountName": "reader"}]


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def test_a_bound_token_is_replaced_before_it_ends() -> None:
    async with World(bound_token_life=TEN_MINUTES).running() as world:
        world.put("api/v1", "serviceaccounts", "reader")
        deployed(world, "a", "b", boundServiceAccountToken=BOUND)
        await asyncio.sleep(2)
        first = world.doors.passwords["a"]
        assert claims(first)["sub"] == f"system:serviceaccount:{SPACE}:reader"
        assert claims(first)["exp"] - claims(first)["iat"] == 600
        assert world.doors.passwords["b"] == first
        calls = [call for call in world.wire.calls if call.endswith("/token")]
        assert calls == [f"POST /api/v1/namespaces/{SPACE}/serviceaccounts/reader/token"]
        await asyncio.sleep(390)
        assert world.doors.passwords["a"] == first
        await asyncio.sleep(70)
        assert claims(world.doors.passwords["a"])["iat"] > claims(first)["iat"]
        assert world.doors.opened == {"a": 2, "b": 2, "a-plain": 1, "b-plain": 1}


async def test_a_token_that_cannot_be_made_is_told() -> None:
    async with World().running() as world:
        deployed(world, "a", boundServiceAccountToken=BOUND)
        await asyncio.sleep(3)
        assert f"a token for ServiceAccount {SPACE}/reader: serviceaccounts" in world.ready("a")[1]
        assert '"reader" not found' in world.ready("a")[1]
        world.wire.refused = ("/token",)
        await asyncio.sleep(60)
        assert (
            "is forbidden: not you; allow the daemon's ServiceAccount to create serviceaccounts/token"
            in (world.ready("a")[1])
        )
        world.wire.refused = ()
        world.put("api/v1", "serviceaccounts", "reader")
        await asyncio.sleep(90)
        assert world.ready("a")[0] == "True"


# --- files ----------------------------------------------------------------------------------------------------------

CLUSTER = "ClusterTriggerAuthentication"


def of_file(world: Embedded, path: str) -> None:
    world.authentication("auth", of_cluster=True, filePath=path)
    world.deploy("a")
    world.scale("a", door("a", auth="auth", kind=CLUSTER))


async def test_a_file_is_read_and_followed(tmp_path: Path) -> None:
    file = tmp_path / "team" / "creds.json"
    file.parent.mkdir()
    file.write_text('{"password": "old", "other": "x"}')
    async with World(authentication_folder=tmp_path).running() as world:
        of_file(world, "team/creds.json")
        await asyncio.sleep(2)
        assert (world.doors.passwords["a"], world.ready("a")[0]) == ("old", "True")
        file.write_text('{"password": "new"}')
        await asyncio.sleep(6)
        assert world.doors.passwords["a"] == "new"
        file.unlink()
        await asyncio.sleep(10)
        assert world.ready("a")[0] == "True", "it may be about to be replaced"
        await asyncio.sleep(60)
        assert "filePath team/creds.json: the file cannot be read: no such file or directory" in world.ready("a")[1]
        for content, says in (
            (f'{{"password": {CANARY}', "the file is no JSON"),
            ('["x"]', "expected a JSON object with nothing but texts"),
            ('{"password": 7}', "expected a JSON object with nothing but texts"),
            ("null", "expected a JSON object with nothing but texts"),
            (" " * (2**20 + 1), "the file is larger than 1 MiB"),
        ):
            file.write_text(content)
            await asyncio.sleep(90)
            assert says in world.ready("a")[1]
            assert CANARY not in world.ready("a")[1]
        file.write_text('{"password": "good"}')
        await asyncio.sleep(90)
        assert world.doors.passwords["a"] == "good"


@pytest.mark.parametrize("path", ["../creds.json", "/etc/creds.json", "a/../../creds.json", "a..json"])
async def test_a_path_leads_nowhere_else(path: str, tmp_path: Path) -> None:
    async with World(authentication_folder=tmp_path).running() as world:
        of_file(world, path)
        await asyncio.sleep(3)
        assert "expected a path below --filepath-auth-root-path, without '..'" in world.ready("a")[1]


async def test_there_may_be_no_folder_for_files() -> None:
    async with World().running() as world:
        of_file(world, "creds.json")
        await asyncio.sleep(3)
        assert "give it one with --filepath-auth-root-path" in world.ready("a")[1]


async def test_no_secret_shows_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safe = Safe(mine=CANARY)
    (tmp_path / "creds.json").write_text(json.dumps({"password": CANARY}))
    with structlog.testing.capture_logs() as logged:
        async with safe.world(authentication_folder=tmp_path).running() as world:
            deployed(world, "b", auth="vault", hashiCorpVault=vault("mine", credential={"token": CANARY}))
            of_file(world, "creds.json")
            await asyncio.sleep(3)
            assert [world.doors.passwords[name] for name in "ab"] == [CANARY] * 2
            safe.error = ScalerError("gone")
            await asyncio.sleep(200)
            live = [world.daemon.live[SPACE, name] for name in "ab"]
            kinds = ("apis/keda.sh/v1alpha1/scaledobjects", "apis/events.k8s.io/v1/events")
            written = [world.do("GET", f"/{kind}") for kind in kinds]
            shown = [*map(repr, live), *(repr(each.described) for each in live), *map(repr, written), repr(logged)]
            shown += [*map(repr, safe.opened), *capsys.readouterr()]
    assert [text for text in shown if CANARY in text] == []
