"""A cluster as KEDA 2.20 leaves it when its pods are gone: objects, finalizers, statuses, HPAs, Jobs and its Lease.

Written down from KEDA's controllers (controllers/keda, pkg/scaling/executor, pkg/fallback) and its Go types.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.controlplane.cluster import Cluster
from tests.controlplane.daemon import NAMESPACE

from .world import World

FINALIZER: Final = "finalizer.keda.sh"
VERSION: Final = "2.20.0"
METRIC: Final = "s0-metric-api-value"
COMPOSITE: Final = "composite-metric"


def _condition(type_: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


NOT_ACTIVE: Final = "triggers are not active"
READY: Final = _condition(
    "Ready", "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling"
)
ACTIVE: Final = _condition("Active", "True", "ScalerActive", "Scaling is performed because triggers are active")
IDLE: Final = _condition("Active", "False", "ScalerNotActive", f"Scaling is not performed because {NOT_ACTIVE}")
COOLING: Final = _condition("Active", "False", "ScalerCooldown", f"Scaler cooling down because {NOT_ACTIVE}")
NO_FALLBACK: Final = _condition("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object")
FALLBACK: Final = _condition(
    "Fallback", "True", "FallbackExists", "At least one trigger is falling back on this scaled object"
)
NOT_PAUSED: Final = {"type": "Paused", "status": "False"}
PAUSED: Final = _condition("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")
SCALING: Final = _condition("HPAActive", "True", "HPAActive", "HPA is actively scaling")


def ago(seconds: float) -> str:
    """Return a time as Kubernetes writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Left:
    """Puts into a namespace what KEDA left there."""

    def __init__(self, world: World) -> None:
        self.world = world

    def scaled_object(
        self,
        name: str,
        triggers: list[dict[str, Any]],
        *conditions: dict[str, str],
        replicas: int,
        annotations: dict[str, str] | None = None,
        status: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """Put a Deployment and a ScaledObject; and its HPA, unless it is paused altogether: then nothing is active."""
        made = self.world.scaled_object(name, *triggers, **spec)
        made["metadata"] |= {
            "labels": {"scaledobject.keda.sh/name": name, "team": "shop"},
            "annotations": annotations or {},
            "finalizers": [FINALIZER],
        }
        self.world.apply(self.world.deployment(name, replicas), made)
        advanced = spec.get("advanced") or {}
        hpa = (advanced.get("horizontalPodAutoscalerConfig") or {}).get("name") or f"keda-hpa-{name}"
        names = [_name(index) for index, trigger in enumerate(triggers) if trigger["type"] != "cpu"]
        found = {
            "scaleTargetKind": "apps/v1.Deployment",
            "scaleTargetGVKR": {"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments"},
            "originalReplicaCount": 1,
            "externalMetricNames": names,
            "hpaName": hpa,
            # Each once.
            "triggersTypes": ",".join(dict.fromkeys(trigger["type"] for trigger in triggers)),
            "authenticationsTypes": ",".join(
                dict.fromkeys(
                    trigger["authenticationRef"]["name"] for trigger in triggers if "authenticationRef" in trigger
                )
            ),
            "triggersActivity": {metric: {"isActive": ACTIVE in conditions} for metric in names},
            "conditions": [READY, *conditions],
            **({"compositeScalerName": COMPOSITE} if "scalingModifiers" in advanced else {}),
            **(status or {}),
        }
        self._told("scaledobject", name, found)
        if SCALING in conditions:
            self._hpa(hpa, self.world.get("so", name))

    def _told(self, kind: str, name: str, status: dict[str, Any]) -> None:
        patch = f"--patch={json.dumps({'status': status})}"
        space = f"--namespace={self.world.namespace}"
        self.world.cluster.kubectl("patch", kind, name, space, "--subresource=status", "--type=merge", patch)

    def _hpa(self, name: str, owner: dict[str, Any]) -> None:
        meta, spec = owner["metadata"], owner["spec"]
        own = {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/version": VERSION,
            "app.kubernetes.io/part-of": meta["name"],
            "app.kubernetes.io/managed-by": "keda-operator",
        }
        paused = "autoscaling.keda.sh/paused-scale-in" in (meta.get("annotations") or {})
        self._create(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {
                    "name": name,
                    "labels": own | meta["labels"],
                    # All of the ScaledObject's, what kubectl keeps there for itself too.
                    "annotations": meta.get("annotations") or {},
                    "ownerReferences": [owned_by(owner)],
                },
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"]},
                    "minReplicas": max(1, spec.get("minReplicaCount", 0)),
                    "maxReplicas": spec.get("maxReplicaCount", 100),
                    "metrics": _metrics(meta["name"], spec),
                    **({"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}} if paused else {}),
                },
            }
        )

    def _create(self, document: dict[str, Any]) -> None:
        space = f"--namespace={self.world.namespace}"
        self.world.cluster.kubectl("create", space, "-f", "-", stdin=json.dumps(document))

    def scaled_job(self, name: str, trigger: dict[str, Any], *suffixes: str, **ended: dict[str, Any]) -> None:
        """Put a ScaledJob that keeps one Job of each outcome, and a running Job for each suffix of a generated name.

        `ended`: suffixes of further Jobs that have come to their end since, in the order they come in, and their pods.
        """
        limits = {"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1}
        made = self.world.scaled_job(name, trigger, maxReplicaCount=10, **limits)
        made["metadata"]["finalizers"] = [FINALIZER]
        self.world.apply(made)
        ready = {"reason": "ScaledJobReady", "message": "ScaledJob is defined correctly and is ready to scaling"}
        conditions = [READY | ready, ACTIVE, {"type": "Fallback", "status": "Unknown"}, NOT_PAUSED]
        told = {
            "lastActiveTime": ago(1),
            "triggersTypes": trigger["type"],
            "authenticationsTypes": "",
            "triggersActivity": {METRIC: {"isActive": True}},
            "conditions": conditions,
        }
        self._told("scaledjob", name, told)
        owner = self.world.get("scaledjob", name)
        for suffix in suffixes:
            self._create(job(owner, suffix))
        for suffix, pod in ended.items():
            self._create(job(owner, suffix, pod))
        self.world.until(lambda: all(self._ended(f"{name}-{suffix}") for suffix in ended), "the Jobs end", seconds=60)

    def _ended(self, job: str) -> bool:
        status = self.world.get("job", job).get("status") or {}
        return any(found["type"] in ("Complete", "Failed") for found in status.get("conditions") or [])

    def authentication(self, name: str, user: str) -> None:
        """Put a TriggerAuthentication with its Secret."""
        self._authentication("TriggerAuthentication", name, user, self.world.namespace)

    def cluster_authentication(self, name: str, user: str) -> None:
        """Put a ClusterTriggerAuthentication, whose Secret is with the daemon; nobody else takes them away."""
        self._authentication("ClusterTriggerAuthentication", name, user, NAMESPACE)

    def _authentication(self, kind: str, name: str, user: str, namespace: str) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": "t"}}
        self.world.cluster.apply(secret, namespace=namespace)
        ref = [{"parameter": "token", "name": name, "key": "token"}]
        auth = {"apiVersion": "keda.sh/v1alpha1", "kind": kind, "spec": {"secretTargetRef": ref}}
        self.world.apply(auth | {"metadata": {"name": name, "finalizers": [FINALIZER]}})
        self._told(kind.lower(), name, {"scaledobjects": user})


def _name(index: int) -> str:
    """Return the name of the metric of a trigger `metrics-api`."""
    return f"s{index}-metric-api-value"


def _metrics(name: str, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics of an HPA, sorted by their types as KEDA sorts them."""

    def external(metric: str, value: str) -> dict[str, Any]:
        identifier = {"name": metric, "selector": {"matchLabels": {"scaledobject.keda.sh/name": name}}}
        target = {"type": "AverageValue", "averageValue": value}
        return {"type": "External", "external": {"metric": identifier, "target": target}}

    if modifiers := (spec.get("advanced") or {}).get("scalingModifiers"):
        return [external(COMPOSITE, modifiers["target"])]
    found = []
    for index, trigger in enumerate(spec["triggers"]):
        metadata = trigger["metadata"]
        if trigger["type"] == "cpu":
            target = {"type": "Utilization", "averageUtilization": int(metadata["value"])}
            body = {"name": "cpu", "container": metadata["containerName"], "target": target}
            found.append({"type": "ContainerResource", "containerResource": body})
        else:
            found.append(external(_name(index), metadata["targetValue"]))
    return sorted(found, key=lambda metric: str(metric["type"]))


def owned_by(owner: dict[str, Any]) -> dict[str, Any]:
    """Return a controller's reference."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def job(owner: dict[str, Any], suffix: str, pod: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a Job as KEDA makes it, with the name that the API server generates for it; `pod`: what its pod runs."""
    meta, target = owner["metadata"], owner["spec"]["jobTargetRef"]
    template, name = target["template"] | ({"spec": pod} if pod else {}), meta["name"]
    labels = template["metadata"].get("labels", {}) | {"scaledjob.keda.sh/name": name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-{suffix}",
            "generateName": f"{name}-",
            "labels": {
                "app.kubernetes.io/name": name,
                "app.kubernetes.io/version": VERSION,
                "app.kubernetes.io/part-of": name,
                "app.kubernetes.io/managed-by": "keda-operator",
                "scaledjob.keda.sh/name": name,
            },
            "annotations": {"scaledjob.keda.sh/generation": str(meta["generation"])} | (meta.get("annotations") or {}),
            "ownerReferences": [owned_by(owner)],
        },
        "spec": target | {"template": template | {"metadata": {"generateName": f"{name}-", "labels": labels}}},
    }


def leave_lease(cluster: Cluster) -> None:
    """Leave KEDA's Lease as a pod that was killed does: held, and not renewed any more."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {
        "holderIdentity": "keda-operator-7c8f5d9b6d-x2x9k_6f0c7a52-5d3e-4d0b-8f6e-0c1f0e8f2a11",
        "leaseDurationSeconds": 15,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": 3,
    }
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "operator.keda.sh"}}
    cluster.kubectl("delete", "lease", "operator.keda.sh", f"--namespace={NAMESPACE}", "--ignore-not-found")
    cluster.apply(lease | {"spec": spec}, namespace=NAMESPACE)
