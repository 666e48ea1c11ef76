"""An event loop in virtual time: when nothing is left to do now, its clock jumps to the next timer.

Hours pass in milliseconds, and the same program takes the same steps each time. For what lives in this process only:
nothing is read from sockets, pipes or threads.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final

STEPS_IN_A_MOMENT: Final = 1_000_000


class DeadlockError(RuntimeError):
    """Nothing is left to do, and no timer is set: nothing would ever happen again."""


class LivelockError(RuntimeError):
    """Things go on for ever without any time passing."""


class _Clock(selectors.BaseSelector):
    """Stands in for waiting on sockets: no socket ever has anything, and time passes at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self._steps = 0
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("everything waits, and no timer is set")
        if timeout > 0:
            self.now += timeout
            self._steps = 0
        self._steps += 1
        if self._steps > STEPS_IN_A_MOMENT:
            raise LivelockError("everything goes on, and no time passes")
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Give it to `asyncio.Runner` as its `loop_factory`; its time starts at zero."""

    def __init__(self) -> None:
        self._virtual = _Clock()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds that have passed in virtual time."""
        return self._virtual.now
