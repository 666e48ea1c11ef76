"""The `kubernetes-resource` trigger: a number kept in a ConfigMap or Secret."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from keda_py_scalers.kubernetes_resource import KubernetesResourceScaler

from keda_py.scaler import ScalerError

from .asking import Asked, asking, read, value


class Objects:
    """A cluster with one ConfigMap and one Secret."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = 0

    async def list(self, *_: Any, label_selector: str = "") -> Any:
        raise ScalerError("not here")

    async def get(self, api_version: str, plural: str, namespace: str, name: str) -> Any:
        self.asked += 1
        if (api_version, namespace, name) != ("v1", "ns", "limits"):
            raise ScalerError(f"{plural} {name!r} not found")
        secret = plural == "secrets"
        return {"data": {"n": b64encode(self.text.encode()).decode() if secret else self.text}}


def asked(**metadata: str) -> Asked:
    given = {"resourceKind": "ConfigMap", "resourceName": "limits", "key": "n", "targetValue": "5"}
    return Asked(KubernetesResourceScaler, given | metadata)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize(
    ("text", "metadata", "number"),
    [
        ("7", {}, 7),
        (" 7.5\n", {}, 7.5),
        ("7abc", {}, 7),
        ("7.9", {"valueType": "int64"}, 7),
        ("250m", {"valueType": "quantity"}, 0.25),
        ('{"a": {"b": 3}}', {"format": "json", "valueLocation": "a.b"}, 3),
        ('{"a": "1Ki"}', {"format": "json", "valueLocation": "a"}, 1024),
        ('{"a": 3.9}', {"format": "json", "valueLocation": "a", "valueType": "int64"}, 3),
        ("a:\n  b: [1, 2]", {"format": "yaml", "valueLocation": "a.b.1"}, 2),
        ("a: '4 apples'", {"format": "yaml", "valueLocation": "a"}, 4),
        ("a: 1k", {"format": "yaml", "valueLocation": "a", "valueType": "quantity"}, 1000),
    ],
)
async def test_a_number_is_found(kind: str, text: str, metadata: dict[str, str], number: float) -> None:
    outcome = await read(asked(resourceKind=kind, **metadata), kubernetes=Objects(text))
    assert value(outcome) == number
    assert list(outcome.readings) == [f"s0-{kind.lower()}-limits-n"]


@pytest.mark.parametrize(
    ("text", "metadata", "says"),
    [
        ("", {}, "does not begin with a number"),
        ("many", {}, "does not begin with a number"),
        ("many", {"valueType": "quantity"}, "no quantity"),
        ("7", {"key": "m"}, "the ConfigMap ns/limits has no key m"),
        ("7", {"resourceName": "other"}, "configmaps 'other' not found"),
        ("{}", {"format": "json", "valueLocation": "a"}, "not found"),
        ('{"a": "5"}', {"format": "json", "valueLocation": "a", "valueType": "int64"}, "needs a number"),
        ("a: [", {"format": "yaml", "valueLocation": "a"}, "not YAML"),
        ("a: {b: 1}", {"format": "yaml", "valueLocation": "a"}, "an object"),
        ("a: nan", {"format": "yaml", "valueLocation": "a"}, "does not begin with a number"),
    ],
)
async def test_what_is_no_number_is_told(text: str, metadata: dict[str, str], says: str) -> None:
    outcome = await read(asked(**metadata), kubernetes=Objects(text))
    assert says in str(outcome.failure)
    assert outcome.active is None


async def test_a_secret_that_is_no_text_is_told() -> None:
    class Binary(Objects):
        async def get(self, *_: Any) -> Any:
            return {"data": {"n": b64encode(b"\xff\xfe").decode()}}

    outcome = await read(asked(resourceKind="Secret"), kubernetes=Binary(""))
    assert "is no text" in str(outcome.failure)


async def test_the_same_key_is_read_once_for_several_triggers() -> None:
    cluster = Objects("7")
    async with asking(asked(), asked(targetValue="9"), kubernetes=cluster) as triggers:
        # Together: an answer is young for 10 ms only.
        told = await asyncio.gather(*(trigger.current() for trigger in triggers))
    assert [value(outcome) for outcome in told] == [7, 7]
    assert cluster.asked == 1
