"""Metrics under KEDA's names: what a scrape shows is what the engine holds at that moment."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from keda_py.decide.admission import Finding, Verdict
from keda_py.engine.admission import Asked, Counts
from keda_py.engine.fallback import Tally
from keda_py.engine.live import Key, Live
from keda_py.engine.trigger import BrokenTrigger, LiveTrigger
from keda_py.naming import normalize
from keda_py.runtime.meter import Meter, account_to
from keda_py.runtime.source import Sources
from keda_py.scaler import (
    EmptyAnswer,
    ExternalSpec,
    Inputs,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
)
from keda_py.serve import health, telemetry
from keda_py.serve.listen import ListenError, listening
from keda_py.settings import Address


class NoMetadata(Metadata):
    """Nothing to set."""


class QueueScaler(Scaler[NoMetadata]):
    metadata = NoMetadata
    says: Callable[[], float]

    def metric_specs(self) -> list[MetricSpec]:
        return [ExternalSpec(normalize("queue"), self.target(1))]

    async def get_metrics(self) -> list[Reading]:
        value = type(self).says()
        return [self.reading(value, active=value > 0, empty=value == 0)]


def trigger(scaler: type[Scaler[NoMetadata]], index: int, name: str | None = None) -> LiveTrigger:
    about = Trigger("queue", index, Inputs({}), "ns", "so", name=name)
    built = scaler(NoMetadata(), about, platform=Platform(lambda: datetime.now(UTC), None))  # type: ignore[arg-type]
    return LiveTrigger(built, None, interval=30, cached=False, now=lambda: datetime.now(UTC), changed=lambda _: None)


def kind(says: Callable[[], float]) -> type[QueueScaler]:
    return type("QueueScaler", (QueueScaler,), {"says": staticmethod(says)})


def failing() -> float:
    raise ScalerError("down")


def empty() -> float:
    raise EmptyAnswer("nothing")


@asynccontextmanager
async def scraped(
    live: dict[Key, Live], admission: Counts | None = None
) -> AsyncIterator[Callable[[], "asyncio.Future[str]"]]:
    seen = telemetry.Telemetry({"scaledobject": live, "scaledjob": {}}, admission=admission or Counts())
    async with (
        listening(telemetry.application(seen), Address("127.0.0.1", 0), flag="--x") as port,
        aiohttp.ClientSession() as session,
    ):

        async def scrape() -> str:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                return await answer.text()

        yield lambda: asyncio.ensure_future(scrape())


L6 = 'metric="s0-queue",namespace="ns",scaledObject="so",scaler="queueScaler",triggerIndex="0",type="scaledobject"'


async def test_a_trigger_shows_value_activity_latency_and_errors() -> None:
    live = {("ns", "so"): Live("uid", [trigger(kind(lambda: 7.5), 0)])}
    async with scraped(live) as scrape:
        assert "keda_scaler_metrics_value{" not in await scrape()
        for one in live["ns", "so"].working():
            await one.current()
        text = await scrape()
        assert f"keda_scaler_metrics_value{{{L6}}} 7.5" in text
        assert f"keda_scaler_active{{{L6}}} 1.0" in text
        assert f"keda_scaler_detail_errors_total{{{L6}}} 0.0" in text
        assert f"keda_scaler_metrics_latency_seconds{{{L6}}} " in text
        live.clear()
        assert 'scaledObject="so"' not in await scrape()


async def test_a_value_that_cannot_be_read_is_missing_and_its_failure_counted() -> None:
    live = {("ns", "so"): Live("uid", [trigger(kind(failing), 0)])}
    async with scraped(live) as scrape:
        for one in live["ns", "so"].working():
            await one.current()
        text = await scrape()
    assert "keda_scaler_metrics_value{" not in text
    assert "keda_scaler_active{" not in text
    assert f"keda_scaler_detail_errors_total{{{L6}}} 1.0" in text
    assert 'keda_scaled_object_errors_total{namespace="ns",scaledObject="so"} 1.0' in text


async def test_empty_answers_are_counted_by_what_the_manifest_makes_of_them() -> None:
    triggers = [trigger(kind(lambda: 0), 0, "orders"), trigger(kind(empty), 1)]
    live = {("ns", "so"): Live("uid", list(triggers))}
    async with scraped(live) as scrape:
        for one in triggers:
            await one.current()
        text = await scrape()
    rest = 'namespace="ns",resourceType="ScaledObject",scaledResource="so"'
    name = "keda_scaler_empty_upstream_responses_total"
    assert f'{name}{{ignoreNullValues="true",metricName="s0-queue",{rest},triggerName="orders"}} 1.0' in text
    assert f'{name}{{ignoreNullValues="false",metricName="s1-queue",{rest},triggerName=""}} 1.0' in text
    assert 'scaler="orders"' in text


async def test_what_is_stood_in_for_is_active_and_has_no_value() -> None:
    failed = trigger(kind(failing), 0)
    failed.tally = Tally(enough=1)
    async with scraped({("ns", "so"): Live("1", [failed])}) as scrape:
        await failed.current()
        text = await scrape()
    assert re.search(r"^keda_scaler_active\{.* 1\.0$", text, re.MULTILINE)
    assert not re.search(r"^keda_scaler_metrics_value\{", text, re.MULTILINE)


async def test_the_daemon_tells_of_itself() -> None:
    broken = BrokenTrigger(0, "kafka", ScalerError("no such type"), 30)
    live = {("ns", "a"): Live("1", [broken]), ("ns", "b"): Live("2", [broken])}
    async with scraped(live) as scrape:
        text = await scrape()
    assert 'keda_trigger_registered_total{type="kafka"} 2.0' in text
    assert 'keda_resource_registered_total{namespace="ns",type="scaled_object"} 2.0' in text
    assert 'keda_build_info{git_commit=""' in text
    assert "process_resident_memory_bytes" in text


async def test_ready_says_what_is_missing() -> None:
    state = {"listed": False}
    app = health.application({"the cluster is not listed yet": lambda: state["listed"]})
    async with listening(app, Address("127.0.0.1", 0), flag="--x") as port, aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        assert await ask("/healthz") == (200, "ok")
        assert await ask("/readyz") == (503, "not ready: the cluster is not listed yet")
        state["listed"] = True
        assert await ask("/readyz") == (200, "ok")


async def test_an_address_that_is_taken_names_the_flag() -> None:
    app = health.application({})
    async with listening(app, Address("127.0.0.1", 0), flag="--x") as port:
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: .* change --health"):
            async with listening(health.application({}), Address("127.0.0.1", port), flag="--health"):
                pass
    async with listening(health.application({}), None, flag="--x") as nothing:
        assert nothing == 0


async def test_what_the_webhook_was_asked_and_refused() -> None:
    counts = Counts()
    new: dict[str, object] = {"metadata": {}}
    wrong = Verdict((Finding("other-hpa", "a"), Finding("other-hpa", "b"), Finding("name-too-long", "c")))
    counts.count(Asked("ScaledObject", "shop", new), wrong)
    counts.count(Asked("ScaledObject", "shop", new, new), Verdict())
    counts.count(Asked("ScaledJob", "shop", new), wrong)
    counts.count(Asked("TriggerAuthentication", "shop", new), wrong)
    async with scraped({}, counts) as scrape:
        text = await scrape()
    total = "keda_webhook_scaled_object_validations_total"
    errors = "keda_webhook_scaled_object_validation_errors_total"
    for line in (
        f'{total}{{action="create",namespace="shop"}} 1.0',
        f'{total}{{action="update",namespace="shop"}} 1.0',
        f'{errors}{{action="create",namespace="shop",reason="other-hpa"}} 2.0',
        f'{errors}{{action="create",namespace="shop",reason="name-too-long"}} 2.0',
    ):
        assert line in text.splitlines()
    assert text.count(f"{errors}{{") == 2


def test_counters_are_bounded() -> None:
    counts = Counts()
    for number in range(10_100):
        counts.count(Asked("ScaledObject", f"n{number}", {"metadata": {}}), Verdict())
    assert len(counts.validations) == 10_000
    counts.count(Asked("ScaledObject", "n0", {"metadata": {}}), Verdict())
    assert counts.validations["n0", "create"] == 2


class Rented(QueueScaler):
    """Talks to somebody, and so has requests that are counted."""

    @classmethod
    def source_key(cls, meta: NoMetadata, trigger: Trigger) -> tuple[str, ...]:
        return ("queue",)


async def test_one_name_of_two_kinds_is_one_series_of_requests() -> None:
    meter = Meter(by_trigger=True)
    platform = Platform(lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    scaler = type("Rented", (Rented,), {"says": staticmethod(lambda: 1.0)})
    async with Sources(platform, chance=random.Random(1), meter=meter) as sources:
        live = {}
        for kind_of in ("scaledobject", "scaledjob"):
            about = Trigger("queue", 0, Inputs({}), "ns", "so", name="orders")
            tenancy = sources.rent(scaler, NoMetadata(), about)
            assert tenancy is not None
            account_to(tenancy.requests)
            for _ in range(2):
                meter.note(200, 0.3)
            meter.note(None, 3.0)
            built = scaler(NoMetadata(), about, platform=platform)
            made = LiveTrigger(
                built, tenancy, interval=30, cached=False, now=lambda: datetime.now(UTC), changed=lambda _: None
            )
            live[kind_of] = {("ns", "so"): Live("uid", [made])}
        families = {family.name: family for family in telemetry.Telemetry(live, meter=meter).collect()}
        counted = {s.labels["status_code"]: s.value for s in families["keda_scaler_http_requests"].samples}
        assert counted == {"200": 4, "error": 2}
        durations = families["keda_scaler_http_request_duration_seconds"].samples
        of_200 = [one for one in durations if one.labels["status_code"] == "200"]
        assert [one.value for one in of_200 if one.labels.get("le") in ("0.25", "0.5", "+Inf")] == [0, 4, 4]
        assert [round(one.value, 3) for one in of_200 if one.name.endswith("_sum")] == [1.2]
        assert of_200[0].labels == {
            "namespace": "ns",
            "scaled_resource": "so",
            "scaler": "queue",
            "trigger_name": "orders",
            "metric_name": "s0-queue",
            "status_code": "200",
            "le": "0.005",
        }
        assert meter.durations == {}
        for objects in live.values():
            objects.clear()
        gone = telemetry.Telemetry(live, meter=meter).collect()
        assert [family.name for family in gone if family.name.startswith("keda_scaler_http") and family.samples] == []


async def test_a_poll_that_begins_late_is_seen() -> None:
    about = Trigger("queue", 0, Inputs({}), "ns", "so")
    platform = Platform(lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    scaler = kind(lambda: 1.0)(NoMetadata(), about, platform=platform)
    late: list[float] = []
    polled = LiveTrigger(
        scaler,
        None,
        interval=0.1,
        cached=False,
        now=lambda: datetime.now(UTC),
        changed=lambda _: late.append(polled.late),
    )
    live = Live("uid", [BrokenTrigger(1, "kafka", ScalerError("no such type"), 30), polled])
    assert live.late() == 0
    polled.start()
    while max(late, default=0.0) < 0.2:
        time.sleep(0.5)  # noqa: ASYNC251  nothing else gets its turn: what was due meanwhile is late
        await asyncio.sleep(0.12)
    polled.close()
    families = telemetry.Telemetry({"scaledobject": {("ns", "so"): live}, "scaledjob": {}}).collect()
    (sample,) = next(one for one in families if one.name == "keda_internal_scale_loop_latency_seconds").samples
    assert (sample.labels, sample.value) == ({"namespace": "ns", "type": "scaledobject", "resource": "so"}, live.late())
