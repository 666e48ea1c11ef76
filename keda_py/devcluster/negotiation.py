"""In which form an answer is wanted, and in which forms a body may come: the headers ``Accept`` and ``Content-Type``.

As apiserver pkg/endpoints/handlers/negotiation: the first form that can be had counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import yaml

from keda_py.devcluster import protobuf
from keda_py.devcluster.rule import Refusal, bad_request

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
TABLE: Final = "Table"
PARTIAL: Final = "PartialObjectMetadata"
PARTIALS: Final = f"{PARTIAL}List"
_FORMS: Final = (JSON, YAML, PROTOBUF)
_ANY: Final = ("*/*", "")


class Loader(yaml.SafeLoader):
    """YAML as the API takes it: what looks like a date stays the text that it is in JSON."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer is written in, and as what it is shown: as it is (empty), or as one of the other three."""

    media: str = JSON
    shown_as: str = ""


def form(accept: str) -> Form:
    """Return the form of an answer; raise `Refusal` if none will do."""
    for entry in accept.split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        shown_as = given.get("as", "")
        ours = (given.get("g"), given.get("v")) == ("meta.k8s.io", "v1") and shown_as in (TABLE, PARTIAL, PARTIALS)
        if shown_as and not ours:
            continue
        if media in _ANY or media in (JSON, YAML):
            return Form(YAML if media == YAML else JSON, shown_as)
    raise refused()


def refused() -> Refusal:
    """Return the refusal for an answer in none of the forms that would do."""
    return Refusal(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(_FORMS)}")


def body(content_type: str, data: bytes) -> Any:
    """Return what a body says; None for none; raise `Refusal` if it cannot be read."""
    if not data:
        return None
    try:
        return _READ.get(content_type, orjson.loads)(data)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the request body cannot be read: {error}") from None


def _yaml(data: bytes) -> Any:
    return yaml.load(data, Loader)  # noqa: S506  a SafeLoader


_READ: Final[dict[str, Callable[[bytes], Any]]] = {
    "application/apply-patch+yaml": _yaml,
    YAML: _yaml,
    PROTOBUF: protobuf.decode,
}
"""How bodies are read that are not JSON."""


def check_type(method: str, content_type: str) -> None:
    """Raise `Refusal` for a body of a new object, or of a whole one, that nothing here could read."""
    if method in ("POST", "PUT", "DELETE") and content_type not in _FORMS:
        listed = ", ".join(_FORMS)
        said = f"the body of the request was in an unknown format - accepted media types include: {listed}"
        raise Refusal(415, "UnsupportedMediaType", said)
