"""The words for what a snapshot holds, the same in the table and in lines."""

from datetime import timedelta
from typing import Final

from keda_py.dev.snapshot import SCALED_JOB, Activity, Measure, ScaledSeen, TriggerSeen

NOTHING: Final = "There is no ScaledObject or ScaledJob yet: kubectl apply one."


def name(namespace: str, own: str) -> str:
    """Return a name, and its namespace unless that is the default one: ``orders``, ``shop/orders``."""
    return own if namespace == "default" else f"{namespace}/{own}"


def measure(seen: Measure) -> str:
    """Return a value and its target: ``23 / 5 per replica``."""
    value = "?" if seen.value is None else f"{seen.value:g}"
    return f"{value} / {seen.target:g}{seen.unit}{f' per {seen.per}' if seen.per else ''}"


def trigger(seen: TriggerSeen) -> str:
    """Return what a trigger says: its values, or in a word why there are none."""
    if seen.activity in (Activity.FAILING, Activity.PENDING):
        return str(seen.activity.value)
    said = ", ".join(measure(one) for one in seen.measures) or seen.activity.value
    return f"{said} ({seen.activity.value})" if seen.activity is Activity.UNREAD and seen.measures else said


def counts(seen: ScaledSeen) -> str:
    """Return how many there are: ``3/5 ready``, or ``3 running, 2 pending`` of Jobs."""
    ready, wanted = seen.replicas.ready or 0, seen.replicas.wanted
    if seen.kind == SCALED_JOB:
        return f"{ready} running, {(wanted or 0) - ready} pending"
    return "no target" if wanted is None else f"{ready}/{wanted} ready"


def cooldown(left: timedelta) -> str:
    """Return how long a cooldown goes on."""
    return f"{-(-left // timedelta(seconds=1))} s left"
