"""What end-to-end tests do with a cluster, in a namespace of their own."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.controlplane.cluster import Cluster

POLL = 1
"""The polling interval of the tests' objects, in seconds."""


@dataclass(frozen=True)
class World:
    """A namespace of a cluster; `kind` is what it is about."""

    cluster: Cluster
    namespace: str
    kind: str = "scaledobject"

    # --- making -----------------------------------------------------------------------------------------------------

    def apply(self, *documents: dict[str, Any]) -> None:
        self.cluster.apply(*documents, namespace=self.namespace)

    def deployment(self, name: str, replicas: int = 0, kind: str = "Deployment") -> dict[str, Any]:
        labels = {"app": name}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
        spec: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
        if kind == "StatefulSet":
            spec["serviceName"] = name
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def scaled_object(self, name: str, *triggers: dict[str, Any], **spec: Any) -> dict[str, Any]:
        usual = {"scaleTargetRef": {"name": name}, "pollingInterval": POLL, "cooldownPeriod": 4}
        return {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": name},
            "spec": {**usual, "triggers": list(triggers), **spec},
        }

    def scaled(self, name: str, *triggers: dict[str, Any], replicas: int = 0, **spec: Any) -> None:
        """Apply a Deployment and a ScaledObject of one name."""
        self.apply(self.deployment(name, replicas), self.scaled_object(name, *triggers, **spec))

    def scaled_job(
        self, name: str, *triggers: dict[str, Any], pod: dict[str, Any] | None = None, **spec: Any
    ) -> dict[str, Any]:
        """Return a ScaledJob; `pod` is the spec of its Jobs' pods, which run for an hour if it is not given."""
        template = {"metadata": {"labels": {"queue": name}}, "spec": pod or sleeping(3600)}
        usual = {"pollingInterval": POLL, "jobTargetRef": {"template": template, "backoffLimit": 0}}
        return {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledJob",
            "metadata": {"name": name},
            "spec": {**usual, "triggers": list(triggers), **spec},
        }

    def annotate(self, name: str, **annotations: str | None) -> None:
        """Set annotations that ask for something, by what comes after their prefix; None takes one away."""
        named = {f"autoscaling.keda.sh/{key.replace('_', '-')}": value for key, value in annotations.items()}
        patch = json.dumps({"metadata": {"annotations": named}})
        self.cluster.kubectl(
            "patch", self.kind, name, f"--namespace={self.namespace}", "--type=merge", f"--patch={patch}"
        )

    def delete(self, kind: str, name: str) -> None:
        self.cluster.kubectl("delete", kind, name, f"--namespace={self.namespace}", "--wait=false")

    # --- seeing -----------------------------------------------------------------------------------------------------

    def get(self, *arguments: str) -> Any:
        return self.cluster.get(*arguments, namespace=self.namespace)

    def replicas(self, name: str, kind: str = "deployment") -> int:
        return int(self.get(kind, name)["spec"].get("replicas", 0))

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(self.kind, name).get("status") or {}
        return found

    def condition(self, name: str, type_: str) -> dict[str, str]:
        for condition in self.status(name).get("conditions") or []:
            if condition["type"] == type_:
                return dict(condition)
        return {"status": "", "reason": "", "message": ""}

    def events(self, name: str, reason: str = "") -> list[dict[str, Any]]:
        found = self.get("events.events.k8s.io")["items"]
        return [e for e in found if e["regarding"]["name"] == name and (not reason or e["reason"] == reason)]

    def column(self, name: str, title: str) -> str:
        """Return what ``kubectl get`` shows of an object below a title."""
        header, row = self.cluster.kubectl("get", self.kind, name, f"--namespace={self.namespace}").splitlines()
        return row[header.index(f" {title} ") :].split()[0]

    def picture(self) -> str:
        """Return how everything in the namespace is, for whoever reads a failure."""
        space = f"--namespace={self.namespace}"
        shown = self.cluster.kubectl("get", "so,hpa,deploy,sj,jobs,pods,events", space, check=False)
        return shown + self.cluster.kubectl("get", "so,hpa,sj", "-o", "yaml", space, check=False)

    # --- waiting ----------------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 30, every: float = 0.1) -> float:
        """Return how long it took until something holds, looking `every` so many seconds; fail if it takes too long."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}\n{self.picture()}"
            time.sleep(every)
        return time.monotonic() - began

    def until_replicas(self, name: str, count: int, seconds: float = 30, kind: str = "deployment") -> float:
        return self.until(lambda: self.replicas(name, kind) == count, f"{name} has {count} replicas", seconds)

    def until_ready(self, name: str, status: str = "True", seconds: float = 30) -> None:
        self.until(lambda: self.condition(name, "Ready")["status"] == status, f"{name} is Ready={status}", seconds)

    def stays(self, name: str, count: int, seconds: float) -> None:
        """Fail if a target has another number of replicas at any time."""
        self.stays_so(lambda: self.replicas(name) == count, seconds)

    def stays_so(self, holds: Callable[[], bool], seconds: float) -> None:
        """Fail if something does not hold at any time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert holds(), self.picture()
            time.sleep(0.2)


AT_ONCE: dict[str, Any] = {
    "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
}
"""What `advanced` says where the HPA is not to wait before it scales down."""


def sleeping(seconds: int, exits: int = 0, **environment: str) -> dict[str, Any]:
    """Return the spec of a pod that runs for some seconds, and then ends, well or not."""
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    command = ["sh", "-c", f"sleep {seconds}; exit {exits}"]
    container = {"name": "c", "image": "none", "command": command, "env": variables}
    return {"restartPolicy": "Never", "containers": [container]}


def moment(text: str) -> datetime:
    """Return a Kubernetes time."""
    return datetime.fromisoformat(text)
