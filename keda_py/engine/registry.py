"""Trigger types, secret stores and event sinks: which class stands for which name in a manifest.

Names come from entry points, ours and everyone else's alike, and are read once at start. A class is imported when the
first manifest names it, so that a client library that nobody uses is never loaded.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self

from keda_py import event_sink, secret_store
from keda_py.event_sink import EventSink
from keda_py.scaler import ENTRY_POINTS, Metadata, Scaler, ScalerError
from keda_py.secret_store import SecretStore


class RegistryError(Exception):
    """Two distributions claim one name."""


class Registry:
    """The scaler classes by trigger type, and beside them the secret stores and event sinks."""

    def __init__(
        self, found: Iterable[EntryPoint], stores: Iterable[EntryPoint] = (), sinks: Iterable[EntryPoint] = ()
    ) -> None:
        self._classes = _Classes(found, noun="trigger type")
        self.stores = StoreRegistry(stores)
        self.sinks = SinkRegistry(sinks)

    @classmethod
    def installed(cls) -> Self:
        """Return all that is installed; raise `RegistryError` naming both sides of a conflict."""
        groups = (ENTRY_POINTS, secret_store.ENTRY_POINTS, event_sink.ENTRY_POINTS)
        return cls(*(entry_points(group=group) for group in groups))

    @property
    def types(self) -> list[str]:
        """All trigger types, sorted."""
        return self._classes.names

    def load(self, trigger_type: str) -> type[Scaler[Any]]:
        """Return the class of a trigger type; raise `ScalerError` saying what to correct or install."""
        scaler = self._classes.load(trigger_type)
        if not (isinstance(scaler, type) and issubclass(scaler, Scaler) and issubclass(scaler.metadata, Metadata)):
            raise ScalerError(f"trigger type {trigger_type}: {self._classes.place(trigger_type)} is not a scaler class")
        return scaler


class StoreRegistry:
    """The secret stores by the manifest's name of their section."""

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self._classes = _Classes(found, noun="secret store")

    @property
    def names(self) -> list[str]:
        """All sections that lead to a store, sorted."""
        return self._classes.names

    def load(self, section: str) -> type[SecretStore[Any]]:
        """Return the class of a section's store; raise `ScalerError` saying what to correct or install."""
        store = self._classes.load(section)
        if not (isinstance(store, type) and issubclass(store, SecretStore)):
            raise ScalerError(f"secret store {section}: {self._classes.place(section)} is not a secret store class")
        return store


class SinkRegistry:
    """The event sinks by the manifest's name of their destination."""

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self._classes = _Classes(found, noun="event sink")

    def load(self, name: str) -> type[EventSink]:
        """Return the class of a destination's sink; raise `ScalerError` saying what to correct or install."""
        sink = self._classes.load(name)
        if not (isinstance(sink, type) and issubclass(sink, EventSink)):
            raise ScalerError(f"event sink {name}: {self._classes.place(name)} is not an event sink class")
        return sink


class _Classes:
    """What the entry points of one group lead to, by name."""

    def __init__(self, found: Iterable[EntryPoint], *, noun: str) -> None:
        """`noun`: what a person calls that which is named."""
        self._noun = noun
        by_name: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in found:
            by_name[entry.name].append(entry)
        for name, entries in sorted(by_name.items()):
            if len({entry.value for entry in entries}) > 1:
                claims = " and ".join(f"{_distribution(entry)} ({entry.value})" for entry in entries)
                raise RegistryError(f"{noun} {name} is claimed by {claims}; uninstall one of them")
        self._entries = {name: entries[0] for name, entries in by_name.items()}
        self._loaded: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._entries)

    def place(self, name: str) -> str:
        return self._entries[name].value

    def load(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._import(name)
        return self._loaded[name]

    def _import(self, name: str) -> Any:
        entry = self._entries.get(name)
        if entry is None:
            raise ScalerError(self._unknown(name))
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            raise ScalerError(
                f"{self._noun} {name} needs the Python module {error.name}; "
                "install it where keda-py runs (in a clone, pip install '.[all]' brings everything)"
            ) from error
        except Exception as error:
            raise ScalerError(f"{self._noun} {name}: {entry.value} cannot be imported: {error}") from error

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.names, n=1)
        known = ", ".join(self.names) or "none"
        hint = f"; did you mean {near[0]}?" if near else f"; known are {known}"
        return f"there is no {self._noun} {name!r}{hint}"


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"
