"""What must not be done to a target while its object is paused, as a whole or in one direction."""

from typing import Any

from keda_py.devcluster.store import Change

from . import knowledge
from .world import SCALED_OBJECTS, World


def in_force(spec: dict[str, Any], *, before: int, after: int) -> bool:
    """Return whether a pause is about such a move; one below the minimum is raised to it even so."""
    asked, least = spec["asked"], spec.get("minReplicaCount", 0)
    out = after > before >= least
    return bool(asked.stopped or (asked.scale_in and after < before) or (asked.scale_out and out))


def objection(world: World, found: dict[str, Any], spec: dict[str, Any], *, after: int) -> str | None:
    """Return what is wrong with a move that a pause is about: only a count to be paused at may be set, and once."""
    if not spec["asked"].stopped:
        return "paused: a daemon scales in a direction that is paused"
    if after != spec["asked"].replicas:
        return "paused: a daemon scales what is paused"
    set_at = world.counts_set.get((found["metadata"]["uid"], after))
    if set_at is not None and world.time - set_at >= knowledge.IN_FLIGHT_SECONDS:
        return "paused: a daemon sets the count that an object is paused at again"
    return None


def note(world: World, change: Change, writer: int) -> None:
    """Remember since when the status tells of the count that an object is paused at."""
    found = change.after
    if change.place != SCALED_OBJECTS or found is None:
        return
    uid, count = found["metadata"]["uid"], (found.get("status") or {}).get("pausedReplicaCount")
    for key in [key for key in world.counts_set if key[0] == uid and key[1] != count]:
        del world.counts_set[key]
    if count is not None:
        world.counts_set.setdefault((uid, count), world.time)
