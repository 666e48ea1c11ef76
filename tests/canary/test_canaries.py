"""No secret shows anywhere: canaries in every place that credentials come from, against sources that are up to no good.

Each canary is one of a kind and known by what it was planted as (`canary`, `garden`). All triggers that take
credentials are at work on the embedded cluster (`trigger`), against sources that refuse, answer well, or repeat all
that they were told (`source`), and against real brokers (`broker`); credentials come from the cluster, from files,
tokens and a real Vault (`store`), and from three clouds (`cloud`); events are sent with them too (`sink`). Then
everything is searched that leaves the daemon or describes it (`search`).
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog

from keda_py import log
from keda_py.settings import Settings
from tests.brokers.certificate import Authority
from tests.brokers.kafka import kafka
from tests.brokers.rabbitmq import rabbitmq
from tests.pages import trying
from tests.vault.server import vault

from .broker import fill_topic, plant_at_kafka, plant_at_rabbitmq, secure_listeners
from .cloud import clouds, plant_at_amazon, plant_at_azure, plant_at_google
from .garden import Garden
from .search import Search, all_told
from .sink import plant_sinks
from .source import doors
from .store import Reading, overheard, plant_at_collector, plant_grants, plant_in_files, plant_in_vault, plant_tokens
from .trigger import Planting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LONG: Final = 300.0


@pytest.fixture(autouse=True)
def all_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    # What is thrown away, here and not in the midst of another test.
    gc.collect()


# What is logged is the same either way, and only written down differently.
@pytest.mark.parametrize(("encoder", "every"), [("json", 1), ("console", 4)])
async def test_no_credential_of_a_trigger_shows_anywhere(
    encoder: str, every: int, capfd: pytest.CaptureFixture[str]
) -> None:
    log.configure(Settings(log_level="debug", log_encoder=encoder))
    garden = Garden()
    search = Search(garden)
    async with doors(garden.canaries.hatch("a token that a source issues")) as addresses:
        planting = Planting(garden, addresses, every=every)
        planting.credentials()
        planting.nonsense()
        plant_sinks(garden, addresses)
        async with trying() as cluster:
            cluster.apply(*garden.manifests)
            await all_told(cluster, garden, seconds=LONG)
            assert {cluster.ready(name)[0] for name in garden.names} >= {"True", "False"}, "some read well, some do not"
            await search.through(cluster)
    search.through_log("".join(capfd.readouterr()))
    search.nothing_was_found()


# aio_pika wants to close what it could not open when that is thrown away, which may be after the loop has ended.
@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited:RuntimeWarning")
async def test_nothing_of_a_secret_store_or_a_broker_shows_anywhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.configure(Settings(log_level="debug", log_encoder="json"))
    garden = Garden()
    search = Search(garden)
    for name in ("vault", "clouds", "files", "rabbitmq", "kafka"):
        (tmp_path / name).mkdir()
    authority = Authority()
    secure = secure_listeners(tmp_path / "kafka", authority)
    with (
        vault(tmp_path / "vault") as server,
        rabbitmq(tmp_path / "rabbitmq") as rabbit,
        kafka(tmp_path / "kafka", [secure]) as (broker,),
    ):
        await fill_topic(broker)
        async with (
            doors(garden.canaries.hatch("a token that a source issues")) as addresses,
            clouds(tmp_path / "clouds", garden.canaries, monkeypatch) as found,
            overheard(server, garden.canaries) as address,
        ):
            reading = Reading(garden, addresses)
            plant_in_vault(reading, server, address, tmp_path)
            plant_at_azure(reading, found)
            plant_at_google(reading, found)
            plant_at_amazon(reading)
            plant_in_files(reading, tmp_path / "files")
            plant_tokens(reading)
            plant_grants(reading)
            plant_at_rabbitmq(garden, rabbit)
            plant_at_kafka(garden, broker, authority, token_endpoint=f"http://{addresses['http', 'well']}/token")
            settings = {"ca_folders": found.authorities, "authentication_folder": tmp_path / "files"}
            async with trying(exporter=plant_at_collector(reading, monkeypatch), **settings) as cluster:
                cluster.apply(*garden.manifests)
                await all_told(cluster, garden, seconds=LONG)
                await search.through(cluster)
    said = "".join(capfd.readouterr())
    assert "it answered 401" in said, "metrics were refused"
    search.through_log(said)
    search.nothing_was_found()
