"""What the daemon asks of the API server where there is nothing to do: counted by the audit log, as its own alone.

Totals of the API server would have the cluster's own controllers in them, which go on emptying namespaces of tests
that are over.
"""

import time
from collections import Counter
from typing import Final

import pytest

from tests.controlplane.daemon import NAMESPACE

from .world import World

QUIET_SECONDS: Final = 10


def quiet(world: World) -> Counter[tuple[str, str]]:
    """Return the daemon's calls so far, once it has made all that come of new objects, events included."""
    if world.cluster.given:
        pytest.skip("the given cluster's audit log is not ours to read")
    counts = written_or_listed(world)

    def nothing_new() -> bool:
        nonlocal counts
        time.sleep(QUIET_SECONDS)
        before, counts = counts, written_or_listed(world)
        return before == counts

    world.until(nothing_new, f"nothing is written for {QUIET_SECONDS} s", seconds=120)
    return counts


def assert_quiet_since(world: World, before: Counter[tuple[str, str]]) -> None:
    """Fail if the daemon has written or listed anything since; whoever reads it sees the last events of the cluster."""
    since = written_or_listed(world) - before
    events = world.cluster.kubectl("get", "events", "-A", "--sort-by=.metadata.creationTimestamp") if since else ""
    assert not since, "\n".join([str(since), *events.splitlines()[-20:]])


def written_or_listed(world: World) -> Counter[tuple[str, str]]:
    """Return the daemon's writes and lists: not its lease, its watches, or its questions of who asks for a metric."""
    besides = {"leases", "tokenreviews", "subjectaccessreviews"}
    found = world.cluster.audited(world.namespace, NAMESPACE).items()
    return Counter({key: count for key, count in found if key[0] not in {"get", "watch"} and key[1] not in besides})
