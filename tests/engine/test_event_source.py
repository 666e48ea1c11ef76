"""CloudEventSources of the whole daemon, in virtual time: who is told, in what order, what a sick receiver costs."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import structlog

from keda_py.decide.cloud_event import TYPES
from keda_py.engine.event_source import ATTEMPTS, QUEUED
from keda_py.event_sink import CloudEvent, Destination, EventSink
from keda_py.naming import FINALIZER, LEASE, EventReason, Reason
from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py.serve.telemetry import Telemetry
from keda_py.settings import Leadership

from .dials import World, dial
from .doors import ref
from .test_event import HAPPENS, documented
from .world import SPACE

pytestmark = pytest.mark.looptime

EVENTING = "apis/eventing.keda.sh/v1alpha1"
CANARY = "tweet-tweet"
ELSEWHERE = "other"
READY, FAILED, PAUSED = "keda.scaledobject.ready.v1", "keda.scaledobject.failed.v1", "keda.scaledobject.paused.v1"


class Receivers:
    """What receivers were sent, by their address, and how they answer."""

    def __init__(self) -> None:
        self.got: dict[str, list[CloudEvent]] = {}
        self.tries: Counter[str] = Counter()
        self.fails: dict[str, Exception] = {}
        self.silent: set[str] = set()
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.keys: list[str] = []

    def sink(self) -> type[EventSink]:
        receivers = self

        class Sink(EventSink):
            def __init__(self, to: Destination) -> None:
                super().__init__(to)
                if to.address == CANARY:
                    raise ValueError(CANARY)
                if "://" not in to.address:
                    raise ScalerError("destination: expected http:// and a host")
                receivers.opened[to.address] += 1

            async def send(self, event: CloudEvent) -> None:
                place = self.to.address
                receivers.tries[place] += 1
                await asyncio.sleep(3600 if place in receivers.silent else 0.1)
                if (error := receivers.fails.get(place)) is not None:
                    raise error
                receivers.keys.append(self.to.parameters.get("accessKey", ""))
                receivers.got.setdefault(place, []).append(event)

            async def close(self) -> None:
                receivers.closed[self.to.address] += 1

        return Sink

    def types(self, place: str) -> list[str]:
        return [event.type for event in self.got.get(place, [])]


class Told(World):
    """A cluster, and a daemon that tells receivers of what happens in it."""

    def __init__(self, **settings: Any) -> None:
        self.receivers = Receivers()
        sink = self.receivers.sink()
        super().__init__({"http": sink, "azureEventGridTopic": sink}, **settings)

    def source(self, name: str, place: str = "", *, of_cluster: bool = False, **spec: Any) -> str:
        """Make or edit a source that goes to a place, its own name unless it is given; return its path."""
        plural, namespace = ("clustercloudeventsources", "") if of_cluster else ("cloudeventsources", SPACE)
        wanted = {"destination": {"http": {"uri": place or f"http://{name}"}}, **spec}
        self.put(EVENTING, plural, name, namespace=namespace, spec=wanted)
        return f"/{EVENTING}/{f'namespaces/{namespace}/' if namespace else ''}{plural}/{name}"

    def active(self, path: str) -> tuple[str, str, str]:
        (found,) = (self.do("GET", path).get("status") or {}).get("conditions") or [{}]
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def samples(self) -> dict[tuple[str, ...], float]:
        """Return what /metrics says of CloudEvents."""
        seen = Telemetry({"scaledobject": {}, "scaledjob": {}}, events=self.daemon.event_sources)
        return {
            (sample.name.removeprefix("keda_"), *sample.labels.values()): sample.value
            for family in seen.collect()
            for sample in family.samples
            if "cloudevent" in sample.name or "cloudevent_source" in sample.labels.values()
        }

    @property
    def events(self) -> Any:
        return self.daemon._recorder._listeners[0].__self__  # type: ignore[attr-defined]


def writes(world: Told) -> list[str]:
    return [call for call in world.wire.calls if "cloudeventsources" in call and not call.startswith("GET")]


@pytest.mark.parametrize(("reason", "kind"), [(reason, kind) for reason, _, kind in documented() if reason in TYPES])
async def test_each_type_is_sent_once_to_who_wants_it_and_to_nobody_else(reason: str, kind: str) -> None:
    of_cluster = kind.startswith("Cluster")
    only = {"includedEventTypes": [TYPES[reason]]}
    async with Told().running() as world:
        world.source("wants", of_cluster=of_cluster, eventSubscription=only)
        world.source("all", of_cluster=of_cluster)
        world.source("but", of_cluster=of_cluster, eventSubscription={"excludedEventTypes": [TYPES[reason]]})
        await asyncio.sleep(1)
        await HAPPENS[reason](world, kind)
        await asyncio.sleep(5)
        (sent,) = world.receivers.got["http://wants"]
        place = "" if of_cluster else SPACE
        assert (sent.type, sent.reason) == (TYPES[reason], reason)
        assert (sent.source, sent.subject) == (
            "/kubernetes-default/keda/keda",
            f"/kubernetes-default/{place}/{kind.lower()}/app",
        )
        (told,) = world.told(reason)
        assert sent.message == told["note"]
        assert sent.time.isoformat()[:19] == told["eventTime"][:19]
        assert world.receivers.types("http://but") == [
            type_ for type_ in world.receivers.types("http://all") if type_ != TYPES[reason]
        ]
        assert world.receivers.types("http://all").count(TYPES[reason]) == 1


async def test_a_source_is_told_of_its_namespace_and_one_of_the_cluster_of_all() -> None:
    async with Told().running() as world:
        world.source("mine", clusterName="prod")
        world.source("all", of_cluster=True)
        world.put("api/v1", "namespaces", ELSEWHERE, namespace="")
        await asyncio.sleep(1)
        world.make("ScaledObject")
        spec = {"scaleTargetRef": {"name": "app"}, "triggers": [dial("a")]}
        world.put("apis/keda.sh/v1alpha1", "scaledobjects", "far", namespace=ELSEWHERE, spec=spec)
        world.authentication("auth", of_cluster=True)
        await asyncio.sleep(5)
        assert [event.subject for event in world.receivers.got["http://mine"]] == [f"/prod/{SPACE}/scaledobject/app"]
        assert sorted(event.subject for event in world.receivers.got["http://all"]) == [
            "/kubernetes-default//clustertriggerauthentication/auth",
            f"/kubernetes-default/{SPACE}/scaledobject/app",
            f"/kubernetes-default/{ELSEWHERE}/scaledobject/far",
        ]


async def test_each_pause_and_each_end_of_one_is_sent_in_their_order() -> None:
    async with Told().running() as world:
        world.source("s")
        world.make("ScaledObject")
        await asyncio.sleep(2)
        world.receivers.silent.add("http://s")
        for _ in range(3):
            world.annotate("ScaledObject", paused="true")
            await asyncio.sleep(2)
            world.annotate("ScaledObject", paused=None)
            await asyncio.sleep(2)
        world.receivers.silent.clear()
        await asyncio.sleep(30)
        kinds = [type_.split(".")[2] for type_ in world.receivers.types("http://s")]
        assert kinds == ["ready", *["paused", "unpaused"] * 3]
        assert len(world.told(EventReason.PAUSED)) == 1, "in the cluster the same words are not told again so soon"
        assert len({event.id for event in world.receivers.got["http://s"]}) == len(kinds)


# --- sick receivers ---------------------------------------------------------------------------------------------------


ERRORS = {
    "gone": SourceUnavailable("sick cannot be reached"),
    "refuses": ScalerError("sick answered 500"),
    "bug": ValueError(CANARY),
}
SAYS = {"silent": "no answer within 10 s", "bug": "unexpected ValueError"} | {
    how: str(ERRORS[how]) for how in ("gone", "refuses")
}


@pytest.mark.parametrize("how", SAYS)
async def test_a_sick_receiver_costs_its_own_source_some_events_and_nobody_else_anything(how: str) -> None:
    async with Told().running() as world:
        sick, well = world.source("sick"), world.source("well")
        await asyncio.sleep(1)
        if how == "silent":
            world.receivers.silent.add("http://sick")
        else:
            world.receivers.fails["http://sick"] = ERRORS[how]
        world.make("ScaledObject")
        await asyncio.sleep(2)
        assert world.receivers.types("http://well") == [READY], "whoever is well is told at once"
        assert world.active(sick)[0] == "True", "it is tried again"
        await asyncio.sleep(70)
        assert world.receivers.tries["http://sick"] == ATTEMPTS
        status, reason, message = world.active(sick)
        assert (status, reason) == ("False", "CloudEventSourceFailed")
        assert message.startswith(f"events are not sent: {SAYS[how]}")
        assert CANARY not in message
        assert world.active(well)[:2] == ("True", "CloudEventSourceActive")
        assert world.samples() == {
            ("cloudeventsource_events_emitted_total", SPACE, "sick", "http", "emitted"): 0,
            ("cloudeventsource_events_emitted_total", SPACE, "sick", "http", "failed"): 1,
            ("cloudeventsource_events_emitted_total", SPACE, "well", "http", "emitted"): 1,
            ("cloudeventsource_events_emitted_total", SPACE, "well", "http", "failed"): 0,
            ("cloudeventsource_events_queued", SPACE): 0,
            ("resource_registered_total", "cloudevent_source", SPACE): 2,
        }
        # Each event has one more try now, and with the first that is taken all is well again.
        world.wire.calls.clear()
        world.annotate("ScaledObject", paused="true")
        await asyncio.sleep(15)
        assert world.receivers.tries["http://sick"] == ATTEMPTS + 1
        assert writes(world) == []
        world.receivers.fails.clear()
        world.receivers.silent.clear()
        world.annotate("ScaledObject", paused=None)
        await asyncio.sleep(5)
        assert world.receivers.types("http://sick") == ["keda.scaledobject.unpaused.v1"]
        assert world.active(sick)[:2] == ("True", "CloudEventSourceActive")
        assert writes(world) == [f"PATCH {sick}/status"]


async def test_a_short_outage_loses_nothing_and_is_not_told() -> None:
    async with Told().running() as world:
        path = world.source("s")
        await asyncio.sleep(1)
        world.receivers.fails["http://s"] = SourceUnavailable("down")
        world.make("ScaledObject")
        await asyncio.sleep(2)
        world.receivers.fails.clear()
        world.wire.calls.clear()
        await asyncio.sleep(10)
        assert world.receivers.types("http://s") == [READY]
        assert world.active(path)[0] == "True"
        assert writes(world) == []


async def test_what_waits_is_bounded_and_what_is_dropped_is_counted() -> None:
    async with Told().running() as world:
        world.source("s")
        await asyncio.sleep(1)
        world.receivers.silent.add("http://s")
        about = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
        metadata = {"namespace": SPACE, "name": "app", "uid": "u"}
        world.events.hear(about | {"metadata": metadata}, Reason.READY, "first")
        await asyncio.sleep(1)
        for number in range(QUEUED + 7):
            world.events.hear(about | {"metadata": metadata}, Reason.READY, str(number))
        samples = world.samples()
        assert samples["cloudeventsource_events_queued", SPACE] == QUEUED
        assert samples["cloudeventsource_events_emitted_total", SPACE, "s", "http", "failed"] == 7
        assert len([task for task in asyncio.all_tasks() if task.get_name() == "sink"]) == 1
        world.receivers.silent.clear()
        await asyncio.sleep(200)
        said = [event.message for event in world.receivers.got["http://s"]]
        assert said == ["first", *(str(number) for number in range(7, QUEUED + 7))]


# --- manifests, credentials -------------------------------------------------------------------------------------------


async def test_an_edit_goes_to_the_new_place_and_closes_the_old_one() -> None:
    async with Told().running() as world:
        path = world.source("s", CANARY)
        await asyncio.sleep(1)
        assert world.active(path)[2].startswith("events are not sent: unexpected ValueError")
        world.source("s", "nonsense")
        await asyncio.sleep(1)
        assert world.active(path)[2] == "events are not sent: destination: expected http:// and a host"
        world.make("ScaledObject")
        await asyncio.sleep(2)
        world.source("s", "http://one")
        await asyncio.sleep(2)
        assert world.active(path)[:2] == ("True", "CloudEventSourceActive")
        assert world.receivers.types("http://one") == [READY], "what came meanwhile has waited"
        world.source("s", "http://two")
        await asyncio.sleep(1)
        world.annotate("ScaledObject", paused="true")
        await asyncio.sleep(2)
        assert (world.receivers.types("http://one"), world.receivers.types("http://two")) == ([READY], [PAUSED])
        assert (world.receivers.opened, world.receivers.closed) == (
            {"http://one": 1, "http://two": 1},
            {"http://one": 1},
        )
        world.do("DELETE", path)
        await asyncio.sleep(1)
        assert world.receivers.closed["http://two"] == 1
        assert world.samples() == {}
        world.annotate("ScaledObject", paused=None)
        await asyncio.sleep(2)
        assert world.receivers.tries == {"http://one": 1, "http://two": 1}


@pytest.mark.parametrize("of_cluster", [False, True])
async def test_credentials_are_waited_for_followed_and_never_shown(of_cluster: bool) -> None:
    kind = "ClusterTriggerAuthentication" if of_cluster else "TriggerAuthentication"
    place = {"destination": {"azureEventGridTopic": {"endpoint": "https://topic"}}}
    with structlog.testing.capture_logs() as logs:
        async with Told().running() as world:
            path = world.source("s", of_cluster=of_cluster, authenticationRef={"name": "auth", "kind": kind}, **place)
            await asyncio.sleep(1)
            assert world.active(path)[0] == "False"
            assert f"{kind} {'' if of_cluster else f'{SPACE}/'}auth does not exist" in world.active(path)[2]
            world.authentication("auth", of_cluster=of_cluster, secretTargetRef=ref("s", "key", "accessKey"))
            await asyncio.sleep(2)
            assert "Secret" in world.active(path)[2]
            world.secret("s", namespace="keda" if of_cluster else SPACE, key=f"{CANARY}-1")
            await asyncio.sleep(2)
            assert world.active(path)[0] == "True"
            world.make("ScaledObject")
            await asyncio.sleep(2)
            world.secret("s", namespace="keda" if of_cluster else SPACE, key=f"{CANARY}-2")
            await asyncio.sleep(2)
            world.receivers.fails["https://topic"] = ScalerError("topic answered 401")
            world.annotate("ScaledObject", paused="true")
            await asyncio.sleep(20)
            world.receivers.fails.clear()
            world.annotate("ScaledObject", paused=None)
            await asyncio.sleep(2)
            # What is told of the authentication goes to the source as well.
            assert world.receivers.keys[-1] == f"{CANARY}-2"
            assert f"{CANARY}-1" in world.receivers.keys
            shown = f"{world.do('GET', path)} {world.told()} {world.receivers.got} {vars(world.events)}"
            for source in world.daemon.event_sources.values():
                shown += f"{vars(source)} {source._sink!r} {source._sink.to!r}"
    assert CANARY not in shown
    assert CANARY not in str(logs)


# --- quiet ------------------------------------------------------------------------------------------------------------


async def test_without_sources_there_are_two_watches_and_nothing_else() -> None:
    async with Told().running() as world:
        world.make("ScaledObject")
        await asyncio.sleep(20)
        calls = [call for call in world.wire.calls if "eventing" in call]
        assert sorted(calls) == [f"GET /{EVENTING}/cloudeventsources", f"GET /{EVENTING}/clustercloudeventsources"]
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "sink"]
        assert world.samples() == {}


async def test_a_steady_source_is_written_once_and_a_restart_sends_nothing() -> None:
    world = Told()
    async with world.running():
        path = world.source("s")
        world.make("ScaledObject")
        await asyncio.sleep(60)
        assert writes(world) == [f"PATCH {path}/status"]
    assert world.receivers.types("http://s") == [READY]
    world.wire.calls.clear()
    world.daemon = world.another(world.wire)
    async with world.running():
        await asyncio.sleep(300)
    assert writes(world) == []
    assert world.receivers.types("http://s") == [READY]


async def test_the_daemon_works_where_the_kinds_are_not_there() -> None:
    world = Told()
    for plural in ("cloudeventsources", "clustercloudeventsources"):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.eventing.keda.sh"
        world.do("DELETE", path)
    async with world.running():
        world.make("ScaledObject")
        await asyncio.sleep(2)
        assert world.ready("app")[0] == "True"


@pytest.mark.parametrize("of_cluster", [False, True])
async def test_one_that_keda_left_its_finalizer_on_goes_and_none_gets_it(of_cluster: bool) -> None:
    async with Told().running() as world:
        path = world.source("s", of_cluster=of_cluster)
        await asyncio.sleep(2)
        assert "finalizers" not in world.do("GET", path)["metadata"]
        world.do("PATCH", path, {"metadata": {"finalizers": [FINALIZER]}})
        world.do("DELETE", path)
        await asyncio.sleep(1)
        assert world.do("GET", path)["kind"] == "Status"


async def test_who_does_not_lead_sends_and_writes_nothing() -> None:
    world = Told(leadership=Leadership(elect=True))
    spec: dict[str, Any] = {"holderIdentity": "other", "leaseDurationSeconds": 60}
    world.put("apis/coordination.k8s.io/v1", "leases", LEASE, namespace="keda", spec=spec)
    async with world.running():
        path = world.source("s")
        world.authentication("auth")
        await asyncio.sleep(30)
        assert (writes(world), world.receivers.got) == ([], {})
        await asyncio.sleep(60)
        assert world.active(path)[0] == "True"
        world.make("ScaledObject", dial("a"), {"type": "dail", "metadata": {}})
        await asyncio.sleep(2)
        assert world.receivers.types("http://s") == [FAILED]
