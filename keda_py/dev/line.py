"""The view without a terminal: a line for each thing that happened, and for each object that is another now."""

from collections.abc import Iterator

from keda_py.dev import words
from keda_py.dev.snapshot import ScaledSeen, Snapshot

_BAR = 20


def changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Yield what is new since the last snapshot."""
    seen = before.entries[-1].number if before.entries else 0
    for entry in after.entries:
        if entry.number > seen:
            yield f"  {entry.who}: {entry.text}"
    known = {(one.kind, describe(one)) for one in before.scaled}
    for one in after.scaled:
        if (one.kind, describe(one)) not in known:
            yield describe(one)
    left = {one.identity for one in after.scaled}
    yield from (f"{_name(one)}: gone" for one in before.scaled if one.identity not in left)


def describe(seen: ScaledSeen) -> str:
    """Return one object in a line; what only time changes is left out."""
    bar = "#" * min(seen.replicas.wanted or 0, _BAR) or "-"
    triggers = ", ".join(f"{one.label} {words.trigger(one)}" for one in seen.triggers)
    return "; ".join(
        filter(None, (f"{_name(seen)}: {bar}  {words.counts(seen)}", triggers, seen.problem or seen.state))
    )


def _name(seen: ScaledSeen) -> str:
    return words.name(seen.namespace, seen.name)
