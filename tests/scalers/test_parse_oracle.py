"""Trigger parameters of every registered scaler against what KEDA's own code made of them.

All rows of a type count as soon as the type is registered. Where we differ on purpose, a rule below says so.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

import pytest

from keda_py.engine.registry import Registry
from keda_py.naming import indexed
from keda_py.parameter import AUTH, ENV, declared_parameters, foreseen, locate
from keda_py.quantity import parse
from keda_py.scaler import ExternalSpec, Inputs, Platform, PodIdentity, Scaler, ScalerError, Target, Trigger, build

ORACLE: Final = Path(__file__).parents[1] / "oracle" / "scaler-parse.jsonl"
REGISTRY: Final = Registry.installed()

_CERTIFICATES: Final = re.compile("PEM|belong together")

Row = dict[str, Any]


def _reads_nothing_as_zero(row: Row) -> bool:
    value = row["input"]["metadata"].get("value", "").strip()
    return row["type"] in {"cpu", "memory"} and not re.match(r"[+-]?\.?[0-9]", value)


def _fails_only_when_read(row: Row) -> bool:
    return row["type"] == "cron" and row["input"]["metadata"]["timezone"] not in available_timezones()


def _has_two_formats(row: Row) -> bool:
    return row["type"] == "kubernetes-resource" and "," in row["input"]["metadata"].get("format", "")


def _has_another_protocols_host(row: Row) -> bool:
    given = row["input"]
    metadata, auth, env = given["metadata"], given.get("authParams") or {}, given.get("resolvedEnv") or {}
    protocol = metadata.get("protocol") or auth.get("protocol", "")
    host = metadata.get("host") or auth.get("host") or env.get(metadata.get("hostFromEnv", ""), "")
    return row["type"] == "rabbitmq" and not host.startswith((f"{protocol}://", f"{protocol}s://"))


def _has_no_such_operation(row: Row) -> bool:
    return row["type"] == "rabbitmq" and row["input"]["metadata"].get("operation") not in {"sum", "avg", "max"}


# Reason -> which rows it lets differ. A rule that excuses no row of the oracle fails the test.
KNOWN_DIFFERENCES: Final[dict[str, Callable[[Row], bool]]] = {
    "KEDA finds an unknown time zone only when it reads": _fails_only_when_read,
    "KEDA finds two formats at once only when it reads": _has_two_formats,
    "KEDA finds an unknown operation over several queues only when it reads": _has_no_such_operation,
    "KEDA finds that host and protocol do not fit only when it connects": _has_another_protocols_host,
    "Kubernetes takes a sign or a suffix without any digit as 0": _reads_nothing_as_zero,
}


@cache
def rows() -> dict[str, list[Row]]:
    by_type: dict[str, list[Row]] = {}
    for line in ORACLE.read_text().splitlines():
        row = json.loads(line)
        by_type.setdefault(row["type"], []).append(row)
    return by_type


def built(row: Row) -> Scaler[Any]:
    given = row["input"]
    trigger = Trigger(
        type=row["type"],
        index=given.get("index", 0),
        inputs=Inputs(given.get("metadata") or {}, given.get("authParams") or {}, given.get("resolvedEnv") or {}),
        namespace=given.get("namespace", "default"),
        owner=given.get("name", "app"),
        kind=given.get("kind", "ScaledObject"),
        name=given.get("triggerName"),
        metric_type=given.get("metricType") or None,
        pod_identity=identity(given.get("podIdentity") or {}),
        in_formula=given.get("asMetricSource", False),
    )
    nothing: Any = None
    platform = Platform(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), kubernetes=nothing)
    return build(REGISTRY.load(row["type"]), trigger, platform=platform, source=lambda _: None)


def identity(given: dict[str, str]) -> PodIdentity:
    return PodIdentity(
        given.get("provider", "none"),
        identity_id=given.get("identityId", ""),
        role_arn=given.get("roleArn", ""),
        external_id=given.get("externalID", ""),
    )


def difference(row: Row) -> str | None:
    accepted = row["ok"] and row.get("constructOk", True)
    try:
        scaler = built(row)
    except ScalerError as error:
        # Certificates are looked at after the parse, and of some rows the oracle has no more than that.
        if "constructOk" not in row and _CERTIFICATES.search(str(error)):
            return None
        return f"rejected: {error}" if accepted else None
    if not accepted:
        return f"accepted, KEDA says {row.get('error') or row.get('constructError')}"
    return different_values(scaler, row) or different_specs(scaler, row)


def plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    return str(value) if isinstance(value, str) else value


def different_values(scaler: Scaler[Any], row: Row) -> str | None:
    for info, parameter in declared_parameters(type(scaler.meta)):
        name = parameter.names[0]
        ours = plain(getattr(scaler.meta, next(k for k, v in type(scaler.meta).model_fields.items() if v is info)))
        theirs = row["parsed"].get(name)
        if isinstance(ours, float) and theirs is not None:
            # A whole number stands there as floats are written, with more digits than a float has.
            theirs = float(theirs)
        if ours != theirs and not (theirs is None and ours in (None, "", 0, False, [], {}, {"seconds": 0})):
            return f"{name} is {ours!r}, KEDA has {theirs!r}"
        found = locate(parameter, scaler.trigger.inputs)
        origin = row["from"].get(name)
        if origin not in (None, "computed") and (found[1].value if found else "default") != origin:
            return f"{name} comes from {found}, KEDA takes it from {origin}"
    return None


def spec_facts(target: Target) -> tuple[str, Any]:
    return (target.kind, int(target.amount) if target.kind == "Utilization" else parse(target.amount))


def different_specs(scaler: Scaler[Any], row: Row) -> str | None:
    ours: list[Any] = []
    for spec in scaler.metric_specs():
        if isinstance(spec, ExternalSpec):
            ours.append(("External", indexed(scaler.trigger.index, spec.name), None, *spec_facts(spec.target)))
        else:
            kind = "ContainerResource" if spec.container else "Resource"
            ours.append((kind, spec.resource, spec.container, *spec_facts(spec.target)))
    theirs = [keda_facts(spec) for spec in row["metricSpecs"]]
    return None if ours == theirs else f"metrics {ours}, KEDA has {theirs}"


def keda_facts(spec: dict[str, Any]) -> tuple[Any, ...]:
    kind = spec["type"]
    body = spec[kind[0].lower() + kind[1:]]
    target = body["target"]
    name = body["metric"]["name"] if kind == "External" else body["name"]
    if target["type"] == "Utilization":
        return (kind, name, body.get("container"), "Utilization", target["averageUtilization"])
    return (kind, name, body.get("container"), target["type"], parse(target.get("averageValue") or target["value"]))


@pytest.mark.parametrize("trigger_type", REGISTRY.types)
def test_every_row_of_the_oracle(trigger_type: str) -> None:
    found = [(row, text) for row in rows()[trigger_type] if (text := difference(row)) is not None]
    wrong = [(row["input"], text) for row, text in found if not any(rule(row) for rule in KNOWN_DIFFERENCES.values())]
    assert not wrong


def test_every_known_difference_is_one() -> None:
    differing = [row for name in REGISTRY.types for row in rows()[name] if difference(row) is not None]
    for reason, rule in KNOWN_DIFFERENCES.items():
        assert any(rule(row) for row in differing), reason


@pytest.mark.parametrize("trigger_type", REGISTRY.types)
def test_what_is_foreseen_of_a_manifest_alone_comes_true(trigger_type: str) -> None:
    """Nothing that works once credentials are known is refused before."""
    seen = 0
    for row in rows().get(trigger_type, []):
        found = foreseen(
            REGISTRY.load(trigger_type).metadata, Inputs(row["input"].get("metadata") or {}), unknown={AUTH, ENV}
        )
        seen += bool(found)
        if found:
            with pytest.raises(ScalerError) as failure:
                built(row)
            assert all(sentence in str(failure.value) for sentence in found), row["input"]
    assert seen or trigger_type not in {"cron", "kafka", "prometheus"}
