"""The environment of a target's container, as far as triggers refer to it.

The rules are the kubelet's, and those of KEDA's pkg/scaling/resolver/scale_resolvers.go (resolveEnv): ``envFrom``
first, ``env`` over it, ``$(NAME)`` standing for what is defined before. Only variables that are asked for are looked
up, and those that their values refer to; init containers are never looked at.
"""

import re
from collections.abc import Iterable
from typing import Final

from keda_py.api.pod import Container, PodSpec, ValueFrom, Variable
from keda_py.engine.credentials.lookup import Missing, Named, Reading
from keda_py.scaler import ScalerError

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\)|.)", re.DOTALL)
LONGEST: Final = 2**20
"""How long a value may become: references to references can double it with each line."""


def container_of(pod: PodSpec, name: str) -> Container:
    """Return a container by name, the first one without; raise `ScalerError` when there is none such."""
    if not pod.containers:
        raise ScalerError("the target has no spec.template.spec.containers, so that there is no environment to look in")
    found = next((container for container in pod.containers if name in ("", container.name)), None)
    if found is None:
        known = ", ".join(container.name for container in pod.containers)
        raise ScalerError(f"the target has no container {name!r}; it has {known}")
    return found


def variables(container: Container, wanted: Iterable[str], namespace: str, *, reading: Reading) -> dict[str, str]:
    """Return the variables that are asked for; one that depends on something optional may be missing."""
    names = set(wanted)
    needed = _with_references(container.env or (), names)
    found: dict[str, str] = {}
    unset = _from_objects(container, needed, namespace, reading, found)
    pod_only: set[str] = set()
    for variable in container.env or ():
        if variable.name not in needed:
            continue
        if variable.value or variable.value_from is None:
            found[variable.name] = expand(variable.value, found)
            continue
        named, optional = _entry_of(variable.value_from, namespace)
        if named is None:
            pod_only.add(variable.name)
            continue
        try:
            found[variable.name] = reading.required(named, optional=optional)
        except Missing:
            unset.add(variable.name)
    for name in sorted(names - found.keys() - unset):
        reading.problem(_unknown(name, container, pod_only))
    return {name: found[name] for name in names if name in found}


def _with_references(env: Iterable[Variable], names: set[str]) -> set[str]:
    """Return the names, and those that their values refer to: each refers only to what is defined before it."""
    needed = set(names)
    for variable in reversed(list(env)):
        if variable.name in needed:
            needed.update(name for name in _REFERENCE.findall(variable.value) if name)
    return needed


def _from_objects(
    container: Container, needed: set[str], namespace: str, reading: Reading, found: dict[str, str]
) -> set[str]:
    """Fill in what ``envFrom`` gives; return the names that an optional object that is not there might have given."""
    unset: set[str] = set()
    for source in container.env_from or ():
        kind, ref = (
            ("Secret", source.secret_ref) if source.config_map_ref is None else ("ConfigMap", source.config_map_ref)
        )
        if ref is None:
            continue
        for name in [name for name in needed if name.startswith(source.prefix)]:
            named = Named(kind, namespace, ref.name, name.removeprefix(source.prefix))
            try:
                value = reading.entry(named, optional=bool(ref.optional))
            except Missing:
                unset.add(name)
            else:
                if value is not None:
                    found[name] = value
    return unset


def _entry_of(source: ValueFrom, namespace: str) -> tuple[Named | None, bool]:
    if (secret := source.secret_key_ref) is not None:
        return Named("Secret", namespace, secret.name, secret.key), bool(secret.optional)
    if (config_map := source.config_map_key_ref) is not None:
        return Named("ConfigMap", namespace, config_map.name, config_map.key), bool(config_map.optional)
    return None, False


def _unknown(name: str, container: Container, pod_only: set[str]) -> str:
    where = f"the target's container {container.name!r}"
    if name in pod_only:
        return f"the variable {name} of {where} differs from pod to pod (fieldRef, resourceFieldRef); use another"
    return f"{where} has no variable {name}; add it to its env or envFrom, or correct the name"


def expand(text: str, known: dict[str, str]) -> str:
    """Return a value with each ``$(NAME)`` of a known variable replaced; ``$$`` stands for a dollar sign."""
    length = 0
    pieces: list[str] = []
    end = 0

    def add(piece: str) -> None:
        nonlocal length
        length += len(piece)
        if length > LONGEST:
            raise ScalerError(f"a variable of the target becomes longer than {LONGEST} characters")
        pieces.append(piece)

    for match in _REFERENCE.finditer(text):
        add(text[end : match.start()])
        whole, name = match.group(0), match.group(1)
        add("$" if whole == "$$" else whole if name is None else known.get(name, whole))
        end = match.end()
    add(text[end:])
    return "".join(pieces)
