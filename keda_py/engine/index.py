"""Objects of a store by something that is in them, so that who looks for a few need not look at all."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from keda_py.kube.reflector import Store

Key = tuple[str, str]


class Index:
    """The objects of a store, by namespace and what `by` finds in them; None for those that have none such.

    It learns of objects as they come, and so has to be there before them.
    """

    def __init__(self, store: Store, by: Callable[[dict[str, Any] | None], Hashable | None]) -> None:
        self._store = store
        self._by = by
        self._keys: dict[tuple[str, Hashable], set[Key]] = defaultdict(set)
        store.on_change(self._changed)

    def find(self, namespace: str, wanted: Hashable) -> Iterator[dict[str, Any]]:
        """Yield the objects of a namespace that have something."""
        for key in self._keys.get((namespace, wanted), ()):
            if (found := self._store.get(key)) is not None:
                yield found

    def _changed(self, key: Key, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        before, after = self._by(old), self._by(new)
        if before == after:
            return
        if before is not None:
            rest = self._keys[key[0], before]
            rest.discard(key)
            if not rest:
                del self._keys[key[0], before]
        if after is not None:
            self._keys[key[0], after].add(key)
