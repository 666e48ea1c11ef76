"""What a container's process gets as its environment, and what it is told that it lacks."""

import base64
from typing import Any

import pytest

from keda_py.devcluster.environment import ConfigError, command, environment

Object = dict[str, Any]
POD = {
    "metadata": {"name": "orders-1", "namespace": "shop", "labels": {"app": "orders"}},
    "spec": {"nodeName": "here"},
    "status": {"podIP": "10.0.0.7"},
}
THERE: dict[tuple[Any, str], Object] = {
    (("", "secrets"), "rabbitmq"): {"data": {"url": base64.b64encode(b"amqp://localhost").decode()}},
    (("", "configmaps"), "limits"): {"data": {"MOST": "5", "LEAST": "1"}},
}


def made(env: list[Object], env_from: list[Object] | None = None) -> dict[str, str]:
    return environment(POD, {"env": env, "envFrom": env_from}, lambda place, name: THERE.get((place, name)))


def of(kind: str, name: str, key: str, **rest: Any) -> Object:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **rest}}}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"name": "X"}, ""),
        ({"name": "X", "value": "5"}, "5"),
        (of("secretKeyRef", "rabbitmq", "url"), "amqp://localhost"),
        (of("configMapKeyRef", "limits", "MOST"), "5"),
        (of("secretKeyRef", "nowhere", "url", optional=True), None),
        (of("secretKeyRef", "rabbitmq", "none", optional=True), None),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "orders-1"),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}, "orders"),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, "10.0.0.7"),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['none']"}}}, ""),
    ],
)
def test_where_a_value_comes_from(variable: Object, value: str | None) -> None:
    assert made([variable]).get("X") == value


def test_whole_objects_come_first_and_later_ones_refer_to_earlier_ones() -> None:
    found = made(
        [{"name": "MOST", "value": "9"}, {"name": "TEXT", "value": "$(MOST) of $(P_LEAST), $(LATER), $$(MOST)"}],
        [{"configMapRef": {"name": "limits"}}, {"prefix": "P_", "configMapRef": {"name": "limits"}}],
    )
    assert found == {"MOST": "9", "LEAST": "1", "P_MOST": "5", "P_LEAST": "1", "TEXT": "9 of 1, $(LATER), $(MOST)"}
    assert command({"command": ["run"], "args": ["--most=$(MOST)"]}, found) == ["run", "--most=9"]


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        (of("secretKeyRef", "nowhere", "url"), "there is no Secret nowhere"),
        (of("configMapKeyRef", "limits", "none"), "ConfigMap limits has no key none"),
    ],
)
def test_what_is_missing_is_named(variable: Object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        made([variable])
    with pytest.raises(ConfigError, match="there is no Secret nowhere"):
        made([], [{"secretRef": {"name": "nowhere"}}])
