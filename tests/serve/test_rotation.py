"""Where the certificate goes: Secret, servers, APIService, webhooks; and what happens when one is not as expected."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keda_py.kube.client import Client, Conflict, NotFound
from keda_py.kube.transport import Response
from keda_py.serve.rotation import CertificateKeeper, FileCertificates, Place, SecretCertificates
from keda_py.serve.tls import ServerTls
from keda_py.serve.trust import Service, TrustingApiService, TrustingWebhooks
from tests.memory import MemoryApi

from .conftest import bundle

SECRET = "/api/v1/namespaces/keda/secrets/kedaorg-certs"
SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/keda-admission"
PLACE = Place("keda", "kedaorg-certs")
START = datetime.now(UTC)


class World:
    def __init__(self) -> None:
        self.api = MemoryApi()
        self.now = START
        self.points_at("keda-metrics-apiserver")

    def points_at(self, service: str, **spec: Any) -> None:
        self.api.put(SERVICE, {"spec": {"service": {"namespace": "keda", "name": service}, **spec}})

    def keeper(self, source: FileCertificates | None = None) -> CertificateKeeper:
        client = Client(self.api)
        self.tls, self.webhook_tls = ServerTls(), ServerTls(asks_clients=False)
        own = SecretCertificates(client, PLACE, ["localhost"], lambda: self.now)
        trusting = (
            TrustingApiService(client, Service("keda", "keda-metrics-apiserver")),
            TrustingWebhooks(client, Service("keda", "keda-admission-webhooks"), "keda-admission"),
        )
        return CertificateKeeper(source or own, [self.tls, self.webhook_tls], trusting)

    def validates_at(self, *services: str) -> None:
        hooks = [{"name": name, "clientConfig": {"service": {"namespace": "keda", "name": name}}} for name in services]
        self.api.put(WEBHOOKS, {"webhooks": [*hooks, {"name": "by-url", "clientConfig": {"url": "https://a"}}]})

    @property
    def trusted_by_webhooks(self) -> dict[str, bytes]:
        found = self.api.objects[WEBHOOKS]["webhooks"]
        return {hook["name"]: b64decode(hook["clientConfig"].get("caBundle", "")) for hook in found}

    @property
    def trusted(self) -> bytes:
        return b64decode(self.api.objects[SERVICE]["spec"].get("caBundle", ""))

    @property
    def authority(self) -> bytes:
        return b64decode(self.api.objects[SECRET]["data"]["ca.crt"])


async def test_made_once_then_taken_from_the_secret() -> None:
    world = World()
    await world.keeper().check()
    assert world.tls.has_certificate
    assert world.trusted == world.authority
    writes = len(world.api.writes)
    for _ in range(3):
        await world.keeper().check()
        assert world.tls.has_certificate
    assert len(world.api.writes) == writes


async def test_renewed_in_time_and_put_right_again() -> None:
    world = World()
    keeper = world.keeper()
    await keeper.check()
    before = world.api.objects[SECRET]["data"]
    world.now += timedelta(days=300)
    await keeper.check()
    assert world.api.objects[SECRET]["data"]["tls.crt"] != before["tls.crt"]
    world.points_at("keda-metrics-apiserver", insecureSkipTLSVerify=True)
    await keeper.check()
    assert world.trusted == world.authority
    assert world.api.objects[SERVICE]["spec"]["insecureSkipTLSVerify"] is False


async def test_of_two_replicas_one_makes_it_and_the_other_takes_it() -> None:
    world = World()
    await world.keeper().check()
    made = world.api.objects.pop(SECRET)
    # The other one found nothing, and meanwhile it is there.
    world.api.put(SECRET, made)
    second = world.keeper()
    world.api.refuse.append(Response(409, b'{"reason": "AlreadyExists", "message": "exists"}'))
    world.now += timedelta(days=300)
    with pytest.raises(Conflict):
        await second.check()
    world.now = START
    await second.check()
    assert world.trusted == world.authority


async def test_another_ones_apiservice_is_left_alone() -> None:
    world = World()
    world.points_at("datadog-cluster-agent", caBundle="QQ==")
    with pytest.raises(ValueError, match="points at keda/datadog-cluster-agent and not at keda/keda-metrics-apiserver"):
        await world.keeper().check()
    assert world.trusted == b"A"
    assert world.tls.has_certificate


async def test_without_an_apiservice_there_still_is_a_certificate() -> None:
    world = World()
    world.api.delete(SERVICE)
    with pytest.raises(NotFound):
        await world.keeper().check()
    assert world.tls.has_certificate


async def test_a_secret_of_nonsense_is_made_anew() -> None:
    world = World()
    world.api.put(SECRET, {"data": {"tls.crt": "%%%", "ca.crt": b64encode(b"x").decode()}})
    await world.keeper().check()
    assert b"BEGIN CERTIFICATE" in world.authority


async def test_files_are_taken_as_they_are_and_again_when_they_change(tmp_path: Path) -> None:
    world = World()
    keeper = world.keeper(FileCertificates(tmp_path))
    with pytest.raises(FileNotFoundError):
        await keeper.check()
    for name in ("one", "two"):
        for file, content in bundle(name).data().items():
            (tmp_path / file).write_bytes(content)
        await keeper.check()
        assert world.trusted == (tmp_path / "ca.crt").read_bytes()
    assert SECRET not in world.api.objects


async def test_webhooks_are_told_the_authority_and_only_those_of_ours() -> None:
    world = World()
    world.validates_at("keda-admission-webhooks", "somebody-else")
    await world.keeper().check()
    trusted = {"keda-admission-webhooks": world.authority, "somebody-else": b"", "by-url": b""}
    assert world.trusted_by_webhooks == trusted
    assert world.webhook_tls.has_certificate
    writes = len(world.api.writes)
    await world.keeper().check()
    assert len(world.api.writes) == writes


async def test_another_ones_webhooks_are_left_alone_and_keep_nothing_from_the_apiservice() -> None:
    world = World()
    world.validates_at("somebody-else")
    with pytest.raises(ValueError, match="no webhook of the ValidatingWebhookConfiguration keda-admission points at"):
        await world.keeper().check()
    assert world.trusted == world.authority
    world.points_at("datadog-cluster-agent")
    with pytest.raises(ValueError, match=r"points at keda/datadog-cluster-agent.*; no webhook of"):
        await world.keeper().check()


async def test_whoever_changes_the_webhooks_meanwhile_is_not_overwritten() -> None:
    world = World()
    await world.keeper().check()
    world.points_at("datadog-cluster-agent")
    world.validates_at("keda-admission-webhooks")
    world.api.refuse.append(Response(409, b'{"reason": "Conflict", "message": "changed"}'))
    # Tried again soon, before the other problem is told.
    with pytest.raises(Conflict):
        await world.keeper().check()
    with pytest.raises(ValueError, match="points at"):
        await world.keeper().check()
    assert world.trusted_by_webhooks["keda-admission-webhooks"] == world.authority
