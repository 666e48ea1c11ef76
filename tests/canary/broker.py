"""Canaries at real brokers, which have their own words for a password that is wrong: a RabbitMQ and a Kafka."""

from pathlib import Path
from typing import Any, Final

from tests.brokers.certificate import Authority
from tests.brokers.kafka import PASSWORD, USER, Listener, certified, sasl
from tests.brokers.kafka import Broker as Kafka
from tests.brokers.kafka_admin import administered
from tests.brokers.rabbitmq import Broker as RabbitMQ

from .canary import Canaries
from .garden import Garden

TLS, SASL = "TLS", "SASL"
TOPIC: Final = "canaries"
REFUSES: Final = "the broker refuses the user name or the password"


def plant_at_rabbitmq(garden: Garden, broker: RabbitMQ) -> None:
    """Plant users of a queue: one who may read it, and ones who may not, by either protocol."""
    canaries, address = garden.canaries, "127.0.0.1:{}"
    right, wrong = canaries.hatch("rabbitmq: a password"), canaries.hatch("rabbitmq: a wrong password")
    broker.add_user("reader", right)
    broker.call("PUT", "/api/queues/%2F/q", {"durable": True})
    for scheme, refusal in (("amqp", REFUSES), ("http", "answered 401")):
        place = address.format(broker.ports[scheme])
        for word, queue, says in ((right, "q", "True"), (right, "none", "no queue none"), (wrong, "q", refusal)):
            trigger = _on_queue(queue)
            garden.given(trigger, {"host": f"{scheme}://reader:{word}@{place}/"}, says=says)
            # Letters may be written as numbers.
            garden.given(trigger, {"host": f"{scheme}://reader:%63{word[1:]}@{place}/"}, says=says)
            apart = {"host": f"{scheme}://{place}/", "username": "reader", "password": word}
            garden.given(trigger, apart, "variable", says=says)
    elsewhere = f"amqp://reader:{right}@{address.format(broker.ports['amqp'])}/elsewhere"
    garden.given(_on_queue("q"), {"host": elsewhere}, says="refuses the virtual host elsewhere")
    for protocol, says in (("amqps", REFUSES), ("https", "answered 401")):
        word = canaries.hatch(f"rabbitmq: a key's password over {protocol}")
        for used, then in ((word, says), (wrong, "keyPassword is not that of the key")):
            pair = _encrypted(canaries, broker.authority, f"rabbitmq, {protocol}", word)
            host = f"{protocol}://reader:{wrong}@localhost:{broker.ports[protocol]}/"
            given = {"host": host, "tls": "enable", "ca": broker.authority.pem, **pair, "keyPassword": used}
            garden.given(_on_queue("q"), given, says=then)


def _on_queue(name: str) -> dict[str, Any]:
    return {"type": "rabbitmq", "metadata": {"queueName": name, "mode": "QueueLength", "value": "5"}}


def _encrypted(canaries: Canaries, authority: Authority, about: str, word: str) -> dict[str, str]:
    certificate, key = authority.issue("reader", password=word)
    return {"cert": certificate, "key": canaries.plant_key(f"{about}: an encrypted key", key)}


def secure_listeners(folder: Path, authority: Authority) -> list[Listener]:
    """Return a listener that wants a certificate, and one that wants a password, or a token."""
    secure = certified(folder, authority, trusted=authority)
    return [Listener(TLS, "SSL", secure | {"ssl.client.auth": "required"}), sasl(SASL, secure)]


async def fill_topic(broker: Kafka) -> None:
    """Make what there is to read."""
    async with administered(broker.address) as admin:
        await admin.topic(TOPIC)
        await admin.produce(TOPIC, 0, 5)
        await admin.commit("readers", {(TOPIC, 0): 2})


def plant_at_kafka(garden: Garden, broker: Kafka, authority: Authority, *, token_endpoint: str) -> None:
    """Plant who may read a topic and who may not; `token_endpoint`: issues tokens that the broker does not take."""
    canaries = garden.canaries
    right = canaries.plant("kafka: the password", PASSWORD)
    wrong = canaries.hatch("kafka: a wrong password")
    refused = "refused the credentials"
    for type_ in ("kafka", "apache-kafka"):
        trigger = _on_topic(type_, broker, SASL)
        for mechanism in ("plaintext", "scram_sha256", "scram_sha512"):
            for word, says in ((right, "True"), (wrong, refused)):
                login = {"sasl": mechanism, "username": USER, "password": word, "ca": authority.pem}
                garden.given(trigger, {"tls": "enable", **login}, says=says)
        token = {"sasl": "oauthbearer", "username": "me", "password": wrong, "oauthTokenEndpointUri": token_endpoint}
        if type_ == "kafka":
            garden.given(trigger, {"tls": "enable", **token, "ca": authority.pem}, says=refused)
        word = canaries.hatch(f"{type_}: a key's password")
        for used, says in ((word, "True"), (wrong, "keyPassword is not that of the key")):
            pair = _encrypted(canaries, authority, type_, word)
            given = {"tls": "enable", "ca": authority.pem, **pair, "keyPassword": used}
            garden.given(_on_topic(type_, broker, TLS), given, says=says)


def _on_topic(type_: str, broker: Kafka, listener: str) -> dict[str, Any]:
    servers = f"localhost:{broker.listeners[listener].port}"
    metadata = {"bootstrapServers": servers, "consumerGroup": "readers", "topic": TOPIC, "lagThreshold": "5"}
    return {"type": type_, "metadata": metadata}
