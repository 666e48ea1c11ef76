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
READY: Final = {
    "type": "Ready",
    "status": "True",
    "reason": "ScaledObjectReady",
    "message": "ScaledObject is defined correctly and is ready for scaling",
}
ACTIVE: Final = {
    "type": "Active",
    "status": "True",
    "reason": "ScalerActive",
    "message": "Scaling is performed because triggers are active",
}
IDLE: Final = {
    "type": "Active",
    "status": "False",
    "reason": "ScalerNotActive",
    "message": "Scaling is not performed because triggers are not active",
}
COOLING: Final = {
    "type": "Active",
    "status": "False",
    "reason": "ScalerCooldown",
    "message": "Scaler cooling down because triggers are not active",
}
NO_FALLBACK: Final = {
    "type": "Fallback",
    "status": "False",
    "reason": "NoFallbackFound",
    "message": "No fallbacks are active on this scaled object",
}
FALLBACK: Final = {
    "type": "Fallback",
    "status": "True",
    "reason": "FallbackExists",
    "message": "At least one trigger is falling back on this scaled object",
}
NOT_PAUSED: Final = {"type": "Paused", "status": "False"}
PAUSED: Final = {
    "type": "Paused",
    "status": "True",
    "reason": "ScaledObjectPaused",
    "message": "ScaledObject is paused",
}
SCALING: Final = {
    "type": "HPAActive",
    "status": "True",
    "reason": "HPAActive",
    "message": "HPA is actively scaling",
}
METRIC: Final = "s0-metric-api-value"


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
        trigger: dict[str, Any],
        *conditions: dict[str, str],
        replicas: int,
        annotations: dict[str, str] | None = None,
        status: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """Put a Deployment and a ScaledObject; and its HPA, if the status names one that is not paused."""
        made = self.world.scaled_object(name, trigger, **spec)
        made["metadata"] |= {
            "labels": {"scaledobject.keda.sh/name": name, "team": "shop"},
            "annotations": annotations or {},
            "finalizers": [FINALIZER],
        }
        self.world.apply(self.world.deployment(name, replicas), made)
        hpa = ((spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}).get(
            "name"
        ) or f"keda-hpa-{name}"
        found = {
            "scaleTargetKind": "apps/v1.Deployment",
            "scaleTargetGVKR": {"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments"},
            "originalReplicaCount": 1,
            "externalMetricNames": [METRIC],
            "hpaName": hpa,
            "triggersTypes": trigger["type"],
            "authenticationsTypes": (trigger.get("authenticationRef") or {}).get("name", ""),
            "triggersActivity": {METRIC: {"isActive": ACTIVE in conditions}},
            "conditions": [READY, *conditions],
            **(status or {}),
        }
        self._told("scaledobject", name, found)
        if PAUSED not in conditions:
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
        selector = {"matchLabels": {"scaledobject.keda.sh/name": meta["name"]}}
        target = {"type": "AverageValue", "averageValue": str(spec["triggers"][0]["metadata"]["targetValue"])}
        external = {"metric": {"name": METRIC, "selector": selector}, "target": target}
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
                    "metrics": [{"type": "External", "external": external}],
                },
            }
        )

    def _create(self, document: dict[str, Any]) -> None:
        space = f"--namespace={self.world.namespace}"
        self.world.cluster.kubectl("create", space, "-f", "-", stdin=json.dumps(document))

    def scaled_job(self, name: str, trigger: dict[str, Any], *suffixes: str) -> None:
        """Put a ScaledJob, and a running Job for each suffix of a generated name."""
        made = self.world.scaled_job(name, trigger, maxReplicaCount=10)
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

    def authentication(self, name: str, user: str) -> None:
        """Put a TriggerAuthentication with its Secret."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": "t"}}
        ref = [{"parameter": "token", "name": name, "key": "token"}]
        auth = {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "spec": {"secretTargetRef": ref}}
        self.world.apply(secret, auth | {"metadata": {"name": name, "finalizers": [FINALIZER]}})
        self._told("triggerauthentication", name, {"scaledobjects": user})


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


def job(owner: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Return a Job as KEDA makes it, with the name that the API server generates for it."""
    meta, target = owner["metadata"], owner["spec"]["jobTargetRef"]
    template, name = target["template"], meta["name"]
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
