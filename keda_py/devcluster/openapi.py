"""As much of OpenAPI v3 as kubectl needs: to leave checking fields to the server, and to explain kinds."""

from typing import Any

from keda_py.devcluster.kind import Kind


def answer(path: str, kinds: list[Kind]) -> dict[str, Any] | None:
    """Return the index (empty path), or the document of one API version; None if there is none."""
    documents: dict[str, list[Kind]] = {}
    for kind in kinds:
        api = kind.resource
        documents.setdefault(f"apis/{api.api_version}" if api.group else f"api/{api.version}", []).append(kind)
    if not path.strip("/"):
        return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in documents}}
    found = documents.get(path.strip("/"))
    return None if found is None else _document(found)


def _document(kinds: list[Kind]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for kind in kinds:
        api = kind.resource
        name = ".".join([*reversed(api.group.split(".")), api.version, api.kind]).lstrip(".")
        group = {"group": api.group, "version": api.version, "kind": api.kind}
        schemas[name] = _schema(kind) | {"x-kubernetes-group-version-kind": [group]}
        reference = {"$ref": f"#/components/schemas/{name}"}
        paths[_path(kind)] = {method: _operation(group, method, reference) for method in ("get", "patch", "put")}
        paths[_path(kind).removesuffix("/{name}")] = {"post": _operation(group, "post", reference)}
    info = {"title": "keda-py's embedded cluster", "version": "v1"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _path(kind: Kind) -> str:
    api = kind.resource
    root = f"/apis/{api.api_version}" if api.group else f"/api/{api.version}"
    space = "/namespaces/{namespace}" if kind.namespaced else ""
    return f"{root}{space}/{api.plural}/{{name}}"


def _operation(group: dict[str, str], method: str, reference: dict[str, str]) -> dict[str, Any]:
    # That a server takes these parameters is what tells kubectl to let it check fields, and that it may dry-run.
    names = () if method == "get" else ("dryRun", "fieldManager", "fieldValidation")
    parameters = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in names]
    content = {"application/json": {"schema": reference}}
    return {
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": method,
        "x-kubernetes-group-version-kind": group,
    }


def _schema(kind: Kind) -> dict[str, Any]:
    properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **kind.shape["properties"]}
    return {**kind.shape, "type": "object", "properties": properties}
