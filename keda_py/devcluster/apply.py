"""Server-side apply: who applied which field, what that lets somebody take away, and when two of them conflict.

Fields are owned by those who applied them (``fieldManager``); a plain write that changes a field takes it away from
them. Pure; the rules are those of sigs.k8s.io/structured-merge-diff.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from keda_py.devcluster.kind import Kind
from keda_py.devcluster.patch import Shape, is_set, keys_of, within
from keda_py.devcluster.rule import Refusal, conflict

Path = tuple[Any, ...]
"""Steps to a field: a name, or what an item of a list has: pairs of key and value, of a word ``(None, word)``."""
Fields = frozenset[Path]
Owners = Mapping[str, Fields]

_NOT_OWNED: Final = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
_GONE: Final = object()


def keyed(applied: Any, shape: Shape) -> Any:
    """Return a manifest in which each item of a list has what it is addressed by, defaults as well."""
    if isinstance(applied, Mapping):
        return {name: keyed(value, within(shape, name)) for name, value in applied.items()}
    if not isinstance(applied, list) or (steps := _steps(applied, shape)) is None or is_set(shape):
        return applied
    items = [keyed(item, shape.get("items") or {}) for item in applied]
    return [{**dict(step), **item} for step, item in zip(steps, items, strict=True)]


def fields(applied: Mapping[str, Any], shape: Shape) -> Fields:
    """Return the fields that an applied manifest sets."""
    return frozenset(path for path in _paths(applied, (), shape) if path not in _NOT_OWNED)


def _paths(found: Any, path: Path, shape: Shape) -> Iterator[Path]:
    if isinstance(found, Mapping) and found and shape.get("x-kubernetes-map-type") != "atomic":
        for name, value in found.items():
            yield from _paths(value, (*path, name), within(shape, name))
    elif isinstance(found, list) and (steps := _steps(found, shape)) is not None:
        for step, item in zip(steps, found, strict=True):
            yield (*path, step)
            yield from _paths(item, (*path, step), shape.get("items") or {}) if isinstance(item, Mapping) else ()
    else:
        yield path


def _steps(items: list[Any], shape: Shape) -> list[Path] | None:
    """Return how the items of a list are addressed; None if it is one value as a whole."""
    if is_set(shape):
        return [((None, item),) for item in items]
    keys, known = keys_of(shape), (shape.get("items") or {}).get("properties") or {}
    if not keys or not all(isinstance(item, Mapping) for item in items):
        return None
    return [tuple((key, item.get(key, known.get(key, {}).get("default"))) for key in keys) for item in items]


def conflicts(target: Any, applied: Any, owners: Owners, manager: str, *, shape: Shape) -> list[tuple[str, Path]]:
    """Return whose fields would be changed: managers and paths, in order."""
    mine = fields(applied, shape)
    return [
        (other, path)
        for other in sorted(owners)
        if other != manager
        for path in sorted(owners[other] & mine, key=shown)
        if _is_leaf(path) and at(target, path) != at(applied, path)
    ]


def check_uid(kind: Kind, applied: Mapping[str, Any], name: str) -> None:
    """Raise `Refusal` if what is applied is to be a certain object, and there is none of that name."""
    if uid := (applied.get("metadata") or {}).get("uid"):
        said = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(kind, name, said)


def check_conflicts(target: Any, applied: Any, owners: Owners, manager: str, *, shape: Shape) -> None:
    """Raise `Refusal` if somebody else applied another value of a field."""
    clashes = conflicts(target, applied, owners, manager, shape=shape)
    found = [(f"conflict with {other}", shown(path)) for other, path in clashes]
    if not found:
        return
    listed = ", ".join(f"{words}: {path}" for words, path in found)
    number = f"{len(found)} conflict" + ("s" if len(found) > 1 else "")
    causes = [{"reason": "FieldManagerConflict", "message": words, "field": path} for words, path in found]
    raise Refusal(409, "Conflict", f"Apply failed with {number}: {listed}", causes=causes)


def _is_leaf(path: Path) -> bool:
    return isinstance(path[-1], str)


def apply(target: Any, applied: Any, owners: Owners, manager: str, *, shape: Shape) -> Any:
    """Return what an apply makes of an object; what only this manager had applied, and no longer does, goes."""
    others = frozenset().union(*(owned for name, owned in owners.items() if name != manager))
    gone = owners.get(manager, frozenset()) - fields(applied, shape) - others
    result = target
    # An item of a list goes before its fields: by one of them it is found.
    for path in sorted(gone, key=len):
        result = _without(result, path)
    return _merged(result, applied, shape)


def _merged(target: Any, applied: Any, shape: Shape) -> Any:
    if isinstance(applied, Mapping) and shape.get("x-kubernetes-map-type") != "atomic":
        old = target if isinstance(target, Mapping) else {}
        return {**old, **{name: _merged(old.get(name), value, within(shape, name)) for name, value in applied.items()}}
    if not isinstance(applied, list) or (steps := _steps(applied, shape)) is None:
        return applied
    items = target if isinstance(target, list) else []
    found = dict(zip(_steps(items, shape) or (), items, strict=False))
    for step, item in zip(steps, applied, strict=True):
        found[step] = _merged(found.get(step), item, shape.get("items") or {})
    return list(found.values())


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
            items = found if isinstance(found, list) else []
            found = next((item for item in items if _is(item, step)), _GONE)
        else:
            found = _key(found, step)
    return found


def _is(item: Any, step: Path) -> bool:
    return all((item if key is None else _key(item, key)) == value for key, value in step)


def _key(found: Any, name: str) -> Any:
    return found.get(name, _GONE) if isinstance(found, dict) else _GONE


def _without(found: Any, path: Path) -> Any:
    step, *rest = path
    if isinstance(step, tuple):
        if not isinstance(found, list):
            return found
        changed = [(item, _is(item, step)) for item in found]
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
        elif step[0][0] is None:
            words += f"[{json.dumps(step[0][1])}]"
        else:
            words += f"[{','.join(f'{key}={json.dumps(value)}' for key, value in step)}]"
    return words
