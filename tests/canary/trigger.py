"""Triggers of each type that takes credentials, in every way it takes them; and each parameter with nonsense in it."""

from collections.abc import Mapping
from typing import Any, Final

from keda_py.engine.registry import Registry
from keda_py.parameter import Origin, declared_parameters
from tests.brokers.certificate import Authority

from .garden import WAYS, Garden
from .source import DOORS

Addresses = Mapping[tuple[str, str], str]
"""Of sources, by "http" or "tcp" and what they do."""
BASES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "metrics-api": ("http", {"url": "http://DOOR/stats", "valueLocation": "n", "targetValue": "5"}),
    "prometheus": ("http", {"serverAddress": "http://DOOR", "query": "up", "threshold": "5"}),
    "aws-sqs-queue": ("http", {"queueURL": "http://DOOR/1/q", "awsRegion": "eu-west-1", "awsEndpoint": "http://DOOR"}),
    "rabbitmq": ("tcp", {"queueName": "q", "mode": "QueueLength", "value": "5"}),
    "kafka": ("tcp", {"bootstrapServers": "DOOR", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}),
    "apache-kafka": ("tcp", {"bootstrapServers": "DOOR", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}),
}
Modes = dict[str, tuple[dict[str, str], dict[str, str]]]
"""Ways to say who one is: what stands in the trigger, and what comes from elsewhere."""
PLAIN: Final = {"username": "user", "password": "CANARY"}
OAUTH: Final = {"oauthTokenURI": "http://HTTP/token", "clientID": "me", "clientSecret": "CANARY", "scopes": "all"}
TLS: Final = {"cert": "CERTIFICATE", "key": "KEY", "ca": "CERTIFICATE"}
BROKEN_TLS: Final = {"cert": "CERTIFICATE", "key": "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"}
OVER_HTTP: Final[Modes] = {
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
API_KEY: Final[Modes] = {
    "key in a header": ({"MODES": "apiKey"}, {"apiKey": "CANARY"}),
    "key in the query": ({"MODES": "apiKey"}, {"apiKey": "CANARY", "method": "query"}),
}
SIGNED: Final = {"awsAccessKeyID": "CANARY", "awsSecretAccessKey": "CANARY", "awsSessionToken": "CANARY"}
KAFKA: Final[Modes] = {
    "plaintext": ({}, {"sasl": "plaintext", **PLAIN}),
    "scram": ({}, {"sasl": "scram_sha512", **PLAIN}),
    "tls": ({}, {"tls": "enable", **TLS}),
    "broken tls": ({}, {"tls": "enable", **BROKEN_TLS}),
    "encrypted key": ({}, {"tls": "enable", **TLS, "keyPassword": "CANARY"}),
}
MODES: Final[dict[str, Modes]] = {
    "metrics-api": OVER_HTTP | API_KEY,
    "prometheus": OVER_HTTP | {"signed": ({"awsRegion": "eu-west-1"}, SIGNED)},
    "aws-sqs-queue": {
        "keys": ({}, SIGNED),
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


def based(type_: str, addresses: Addresses, door: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return a trigger of a type that is complete but for who it is."""
    kind, base = BASES[type_]
    shown = {key: text.replace("DOOR", addresses[kind, door]) for key, text in base.items()}
    return {"type": type_, "metadata": shown | dict(metadata)}


class Planting:
    """Plants triggers that ask some sources; `every`: only each so-manieth."""

    def __init__(self, garden: Garden, addresses: Addresses, *, every: int = 1) -> None:
        self._garden = garden
        self._addresses = addresses
        self._every = every
        self._authority = Authority()

    def credentials(self) -> None:
        """Plant each way to say who one is, at each door."""
        cases = [(type_, mode, door) for type_, modes in MODES.items() for mode in modes for door in DOORS]
        for count, (type_, mode, door) in enumerate(cases[:: self._every]):
            metadata, parameters = MODES[type_][mode]
            way = WAYS[count % len(WAYS)]
            made = {
                key: self._filled(text, f"{type_}: {mode}, {door}, {way}: {key}", door)
                for key, text in parameters.items()
            }
            modes_key = "authMode" if type_ == "metrics-api" else "authModes"
            named = {modes_key if key == "MODES" else key: text for key, text in metadata.items()}
            self._garden.given(based(type_, self._addresses, door, named), made, way)

    def nonsense(self) -> None:
        """Plant a canary as the value of each parameter, whatever it should be, from wherever it may come."""
        cases = [
            (type_, parameter.names[0], origin)
            for type_ in BASES
            for _, parameter in declared_parameters(Registry.installed().load(type_).metadata)
            for origin in sorted(set(parameter.order))
            if parameter.names[0] not in NAMED
        ]
        for type_, name, origin in cases[:: self._every]:
            self._nonsense(type_, name, origin)

    def _nonsense(self, type_: str, parameter: str, origin: Origin) -> None:
        canaries = self._garden.canaries
        canary = canaries.hatch(f"{type_}: nonsense for {parameter} in {origin}")
        host = {"host": f"http://{self._addresses['http', 'parrot']}/v"} if type_ == "rabbitmq" else {}
        trigger = based(type_, self._addresses, "parrot", host)
        trigger["metadata"].pop(parameter, None)
        match origin:
            case Origin.TRIGGER:
                canaries.shown.add(canaries.planted[canary])
                trigger["metadata"][parameter] = canary
                self._garden.scaled(trigger)
            case Origin.ENV:
                trigger["metadata"][f"{parameter}FromEnv"] = "NONSENSE"
                self._garden.from_target(trigger, {"NONSENSE": canary})
            case Origin.AUTH:
                self._garden.given(trigger, {parameter: canary})

    def _filled(self, text: str, where: str, door: str) -> str:
        if text in ("CERTIFICATE", "KEY"):
            certificate, key = self._authority.issue("localhost")
            return certificate if text == "CERTIFICATE" else self._garden.canaries.plant_key(where, key)
        text = text.replace("DOOR", self._addresses["tcp", door]).replace("HTTP", self._addresses["http", door])
        return text.replace("CANARY", self._garden.canaries.hatch(where)) if "CANARY" in text else text
