"""The kinds of objects that the embedded cluster knows: built in ones, and those that a CRD defines.

A kind says how its objects are addressed, which parts of them are written apart (`/status`, `/scale`), what
``kubectl get`` shows and, for a CRD's, what its schema allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.kube.client import Resource

Column = tuple[str, str, str, int]
"""Name, type, path and priority of a column of ``kubectl get``; from priority 1 on with ``-o wide`` only."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where an object keeps what `/scale` shows of it."""

    spec: str = "spec.replicas"
    status: str = "status.replicas"
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, as one API version serves it.

    `plain`: has no spec and no generation. `stored_as`: another kind that keeps its objects, for a second view of them.
    """

    resource: Resource
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    status: bool = False
    scale: ScalePaths | None = None
    columns: tuple[Column, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    custom: bool = False
    plain: bool = False
    singular: str = ""

    @property
    def title(self) -> str:
        """How messages name it: ``deployments.apps``."""
        return f"{self.resource.plural}.{self.resource.group}" if self.resource.group else self.resource.plural

    @property
    def place(self) -> tuple[str, str]:
        """Where the store keeps its objects; versions of one kind share them."""
        return _SHARED.get((self.resource.group, self.resource.plural), (self.resource.group, self.resource.plural))


_SHARED: Final = {("", "events"): ("events.k8s.io", "events")}

_AGE: Final[Column] = ("Age", "date", ".metadata.creationTimestamp", 0)
_SELECTOR: Final = ScalePaths(selector="spec.selector")

BUILT_IN: Final = (
    Kind(Resource("", "v1", "namespaces", "Namespace"), ("ns",), namespaced=False, status=True,
         columns=(("Status", "string", ".status.phase", 0), _AGE)),
    Kind(Resource("", "v1", "nodes", "Node"), ("no",), namespaced=False, status=True,
         columns=(("Version", "string", ".status.nodeInfo.kubeletVersion", 0), _AGE)),
    Kind(Resource("", "v1", "pods", "Pod"), ("po",), categories=("all",), status=True,
         columns=(("Ready", "string", "", 0), ("Status", "string", ".status.phase", 0),
                  ("Restarts", "integer", ".status.containerStatuses[0].restartCount", 0), _AGE)),
    Kind(Resource("", "v1", "configmaps", "ConfigMap"), ("cm",), plain=True, columns=(_AGE,)),
    Kind(Resource("", "v1", "secrets", "Secret"), plain=True, columns=(("Type", "string", ".type", 0), _AGE)),
    Kind(Resource("", "v1", "serviceaccounts", "ServiceAccount"), ("sa",), plain=True, columns=(_AGE,)),
    Kind(Resource("", "v1", "services", "Service"), ("svc",), categories=("all",), status=True,
         columns=(("Type", "string", ".spec.type", 0), _AGE)),
    Kind(Resource("", "v1", "events", "Event"), ("ev",), plain=True,
         columns=(("Last Seen", "date", ".lastTimestamp", 0), ("Type", "string", ".type", 0),
                  ("Reason", "string", ".reason", 0), ("Object", "string", "", 0),
                  ("Message", "string", ".message", 0))),
    Kind(Resource("events.k8s.io", "v1", "events", "Event"), ("ev",), plain=True,
         columns=(("Last Seen", "date", ".eventTime", 0), ("Type", "string", ".type", 0),
                  ("Reason", "string", ".reason", 0), ("Object", "string", "", 0), ("Note", "string", ".note", 0))),
    Kind(Resource("apps", "v1", "deployments", "Deployment"), ("deploy",), categories=("all",), status=True,
         scale=_SELECTOR, columns=(("Ready", "string", "", 0), ("Up-to-date", "integer", ".status.updatedReplicas", 0),
                                   ("Available", "integer", ".status.availableReplicas", 0), _AGE)),
    Kind(Resource("apps", "v1", "replicasets", "ReplicaSet"), ("rs",), categories=("all",), status=True,
         scale=_SELECTOR, columns=(("Desired", "integer", ".spec.replicas", 0),
                                   ("Current", "integer", ".status.replicas", 0),
                                   ("Ready", "integer", ".status.readyReplicas", 0), _AGE)),
    Kind(Resource("apps", "v1", "statefulsets", "StatefulSet"), ("sts",), categories=("all",), status=True,
         scale=_SELECTOR, columns=(("Ready", "string", "", 0), _AGE)),
    Kind(Resource("batch", "v1", "jobs", "Job"), categories=("all",), status=True,
         columns=(("Status", "string", "", 0), ("Completions", "string", "", 0), _AGE)),
    Kind(Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"), ("hpa",),
         categories=("all",), status=True,
         columns=(("Reference", "string", "", 0), ("Targets", "string", "", 0),
                  ("MinPods", "integer", ".spec.minReplicas", 0), ("MaxPods", "integer", ".spec.maxReplicas", 0),
                  ("Replicas", "integer", ".status.currentReplicas", 0), _AGE)),
    Kind(Resource("coordination.k8s.io", "v1", "leases", "Lease"),
         columns=(("Holder", "string", ".spec.holderIdentity", 0), _AGE)),
    Kind(Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"), plain=True, columns=(_AGE,)),
    Kind(Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
         ("crd", "crds"), namespaced=False, status=True,
         columns=(("Created At", "date", ".metadata.creationTimestamp", 0),)),
)  # fmt: skip

CRDS: Final = next(kind for kind in BUILT_IN if kind.resource.plural == "customresourcedefinitions")


def defined(definition: dict[str, Any]) -> Iterator[Kind]:
    """Yield the kinds that a CustomResourceDefinition defines, one for each version that it serves."""
    spec, names = definition["spec"], definition["spec"]["names"]
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        parts = version.get("subresources") or {}
        scale = parts.get("scale")
        yield Kind(
            Resource(spec["group"], version["name"], names["plural"], names["kind"]),
            tuple(names.get("shortNames") or ()),
            namespaced=spec["scope"] == "Namespaced",
            categories=tuple(names.get("categories") or ()),
            status="status" in parts,
            scale=_paths(scale) if scale else None,
            columns=_columns(version),
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            custom=True,
            singular=names.get("singular") or names["kind"].lower(),
        )


def _paths(scale: dict[str, str]) -> ScalePaths:
    return ScalePaths(
        scale["specReplicasPath"].removeprefix("."),
        scale["statusReplicasPath"].removeprefix("."),
        scale.get("labelSelectorPath", "").removeprefix("."),
    )


def _columns(version: dict[str, Any]) -> tuple[Column, ...]:
    found = version.get("additionalPrinterColumns")
    if not found:
        return (_AGE,)
    return tuple((c["name"], c["type"], c["jsonPath"], c.get("priority", 0)) for c in found)
