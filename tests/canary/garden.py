"""Where canaries are planted: objects, each with one trigger and a way by which its credentials come."""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from tests.pages import NAMESPACE, deployment

from .canary import Canaries

WAYS: Final = ("secret", "variable", "cluster")
"""Where a credential comes from: a Secret, a variable of the target, a Secret for the whole cluster."""
OF_CLUSTER: Final = "ClusterTriggerAuthentication"
EVENTING: Final = "eventing.keda.sh/v1alpha1"
SOURCE: Final = "CloudEventSource"
Manifest = dict[str, Any]


@dataclass
class Garden:
    """Everything that is planted: what to apply, and what is to come of it."""

    canaries: Canaries = field(default_factory=Canaries)
    manifests: list[Manifest] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    """What an object's Ready condition comes to say, or that it is True: so that its source has really been asked."""
    receivers: dict[str, str] = field(default_factory=dict)
    """What a CloudEventSource comes to say of sending."""
    _secrets: int = 0

    def secret(self, values: dict[str, str], *, namespace: str = NAMESPACE) -> str:
        """Put a Secret; return its name."""
        name = f"s{self._secrets}"
        self._secrets += 1
        data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
        metadata = {"name": name, "namespace": namespace}
        self.manifests.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        return name

    def scaled(
        self,
        trigger: Manifest,
        authentication: Manifest | None = None,
        *,
        kind: str = "TriggerAuthentication",
        variables: list[Manifest] | None = None,
        says: str = "",
    ) -> None:
        """Put a ScaledObject and its target, which has `variables`, and the trigger's authentication if it has one."""
        name = f"o{len(self.names)}"
        self.names.append(name)
        self.expected[name] = says
        if authentication is not None:
            trigger = trigger | {"authenticationRef": {"name": name, "kind": kind}}
            about = {"apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": {"name": name}}
            self.manifests.append(about | {"spec": authentication})
        target = deployment(name)
        target["spec"]["template"]["spec"]["containers"][0]["env"] = variables or []
        spec = {"scaleTargetRef": {"name": name}, "triggers": [trigger], "pollingInterval": 5}
        made = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}, "spec": spec}
        self.manifests += [target, made]

    def given(self, trigger: Manifest, parameters: dict[str, str], way: str = "secret", *, says: str = "") -> None:
        """Put a ScaledObject whose trigger is given parameters in one of `WAYS`."""
        if not parameters:
            self.scaled(trigger, says=says)
            return
        secret = self.secret(parameters, namespace="keda" if way == "cluster" else NAMESPACE)
        if way == "variable":
            named = [{"parameter": key, "name": f"V_{key}"} for key in parameters]
            variables = [{"name": f"V_{key}", "valueFrom": _from(secret, key)} for key in parameters]
            self.scaled(trigger, {"env": named}, variables=variables, says=says)
            return
        kind = OF_CLUSTER if way == "cluster" else "TriggerAuthentication"
        refs = [{"parameter": key, "name": secret, "key": key} for key in parameters]
        self.scaled(trigger, {"secretTargetRef": refs}, kind=kind, says=says)

    def from_target(self, trigger: Manifest, variables: dict[str, str]) -> None:
        """Put a ScaledObject whose trigger names variables of the target, which come from a Secret."""
        secret = self.secret(variables)
        self.scaled(trigger, variables=[{"name": key, "valueFrom": _from(secret, key)} for key in variables])

    def receiver(self, destination: Manifest, parameters: dict[str, str] | None = None, *, says: str) -> None:
        """Put a CloudEventSource, and the authentication that gives it parameters."""
        name = f"r{len(self.receivers)}"
        self.receivers[name] = says
        spec: Manifest = {"destination": destination}
        if parameters:
            secret = self.secret(parameters)
            refs = [{"parameter": key, "name": secret, "key": key} for key in parameters]
            about = {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": name}}
            self.manifests.append(about | {"spec": {"secretTargetRef": refs}})
            spec["authenticationRef"] = {"name": name}
        self.manifests.append({"apiVersion": EVENTING, "kind": SOURCE, "metadata": {"name": name}, "spec": spec})

    def referred(self, value: str) -> Manifest:
        """Put a Secret with one value; return how a manifest refers to it."""
        return {"valueFrom": _from(self.secret({"value": value}), "value")}


def _from(secret: str, key: str) -> Manifest:
    return {"secretKeyRef": {"name": secret, "key": key}}
