"""Lists in pages: the continue token says as of which version, and after how many objects, the next page begins."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from keda_py.devcluster.kind import Kind
from keda_py.devcluster.rule import Refusal, bad_request
from keda_py.devcluster.store import Object


@dataclass(frozen=True, slots=True)
class Pages:
    """Which part of a list is asked for. `version`: None for the state of now; `limit`: 0 for all the rest."""

    version: int | None
    start: int
    limit: int
    selected: bool

    def cut(self, items: list[Object], current: int) -> tuple[list[Object], Object]:
        """Return the part, and the metadata of the list; `current`: the version of now."""
        version = current if self.version is None else self.version
        end = self.start + self.limit if self.limit else len(items)
        metadata: Object = {"resourceVersion": str(version)}
        if (left := len(items) - end) > 0:
            metadata["continue"] = base64.b64encode(f"{version}.{end}".encode()).decode()
            if not self.selected:
                # With a selector the API server does not know it.
                metadata["remainingItemCount"] = left
        return items[self.start : end], metadata


def pages(params: Mapping[str, str], current: int) -> Pages:
    """Return what the parameters of a list ask for; `current`: the version of now. Raise `Refusal`."""
    try:
        limit = max(0, int(params.get("limit") or 0))
    except ValueError:
        raise bad_request(f"limit is no number: {params['limit']}") from None
    selected = bool(params.get("labelSelector") or params.get("fieldSelector"))
    if not (token := params.get("continue")):
        return Pages(_version(params, current), 0, limit, selected)
    if params.get("resourceVersion", "0") not in ("0", ""):
        raise bad_request("specifying resource version is not allowed when using continue")
    try:
        version, _, start = base64.b64decode(token, validate=True).decode().partition(".")
        return Pages(int(version), int(start), limit, selected)
    except (binascii.Error, ValueError):
        raise bad_request("continue key is not valid: it was not made by this server") from None


def _version(params: Mapping[str, str], current: int) -> int | None:
    """Return the version that a list must be of; None if that of now will do."""
    given = params.get("resourceVersion") or "0"
    if not given.isdecimal():
        raise bad_request(f'Invalid value: "{given}": strconv.ParseUint: parsing "{given}": invalid syntax')
    if int(given) > current:
        said = f"Too large resource version: {given}, current: {current}"
        raise Refusal(504, "Timeout", f"Timeout: {said}")
    return int(given) if params.get("resourceVersionMatch") == "Exact" else None


def listing(kind: Kind, items: list[Object], metadata: Object) -> Object:
    """Return a list; the items of a built-in kind do not say again of what kind they are."""
    api = kind.resource
    if not kind.custom:
        items = [{name: v for name, v in item.items() if name not in ("apiVersion", "kind")} for item in items]
    return {"kind": f"{api.kind}List", "apiVersion": api.api_version, "metadata": metadata, "items": items}
