"""Trigger type `kubernetes-resource`: a number kept in a ConfigMap or a Secret of the namespace."""

import binascii
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from keda_py.scaler import (
    ExternalSpec,
    KubernetesReader,
    Metadata,
    MetricSpec,
    Platform,
    Reading,
    Scaler,
    ScalerError,
    Trigger,
    normalize,
    param,
)
from keda_py_scalers.extraction import from_json, from_yaml, number

_PLURALS: Final = {"ConfigMap": "configmaps", "Secret": "secrets"}
# Go's fmt.Sscanf reads as much of a number as there is and leaves the rest.
_LEADING_FLOAT: Final = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_LEADING_INT: Final = re.compile(r"\s*([+-]?[0-9]+)")


class KubernetesResourceMetadata(Metadata):
    """Parameters of a `kubernetes-resource` trigger."""

    resource_kind: str = param("resourceKind", enum=tuple(_PLURALS))
    resource_name: str = param("resourceName")
    key: str = param("key")
    format: str = param("format", default="number", enum=("number", "json", "yaml"))
    value_location: str = param("valueLocation", default="")
    value_type: str = param("valueType", default="float64", enum=("float64", "int64", "quantity"))
    target_value: float = param("targetValue")
    activation_target_value: float = param("activationTargetValue", default=0.0)


class KubernetesResourceScaler(Scaler[KubernetesResourceMetadata]):
    """A number out of a key of a ConfigMap or Secret (KEDA pkg/scalers/kubernetes_resource_scaler.go)."""

    metadata = KubernetesResourceMetadata

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the target value, and where a location lacks or is too much."""
        yield from super().check()
        if self.meta.target_value <= 0 and not self.trigger.in_formula:
            yield "targetValue: give a number greater than 0"
        if self.meta.format == "number" and self.meta.value_location:
            yield "valueLocation: only with format json or yaml"
        if self.meta.format != "number" and not self.meta.value_location:
            yield f"valueLocation: required with format {self.meta.format}"

    def metric_specs(self) -> list[MetricSpec]:
        """Return one metric, named after the kind, the name and the key."""
        name = f"{self.meta.resource_kind.lower()}-{self.meta.resource_name}-{self.meta.key}"
        return [ExternalSpec(normalize(name), self.target(self.meta.target_value))]

    async def get_metrics(self) -> list[Reading]:
        """Return the number."""
        meta = self.meta
        text = await self.source.ask((meta.resource_kind, self.trigger.namespace, meta.resource_name, meta.key))
        value = self._number(text)
        return [self.reading(value, active=value > meta.activation_target_value)]

    def _number(self, text: str) -> float:
        location = self.meta.value_location
        if self.meta.format == "json":
            found = from_json(text, location)
        elif self.meta.format == "yaml":
            found = from_yaml(text, location)
        else:
            found, location = text, self.meta.key
        if isinstance(found, str) and self.meta.value_type != "quantity" and self.meta.format != "json":
            found = self._leading(found)
        if self.meta.value_type == "int64" and self.meta.format == "json":
            if isinstance(found, str):
                raise ScalerError(f"valueLocation {location}: a text where valueType int64 needs a number")
            return float(int(number(found, location)))
        return number(found, location)

    def _leading(self, text: str) -> float:
        whole = self.meta.value_type == "int64" and self.meta.format == "number"
        found = (_LEADING_INT if whole else _LEADING_FLOAT).match(text)
        if found is None:
            raise ScalerError(f"key {self.meta.key}: does not begin with a number; is it a quantity? set valueType")
        return float(found[1])

    @classmethod
    def source_key(cls, meta: KubernetesResourceMetadata, trigger: Trigger) -> tuple[str]:
        """Return the cluster itself: what several triggers read is read once."""
        return ("kubernetes",)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, meta: KubernetesResourceMetadata, trigger: Trigger, platform: Platform
    ) -> AsyncIterator[KubernetesReader]:
        """Yield the daemon's own access to the cluster."""
        yield platform.kubernetes

    @classmethod
    async def answer(cls, connection: KubernetesReader, question: tuple[str, str, str, str]) -> str:
        """Return the text of a key."""
        kind, namespace, name, key = question
        found = await connection.get("v1", _PLURALS[kind], namespace, name)
        text = (found.get("data") or {}).get(key)
        if not isinstance(text, str):
            raise ScalerError(f"the {kind} {namespace}/{name} has no key {key}")
        if kind == "ConfigMap":
            return text
        try:
            return b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ScalerError(f"the key {key} of the Secret {namespace}/{name} is no text") from None
