"""Pod templates of scale targets, for who takes credentials from them; of nobody else's a copy is kept.

A target that is watched is read again when the digest of its environment has changed; any other one after a minute,
when its object is looked at.
"""

import asyncio
import random
from collections.abc import Callable, Hashable
from typing import Final

from keda_py.api.pod import PodSpec
from keda_py.engine.credentials.lookup import Unread
from keda_py.engine.target import TargetError, TargetRef, Targets
from keda_py.kube.client import ApiError
from keda_py.kube.reflector import REFUSALS, pause
from keda_py.scaler import ScalerError

Key = tuple[str, str]

FRESH_SECONDS: Final = 60.0


class Templates:
    """The templates of targets, by the object that scales them."""

    def __init__(
        self,
        targets: Targets,
        *,
        chance: random.Random,
        tasks: asyncio.TaskGroup,
        wake: Callable[[Key], None],
    ) -> None:
        """`wake`: told whose template is known or has changed."""
        self._targets = targets
        self._chance = chance
        self._tasks = tasks
        self._wake = wake
        self._templates: dict[Key, _Template] = {}

    def look(self, owner: Key, target: TargetRef) -> PodSpec:
        """Return the pod template of an owner's target as last read; raise `Unread` or `ScalerError`."""
        known = self._templates.get(owner)
        if known is not None and known.target != target:
            self.forget(owner)
            known = None
        if known is None:
            known = self._templates[owner] = _Template(target)
        stamp = self._stamp(target)
        if known.stamp != stamp:
            # What was known before serves until the new one is there.
            known.stamp = stamp
            known.close()
            known.task = self._tasks.create_task(self._read(owner, known), name="template")
        return known.current()

    def _stamp(self, target: TargetRef) -> Hashable:
        digest = self._targets.environment(target)
        return asyncio.get_running_loop().time() // FRESH_SECONDS if digest is None else digest

    def close(self) -> None:
        """Stop everything."""
        for known in self._templates.values():
            known.close()

    def forget(self, owner: Key) -> None:
        """Forget an owner's template."""
        if (known := self._templates.pop(owner, None)) is not None:
            known.close()

    async def _read(self, owner: Key, known: "_Template") -> None:
        """Read a template, and again until there is an answer."""
        failures = 0
        while True:
            before, answered = (known.pod, known.problem), True
            try:
                known.pod, known.problem = await self._targets.template(known.target), None
            except TargetError as error:
                known.pod, known.problem = None, str(error)
            except ApiError as error:
                answered = False
                known.failed(error)
            if before != (known.pod, known.problem):
                self._wake(owner)
            if answered:
                return
            failures += 1
            await asyncio.sleep(pause(failures, self._chance))


class _Template:
    def __init__(self, target: TargetRef) -> None:
        self.target = target
        self.stamp: Hashable = None
        self.pod: PodSpec | None = None
        self.problem: str | None = None
        self.task: asyncio.Task[None] | None = None

    def current(self) -> PodSpec:
        if self.problem is not None:
            raise ScalerError(self.problem)
        if self.pod is None:
            raise Unread
        return self.pod

    def failed(self, error: ApiError) -> None:
        """Note that it could not be read; what is known stays so, unless reading was refused."""
        if error.status in REFUSALS:
            self.pod = None
            self.problem = f"{self.target} cannot be read: {error}; allow the daemon's ServiceAccount to get it"
        elif self.pod is None:
            self.problem = f"{self.target} cannot be read: {error}"

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
