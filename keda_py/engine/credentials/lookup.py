"""What the parameters of a trigger are looked up in, and how a lookup can end.

A lookup never waits: what has not been read yet is `Unread`, and whoever asked is woken when it is there. `Reading`
goes on after one that failed, so that all that is wrong is told at once, and all that is needed is asked for at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from keda_py.api.authentication import TriggerAuthenticationSpec
from keda_py.api.pod import PodSpec
from keda_py.api.trigger import AuthenticationRef
from keda_py.scaler import ScalerError
from keda_py.secret_store import Access

EVERY_SECONDS: Final = 60.0
"""How often a store is read: a rotated secret arrives within the minute that a mounted one takes, too, and a thousand
sections cost their stores 17 requests a second."""
FILE_EVERY_SECONDS: Final = 5.0
"""How often a file is: it costs next to nothing."""


class Unread(Exception):
    """It has not been read yet; nothing is known of it."""


class Missing(ScalerError):
    """It is known not to be there."""


@dataclass(frozen=True, slots=True)
class Named:
    """One entry of a Secret or ConfigMap, or an annotation of a ServiceAccount."""

    kind: str
    namespace: str
    name: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of an authentication that leads to a secret store; `title` is the authentication's."""

    every: ClassVar[float] = EVERY_SECONDS
    title: str
    name: str
    access: Access[Any]

    def __str__(self) -> str:
        return f"{self.title}: {self.name}"


TOKEN: Final = "token"  # noqa: S105  what it is called
"""The one text that a `Token` reads as."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token for a ServiceAccount, made for us and kept valid."""

    every: ClassVar[float] = EVERY_SECONDS
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"a token for ServiceAccount {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the daemon's with parameters, by its path below the folder for these."""

    every: ClassVar[float] = FILE_EVERY_SECONDS
    path: str

    def __str__(self) -> str:
        return f"filePath {self.path}"


Elsewhere = Section | Token | File
"""What is read from time to time, because nobody tells of its changes."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """A TriggerAuthentication or ClusterTriggerAuthentication: how it is called, and where its Secrets are."""

    title: str
    namespace: str
    spec: TriggerAuthenticationSpec
    of_cluster: bool = False


class Lookups(Protocol):
    """What is known of the cluster on behalf of one object; each raises `Unread`, `Missing` or `ScalerError`."""

    def value(self, named: Named) -> str | None:
        """Return an entry, None if the object is there and has none such."""
        ...

    def pod(self) -> PodSpec:
        """Return what the object's target makes its pods of."""
        ...

    def authentication(self, ref: AuthenticationRef) -> Authentication:
        """Return what a trigger's authenticationRef points at."""
        ...

    def elsewhere(self, what: Elsewhere) -> Mapping[str, str]:
        """Return all that a store, a token or a file says."""
        ...


class Reading:
    """The lookups for one trigger: what they cannot give is noted, and makes the whole fail at its end."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._unread = False
        self._problems: list[str] = []
        self._failed = 0

    def problem(self, sentence: str) -> None:
        """Note something that is wrong; once is enough."""
        self._failed += 1
        if sentence not in self._problems:
            self._problems.append(sentence)

    def finish(self) -> None:
        """Raise `ScalerError` with all that is wrong, else `Unread` if something is not known yet."""
        if self._problems:
            raise ScalerError("; ".join(self._problems))
        if self._unread:
            raise Unread

    def required(self, named: Named, *, optional: bool = False) -> str:
        """Return an entry that has to be there; an optional one raises `Missing` if it is not."""
        found = self.entry(named, optional=optional)
        if found is None:
            missing = Missing(f"{named} has no key {named.key!r}; add it, or correct the name")
            if optional:
                raise missing
            self.problem(str(missing))
        return found or ""

    def entry(self, named: Named, *, optional: bool = False) -> str | None:
        """Return an entry, None if its object has none such; of an optional object that is not there raise `Missing`.

        What is returned after something was noted counts for nothing.
        """
        try:
            return self._lookups.value(named)
        except Unread:
            self._wait()
        except ScalerError as error:
            if optional and isinstance(error, Missing):
                raise
            self.problem(str(error))
        return ""

    def pod(self) -> PodSpec | None:
        """Return what the target makes its pods of."""
        try:
            return self._lookups.pod()
        except Unread:
            self._wait()
        except ScalerError as error:
            self.problem(str(error))
        return None

    def authentication(self, ref: AuthenticationRef) -> Authentication | None:
        """Return what a trigger's authenticationRef points at."""
        try:
            return self._lookups.authentication(ref)
        except ScalerError as error:
            self.problem(str(error))
        return None

    def elsewhere(self, what: Elsewhere) -> Mapping[str, str]:
        """Return all that a store, a token or a file says; nothing while that is not known."""
        try:
            return self._lookups.elsewhere(what)
        except Unread:
            self._wait()
        except ScalerError as error:
            self.problem(str(error))
        return {}

    @property
    def failed(self) -> int:
        """How many lookups gave nothing so far: what was looked up while this stays the same can be used."""
        return self._failed

    def _wait(self) -> None:
        self._failed += 1
        self._unread = True
