"""The one place where wall-clock time enters; everything else is given `now` as a function or a value."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]
"""Returns the wall-clock time, aware, in UTC."""


def wall_clock() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


def loop_clock(start: datetime) -> Now:
    """Return a clock that starts at `start` and then goes as fast as the running event loop's own clock.

    With a loop in virtual time, days pass in milliseconds and the wall clock agrees with every sleep.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    return lambda: start + timedelta(seconds=loop.time() - began)
