"""The parts of a pod template that credentials come from: containers' environment, and the ServiceAccount.

Values of variables may be secrets, and stay out of `repr`.
"""

from pydantic import Field

from keda_py.api.meta import Model


class KeyRef(Model):
    """A key of a Secret or ConfigMap."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class ObjectRef(Model):
    """A whole Secret or ConfigMap."""

    name: str = ""
    optional: bool | None = None


class ValueFrom(Model):
    """Where a variable's value comes from; fields and resources of the pod are not among it here."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class Variable(Model):
    """An entry of ``env``."""

    name: str
    value: str = Field("", repr=False)
    value_from: ValueFrom | None = None


class VariablesFrom(Model):
    """An entry of ``envFrom``."""

    prefix: str = ""
    config_map_ref: ObjectRef | None = None
    secret_ref: ObjectRef | None = None


class Container(Model):
    """A container's name and environment."""

    name: str = ""
    env: list[Variable] | None = None
    env_from: list[VariablesFrom] | None = None


class PodSpec(Model):
    """A pod's containers, and whose ServiceAccount it runs with."""

    containers: list[Container] = Field(default_factory=list)
    service_account_name: str = ""
