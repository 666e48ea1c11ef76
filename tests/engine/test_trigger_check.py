"""What is said of a trigger before its credentials are known: no more than is sure, and never a value."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keda_py.api.trigger import ScaleTrigger
from keda_py.engine.registry import Registry
from keda_py.engine.trigger_check import Checked, Owner, TriggerCheck
from keda_py.parameter import declared_parameters
from keda_py.scaler import Metadata, Platform, Scaler, ScalerError, param
from keda_py.testing import FakeKubernetes

from .world import Installed

PLATFORM = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=FakeKubernetes())
OWNER = Owner("ScaledObject", "shop", "orders")
LAG = {"bootstrapServers": "a:9092", "consumerGroup": "g", "topic": "t"}
AUTH = {"authenticationRef": {"name": "broker"}}


def checked(trigger_type: str, owner: Owner = OWNER, *, auth: bool = False, **metadata: str) -> Checked:
    spec: dict[str, Any] = {"type": trigger_type, "metadata": metadata, **(AUTH if auth else {})}
    return TriggerCheck(Registry.installed(), PLATFORM).check(ScaleTrigger.model_validate(spec), 2, owner)


def test_a_good_one() -> None:
    assert checked("kafka", **LAG) == Checked()


def test_all_that_is_wrong_is_told_and_where() -> None:
    found = checked("kafka", consumerGroup="g", lagThreshold="x").problems
    assert [sentence.split(": ")[0] for sentence in found] == ["spec.triggers[2] (kafka)"] * 2
    assert [sentence.split(": ")[1] for sentence in found] == ["bootstrapServers", "lagThreshold"]


def test_what_does_not_go_together_is_told_unless_credentials_may_change_it() -> None:
    assert "needs username and password" in checked("kafka", **LAG, sasl="plaintext").problems[0]
    assert checked("kafka", **LAG, sasl="plaintext", auth=True) == Checked()
    assert checked("kafka", **LAG, sasl="plaintext", usernameFromEnv="USER", passwordFromEnv="PASSWORD").problems == []


def test_a_parameter_that_is_not_the_manifests_is_waited_for() -> None:
    queue = {"queueName": "q", "mode": "QueueLength", "value": "5"}
    assert "host: required" in checked("rabbitmq", **queue).problems[0]
    assert checked("rabbitmq", **queue, auth=True) == Checked()
    assert checked("rabbitmq", **queue, hostFromEnv="HOST") == Checked()
    assert "value: expected" in checked("rabbitmq", auth=True, **queue | {"value": "x"}).problems[0]


def test_a_type_or_a_parameter_that_nobody_knows_is_a_warning() -> None:
    assert checked("kafak").warnings == ["spec.triggers[2].type: there is no trigger type 'kafak'; did you mean kafka?"]
    assert checked("kafak").problems == []
    found = checked("kafka", **LAG, lagTreshold="3", zzzzzz="1")
    assert found.problems == []
    assert found.warnings == [
        "spec.triggers[2] (kafka): nothing reads the parameter lagTreshold; did you mean lagThreshold?",
        "spec.triggers[2] (kafka): nothing reads the parameter zzzzzz; remove it",
    ]
    assert checked("cron", startFromEnv="A").warnings[0].endswith("did you mean start?")


def test_a_flood_of_parameters_is_cut_short() -> None:
    many = {f"x{number}": "" for number in range(10_000)} | {"y" * 1_000_000: ""}
    assert len(checked("kafka", **LAG, **many).warnings) == 5


def test_in_a_formula_a_value_of_its_own_need_not_be_given() -> None:
    pods = {"podSelector": "app=web"}
    assert "value: give a number greater than 0" in checked("kubernetes-workload", **pods).problems[0]
    in_formula = Owner("ScaledObject", "shop", "orders", in_formula=True)
    assert checked("kubernetes-workload", in_formula, **pods) == Checked()


@pytest.mark.parametrize("trigger_type", Registry.installed().types)
@pytest.mark.parametrize("auth", [False, True])
def test_no_value_is_ever_told(trigger_type: str, *, auth: bool) -> None:
    declared = declared_parameters(Registry.installed().load(trigger_type).metadata)
    values = {
        name: "s3cret" for _, parameter in declared for name in (*parameter.names, f"{parameter.names[0]}FromEnv")
    }
    found = checked(trigger_type, auth=auth, **values)
    assert found.problems
    assert "s3cret" not in str(found)


class QueueMetadata(Metadata):
    queue: str = param("queue")


class QueueScaler(Scaler[QueueMetadata]):
    metadata = QueueMetadata
    raises: Exception

    def metric_specs(self) -> Any:
        raise self.raises


@pytest.mark.parametrize(
    ("raised", "problems", "warnings"),
    [
        (ScalerError("no such queue"), ["spec.triggers[0] (queue): no such queue"], []),
        (KeyError("s3cret"), [], ["spec.triggers[0] (queue): it could not be checked (KeyError)"]),
    ],
)
def test_what_a_class_raises(raised: Exception, problems: list[str], warnings: list[str]) -> None:
    found = type("Raising", (QueueScaler,), {"raises": raised})
    registry = Registry([Installed("queue", found)])  # type: ignore[list-item]
    spec = ScaleTrigger.model_validate({"type": "queue", "metadata": {"queue": "a"}})
    assert TriggerCheck(registry, PLATFORM).check(spec, 0, OWNER) == Checked(problems, warnings)
