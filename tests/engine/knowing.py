"""What the cluster knows, as a table: lookups for tests of what is resolved from them."""

from dataclasses import dataclass, field
from typing import Any

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.api.pod import PodSpec
from keda_py.api.trigger import AuthenticationRef
from keda_py.engine.credentials.lookup import Authentication, Elsewhere, Missing, Named, Unread
from keda_py.scaler import ScalerError

Objects = dict[tuple[str, str, str], dict[str, str] | Exception]


@dataclass
class Known:
    """Objects by kind, namespace and name; an exception is raised. `asked` has what was looked at."""

    objects: Objects = field(default_factory=dict)
    template: dict[str, Any] | Exception | None = None
    authentications: dict[tuple[str | None, str], dict[str, Any]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    stored: dict[str, dict[str, str] | Exception] = field(default_factory=dict)
    """What lies elsewhere, by how it is called."""
    looked: list[Elsewhere] = field(default_factory=list)

    def value(self, named: Named) -> str | None:
        self.asked.add(f"{named}:{named.key}")
        found = self.objects.get((named.kind, named.namespace, named.name))
        if found is None:
            raise Missing(f"{named} does not exist")
        if isinstance(found, Exception):
            raise found
        return found.get(named.key)

    def pod(self) -> PodSpec:
        if isinstance(self.template, Exception):
            raise self.template
        if self.template is None:
            raise ScalerError("the target has no pod template")
        return PodSpec.model_validate(self.template)

    def authentication(self, ref: AuthenticationRef) -> Authentication:
        spec = self.authentications.get((ref.kind, ref.name))
        if spec is None:
            raise Missing(f"{ref.name} does not exist")
        namespace = "keda" if ref.kind == "ClusterTriggerAuthentication" else "ns"
        found = TriggerAuthenticationSpec.model_validate(spec)
        return Authentication(f"{ref.kind} {ref.name}", namespace, found, namespace == "keda")

    def elsewhere(self, what: Elsewhere) -> dict[str, str]:
        self.looked.append(what)
        found = self.stored[str(what)]
        if isinstance(found, Exception):
            raise found
        return found


UNREAD = Unread()
