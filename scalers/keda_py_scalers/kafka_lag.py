"""From the offsets of a consumer group to its lag and to the value that scales, as plain functions.

The rules are those of KEDA's pkg/scalers/kafka_scaler.go (getLagForPartition, getTotalLag), which are the same in
apache_kafka_scaler.go. Nothing here can do I/O; what could not be read never gets here.
"""

from collections.abc import Mapping
from typing import NamedTuple

Place = tuple[str, int]
"""A topic and one of its partitions."""


class Position(NamedTuple):
    """Where a group and its partition stand.

    `committed`: the next offset the group will read, None if it never committed one. `end`: the next offset that will
    be written. `start`: the first offset that is still there; None if nobody needs to know.
    """

    committed: int | None
    end: int
    start: int | None = None


class Rules(NamedTuple):
    """What a trigger says about counting; by the names of its parameters."""

    threshold: int
    earliest: bool = False
    zero_on_invalid: bool = False
    allow_idle: bool = False
    exclude_persistent: bool = False
    limit_to_lagging: bool = False
    even: bool = False


class Lag(NamedTuple):
    """`value` is what the HPA gets; `whole` is all there is to do, which decides about zero."""

    value: int
    whole: int


def lag_of(position: Position, rules: Rules) -> int:
    """Return how many records of one partition wait for the group, never negative.

    Without a committed offset it is what the group will find when it starts: by policy `earliest` all that is there,
    by `latest` nothing, which counts as one so that somebody starts and commits.
    """
    if position.committed is not None:
        # Beyond the end after the partition lost records: a group that is ahead is no help to other partitions.
        return max(0, position.end - position.committed)
    if rules.zero_on_invalid:
        return 0
    return position.end - (position.start or 0) if rules.earliest else 1


def measure(positions: Mapping[Place, Position], rules: Rules, *, before: Mapping[Place, int | None]) -> Lag:
    """Return the lag over all partitions.

    `before`: what was committed at the reading before this one. A partition whose group stands where it stood is stuck:
    with excludePersistentLag it does not count towards more replicas, but still towards any.
    """
    lags = {place: lag_of(position, rules) for place, position in positions.items()}
    whole = sum(lags.values())
    if rules.exclude_persistent:
        for place, position in positions.items():
            if position.committed is not None and before.get(place) == position.committed:
                lags[place] = 0
    lagging = sum(lag > 0 for lag in lags.values())
    return Lag(_bounded(sum(lags.values()), len(positions), lagging, rules), whole)


def _bounded(lag: int, partitions: int, lagging: int, rules: Rules) -> int:
    """Return the lag that asks for no more replicas than can have something to do."""
    if rules.allow_idle and not (rules.limit_to_lagging or rules.even):
        return lag
    if rules.even:
        lag = rules.threshold * _even_share(lag, partitions, rules.threshold)
    most = lagging if rules.limit_to_lagging else partitions
    # KEDA divides in whole numbers here, and lets one more come while the last part of its threshold is not full.
    return min(lag, most * rules.threshold)


def _even_share(lag: int, partitions: int, threshold: int) -> int:
    """Return the smallest number of replicas that is enough, and among which the partitions divide evenly."""
    divisors = (number for number in range(1, partitions + 1) if partitions % number == 0)
    return next((number for number in divisors if number * threshold >= lag), partitions)
