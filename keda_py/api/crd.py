"""The CustomResourceDefinitions of all kinds, made of their models (``make crds`` writes them to manifests/crds)."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from keda_py.api import authentication, cloud_event_source, scaled_job, scaled_object
from keda_py.api.schema import structural
from keda_py.naming import GROUP, VERSION

EVENTING_GROUP: Final = f"eventing.{GROUP}"

Column = tuple[str, str, str]
"""Name, type and path of a column of ``kubectl get``; a name in parentheses shows with ``-o wide`` only."""


def _conditions(*types: str) -> tuple[Column, ...]:
    return tuple((type_, "string", f'.status.conditions[?(@.type=="{type_}")].status') for type_ in types)


_AGE: Final = ("Age", "date", ".metadata.creationTimestamp")
_USES: Final = (
    ("Triggers", "string", ".status.triggersTypes"),
    ("Authentications", "string", ".status.authenticationsTypes"),
    _AGE,
)
_BOUNDS: Final = (("Min", "integer", ".spec.minReplicaCount"), ("Max", "integer", ".spec.maxReplicaCount"))
_IDENTITY: Final = (
    ("PodIdentity", "string", ".spec.podIdentity.provider"),
    ("Secret", "string", ".spec.secretTargetRef[*].name"),
    ("Env", "string", ".spec.env[*].name"),
)
_VAULT: Final = ("VaultAddress", "string", ".spec.hashiCorpVault.address")
_USERS: Final = (
    ("(ScaledObjects)", "string", ".status.scaledobjects"),
    ("(ScaledJobs)", "string", ".status.scaledjobs"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its names, its models, and what ``kubectl get`` shows."""

    name: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    group: str = GROUP
    short_names: tuple[str, ...] = ()
    cluster_wide: bool = False
    spec_required: bool = True

    @property
    def plural(self) -> str:
        """The name of the resource."""
        return f"{self.name.lower()}s"


KINDS: Final = (
    Kind(
        "ScaledObject",
        "Scales a workload by what happens elsewhere.",
        scaled_object.ScaledObjectSpec,
        scaled_object.ScaledObjectStatus,
        columns=(
            ("ScaleTargetKind", "string", ".status.scaleTargetKind"),
            ("ScaleTargetName", "string", ".spec.scaleTargetRef.name"),
            *_BOUNDS,
            *_conditions("Ready", "Active", "Fallback", "Paused"),
            *_USES,
        ),
        short_names=("so",),
    ),
    Kind(
        "ScaledJob",
        "Starts Jobs for what happens elsewhere.",
        scaled_job.ScaledJobSpec,
        scaled_job.ScaledJobStatus,
        columns=(*_BOUNDS, *_conditions("Ready", "Active", "Paused"), *_USES),
        short_names=("sj",),
        spec_required=False,
    ),
    Kind(
        "TriggerAuthentication",
        "Credentials for the triggers of a namespace.",
        authentication.TriggerAuthenticationSpec,
        authentication.TriggerAuthenticationStatus,
        columns=(*_IDENTITY, _VAULT, *_USERS),
        short_names=("ta", "triggerauth"),
    ),
    Kind(
        "ClusterTriggerAuthentication",
        "Credentials for the triggers of all namespaces.",
        authentication.TriggerAuthenticationSpec,
        authentication.TriggerAuthenticationStatus,
        columns=(*_IDENTITY, ("FilePath", "string", ".spec.filePath"), _VAULT, *_USERS),
        short_names=("cta", "clustertriggerauth"),
        cluster_wide=True,
    ),
    Kind(
        "CloudEventSource",
        "Sends what happens to the objects of a namespace as CloudEvents.",
        cloud_event_source.CloudEventSourceSpec,
        cloud_event_source.CloudEventSourceStatus,
        columns=_conditions("Active"),
        group=EVENTING_GROUP,
    ),
    Kind(
        "ClusterCloudEventSource",
        "Sends what happens to the objects of all namespaces as CloudEvents.",
        cloud_event_source.CloudEventSourceSpec,
        cloud_event_source.CloudEventSourceStatus,
        columns=_conditions("Active"),
        group=EVENTING_GROUP,
        cluster_wide=True,
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    names: dict[str, Any] = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in kind.columns],
        "schema": {"openAPIV3Schema": _schema(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Cluster" if kind.cluster_wide else "Namespaced",
            "versions": [version],
        },
    }


def _column(name: str, type_: str, path: str) -> dict[str, Any]:
    wide = {"priority": 1} if name.startswith("(") else {}
    return {"name": name.strip("()"), "type": type_, "jsonPath": path, **wide}


def _schema(kind: Kind) -> dict[str, Any]:
    return {
        "type": "object",
        "description": kind.description,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural(kind.status),
        },
        **({"required": ["spec"]} if kind.spec_required else {}),
    }
