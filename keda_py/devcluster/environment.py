"""The environment of a container that is a process: what a kubelet makes of `envFrom` and `env`.

The rules are those of kubernetes pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables): `envFrom` first, `env` over
it, and `$(NAME)` for what is defined before.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from keda_py.devcluster.store import Object, Place
from keda_py.engine.credentials.environment import expand

Get = Callable[[Place, str], Object | None]
"""Returns an object in the pod's namespace by its place and name."""

_SECRETS: Final = ("", "secrets")
_CONFIG_MAPS: Final = ("", "configmaps")
_WORDS: Final = {_SECRETS: "Secret", _CONFIG_MAPS: "ConfigMap"}


class ConfigError(Exception):
    """Something that the environment needs is not there; the message names it."""


def environment(pod: Object, container: Object, get: Get) -> dict[str, str]:
    """Return the variables of a container; raise `ConfigError`."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for place, name in ((_CONFIG_MAPS, "configMapRef"), (_SECRETS, "secretRef")):
            if reference := source.get(name):
                data = _data(place, reference, get)
                found |= {f"{source.get('prefix') or ''}{key}": value for key, value in data.items()}
    for variable in container.get("env") or []:
        value = variable.get("value")
        if value is None and (origin := variable.get("valueFrom")):
            value = _value(pod, origin, get)
            if value is not None:
                found[variable["name"]] = value
        else:
            found[variable["name"]] = expand(str(value or ""), found)
    return found


def command(container: Object, known: Mapping[str, str]) -> list[str]:
    """Return what a container runs; empty if only its image would know."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return [expand(str(word), dict(known)) for word in words]


def _value(pod: Object, origin: Mapping[str, Any], get: Get) -> str | None:
    """Return a variable's value, None if something optional is not there."""
    for place, name in ((_CONFIG_MAPS, "configMapKeyRef"), (_SECRETS, "secretKeyRef")):
        if reference := origin.get(name):
            value = _data(place, reference, get).get(reference["key"])
            if value is None and not reference.get("optional"):
                raise ConfigError(f"{_WORDS[place]} {reference['name']} has no key {reference['key']}")
            return value
    return _field(pod, str((origin.get("fieldRef") or {}).get("fieldPath", "")))


def _data(place: Place, reference: Mapping[str, Any], get: Get) -> dict[str, str]:
    found = get(place, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f"there is no {_WORDS[place]} {reference['name']}")
    return dict(_texts(place, found))


def _texts(place: Place, found: Object) -> Iterator[tuple[str, str]]:
    for key, value in (found.get("data") or {}).items():
        yield key, b64decode(value).decode(errors="replace") if place == _SECRETS else value


def _field(pod: Object, path: str) -> str:
    """Return a field of the pod as `fieldPath` names it: ``metadata.name``, ``metadata.labels['app']``."""
    path, _, key = path.rstrip("]").partition("[")
    found: Any = pod
    for name in path.split("."):
        found = found.get(name) or {} if isinstance(found, dict) else {}
    if key and isinstance(found, dict):
        found = found.get(key.strip("'\""), "")
    return "" if isinstance(found, dict) else str(found)
