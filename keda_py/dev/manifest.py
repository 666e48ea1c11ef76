"""Manifests from files into the embedded cluster, as ``kubectl apply`` would bring them there."""

import difflib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from keda_py.devcluster.admission import WEBHOOKS, answer
from keda_py.devcluster.api import APPLY, Api, Request
from keda_py.devcluster.negotiation import Loader
from keda_py.devcluster.structural import unknown_fields

_MANAGER: Final = "keda-py-dev"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# As Go writes JSON: kubectl writes the annotation anew where a byte of it differs.
_ESCAPED: Final = str.maketrans({one: f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"})
_TEMPLATE: Final = "{{"
_FIRST: Final = ("Namespace", "CustomResourceDefinition")


class ManifestFileError(Exception):
    """A file that cannot be applied; the message names file and document, and says what is wrong."""


class RefusedError(ManifestFileError):
    """An object that admission refuses, or that there is no kind for, as things are: all else can go on without it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line about what was applied."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file; `number` counts the file's documents from 1."""

    path: Path
    number: int
    content: dict[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.path}, document {self.number}"


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are meant: of a folder those within it that are YAML or JSON, by name."""
    found: list[Path] = []
    for path in paths:
        within = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [one for one in within if one == path or (one.suffix in _SUFFIXES and one.is_file())]
    return found


def read(path: Path) -> list[Document]:
    """Return the objects of a file, those of a List one by one; raise `ManifestFileError`."""
    return list(_read(path))


def _read(path: Path) -> Iterator[Document]:
    number, text = 0, ""
    try:
        # Read as a whole: an editor may be about to replace it.
        text = path.read_text()
        for number, content in enumerate(yaml.load_all(text, Loader), 1):
            if content is not None:
                yield from _objects(Document(path, number, content))
    except OSError as error:
        raise ManifestFileError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ManifestFileError(f"{path} cannot be read: it is no text in UTF-8") from None
    except yaml.YAMLError as error:
        advice = "; a template has to be rendered first, as by helm template" if _TEMPLATE in text else ""
        raise ManifestFileError(f"{path}, document {number + 1}: {_words(error)}{advice}") from None


def _words(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"not YAML{where}: {problem or error}".replace("\n", " ")


def _objects(document: Document) -> Iterator[Document]:
    content: Any = document.content
    if isinstance(content, dict) and content.get("kind") == "List" and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _objects(Document(document.path, document.number, item))
        return
    metadata = content.get("metadata") if isinstance(content, dict) else None
    named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
    if not (named and all(isinstance(content.get(field), str) for field in ("apiVersion", "kind"))):
        raise ManifestFileError(f"{document.place}: an object needs apiVersion, kind and metadata.name")
    yield document


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Return objects as they are to be applied: namespaces and CRDs before all others."""
    return sorted(documents, key=lambda one: one.content["kind"] not in _FIRST)


def is_admitted(document: Document) -> bool:
    """Return whether somebody is asked about an object of this kind before it is written."""
    group = document.content["apiVersion"].rpartition("/")[0]
    return (group, document.content["kind"]) in WEBHOOKS


async def apply(api: Api, document: Document, *, dry: bool = False) -> AsyncIterator[Told]:
    """Apply an object; yield warnings, and a line if it is new or another now. `dry`: only see whether it could be.

    A namespace that is missing is made: there is nothing else in this cluster that would. Raises `ManifestFileError`.
    """
    content = document.content
    kind = api.kind_of(content["apiVersion"], content["kind"])
    if kind is None:
        said = f"the embedded cluster has no kind {content['kind']} in {content['apiVersion']}"
        if near := _near(api, content["apiVersion"], content["kind"]):
            raise ManifestFileError(f"{document.place}: {said}; did you mean {near}?")
        # What an application has beside what is scaled: all else of it can be tried without.
        raise RefusedError(f"{document.place}: left out: {said}")
    if unknown := [f'"{path}"' for path in unknown_fields(content, kind.shape)]:
        # To be told in words; the API server's are about sets of fields.
        raise ManifestFileError(f"{document.place}: unknown field {', '.join(unknown)}")
    namespace = str(content["metadata"].get("namespace") or "default") if kind.namespaced else ""
    name = content["metadata"]["name"]
    if namespace and api.store.get(("", "namespaces"), ("", namespace)) is None:
        api.answer(Request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}}))
        yield Told(f"{document.path}: namespace/{namespace} created")
    before = api.store.get(kind.place, (namespace, name))
    path = kind.resource.path(namespace, name)
    params = {"fieldManager": _MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry else {})
    request = Request("PATCH", path, params, _annotated(content, namespace), APPLY)
    found = api.answer(request) if dry else await answer(api, request)
    for warning in found.warnings:
        yield Told(f"{document.place}: warning: {warning}", bad=True)
    if found.status >= 400:  # noqa: PLR2004  HTTP's own number
        refused = RefusedError if found.status == 403 else ManifestFileError  # noqa: PLR2004  HTTP's own number
        raise refused(f"{document.place}: {' '.join(found.body['message'].split())}")
    if api.store.get(kind.place, (namespace, name)) is not before:
        singular = f"{kind.singular or kind.resource.kind.lower()}.{kind.resource.group}".rstrip(".")
        yield Told(f"{document.path}: {singular}/{name} {'created' if before is None else 'configured'}")


def _near(api: Api, api_version: str, kind: str) -> str:
    """Return the kind that may have been meant, nothing if none is near."""
    known: dict[str, list[str]] = {}
    for one in api.kinds:
        known.setdefault(one.resource.kind, []).append(one.resource.api_version)
    near = difflib.get_close_matches(kind, known, n=1, cutoff=0.8)
    if not near:
        return ""
    versions = known[near[0]]
    return f"{near[0]}{'' if api_version in versions else f' in {versions[0]}'}"


def _annotated(content: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return an object with the annotation by which a later ``kubectl apply`` knows what stood in the file."""
    metadata = content["metadata"]
    annotations = metadata.get("annotations")
    if annotations is not None and not isinstance(annotations, dict):
        return content  # to be refused as it stands
    own = {name: value for name, value in (annotations or {}).items() if name != _LAST_APPLIED}
    metadata = {**metadata, **({"namespace": namespace} if namespace else {}), "annotations": own}
    written = {**content, "metadata": metadata}
    applied = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPED)
    return {**content, "metadata": {**metadata, "annotations": own | {_LAST_APPLIED: f"{applied}\n"}}}


class Watched:
    """Files that are applied again when they change."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen: dict[Path, tuple[int, int]] = {}

    def changed(self) -> list[Path]:
        """Return the files that are new or other than when this was last asked."""
        now: dict[Path, tuple[int, int]] = {}
        for path in files_of(path for path in self._paths if path.exists()):
            # It may be gone again by now.
            if path.exists():
                stat = path.stat()
                now[path] = (stat.st_mtime_ns, stat.st_size)
        found = [path for path, stamp in now.items() if self._seen.get(path) != stamp]
        self._seen = now
        return found
