"""The kinds of objects that the embedded cluster knows: built in ones, and those that a CRD defines.

A kind says how its objects are addressed, which parts of them are written apart (`/status`, `/scale`), what
``kubectl get`` shows and, for a CRD's, what its schema allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.devcluster import builtin
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

    `plain`: has no generation. `selectable`: the fields that it can be selected by, beside name and namespace.
    `review`: is a question that is answered at once, and no object.
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
    selectable: tuple[str, ...] = ()
    singular: str = ""
    review: bool = False

    @property
    def title(self) -> str:
        """How messages name it: ``deployments.apps``."""
        return f"{self.resource.plural}.{self.resource.group}" if self.resource.group else self.resource.plural

    @property
    def place(self) -> tuple[str, str]:
        """Where the store keeps its objects; versions of one kind share them."""
        return _SHARED.get((self.resource.group, self.resource.plural), (self.resource.group, self.resource.plural))

    @property
    def type(self) -> str:
        """The type that declares its fields, in `builtin`; empty if a CRD does, or nothing."""
        if self.custom or self.review or self.resource.group == "apiextensions.k8s.io":
            return ""
        return "events.Event" if self.resource.group == "events.k8s.io" else self.resource.kind

    @property
    def guarded(self) -> bool:
        """Whether whoever replaces an object must say which version of it (AllowUnconditionalUpdate)."""
        return self.custom or self.resource.kind in ("Lease", "CustomResourceDefinition")

    @property
    def made_by_put(self) -> bool:
        """Whether a put of an object that is not there makes it (AllowCreateOnUpdate)."""
        return self.resource.kind in ("Event", "Lease", "Service") and not self.custom

    @property
    def shape(self) -> dict[str, Any]:
        """What its fields are, as OpenAPI has it."""
        if self.type:
            return builtin.schema(self.type)
        known = {**self.schema.get("properties", {}), "metadata": builtin.schema("ObjectMeta")}
        return {**(self.schema or {"x-kubernetes-preserve-unknown-fields": True}), "properties": known}


_SHARED: Final = {("", "events"): ("events.k8s.io", "events")}

_ABOUT: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT: Final = ("reason", "type")
_AGE: Final[Column] = ("Age", "string", ".metadata.creationTimestamp", 0)
_CUSTOM_AGE: Final[Column] = ("Age", "date", ".metadata.creationTimestamp", 0)
_SELECTOR: Final = ScalePaths(selector="spec.selector")


def _made(*names: str, priority: int = 0) -> tuple[Column, ...]:
    """Return columns whose cells `cell` makes."""
    return tuple((name, "string", "", priority) for name in names)


_TEMPLATE: Final = _made("Containers", "Images", priority=1)
_ON_REQUEST: Final = _made("Containers", "Images", "Selector", priority=1)
_EVENT_COLUMNS: Final = (
    *_made("Last Seen"), ("Type", "string", ".type", 0), ("Reason", "string", ".reason", 0), *_made("Object"),
    *_made("Subobject", "Source", priority=1), *_made("Message"), *_made("First Seen", "Count", "Name", priority=1),
)  # fmt: skip

BUILT_IN: Final = (
    Kind(Resource("", "v1", "namespaces", "Namespace"), ("ns",), namespaced=False, status=True, plain=True,
         selectable=("status.phase",), columns=(("Status", "string", ".status.phase", 0), _AGE)),
    Kind(Resource("", "v1", "nodes", "Node"), ("no",), namespaced=False, status=True,
         columns=(("Version", "string", ".status.nodeInfo.kubeletVersion", 0), _AGE)),
    Kind(Resource("", "v1", "pods", "Pod"), ("po",), categories=("all",), status=True,
         selectable=("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                     "status.phase", "status.podIP"),
         columns=(*_made("Ready", "Status", "Restarts"), _AGE,
                  *_made("IP", "Node", "Nominated Node", "Readiness Gates", priority=1))),
    Kind(Resource("", "v1", "configmaps", "ConfigMap"), ("cm",), plain=True, columns=(*_made("Data"), _AGE)),
    Kind(Resource("", "v1", "secrets", "Secret"), plain=True, selectable=("type",),
         columns=(("Type", "string", ".type", 0), *_made("Data"), _AGE)),
    Kind(Resource("", "v1", "serviceaccounts", "ServiceAccount"), ("sa",), plain=True, columns=(_AGE,)),
    Kind(Resource("", "v1", "services", "Service"), ("svc",), categories=("all",), status=True,
         columns=(("Type", "string", ".spec.type", 0), *_made("Cluster-IP", "External-IP", "Port(s)"), _AGE,
                  *_made("Selector", priority=1))),
    Kind(Resource("", "v1", "events", "Event"), ("ev",), plain=True, columns=_EVENT_COLUMNS,
         selectable=(*(f"involvedObject.{name}" for name in _ABOUT), *_EVENT, "reportingComponent", "source")),
    Kind(Resource("events.k8s.io", "v1", "events", "Event"), ("ev",), plain=True, columns=_EVENT_COLUMNS,
         selectable=(*(f"regarding.{name}" for name in _ABOUT), *_EVENT, "reportingController")),
    Kind(Resource("apps", "v1", "deployments", "Deployment"), ("deploy",), categories=("all",), status=True,
         scale=_SELECTOR, columns=(*_made("Ready", "Up-to-date", "Available"), _AGE, *_ON_REQUEST)),
    Kind(Resource("apps", "v1", "replicasets", "ReplicaSet"), ("rs",), categories=("all",), status=True,
         scale=_SELECTOR, selectable=("status.replicas",),
         columns=(("Desired", "integer", ".spec.replicas", 0), ("Current", "integer", "", 0),
                  ("Ready", "integer", "", 0), _AGE, *_ON_REQUEST)),
    Kind(Resource("apps", "v1", "statefulsets", "StatefulSet"), ("sts",), categories=("all",), status=True,
         scale=_SELECTOR, columns=(*_made("Ready"), _AGE, *_TEMPLATE)),
    Kind(Resource("batch", "v1", "jobs", "Job"), categories=("all",), status=True, selectable=("status.successful",),
         columns=(*_made("Status", "Completions", "Duration"), _AGE, *_ON_REQUEST)),
    Kind(Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"), ("hpa",),
         categories=("all",), status=True, plain=True,
         columns=(*_made("Reference", "Targets", "MinPods"), ("MaxPods", "string", ".spec.maxReplicas", 0),
                  *_made("Replicas"), _AGE)),
    Kind(Resource("coordination.k8s.io", "v1", "leases", "Lease"),
         columns=(("Holder", "string", ".spec.holderIdentity", 0), _AGE)),
    Kind(Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"), plain=True,
         columns=(("AddressType", "string", ".addressType", 0), _AGE)),
    *(Kind(Resource(group, "v1", f"{kind.lower()}s", kind), namespaced=False, review=True) for group, kind in (
        ("authentication.k8s.io", "SelfSubjectReview"), ("authorization.k8s.io", "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "SelfSubjectRulesReview"))),
    Kind(Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
         ("crd", "crds"), namespaced=False, status=True, categories=("api-extensions",),
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
        return (_CUSTOM_AGE,)
    return tuple((c["name"], c["type"], c["jsonPath"], c.get("priority", 0)) for c in found)
