"""Label selectors in their text form, checked before the API server is asked.

The grammar is that of k8s.io/apimachinery's labels.Parse: ``a=b``, ``a==b``, ``a!=b``, ``a in (b,c)``, ``a notin (b)``,
``a``, ``!a``, ``a>1``, ``a<1``, separated by commas.
"""

import re
from typing import Final

_NAME: Final = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_WORD: Final = r"[^\s=!(),<>]+"
_REQUIREMENT: Final = re.compile(
    rf"""\s*(?:
      !\s*(?P<absent>{_WORD})
    | (?P<key>{_WORD})\s*(?:
          (?P<set>\b(?:in|notin)\b)\s*\(\s*(?P<values>[^()=!<>]*)\)
        | (?P<exact>==|=|!=)\s*(?P<value>(?:{_WORD})?)
        | (?P<compare>[<>])\s*(?P<bound>{_WORD})
      )?
    )\s*(?P<end>,|$)""",
    re.VERBOSE,
)
_MAX_DOMAIN: Final = 253


def problem(text: str) -> str | None:
    """Return what is wrong with a label selector in a sentence, None for one that the API server takes."""
    position = 0
    while True:
        found = _REQUIREMENT.match(text, position)
        if found is None:
            return f"expected requirements such as app=web or tier in (a,b) at {text[position : position + 20]!r}"
        if (wrong := _wrong_requirement(found)) is not None:
            return wrong
        position = found.end()
        if found["end"] != ",":
            return None


def _wrong_requirement(found: re.Match[str]) -> str | None:
    key = found["key"] or found["absent"]
    domain, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and (not _DOMAIN.fullmatch(domain) or len(domain) > _MAX_DOMAIN)):
        return f"{key[:40]!r} is not a label name"
    if found["compare"]:
        return None if re.fullmatch(r"[+-]?[0-9]{1,18}", found["bound"]) else "< and > compare whole numbers"
    for value in _values(found):
        if value and not _NAME.fullmatch(value):
            return f"{value[:40]!r} is not a label value"
    if found["set"] and not found["values"].strip():
        return "in and notin need at least one value"
    return None


def _values(found: re.Match[str]) -> list[str]:
    if found["set"]:
        return [value.strip() for value in found["values"].split(",")]
    return [found["value"] or ""]
