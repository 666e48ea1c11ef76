"""Server-side apply: who applied which field, what that lets somebody take away, and when two of them conflict.

Fields are owned by those who applied them (``fieldManager``); a plain write that changes a field takes it away from
them. Pure; the rules are those of sigs.k8s.io/structured-merge-diff.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from keda_py.devcluster.patch import MERGE_KEYS, SETS, strategic
from keda_py.devcluster.rule import Refusal

Path = tuple[Any, ...]
"""Steps to a field: a name, ``(key, value)`` for the item of a list that has this, ``(None, value)`` for a word."""
Fields = frozenset[Path]
Owners = Mapping[str, Fields]

_NOT_OWNED: Final = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
_GONE: Final = object()


def fields(applied: Mapping[str, Any]) -> Fields:
    """Return the fields that an applied manifest sets."""
    return frozenset(path for path in _paths(applied, ()) if path not in _NOT_OWNED)


def _paths(found: Any, path: Path) -> Iterator[Path]:
    if isinstance(found, Mapping) and found:
        for name, value in found.items():
            yield from _paths(value, (*path, name))
    elif isinstance(found, list) and (steps := _steps(path[-1], found)) is not None:
        for step, item in zip(steps, found, strict=True):
            yield (*path, step)
            yield from _paths(item, (*path, step))
    else:
        yield path


def _steps(name: Any, items: list[Any]) -> list[Path] | None:
    """Return how the items of a list are addressed; None if it is one value as a whole."""
    if name in SETS:
        return [(None, item) for item in items]
    key = MERGE_KEYS.get(name) if isinstance(name, str) else None
    if key is None or not all(isinstance(item, Mapping) and key in item for item in items):
        return None
    return [(key, item[key]) for item in items]


def conflicts(target: Any, applied: Any, owners: Owners, manager: str) -> list[tuple[str, Path]]:
    """Return whose fields would be changed: managers and paths, in order."""
    return [
        (other, path)
        for other in sorted(owners)
        if other != manager
        for path in sorted(owners[other] & fields(applied), key=shown)
        if _is_leaf(path) and at(target, path) != at(applied, path)
    ]


def check_conflicts(target: Any, applied: Any, owners: Owners, manager: str) -> None:
    """Raise `Refusal` if somebody else applied another value of a field."""
    found = [(f'conflict with "{other}"', shown(path)) for other, path in conflicts(target, applied, owners, manager)]
    if not found:
        return
    listed = ", ".join(f"{words}: {path}" for words, path in found)
    number = f"{len(found)} conflict" + ("s" if len(found) > 1 else "")
    causes = [{"reason": "FieldManagerConflict", "message": words, "field": path} for words, path in found]
    raise Refusal(409, "Conflict", f"Apply failed with {number}: {listed}", causes=causes)


def _is_leaf(path: Path) -> bool:
    return isinstance(path[-1], str)


def apply(target: Any, applied: Any, owners: Owners, manager: str) -> Any:
    """Return what an apply makes of an object; what only this manager had applied, and no longer does, goes."""
    others = frozenset().union(*(owned for name, owned in owners.items() if name != manager))
    gone = owners.get(manager, frozenset()) - fields(applied) - others
    result = target
    # An item of a list goes before its fields: by one of them it is found.
    for path in sorted(gone, key=len):
        result = _without(result, path)
    return strategic(result, applied)


def kept(owners: Owners, before: Any, after: Any) -> dict[str, Fields]:
    """Return who still owns what after a write: who owned a field that changed, no longer does."""
    return {
        name: frozenset(path for path in owned if not _is_leaf(path) or at(before, path) == at(after, path))
        for name, owned in owners.items()
    }


def at(found: Any, path: Path) -> Any:
    """Return the value of a field; something that equals nothing else if it is not there."""
    for step in path:
        if isinstance(step, tuple):
            key, value = step
            items = found if isinstance(found, list) else []
            found = next((i for i in items if (i if key is None else _key(i, key)) == value), _GONE)
        else:
            found = _key(found, step)
    return found


def _key(found: Any, name: str) -> Any:
    return found.get(name, _GONE) if isinstance(found, Mapping) else _GONE


def _without(found: Any, path: Path) -> Any:
    step, *rest = path
    if isinstance(step, tuple):
        key, value = step
        if not isinstance(found, list):
            return found
        changed = [(item, (item if key is None else _key(item, key)) == value) for item in found]
        return [_without(item, tuple(rest)) if hit else item for item, hit in changed if rest or not hit]
    if not isinstance(found, Mapping) or step not in found:
        return found
    left = _without(found[step], tuple(rest)) if rest else None
    if rest and left == found[step]:
        return found
    # Of what is empty now, nothing is left.
    return {**found, step: left} if left else {name: value for name, value in found.items() if name != step}


def shown(path: Path) -> str:
    """Return a path as the API server writes it."""
    words = ""
    for step in path:
        if not isinstance(step, tuple):
            words += f".{step}"
        elif step[0] is None:
            words += f'["{step[1]}"]'
        else:
            words += f'[{step[0]}="{step[1]}"]' if isinstance(step[1], str) else f"[{step[0]}={step[1]}]"
    return words
