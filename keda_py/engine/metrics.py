"""Answering the HPA controller: the value of a metric now, from the same readings that the loop decides on."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from keda_py.engine.composite import Composite
from keda_py.engine.credentials.lookup import Unread
from keda_py.engine.live import Key, Live
from keda_py.engine.trigger import BrokenTrigger, LiveTrigger
from keda_py.naming import COMPOSITE
from keda_py.quantity import format_metric
from keda_py.scaler import ScalerError


class MetricUnknownError(Exception):
    """Nothing here has such a metric."""


class MetricUnavailableError(Exception):
    """The metric exists and has no value to give; the HPA holds."""


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One value: its name, its quantity as text, and when it was read."""

    name: str
    value: str
    at: datetime


async def read_metric(live: dict[Key, Live], namespace: str, scaled_object: str, metric: str) -> MetricValue:
    """Return the value of a metric of a ScaledObject, read now if the last reading is too old."""
    known = live.get((namespace, scaled_object))
    if known is None:
        raise MetricUnknownError(f"there is no ScaledObject {namespace}/{scaled_object}")
    if known.composite is not None and metric.casefold() == COMPOSITE:
        return await _composed(known, known.composite)
    served = known.trigger_of(metric)
    if served is None:
        raise _explain(known, metric)
    name, trigger = served
    if isinstance(trigger, BrokenTrigger):
        return await _stand_in(known, trigger, name, str(trigger.error))
    outcome = await trigger.current()
    if outcome.failure is not None:
        return await _stand_in(known, trigger, name, outcome.failure)
    return MetricValue(name, format_metric(outcome.readings[name].value), outcome.seen)


async def _composed(known: Live, composite: Composite) -> MetricValue:
    """Return the metric that is made of all triggers, each read now if its last reading is too old."""
    triggers = list(known.triggers)
    working = [trigger for trigger in triggers if isinstance(trigger, LiveTrigger) and trigger.external_names]
    outcomes = dict(zip(working, await asyncio.gather(*(trigger.current() for trigger in working)), strict=True))
    found = [(trigger, outcomes.get(trigger) if isinstance(trigger, LiveTrigger) else None) for trigger in triggers]
    try:
        value = await composite.read(found, known.stand_in)
    except Unread as error:
        raise MetricUnavailableError("the credentials of a trigger have not been read yet") from error
    except ScalerError as error:
        raise MetricUnavailableError(str(error)) from error
    oldest = min((outcome.seen for outcome in outcomes.values()), default=None)
    return MetricValue(COMPOSITE, format_metric(value), oldest or composite.now())


async def _stand_in(known: Live, trigger: LiveTrigger | BrokenTrigger, name: str, failure: str) -> MetricValue:
    """Return what stands in for a metric that cannot be read, once it has failed often enough."""
    if known.stand_in is None or not trigger.tally.full:
        raise MetricUnavailableError(f"{trigger.label}: {failure}")
    try:
        value = await known.stand_in.value(trigger.targets[name])
    except ScalerError as error:
        raise MetricUnavailableError(f"{trigger.label}: {failure} ({error})") from error
    return MetricValue(name, format_metric(value), known.stand_in.now())


def _explain(known: Live, metric: str) -> Exception:
    for trigger in known.triggers:
        if isinstance(trigger, LiveTrigger) or not metric.startswith(f"s{trigger.index}-"):
            continue
        why = trigger.error if isinstance(trigger, BrokenTrigger) else "its credentials have not been read yet"
        return MetricUnavailableError(f"{trigger.label}: {why}")
    return MetricUnknownError(f"no trigger has the metric {metric}")
