"""What can be said of a trigger before anything about it is resolved: for whoever is about to apply its manifest.

A trigger without credentials is built as the engine will build it, and asked nothing. Of one with credentials, or with
variables of its target, only what they cannot change counts. Whatever this daemon may simply not know (a type or a
parameter of another version) is a warning.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.api.trigger import ScaleTrigger
from keda_py.engine.credentials.authentication import FROM_ENV
from keda_py.engine.registry import Registry
from keda_py.parameter import declared_parameters, foreseen
from keda_py.scaler import AUTH, ENV, Inputs, Metadata, MetadataError, Platform, Scaler, ScalerError, Trigger, build

_MOST_UNKNOWN: Final = 5
_LONGEST_NAME: Final = 64


@dataclass(slots=True)
class Checked:
    """What is wrong with a trigger, and what looks so."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose triggers they are; `in_formula`: one metric is made of them all."""

    kind: str
    namespace: str
    name: str
    in_formula: bool = False


class TriggerCheck:
    """Checks triggers by the classes of their types."""

    def __init__(self, registry: Registry, platform: Platform) -> None:
        self._registry = registry
        self._platform = platform

    def check(self, spec: ScaleTrigger, index: int, owner: Owner) -> Checked:
        """Return what can be said of one trigger; never raises for what its class does."""
        found, where = Checked(), f"spec.triggers[{index}] ({spec.type})"
        try:
            scaler = self._registry.load(spec.type)
        except ScalerError as error:
            found.warnings.append(f"spec.triggers[{index}].type: {error}")
            return found
        found.warnings += (f"{where}: {sentence}" for sentence in _unknown(scaler.metadata, spec.metadata))
        try:
            found.problems += (f"{where}: {sentence}" for sentence in self._problems(scaler, spec, index, owner))
        except Exception as error:  # noqa: BLE001  a scaler that fails here says nothing of the manifest
            found.warnings.append(f"{where}: it could not be checked ({type(error).__name__})")
        return found

    def _problems(self, scaler: type[Scaler[Any]], spec: ScaleTrigger, index: int, owner: Owner) -> list[str]:
        inputs = Inputs(spec.metadata)
        unknown = {AUTH} if spec.authentication_ref is not None else set()
        if any(name.endswith(FROM_ENV) and value.strip() for name, value in spec.metadata.items()):
            unknown.add(ENV)
        if unknown:
            return foreseen(scaler.metadata, inputs, unknown=unknown)
        trigger = Trigger(
            type=spec.type,
            index=index,
            inputs=inputs,
            namespace=owner.namespace,
            owner=owner.name,
            kind=owner.kind,
            name=spec.name or None,
            metric_type=spec.metric_type or None,
            in_formula=owner.in_formula,
        )
        try:
            build(scaler, trigger, platform=self._platform, source=lambda _: None).metric_specs()
        except MetadataError as error:
            return list(error.problems)
        except ScalerError as error:
            return [str(error)]
        return []


def _unknown(model: type[Metadata], metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for the first parameters that no scaler of the type reads."""
    known: set[str] = set()
    for _, parameter in declared_parameters(model):
        known.update(parameter.names)
        if ENV in parameter.order:
            known.update(f"{name}{FROM_ENV}" for name in parameter.names)
    for name in [name for name in metadata if name not in known][:_MOST_UNKNOWN]:
        near = _nearest(name, known)
        yield f"nothing reads the parameter {name}; " + (f"did you mean {near}?" if near else "remove it")


def _nearest(name: str, known: set[str]) -> str | None:
    if (without := name.removesuffix(FROM_ENV)) in known:
        return without
    # To look for one that is like a very long name takes very long.
    near = difflib.get_close_matches(name, sorted(known), n=1) if len(name) <= _LONGEST_NAME else []
    return near[0] if near else None
