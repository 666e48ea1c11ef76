"""Secret stores, tokens and files: read once for all who use them, again from time to time, and dropped with the last.

It is `watched` for what lies outside the cluster, where nobody tells of a change. Looking up never waits: who finds
something unread is woken when it is there, and again only when it reads differently.

What was read once stays known while it cannot be reached, until it ends. An answer that refuses ends it, if it lasts: a
store that is being changed may refuse for a moment what it allows.
"""

import asyncio
import hashlib
import math
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from keda_py.engine.credentials.lookup import Elsewhere, File, Section, Token, Unread
from keda_py.engine.credentials.watched import REFUSED_SECONDS
from keda_py.runtime.source import as_scaler_error
from keda_py.scaler import ScalerError, SourceUnavailable
from keda_py.secret_store import Values

Key = tuple[str, str]

READ_SECONDS: Final = 20.0
"""How long one read may take: a login, and a request for each path; each of them takes milliseconds as a rule."""
CLOSE_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 60.0
RENEWED_AT: Final = 2 / 3
"""The part of its life after which something that ends is read again: a third is left to try in."""


class Reader(Protocol):
    """What is read: a `SecretStore`, or the like."""

    async def read(self) -> Values:
        """Return what it says now."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class Stores:
    """All that is read, by what it is. Use as an async context manager; leaving it closes everything."""

    def __init__(self, opened: Callable[[Elsewhere], Reader], *, chance: random.Random) -> None:
        """`opened`: how to open what is to be read; raises `ScalerError` if it makes no sense."""
        self._opened = opened
        self._chance = chance
        # Credentials are part of what a store is: only a digest is kept, keyed so that it tells nothing outside.
        self._digest_key = secrets.token_bytes(16)
        self._kept: dict[bytes, _Kept] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for kept in self._kept.values():
            kept.close()
        self._kept.clear()
        await self._tasks.__aexit__(None, None, None)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, what: Elsewhere) -> "_Kept":
        """Return what is known of something, which is read from now on if it was not."""
        key = self._digest(_identity(what))
        if key not in self._kept:
            kept = _Kept(key, what, chance=self._chance)
            kept.task = self._tasks.create_task(kept.run(lambda: self._opened(what)), name="store")
            self._kept[key] = kept
        return self._kept[key]

    def leave(self, kept: "_Kept", user: "_User") -> None:
        """Note that somebody needs something no longer."""
        kept.users.pop(user, None)
        if not kept.users and self._kept.get(kept.key) is kept:
            del self._kept[kept.key]
            kept.close()

    def slot(self, what: Elsewhere) -> bytes:
        """Return what stands for something with whatever credentials it is asked."""
        return self._digest((what.title, what.name, what.access.spec) if isinstance(what, Section) else _identity(what))

    def _digest(self, parts: object) -> bytes:
        return hashlib.blake2b(repr(parts).encode(errors="surrogateescape"), key=self._digest_key).digest()


def _identity(what: Elsewhere) -> tuple[object, ...]:
    match what:
        case Section(_, name, access):
            spec = access.spec.model_dump_json()
            return ("section", name, spec, sorted(access.credentials.items()), access.pod_identity)
        case Token(namespace, name):
            return ("token", namespace, name)
        case File(path):
            return ("file", path)


@dataclass(slots=True)
class _Uses:
    """What one owner uses: `serving` by slot, and `all` with those that are not read yet."""

    serving: dict[bytes, "_Kept"] = field(default_factory=dict)
    all: dict["_Kept", None] = field(default_factory=dict)


class StoreUsers:
    """The objects of one kind, and what they use of the stores that all share."""

    def __init__(self, stores: Stores, *, wake: Callable[[Key], None]) -> None:
        """`wake`: told who wants another look, because something that they use is known or has changed."""
        self._stores = stores
        self._wake = wake
        self._uses: dict[Key, _Uses] = {}

    @contextmanager
    def renewing(self, owner: Key) -> Iterator[Callable[[Elsewhere], Mapping[str, str]]]:
        """Yield how `owner` looks things up; what it used before and did not look up this time it has given up."""
        before, now = self._uses.get(owner, _Uses()), _Uses()
        try:
            yield lambda what: self._look(owner, what, before, now)
        finally:
            self._uses[owner] = now
            self._leave(owner, [kept for kept in before.all if kept not in now.all])
            if not now.all:
                del self._uses[owner]

    def forget(self, owner: Key) -> None:
        """Give up all that `owner` uses."""
        self._leave(owner, self._uses.pop(owner, _Uses()).all)

    def _leave(self, owner: Key, given_up: "dict[_Kept, None] | list[_Kept]") -> None:
        for kept in list(given_up):
            self._stores.leave(kept, (self._wake, owner))

    def _look(self, owner: Key, what: Elsewhere, before: _Uses, now: _Uses) -> Mapping[str, str]:
        slot = self._stores.slot(what)
        kept = self._use(self._stores.keep(what), owner, now)
        try:
            found = kept.values()
        except (Unread, SourceUnavailable):
            # Only the credentials changed, and what they lead to is not known yet: what the former gave still holds.
            former = before.serving.get(slot)
            if former is None or not former.known:
                raise
            kept = self._use(former, owner, now)
            found = former.values()
        now.serving[slot] = kept
        return found

    def _use(self, kept: "_Kept", owner: Key, now: _Uses) -> "_Kept":
        kept.users[self._wake, owner] = None
        now.all[kept] = None
        return kept


_User = tuple[Callable[[Key], None], Key]


class _Kept:
    """What is known of one store, token or file."""

    def __init__(self, key: bytes, what: Elsewhere, *, chance: random.Random) -> None:
        self.key = key
        self.users: dict[_User, None] = {}
        """In the order they came: that in which objects are woken must not depend on hashes."""
        self.task: asyncio.Task[None] | None = None
        self._title = str(what)
        self._every = what.every
        self._chance = chance
        self._values: Mapping[str, str] | None = None
        self._end = math.inf
        """When the values end, in loop time."""
        self._failure: ScalerError | None = None
        self._refused_at: float | None = None
        self._failures = 0

    @property
    def known(self) -> bool:
        """Whether there are values."""
        return self._values is not None

    def values(self) -> Mapping[str, str]:
        """Return what was read last; raise `Unread`, or why it cannot be read (`Lookups.elsewhere`)."""
        if self._values is not None:
            return self._values
        if self._failure is None:
            raise Unread
        kind = SourceUnavailable if isinstance(self._failure, SourceUnavailable) else ScalerError
        raise kind(f"{self._title}: {self._failure}")

    def close(self) -> None:
        """Read no more."""
        if self.task is not None:
            self.task.cancel()

    async def run(self, opened: Callable[[], Reader]) -> None:
        """Read again and again, until cancelled; then close what was opened."""
        reader: Reader | None = None
        try:
            while True:
                try:
                    reader = reader or opened()
                    pause = self._take(await self._read(reader))
                except Exception as error:  # noqa: BLE001  an author's bug costs who uses this store, nothing else
                    pause = self._fail(as_scaler_error(error))
                await asyncio.sleep(pause)
        finally:
            if reader is not None:
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await reader.close()

    async def _read(self, reader: Reader) -> Values:
        # What is about to end is not waited for beyond its end.
        seconds = min(READ_SECONDS, max(FIRST_PAUSE, self._end - self._now)) if self.known else READ_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return await reader.read()
        except TimeoutError:
            raise SourceUnavailable(f"no answer within {seconds:.0f} s") from None
        except asyncio.CancelledError:
            # Libraries cancel what waits on a connection that they close. Only whoever holds us may end us.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise SourceUnavailable("the connection was lost") from None

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _take(self, found: Values) -> float:
        """Take values in; return for how many seconds they are left alone."""
        before = (self._values, self._failure)
        self._values, self._failure = dict(found.parameters), None
        self._refused_at, self._failures = None, 0
        lasts = math.inf if found.good_for is None else found.good_for
        self._end = self._now + lasts
        if before != (self._values, None):
            self._wake_users()
        return max(FIRST_PAUSE, min(self._every, lasts * RENEWED_AT) * self._chance.uniform(0.8, 1.0))

    def _fail(self, error: ScalerError) -> float:
        """Take a failure in; return for how many seconds it is left alone."""
        now = self._now
        self._failures += 1
        if isinstance(error, SourceUnavailable):
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = now
        pause = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)) * self._chance.uniform(0.5, 1.0)
        lasts = self._end if self._refused_at is None else min(self._end, self._refused_at + REFUSED_SECONDS)
        if self._values is not None and now < lasts:
            return min(pause, lasts - now)
        before = (self._values, str(self._failure))
        self._values, self._failure = None, error.with_traceback(None)
        if before != (None, str(error)):
            self._wake_users()
        return pause

    def _wake_users(self) -> None:
        for wake, owner in list(self.users):
            wake(owner)
