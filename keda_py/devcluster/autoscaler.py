"""The HPA controller of the embedded cluster: looks at each HPA every 15 s, and sets what `hpa_algorithm` says.

Its own memory, like the real one's, is lost when it starts anew. External metrics come from whoever serves them, over
`ReadMetric`; it knows no other kind.
"""

import random
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Final

from keda_py.decide import hpa_algorithm as algorithm
from keda_py.decide.hpa_algorithm import Bounds, History
from keda_py.decide.status import format_time
from keda_py.devcluster import event
from keda_py.devcluster.api import MERGE, Api, Request
from keda_py.devcluster.kind import Kind
from keda_py.devcluster.scale import shown
from keda_py.devcluster.selector import by_labels, from_object
from keda_py.devcluster.store import Change, Name, Object
from keda_py.quantity import Quantity, canonical, parse
from keda_py.runtime.queue import WorkQueue

HPAS: Final = ("autoscaling", "horizontalpodautoscalers")
SYNC_SECONDS: Final = 15.0
_COMPONENT: Final = "horizontal-pod-autoscaler"

ReadMetric = Callable[[str, str, str], Awaitable[str]]
"""Takes namespace, metric and label selector, and returns a quantity; raises `MetricError`."""


class MetricError(Exception):
    """A metric that cannot be had; the message is what the HPA's condition says."""


class Autoscaler:
    """Scales what HPAs point at."""

    def __init__(
        self, api: Api, read_metric: ReadMetric, *, chance: random.Random, sync_seconds: float = SYNC_SECONDS
    ) -> None:
        self._api = api
        self._read_metric = read_metric
        self._sync = sync_seconds
        self._histories: dict[Name, History] = {}
        self.queue: WorkQueue[Name] = WorkQueue(chance=chance)
        self._chance = chance
        api.store.listen(self._notice)

    def start(self) -> None:
        """Take up the HPAs that are there already."""
        for item in self._api.store.items(HPAS):
            self._later((item["metadata"]["namespace"], item["metadata"]["name"]))

    def _notice(self, change: Change) -> None:
        if change.place == HPAS and change.before is None:
            self._later(change.name)
        elif change.place == HPAS and change.after is None:
            self._histories.pop(change.name, None)

    def _later(self, name: Name) -> None:
        # Each HPA has its own place in the interval, as with the real controller's queue.
        self.queue.add_after(name, self._sync * self._chance.uniform(0.2, 1.0))

    async def reconcile(self, name: Name) -> float | None:
        """Look at one HPA; return when to look again."""
        found = self._api.store.get(HPAS, name)
        if found is None:
            return None
        look = _Look(self._api, found)
        target = look.target()
        if target is not None:
            await self._scale(name, look, *target)
        look.write()
        return self._sync

    async def _scale(self, name: Name, look: "_Look", kind: Kind, scale: Object) -> None:
        spec = look.found["spec"]
        replicas = scale["spec"].get("replicas", 0)
        minimum, maximum = spec.get("minReplicas", 1), spec["maxReplicas"]
        look.status["currentReplicas"] = replicas
        history = self._histories.setdefault(name, History(recommended=((self._api.now(), replicas),)))
        if replicas == 0:
            look.status["desiredReplicas"] = 0
            said = "scaling is disabled since the replica count of the target is zero"
            look.say("ScalingActive", "False", "ScalingDisabled", said)
            return
        behavior = algorithm.parse_behavior(spec.get("behavior"), number=lambda given: float(parse(str(given)).value))
        wanted, why = (maximum, "above Spec.MaxReplicas") if replicas > maximum else (minimum, "below Spec.MinReplicas")
        why = f"Current number of replicas {why}"
        if minimum <= replicas <= maximum:
            metrics = spec.get("metrics") or []
            proposals = [await self._proposal(look, metric, scale, behavior) for metric in metrics]
            asked = algorithm.highest(proposals, replicas)
            if asked is None:
                return
            by = _words(metrics[proposals.index(asked)])
            said = f"the HPA was able to successfully calculate a replica count from {by}"
            look.say("ScalingActive", "True", "ValidMetricFound", said)
            bounds = Bounds(minimum, maximum, behavior)
            now = self._api.now()
            normalized, history = algorithm.normalize(asked, replicas, bounds, history, now)
            look.say("AbleToScale", "True", *normalized.able)
            look.say("ScalingLimited", "True" if normalized.limited else "False", *normalized.limits)
            wanted = normalized.replicas
            look.status["desiredReplicas"] = replicas
            why = f"{by} above target" if wanted > replicas else "All metrics below target"
        if wanted != replicas and look.set(kind, scale, wanted, why):
            history = algorithm.moved(history, replicas, wanted, behavior, self._api.now())
        self._histories[name] = history

    async def _proposal(
        self, look: "_Look", metric: Object, scale: Object, behavior: algorithm.Behavior | None
    ) -> int | None:
        """Return how many replicas one metric asks for; None, and a condition, if it cannot be had."""
        if metric["type"] != "External":
            look.fails("FailedGetResourceMetric", f"the embedded cluster has no {metric['type'].lower()} metrics")
            return None
        external = metric["external"]
        named, wanted = external["metric"], external["target"]
        namespace = look.found["metadata"]["namespace"]
        try:
            text = await self._read_metric(namespace, named["name"], from_object(named.get("selector")))
        except MetricError as error:
            said = f"unable to get external metric {namespace}/{named['name']}/{_selected(named)}: {error}"
            look.fails("FailedGetExternalMetric", f"the HPA was unable to compute the replica count: {said}")
            return None
        # In whole thousandths, as the controller counts: 1.1 is eleven times 0.1.
        usage, pods = parse(text).milli, scale["status"].get("replicas", 0)
        if "averageValue" in wanted:
            look.measured(named, {"averageValue": _quantity(-(-usage // pods)) if pods else text})
            return algorithm.by_average(usage, parse(wanted["averageValue"]).milli, pods, behavior)
        target, replicas = parse(wanted["value"]).milli, scale["spec"].get("replicas", 0)
        found = look.pods(scale)
        if not found:
            said = "unable to calculate ready pods: no pods returned by selector while calculating replica count"
            look.fails("FailedGetExternalMetric", f"the HPA was unable to compute the replica count: {said}")
            return None
        look.measured(named, {"value": _quantity(usage)})
        ready = sum(map(_is_ready, found))
        return algorithm.by_value(usage, target, replicas=replicas, ready=ready, behavior=behavior)


def _quantity(milli: int) -> str:
    return canonical(Quantity(Fraction(milli, 1000), ""))


def _words(metric: Object) -> str:
    """Return how the controller calls a metric."""
    named = metric["external"]["metric"]
    return f"external metric {named['name']}({_selected(named)})"


def _selected(named: Object) -> str:
    """Return a metric's selector as Go prints it."""
    selector = named.get("selector")
    if selector is None:
        return "nil"
    labels = "".join(f"{name}: {value}," for name, value in sorted((selector.get("matchLabels") or {}).items()))
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    )


class _Look:
    """One look at an HPA: what was found, and what its status is to say."""

    def __init__(self, api: Api, found: Object) -> None:
        self._api = api
        self.found = found
        before = found.get("status") or {}
        self.status: Object = {name: before[name] for name in ("lastScaleTime", "desiredReplicas") if name in before}
        self._conditions = {c["type"]: c for c in before.get("conditions") or []}
        self._failed = False

    def target(self) -> tuple[Kind, Object] | None:
        """Return the target's kind and Scale; None, and a condition, if they cannot be had."""
        reference, namespace = self.found["spec"]["scaleTargetRef"], self.found["metadata"]["namespace"]
        kind = self._api.kind_of(reference["apiVersion"], reference["kind"])
        if kind is not None and kind.scale is not None:
            found = self._api.store.get(kind.place, (namespace, reference["name"]))
            if found is not None:
                said = "the HPA controller was able to get the target's current scale"
                self.say("AbleToScale", "True", "SucceededGetScale", said)
                return kind, shown(kind, found)
        said = f'no matches for kind "{reference["kind"]}" in group "{reference["apiVersion"].rpartition("/")[0]}"'
        if kind is not None:
            said = f'{kind.title} "{reference["name"]}" not found'
        said = f"the HPA controller was unable to get the target's current scale: {said}"
        self.say("AbleToScale", "False", "FailedGetScale", said)
        return None

    def say(self, type_: str, status: str, reason: str, message: str) -> None:
        """Set a condition; its time changes only with its status."""
        old = self._conditions.get(type_)
        same = old is not None and old["status"] == status
        at = old["lastTransitionTime"] if same and old else format_time(self._api.now())
        said = {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
        self._conditions[type_] = said

    def fails(self, reason: str, message: str) -> None:
        """Tell of the first metric that cannot be had."""
        self.status.setdefault("currentMetrics", []).append({"type": ""})
        if not self._failed:
            self.say("ScalingActive", "False", reason, message)
        self._failed = True

    def measured(self, named: Object, current: Object) -> None:
        """Tell the value of a metric."""
        entry = {"type": "External", "external": {"metric": named, "current": current}}
        self.status.setdefault("currentMetrics", []).append(entry)

    def pods(self, scale: Object) -> list[Object]:
        """Return the target's pods."""
        matches = by_labels(scale["status"].get("selector", ""))
        return [p for p in self._api.store.items(("", "pods"), self.found["metadata"]["namespace"]) if matches(p)]

    def set(self, kind: Kind, scale: Object, replicas: int, why: str) -> bool:
        """Set the replicas of the target; return whether that could be done."""
        namespace, name = self.found["metadata"]["namespace"], scale["metadata"]["name"]
        # As it was found: what somebody did while metrics were asked for is not undone.
        patch = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}, "spec": {"replicas": replicas}}
        path = kind.resource.path(namespace, name, "scale")
        answer = self._api.answer(Request("PATCH", path, {}, patch, MERGE))
        if answer.status != 200:  # noqa: PLR2004  HTTP's own number
            said = f"the HPA controller was unable to update the target scale: {answer.body['message']}"
            self.say("AbleToScale", "False", "FailedUpdateScale", said)
            return False
        said = f"the HPA controller was able to update the target scale to {replicas}"
        self.say("AbleToScale", "True", "SucceededRescale", said)
        self.status |= {"desiredReplicas": replicas, "lastScaleTime": format_time(self._api.now())}
        self._tell(f"New size: {replicas}; reason: {why}")
        return True

    def _tell(self, message: str) -> None:
        """Tell of it as kube-controller-manager does: in the older face, and what was told before is counted."""
        metadata, now = self.found["metadata"], format_time(self._api.now())
        subject = {name: metadata[name] for name in ("namespace", "name", "uid")}
        told = {
            "type": "Normal",
            "reason": "SuccessfulRescale",
            "message": message,
            "involvedObject": {"apiVersion": self.found["apiVersion"], "kind": self.found["kind"], **subject},
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        for before in map(event.as_core, self._api.store.items(event.PLACE, metadata["namespace"])):
            if told.items() <= before.items() and before["source"] == {"component": _COMPONENT}:
                again = {"count": before["count"] + 1, "lastTimestamp": now}
                self._api.answer(Request("PATCH", f"{path}/{before['metadata']['name']}", {}, again, MERGE))
                return
        new = {
            "metadata": {"name": f"{metadata['name']}.{int(self._api.now().timestamp() * 1e9):x}"},
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._api.answer(Request("POST", path, body=told | new))

    def write(self) -> None:
        """Write the status, if it is another one."""
        conditions = list(self._conditions.values())
        status = self.status | {"conditions": conditions}
        if status == self.found.get("status"):
            return
        metadata = self.found["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/{HPAS[1]}/{name}/status"
        # Without a version: what somebody changed meanwhile is not in the status.
        body = {"metadata": {"name": name}, "status": status}
        self._api.answer(Request("PUT", path, {}, body))


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    said = {c["type"]: c["status"] for c in status.get("conditions") or []}
    return status.get("phase") == "Running" and said.get("Ready") == "True"
