"""Trigger types: which scaler class stands for which `type` of a trigger.

Names come from entry points, ours and everyone else's alike, and are read once at start. A class is imported when the
first trigger of its type appears, so that a client library that nobody uses is never loaded.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self

from keda_py.scaler import ENTRY_POINTS, Metadata, Scaler, ScalerError


class RegistryError(Exception):
    """Two distributions claim one trigger type."""


class Registry:
    """The scaler classes by trigger type."""

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        by_name: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in found:
            by_name[entry.name].append(entry)
        for name, entries in sorted(by_name.items()):
            if len({entry.value for entry in entries}) > 1:
                claims = " and ".join(f"{_distribution(entry)} ({entry.value})" for entry in entries)
                raise RegistryError(f"trigger type {name} is claimed by {claims}; uninstall one of them")
        self._entries = {name: entries[0] for name, entries in by_name.items()}
        self._loaded: dict[str, type[Scaler[Any]]] = {}

    @classmethod
    def installed(cls) -> Self:
        """Return all that is installed; raise `RegistryError` naming both sides of a conflict."""
        return cls(entry_points(group=ENTRY_POINTS))

    @property
    def types(self) -> list[str]:
        """All trigger types, sorted."""
        return sorted(self._entries)

    def load(self, trigger_type: str) -> type[Scaler[Any]]:
        """Return the class of a trigger type; raise `ScalerError` saying what to correct or install."""
        if trigger_type not in self._loaded:
            self._loaded[trigger_type] = self._import(trigger_type)
        return self._loaded[trigger_type]

    def _import(self, trigger_type: str) -> type[Scaler[Any]]:
        entry = self._entries.get(trigger_type)
        if entry is None:
            raise ScalerError(self._unknown(trigger_type))
        try:
            scaler = entry.load()
        except ModuleNotFoundError as error:
            raise ScalerError(
                f"trigger type {trigger_type} needs the Python module {error.name}; "
                f"install it into the daemon's image (pip install 'keda-py[all]' has everything)"
            ) from error
        except Exception as error:
            raise ScalerError(f"trigger type {trigger_type}: {entry.value} cannot be imported: {error}") from error
        if not (isinstance(scaler, type) and issubclass(scaler, Scaler) and issubclass(scaler.metadata, Metadata)):
            raise ScalerError(f"trigger type {trigger_type}: {entry.value} is not a scaler class")
        return scaler

    def _unknown(self, trigger_type: str) -> str:
        near = difflib.get_close_matches(trigger_type, self.types, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(self.types)}"
        return f"there is no trigger type {trigger_type!r}{hint}"


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"
