"""What the API server does not allow in names, labels and finalizers (apimachinery pkg/api/validation).

The words are its own, since kubectl's users search for them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Cause = tuple[str, str]
"""Path and words of something that is not allowed."""

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_KEY: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE: Final = rf"({_KEY})?"
_LONGEST_SUBDOMAIN: Final = 253
_LONGEST_LABEL: Final = 63
_LARGEST: Final = 256 * 1024
"""Bytes of all annotations together."""
_STANDARD_FINALIZERS: Final = ("orphan", "foregroundDeletion", "kubernetes")

_SUBDOMAIN_WORDS: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_WORDS: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_KEY_WORDS: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_KEY}')"
)
_QUALIFIED_WORDS: Final = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_KEY}') with "
    "an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_WORDS: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_VALUE}')"
)


def problems(metadata: Mapping[str, Any], *, is_label: bool, custom: bool) -> Iterator[Cause]:
    """Yield what is not allowed.

    `is_label`: whether the kind's names are no more than DNS labels. `custom`: whether a CRD defines it; finalizers of
    built-in kinds are held to more (kubernetes pkg/apis/core/validation), KEDA's own would not do for them.
    """
    name = metadata.get("name") or ""
    longest, allowed, words = (
        (_LONGEST_LABEL, _LABEL, _LABEL_WORDS) if is_label else (_LONGEST_SUBDOMAIN, _SUBDOMAIN, _SUBDOMAIN_WORDS)
    )
    prefix = metadata.get("generateName") or ""
    if prefix and not re.fullmatch(allowed, re.sub(r"-$", "a", prefix)):
        yield "metadata.generateName", f'Invalid value: "{prefix}": {words}'
    if not name:
        yield "metadata.name", "Required value: name or generateName is required"
    elif len(name) > longest:
        yield "metadata.name", f'Invalid value: "{name}": must be no more than {longest} bytes'
    elif not re.fullmatch(allowed, name):
        yield "metadata.name", f'Invalid value: "{name}": {words}'
    for key, value in (metadata.get("labels") or {}).items():
        yield from _label("metadata.labels", key, value)
    for key in metadata.get("annotations") or {}:
        yield from _key("metadata.annotations", key)
    yield from _owners(metadata.get("ownerReferences") or [])
    if sum(len(key) + len(value) for key, value in (metadata.get("annotations") or {}).items()) > _LARGEST:
        yield "metadata.annotations", f"Too long: may not be more than {_LARGEST} bytes"
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        yield from _key("metadata.finalizers", finalizer)
        if not custom and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            said = "name is neither a standard finalizer name nor is it fully qualified"
            yield f"metadata.finalizers[{index}]", f'Invalid value: "{finalizer}": {said}'


def _owners(references: list[Mapping[str, Any]]) -> Iterator[Cause]:
    path = "metadata.ownerReferences"
    for reference in references:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(name):
                words = "version must not be empty" if name == "apiVersion" else "must not be empty"
                yield f"{path}.{name}", f'Invalid value: "": {words}'
        if (reference.get("apiVersion"), reference.get("kind")) == ("v1", "Event"):
            shown = json.dumps(dict(reference), separators=(",", ":"))
            yield path, f"Invalid value: {shown}: /v1, Kind=Event is disallowed from being an owner"
    controllers = [str(reference.get("name")) for reference in references if reference.get("controller")]
    if len(controllers) > 1:
        shown = json.dumps(references, separators=(",", ":"))
        said = "Only one reference can have Controller set to true. Found"
        yield path, f'Invalid value: {shown}: {said} "true" in references for {controllers[0]} and {controllers[1]}'


def _label(path: str, key: str, value: str) -> Iterator[Cause]:
    yield from _key(path, key)
    if len(value) > _LONGEST_LABEL:
        yield path, f'Invalid value: "{value}": must be no more than {_LONGEST_LABEL} bytes'
    elif not re.fullmatch(_VALUE, value):
        yield path, f'Invalid value: "{value}": {_VALUE_WORDS}'


def _key(path: str, key: str) -> Iterator[Cause]:
    prefix, _, name = key.rpartition("/")
    if "/" in prefix:
        # More than one slash makes no prefix at all.
        yield path, f'Invalid value: "{key}": {_QUALIFIED_WORDS}'
        return
    if prefix and not re.fullmatch(_SUBDOMAIN, prefix):
        yield path, f'Invalid value: "{key}": prefix part {_SUBDOMAIN_WORDS}'
    if len(name) > _LONGEST_LABEL:
        yield path, f'Invalid value: "{key}": name part must be no more than {_LONGEST_LABEL} bytes'
    elif not re.fullmatch(_KEY, name):
        yield path, f'Invalid value: "{key}": {_KEY_WORDS}'
