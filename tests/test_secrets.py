"""No secret shows anywhere: canaries in every place that credentials come from, against sources that are up to no good.

Each canary is one of a kind and known by what it was planted as. All triggers that take credentials are at work on the
embedded cluster, against a source that refuses, one that answers well, and ones that answer with all that they were
told, credentials among it. Then everything is searched that leaves the daemon or describes it.
"""

import asyncio
import base64
import gc
import hashlib
import json
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import prometheus_client
import pytest
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from keda_py import log
from keda_py.engine.metrics import MetricUnavailableError, MetricUnknownError, read_metric
from keda_py.engine.registry import Registry
from keda_py.parameter import Origin, declared_parameters
from keda_py.settings import Settings
from tests.brokers.certificate import Authority
from tests.pages import NAMESPACE, Tried, deployment, trying
from tests.servers import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LONG: Final = 300.0
DOORS: Final = ("well", "parrot", "scold", "refuses", "mute")
"""Sources: one that answers well, two that answer with what they were told, with success and without, nobody, and one
that only listens."""
WAYS: Final = ("secret", "variable", "cluster")
"""Where a credential comes from: a Secret, a variable of the target, a Secret for the whole cluster."""
OURS: Final = ("keda_py.", "keda_py_scalers.")
EMBEDDED: Final = "keda_py.devcluster"
"""The API server, which keeps Secrets as an API server does, and is no part of the daemon."""


THEIRS: Final = (BadHttpMessage,)
"""What the sources here stumble over: they are in the same process."""


_BEGINNING: Final = "cnry"
_MARKS: Final = {
    _BEGINNING,
    # What base64 makes of the beginning at each place modulo three, as far as nothing beside it counts.
    *(
        base64.b64encode(b"x" * shift + _BEGINNING.encode()).decode()[-(-shift * 8 // 6) : (shift + 4) * 8 // 6]
        for shift in range(3)
    ),
}


@dataclass
class Canaries:
    """Texts that must not show, and what each was planted as."""

    planted: dict[str, str] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    """Those that stand in a manifest, which describes itself with all that it says."""

    _marks: set[str] = field(default_factory=lambda: set(_MARKS))
    """Without one of these a text has none of them: most texts are passed over quickly."""

    def hatch(self, where: str) -> str:
        """Return a new one: letters and digits, which no way of writing it down changes but base64."""
        made = f"{_BEGINNING}{hashlib.sha256(where.encode()).hexdigest()[:20]}"
        self.planted[made] = where
        return made

    def plant(self, where: str, text: str) -> str:
        """Let a text that is given, such as a line of a key, be one."""
        self.planted[text] = where
        self._marks |= {form for form, about in self._forms() if about == where}
        return text

    def seen_in(self, text: str) -> list[str]:
        """Return what shows in a text, be it as it is or encoded, alone or between other things."""
        if not any(mark in text for mark in self._marks):
            return []
        return sorted({where for form, where in self._forms() if form in text})

    def _forms(self) -> Iterator[tuple[str, str]]:
        for canary, where in self.planted.items():
            yield canary, where
            for shift in range(3):
                # Base64 is another text for each place modulo three that a thing begins at; its ends depend on others.
                encoded = base64.b64encode(b"x" * shift + canary.encode()).decode()
                yield encoded[4 if shift else 0 : -4], where


# --- sources ----------------------------------------------------------------------------------------------------------


async def _told_back(request: web.Request) -> web.Response:
    usual = {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type"}
    told = [value for key, value in request.headers.items() if key not in usual]
    text = f"{told} {request.query_string} {await request.text()}"
    return web.json_response({"error": text, "error_description": text}, status=request.app[STATUS])


STATUS: Final = web.AppKey("status", int)


async def _well(request: web.Request) -> web.Response:
    queue = {"name": "q", "messages": 3, "messages_ready": 3, "messages_unacknowledged": 0, "reductions": 1}
    sqs = dict.fromkeys(("", "NotVisible", "Delayed"), "1")
    sample = {"metric": {}, "value": [1, "3"]}
    return web.json_response(
        {
            "n": 3,
            "status": "success",
            "data": {"resultType": "vector", "result": [sample]},
            "Attributes": {f"ApproximateNumberOfMessages{key}": value for key, value in sqs.items()},
            "access_token": "token",
            "expires_in": 60,
            **queue,
        }
    )


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def doors() -> AsyncIterator[dict[tuple[str, str], str]]:
    """Open sources; yield the address of each, by "http" or "tcp" and what it does."""
    async with AsyncExitStack() as stack:
        found = {(kind, "refuses"): f"127.0.0.1:{free_port()}" for kind in ("http", "tcp")}
        answering = (("well", _well, 200), ("parrot", _told_back, 200), ("scold", _told_back, 401))
        for name, handler, status in answering:
            application = web.Application()
            application[STATUS] = status
            application.router.add_route("*", "/{tail:.*}", handler)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            found["http", name] = f"127.0.0.1:{runner.addresses[0][1]}"
        for name, handle in (("parrot", _echo), ("scold", _echo), ("mute", _listen), ("well", _listen)):
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            stack.callback(server.close)
            found["tcp", name] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found["http", "mute"] = found["tcp", "mute"]
        yield found


# --- triggers ---------------------------------------------------------------------------------------------------------

BASES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "metrics-api": ("http", {"url": "http://DOOR/stats", "valueLocation": "n", "targetValue": "5"}),
    "prometheus": ("http", {"serverAddress": "http://DOOR", "query": "up", "threshold": "5"}),
    "aws-sqs-queue": ("http", {"queueURL": "http://DOOR/1/q", "awsRegion": "eu-west-1", "awsEndpoint": "http://DOOR"}),
    "rabbitmq": ("tcp", {"queueName": "q", "mode": "QueueLength", "value": "5"}),
    "kafka": ("tcp", {"bootstrapServers": "DOOR", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}),
    "apache-kafka": ("tcp", {"bootstrapServers": "DOOR", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}),
}
PLAIN: Final = {"username": "user", "password": "CANARY"}
OAUTH: Final = {"oauthTokenURI": "http://HTTP/token", "clientID": "me", "clientSecret": "CANARY", "scopes": "all"}
TLS: Final = {"cert": "CERTIFICATE", "key": "KEY", "ca": "CERTIFICATE"}
BROKEN_TLS: Final = {"cert": "CERTIFICATE", "key": "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"}
OVER_HTTP: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "basic": ({"MODES": "basic"}, PLAIN),
    "bearer": ({"MODES": "bearer"}, {"bearerToken": "CANARY"}),
    "two lines": ({"MODES": "bearer"}, {"bearerToken": "CANARY\nCANARY"}),
    "no ascii": ({"MODES": "basic"}, {"username": "usér", "password": "CANARYé€"}),
    "custom": ({"MODES": "custom"}, {"customAuthHeader": "X-Token", "customAuthValue": "CANARY"}),
    "header is a canary": ({"MODES": "custom"}, {"customAuthHeader": "CANARY x:", "customAuthValue": "CANARY"}),
    "oauth": ({"MODES": "oauth"}, OAUTH),
    "oauth parameters": ({"MODES": "oauth"}, {**OAUTH, "endpointParams": "secret=CANARY"}),
    "oauth nowhere": ({"MODES": "oauth"}, {**OAUTH, "oauthTokenURI": "http://user:CANARY@HTTP:x/token"}),
    "tls": ({"MODES": "tls"}, TLS),
    "broken tls": ({"MODES": "tls"}, BROKEN_TLS),
}
API_KEY: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "key in a header": ({"MODES": "apiKey"}, {"apiKey": "CANARY"}),
    "key in the query": ({"MODES": "apiKey"}, {"apiKey": "CANARY", "method": "query"}),
}
KAFKA: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "plaintext": ({}, {"sasl": "plaintext", **PLAIN}),
    "scram": ({}, {"sasl": "scram_sha512", **PLAIN}),
    "tls": ({}, {"tls": "enable", **TLS}),
    "broken tls": ({}, {"tls": "enable", **BROKEN_TLS}),
    "encrypted key": ({}, {"tls": "enable", **TLS, "keyPassword": "CANARY"}),
}
MODES: Final[dict[str, dict[str, tuple[dict[str, str], dict[str, str]]]]] = {
    "metrics-api": OVER_HTTP | API_KEY,
    "prometheus": OVER_HTTP,
    "aws-sqs-queue": {
        "keys": ({}, {"awsAccessKeyID": "CANARY", "awsSecretAccessKey": "CANARY", "awsSessionToken": "CANARY"}),
    },
    "rabbitmq": {
        "amqp url": ({}, {"host": "amqp://user:CANARY@DOOR/v"}),
        "amqp url, quoted": ({}, {"host": "amqp://user:%40CANARY%2F@DOOR/v"}),
        "amqp url that makes no sense": ({}, {"host": "amqp://user:CANARY@[DOOR/v"}),
        "amqp url without a port": ({}, {"host": "amqp://user:CANARY@DOOR:port/v"}),
        "no url": ({}, {"host": "CANARY"}),
        "another scheme": ({}, {"host": "CANARY://DOOR"}),
        "http url": ({}, {"host": "http://user:CANARY@HTTP/v"}),
        "http url, a path": ({}, {"host": "http://user:CANARY@HTTP/a/CANARY/v"}),
        "amqp user": ({}, {"host": "amqp://DOOR/v", **PLAIN}),
        "http user": ({}, {"host": "http://HTTP/v", **PLAIN}),
        "tls": ({}, {"host": "amqps://DOOR/v", "tls": "enable", **TLS}),
        "broken tls": ({}, {"host": "amqps://DOOR/v", "tls": "enable", **BROKEN_TLS}),
        "encrypted key": ({}, {"host": "https://HTTP/v", "tls": "enable", **TLS, "keyPassword": "CANARY"}),
        "oauth": ({}, {"host": "http://HTTP/v", **OAUTH}),
    },
    "kafka": KAFKA
    | {
        "oauthbearer": ({}, {"sasl": "oauthbearer", **PLAIN, "oauthTokenEndpointUri": "http://HTTP/token"}),
        "extensions": (
            {},
            {"sasl": "oauthbearer", **PLAIN, "oauthTokenEndpointUri": "http://HTTP/token", "oauthExtensions": "CANARY"},
        ),
        "gssapi": ({}, {"sasl": "gssapi", **PLAIN, "realm": "R", "kerberosConfig": "CANARY", "keytab": "CANARY"}),
    },
    "apache-kafka": KAFKA
    | {
        "msk": (
            {"awsRegion": "eu-west-1"},
            {"sasl": "aws_msk_iam", "tls": "enable", "awsAccessKeyID": "CANARY", "awsSecretAccessKey": "CANARY"},
        )
    },
}  # fmt: skip
NAMED: Final = frozenset(
    {
        *("queueName", "topic", "consumerGroup", "bootstrapServers", "queueURL", "vhostName", "namespace"),
        *("url", "serverAddress", "query", "valueLocation"),
    }
)
"""What says whom to ask for what: metric names and errors tell it on purpose."""


@dataclass
class Garden:
    """Everything that is planted."""

    addresses: Mapping[tuple[str, str], str]
    canaries: Canaries = field(default_factory=Canaries)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._authority = Authority()

    def fill(self) -> None:
        """Plant all there is: each way to say who one is at each door, and each parameter with a value that is none."""
        count = 0
        for type_, modes in MODES.items():
            for mode, (metadata, parameters) in modes.items():
                for door in DOORS:
                    self._credentials(type_, f"{mode}, {door}", metadata, parameters, door=door, way=WAYS[count % 3])
                    count += 1
        for type_ in BASES:
            for _, parameter in declared_parameters(Registry.installed().load(type_).metadata):
                for origin in set(parameter.order):
                    self._nonsense(type_, parameter.names[0], origin)

    def _credentials(
        self, type_: str, mode: str, metadata: dict[str, str], parameters: dict[str, str], *, door: str, way: str
    ) -> None:
        about = f"{type_}: {mode}, {way}"
        made = {key: self._filled(text, f"{about}: {key}", door) for key, text in parameters.items()}
        kind, base = BASES[type_]
        shown = {key: text.replace("DOOR", self.addresses[kind, door]) for key, text in base.items()}
        mode_key = "authMode" if type_ == "metrics-api" else "authModes"
        shown |= {mode_key if key == "MODES" else key: text for key, text in metadata.items()}
        self._scaled(type_, shown, made, way)

    def _nonsense(self, type_: str, parameter: str, origin: Origin) -> None:
        """Give a parameter a canary for a value, whatever it should be."""
        if parameter in NAMED:
            return
        kind, base = BASES[type_]
        shown = {key: text.replace("DOOR", self.addresses[kind, "parrot"]) for key, text in base.items()}
        if type_ == "rabbitmq":
            shown["host"] = f"http://{self.addresses['http', 'parrot']}/v"
        canary = self.canaries.hatch(f"{type_}: nonsense for {parameter} in {origin}")
        shown.pop(parameter, None)
        match origin:
            case Origin.TRIGGER:
                self.canaries.shown.add(self.canaries.planted[canary])
                self._scaled(type_, {**shown, parameter: canary}, {}, "secret")
            case Origin.ENV:
                self._scaled(type_, {**shown, f"{parameter}FromEnv": "NONSENSE"}, {"NONSENSE": canary}, "target")
            case Origin.AUTH:
                self._scaled(type_, shown, {parameter: canary}, "secret")

    def _filled(self, text: str, where: str, door: str) -> str:
        if text in ("CERTIFICATE", "KEY"):
            certificate, key = self._authority.issue("localhost")
            if text == "KEY":
                self.canaries.plant(where, key.splitlines()[1])
            return certificate if text == "CERTIFICATE" else key
        text = text.replace("DOOR", self.addresses["tcp", door]).replace("HTTP", self.addresses["http", door])
        return text.replace("CANARY", self.canaries.hatch(where)) if "CANARY" in text else text

    def _scaled(self, type_: str, metadata: dict[str, str], parameters: dict[str, str], way: str) -> None:
        name = f"o{len(self.names)}"
        self.names.append(name)
        target = deployment(name)
        trigger: dict[str, Any] = {"type": type_, "metadata": metadata}
        if parameters:
            self.manifests.append(_secret(name, parameters, namespace="keda" if way == "cluster" else NAMESPACE))
            from_secret = [{"name": f"V_{key}", "valueFrom": _key(name, key)} for key in parameters]
            if way == "target":
                from_secret = [{"name": key, "valueFrom": _key(name, key)} for key in parameters]
            if way in ("variable", "target"):
                target["spec"]["template"]["spec"]["containers"][0]["env"] = from_secret
            if way != "target":
                trigger["authenticationRef"] = {"name": name}
                self.manifests.append(_authentication(name, parameters, way))
            if way == "cluster":
                trigger["authenticationRef"]["kind"] = "ClusterTriggerAuthentication"
        spec = {"scaleTargetRef": {"name": name}, "triggers": [trigger], "pollingInterval": 5}
        made = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}
        self.manifests += [target, made]


def _secret(name: str, values: dict[str, str], *, namespace: str) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data}


def _key(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def _authentication(name: str, parameters: dict[str, str], way: str) -> dict[str, Any]:
    if way == "variable":
        spec: dict[str, Any] = {"env": [{"parameter": key, "name": f"V_{key}"} for key in parameters]}
    else:
        spec = {"secretTargetRef": [{"parameter": key, "name": name, "key": key} for key in parameters]}
    kind = "ClusterTriggerAuthentication" if way == "cluster" else "TriggerAuthentication"
    return {"apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


# --- the search -------------------------------------------------------------------------------------------------------


EVENTS: Final = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"


def told(cluster: Tried, garden: Garden) -> bool:
    """Whether each object has been looked at, and events have told of what is wrong: they come a little later."""
    said = [cluster.ready(name) for name in garden.names]
    notes = {event["note"] for event in cluster.listed(EVENTS)}
    return all(status and (status == "True" or message in notes) for status, message in said)


def objects(cluster: Tried, garden: Garden) -> Iterator[tuple[str, str]]:
    """Yield what the API server shows of all that the daemon writes."""
    for name in garden.names:
        found = cluster.get("keda.sh/v1alpha1", "ScaledObject", name) or {}
        yield f"ScaledObject {name}", json.dumps({key: part for key, part in found.items() if key != "spec"})
    for path in (
        f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers",
        EVENTS,
        "/apis/keda.sh/v1alpha1/triggerauthentications",
        "/apis/keda.sh/v1alpha1/clustertriggerauthentications",
    ):
        found_here = cluster.listed(path)
        assert found_here, f"there is something at {path}"
        for item in found_here:
            yield f"{path} {item['metadata']['name']}", json.dumps(item)


async def answers(cluster: Tried) -> AsyncIterator[tuple[str, str]]:
    """Yield what the HPA controller is told."""
    for key, live in list(cluster.daemon.live.items()):
        for metric in [name for trigger in live.working() for name in trigger.external_names]:
            try:
                said = str(await read_metric(cluster.daemon.live, *key, metric))
            except (MetricUnavailableError, MetricUnknownError) as error:
                said = f"{error} {error!r}"
            yield f"metric {metric} of {key[1]}", said


def metrics(cluster: Tried) -> str:
    registry = prometheus_client.CollectorRegistry()
    registry.register(cluster.daemon.telemetry)
    return prometheus_client.generate_latest(registry).decode()


def described() -> Iterator[tuple[str, str]]:
    """Yield how all objects of ours that are alive describe themselves, and all tasks and exceptions."""
    gc.collect()
    for found in gc.get_objects():
        module = str(type(found).__module__)
        ours = module.startswith(OURS) and not module.startswith(EMBEDDED)
        if ours or (isinstance(found, BaseException | asyncio.Task) and not isinstance(found, THEIRS)):
            yield f"{module}.{type(found).__qualname__}", f"{found!r} {found}"


async def all_told(cluster: Tried, garden: Garden) -> None:
    """Wait until every object says how it is; looked at seldom, for the daemon is in the same process."""
    async with asyncio.timeout(LONG):
        while not told(cluster, garden):
            await asyncio.sleep(3)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("encoder", ["json", "console"])
async def test_no_canary_shows_anywhere(encoder: str, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings(log_level="debug", log_encoder=encoder))
    leaks: dict[str, list[str]] = {}

    def search(where: str, text: str, *, besides: Collection[str] = ()) -> None:
        for leak in garden.canaries.seen_in(text):
            if leak not in besides:
                leaks.setdefault(leak, []).append(where)

    async with doors() as addresses:
        garden = Garden(addresses)
        garden.fill()
        async with trying() as cluster:
            cluster.apply(*garden.manifests)
            await all_told(cluster, garden)
            assert {cluster.ready(name)[0] for name in garden.names} >= {"True", "False"}, "some read well, some do not"
            for where, text in objects(cluster, garden):
                search(where, text)
            async for where, text in answers(cluster):
                search(where, text)
            search("/metrics", metrics(cluster))
            seen = 0
            for what, text in described():
                seen += 1
                search(f"an object: {what}", text, besides=garden.canaries.shown)
            assert seen > 10 * len(garden.names), "they are there to be looked at"
    said = "".join(capfd.readouterr())
    for line in said.splitlines():
        search(f"log: {re.sub('cnry[0-9a-f]*', 'CANARY', line)[:300]}", line)
    assert said.count("\n") > len(garden.names)
    assert not leaks, "\n".join(f"{leak} shows in {sorted(set(where))[:4]}" for leak, where in sorted(leaks.items()))
