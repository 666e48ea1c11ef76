"""What is said of an object that somebody is about to put into the cluster: the rules, applied to what is watched.

Nothing is asked of the API server on the way, but for one thing: a target that the watch has not shown yet, because it
was made a moment before. What is not known lets an object in, with a warning: it will be told in its conditions.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.api.cloud_event_source import CloudEventSourceSpec
from keda_py.api.meta import ManifestError
from keda_py.api.scaled_job import ScaledJob
from keda_py.api.scaled_object import ScaledObject
from keda_py.api.trigger import ScaleTrigger
from keda_py.decide import admission, ownership, requests
from keda_py.decide.admission import Finding, Verdict
from keda_py.decide.requests import Container
from keda_py.engine.cluster import HPAS, SCALED_JOBS, SCALED_OBJECTS
from keda_py.engine.credentials.reference import authentication_key
from keda_py.engine.index import Index
from keda_py.engine.scalable import of_scaled_job
from keda_py.engine.target import CONTAINERS, DEPLOYMENTS, STATEFUL_SETS, trim_workload
from keda_py.engine.trigger_check import Owner, TriggerCheck
from keda_py.kube.client import ApiError, Client, NotFound, Resource
from keda_py.kube.reflector import Store
from keda_py.naming import Refusal

LIMIT_RANGES: Final = Resource("", "v1", "limitranges", "LimitRange")
TARGET_SECONDS: Final = 2.0
_MOST_COUNTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the API server asks about; `old` is None for an object that is new."""

    kind: str
    namespace: str
    new: dict[str, Any]
    old: dict[str, Any] | None = None
    dry_run: bool = False

    @property
    def action(self) -> str:
        """What is done to the object, in KEDA's words."""
        return "create" if self.old is None else "update"

    @property
    def spec(self) -> Any:
        """The spec that is asked for."""
        return self.new.get("spec") or {}


@dataclass(slots=True)
class Counts:
    """What was asked and refused, for `/metrics`; bounded, for namespaces come and go."""

    validations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of ScaledObjects, by namespace and action."""
    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Of ScaledObjects and ScaledJobs, by namespace, action and reason."""

    def count(self, asked: Asked, verdict: Verdict) -> None:
        """Count one answer; dry runs too, as KEDA does."""
        if asked.kind == SCALED_OBJECTS.kind:
            self._add(self.validations, (asked.namespace, asked.action))
        if asked.kind in (SCALED_OBJECTS.kind, SCALED_JOBS.kind):
            for reason in {finding.reason for finding in verdict.findings}:
                self._add(self.errors, (asked.namespace, asked.action, reason))

    def _add(self, counter: Counter[Any], key: Any) -> None:
        if key in counter or len(counter) < _MOST_COUNTS:
            counter[key] += 1


class Watched:
    """What the webhook knows of the cluster."""

    def __init__(
        self,
        stores: Mapping[Resource, Store],
        *,
        authentications: Mapping[str, Store],
        limit_ranges: Store,
        limits_known: Callable[[], bool],
        listed: Callable[[], bool],
        sees: Callable[[str], bool],
    ) -> None:
        """`listed`: whether `stores` are complete; `limits_known`: whether LimitRanges are.

        `sees`: says of a namespace whether it is watched.
        """
        self._on_target = Index(stores[SCALED_OBJECTS], ownership.Target.of)
        self._on_hpa_name = Index(stores[SCALED_OBJECTS], ownership.hpa_name_of)
        self._hpas = Index(stores[HPAS], ownership.Target.of)
        self._limits = Index(limit_ranges, lambda raw: None if raw is None else "")
        self._limits_known = limits_known
        self._listed = listed
        self._sees = sees
        self.authentications = authentications
        self.workloads = {("apps", r.kind): (r, stores[r]) for r in (DEPLOYMENTS, STATEFUL_SETS)}

    def knows(self, namespace: str) -> bool:
        """Return whether all that is in a namespace is known."""
        return self._listed() and self._sees(namespace)

    def neighbours(self, scaled_object: ScaledObject, target: ownership.Target) -> ownership.Neighbours:
        """Return what shares a namespace with a ScaledObject and has to do with it."""
        namespace = scaled_object.metadata.namespace
        return ownership.Neighbours(
            on_target=list(self._on_target.find(namespace, target)),
            on_hpa_name=list(self._on_hpa_name.find(namespace, scaled_object.hpa_name)),
            hpas=list(self._hpas.find(namespace, target)),
        )

    def defaults(self, namespace: str) -> set[str] | None:
        """Return what LimitRanges give every container of a namespace; None if that is not known."""
        if not self._limits_known():
            return None
        return {name for found in self._limits.find(namespace, "") for name in found["defaults"]}


class Admission:
    """Answers whether an object may be let in. Every replica does; nothing is ever written."""

    def __init__(self, watched: Watched, client: Client, triggers: TriggerCheck) -> None:
        self._watched = watched
        self._client = client
        self._triggers = triggers
        self.counts = Counts()
        self._rules: dict[str, Callable[[Asked], Awaitable[Verdict]]] = {
            SCALED_OBJECTS.kind: self._scaled_object,
            SCALED_JOBS.kind: self._scaled_job,
            "TriggerAuthentication": self._authentication,
            "ClusterTriggerAuthentication": self._authentication,
            "CloudEventSource": self._event_source,
            "ClusterCloudEventSource": self._event_source,
        }

    async def review(self, asked: Asked) -> Verdict:
        """Return what is to be said of an object."""
        if admission.spared(asked.new, asked.old):
            return Verdict()
        try:
            verdict = await self._rules[asked.kind](asked)
        except ManifestError as error:
            verdict = Verdict((Finding(Refusal.MANIFEST, str(error)),))
        self.counts.count(asked, verdict)
        return verdict

    async def _scaled_object(self, asked: Asked) -> Verdict:
        scaled_object = ScaledObject.parse(asked.new)
        spec, known = scaled_object.spec, self._watched.knows(asked.namespace)
        findings = list(admission.of_scaled_object(scaled_object))
        warnings = list(admission.warnings_of(spec))
        target = ownership.Target.of(asked.new)
        if target is not None and known:
            neighbours = self._watched.neighbours(scaled_object, target)
            findings += ownership.problems(scaled_object, target, neighbours)
        if target is not None and not asked.dry_run:
            needs = await self._requests(scaled_object, target, known=known)
            findings, warnings = findings + needs[0], warnings + needs[1]
        owner = Owner(asked.kind, asked.namespace, scaled_object.metadata.name, in_formula=spec.modifiers is not None)
        checked = await self._checked(spec.triggers, owner, known=known)
        return Verdict((*findings, *checked.findings), (*warnings, *checked.warnings))

    async def _scaled_job(self, asked: Asked) -> Verdict:
        scaled_job = ScaledJob.parse(asked.new)
        # Also the pod template, of which the CRD knows nothing.
        of_scaled_job(scaled_job)
        owner = Owner(asked.kind, asked.namespace, scaled_job.metadata.name)
        known = self._watched.knows(asked.namespace)
        checked = await self._checked(scaled_job.spec.triggers, owner, known=known)
        return Verdict((*admission.of_scaled_job(scaled_job.spec), *checked.findings), checked.warnings)

    async def _authentication(self, asked: Asked) -> Verdict:
        return Verdict(tuple(admission.of_authentication(TriggerAuthenticationSpec.parse(asked.spec, at="spec"))))

    async def _event_source(self, asked: Asked) -> Verdict:
        return Verdict(tuple(admission.of_event_source(CloudEventSourceSpec.parse(asked.spec, at="spec"))))

    async def _checked(self, triggers: Sequence[ScaleTrigger], owner: Owner, *, known: bool) -> Verdict:
        findings: list[Finding] = []
        warnings: list[str] = []
        for index, trigger in enumerate(triggers):
            found = self._triggers.check(trigger, index, owner)
            findings += (Finding(Refusal.PARAMETERS, problem) for problem in found.problems)
            warnings += found.warnings
            if known:
                warnings += self._missing(trigger, index, owner.namespace)
            # A manifest may have thousands: whoever else waits for this loop has a turn between them.
            await asyncio.sleep(0)
        return Verdict(tuple(findings), tuple(warnings))

    def _missing(self, trigger: ScaleTrigger, index: int, namespace: str) -> Iterator[str]:
        """Yield that the authentication of a trigger is not there, which may be because it comes later."""
        if (ref := trigger.authentication_ref) is not None:
            key = authentication_key(ref.kind or "", namespace, ref.name)
            if self._watched.authentications[key.kind].get((key.namespace, key.name)) is None:
                yield f"spec.triggers[{index}].authenticationRef: {key} does not exist yet; create it"

    # --- requests of containers -------------------------------------------------------------------------------------

    async def _requests(
        self, scaled_object: ScaledObject, target: ownership.Target, *, known: bool
    ) -> tuple[list[Finding], list[str]]:
        spec, namespace = scaled_object.spec, scaled_object.metadata.namespace
        workload = self._watched.workloads.get((target.group, target.kind))
        if workload is None or not any(trigger.type in admission.RESOURCES for trigger in spec.triggers):
            return [], []
        findings = list(requests.cannot_sleep(spec))
        try:
            containers = await self._containers(*workload, namespace, target.name) if known else None
        except NotFound:
            return findings, [f"spec.scaleTargetRef: {target} does not exist yet; create it"]
        except ApiError as error:
            return findings, [f"spec.scaleTargetRef: whether containers request enough is not known: {error}"]
        if containers is None:
            return findings, []
        defaults = self._watched.defaults(namespace)
        missing, warnings = requests.problems(spec, str(target), containers, defaults=defaults)
        return findings + missing, warnings

    async def _containers(self, resource: Resource, store: Store, namespace: str, name: str) -> Sequence[Container]:
        """Return what containers request; raise `ApiError` if the target is not there, or cannot be read in time."""
        found = store.get((namespace, name))
        if found is None:
            raw = await self._client.call("GET", resource.path(namespace, name), seconds=TARGET_SECONDS)
            found = trim_workload(raw)
        containers: Sequence[Container] = found["spec"][CONTAINERS]
        return containers


def trim_limit_range(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept in memory of a LimitRange: what it gives every container."""
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in metadata}
    return {"metadata": kept, "defaults": requests.defaulted(found)}
