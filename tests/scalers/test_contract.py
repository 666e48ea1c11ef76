"""Every registered scaler keeps the contract that is there for everyone's."""

import pytest
from keda_py_scalers.kubernetes_resource import KubernetesResourceScaler

from keda_py.engine.registry import Registry
from keda_py.scaler import MetadataError, ScalerError
from keda_py.testing import FakeKubernetes, FakeSource, contract, made

REGISTRY = Registry.installed()
AUTH = {
    "username": "u",
    "password": "s3cret",
    "bearerToken": "t0ken",
    "apiKey": "k3y",
    "awsAccessKeyID": "k3y",
    "awsSecretAccessKey": "s3cret",
}
LAG = {"bootstrapServers": "a:9092", "consumerGroup": "g", "topic": "t", "sasl": "plaintext"}
GOOD = {
    "apache-kafka": LAG,
    "aws-sqs-queue": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/1/a", "awsRegion": "eu-west-1"},
    "cpu": {"value": "60"},
    "memory": {"value": "60"},
    "cron": {"start": "0 8 * * *", "end": "0 18 * * *", "timezone": "Etc/UTC", "desiredReplicas": "3"},
    "kafka": LAG,
    "kubernetes-resource": {"resourceKind": "Secret", "resourceName": "a", "key": "b", "targetValue": "1"},
    "kubernetes-workload": {"podSelector": "app=web", "value": "2"},
    "metrics-api": {"url": "http://a/b", "valueLocation": "c", "targetValue": "1", "authModes": "basic"},
    "prometheus": {"serverAddress": "http://a", "query": "up", "threshold": "1", "authModes": "basic"},
    "rabbitmq": {"host": "amqps://a", "queueName": "b", "mode": "QueueLength", "value": "1"},
}


@pytest.mark.parametrize("trigger_type", REGISTRY.types)
def test_every_scaler_keeps_it(trigger_type: str) -> None:
    metric_type = "Utilization" if trigger_type in ("cpu", "memory") else None
    contract(
        REGISTRY.load(trigger_type),
        GOOD[trigger_type],
        auth=AUTH,
        secrets=["s3cret", "t0ken", "k3y"],
        metric_type=metric_type,
    )


@pytest.mark.parametrize("trigger_type", ["prometheus", "metrics-api", "kafka", "apache-kafka", "rabbitmq"])
def test_other_credentials_are_another_source(trigger_type: str) -> None:
    scaler = REGISTRY.load(trigger_type)
    keys = set()
    for password in ("one", "two"):
        built = made(scaler, GOOD[trigger_type], auth=AUTH | {"password": password})
        keys.add(scaler.source_key(built.meta, built.trigger))
    assert len(keys) == 2


async def test_the_stand_ins_stand_in() -> None:
    question = ("Secret", "default", "a", "b")
    source = FakeSource({question: "7"})
    scaler = made(KubernetesResourceScaler, GOOD["kubernetes-resource"], source=source)
    assert [reading.value for reading in await scaler.get_metrics()] == [7]
    assert source.asked == [question]
    with pytest.raises(ScalerError, match="no answer to"):
        await source.ask("else")
    cluster = FakeKubernetes({"secrets": [{"metadata": {"name": "a", "namespace": "default"}, "data": {"b": "Nw=="}}]})
    assert await KubernetesResourceScaler.answer(cluster, question) == "7"
    with pytest.raises(ScalerError, match="secrets default/c not found"):
        await cluster.get("v1", "secrets", "default", "c")
    with pytest.raises(MetadataError, match="targetValue"):
        made(KubernetesResourceScaler, GOOD["kubernetes-resource"] | {"targetValue": "0"})
