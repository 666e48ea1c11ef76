"""The CRDs: what the repository holds is what the models say, and what the models say is what KEDA's CRDs say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keda_py.api.crd import KINDS, Kind, definition
from keda_py.api.scaled_job import ScaledJob
from keda_py.api.scaled_object import ScaledObject

ROOT = Path(__file__).parents[2]
# What the CRDs of KEDA 2.20 say, descriptions left out, and of a Job's spec only its first level.
KEDA: dict[str, Any] = json.loads(Path(__file__).with_name("keda-crds.json").read_text())

# Where we differ on purpose: the path, and why.
DIFFERENCES = {
    "schema.spec.jobTargetRef": "a Job's spec is checked where the Job is made, not copied here (docs/decisions/0006)",
    "schema.spec.rollout.strategy": "KEDA's documentation calls immediate default, and its CRD refuses that",
}


def test_the_files_are_up_to_date() -> None:
    scope: dict[str, Any] = {"__name__": "crds"}
    exec(compile((ROOT / "manifests/crds.py").read_text(), "crds.py", "exec"), scope)
    for name, text in scope["files"]():
        assert (ROOT / "manifests/crds" / name).read_text() == text, "run: make crds"


def flat(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield each node's path with all it says besides its parts."""
    own = {key: value for key, value in schema.items() if key not in ("description", "properties", "items")}
    if isinstance(own.get("additionalProperties"), dict):
        yield from flat(own.pop("additionalProperties"), f"{path}.*")
    own["required"] = sorted(own.get("required", []))
    yield path, own
    for name, part in schema.get("properties", {}).items():
        yield from flat(part, f"{path}.{name}")
    if "items" in schema:
        yield from flat(schema["items"], f"{path}[]")


def facts(spec: dict[str, Any]) -> dict[str, Any]:
    (version,) = spec["versions"]
    found = {f"version.{key}": value for key, value in version.items() if key != "schema"}
    found |= {key: value for key, value in spec.items() if key != "versions"}
    found |= dict(flat(version["schema"]["openAPIV3Schema"], "schema"))
    return {path: value for path, value in found.items() if not path.startswith(tuple(DIFFERENCES))}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_manifest_means_the_same_to_the_api_server(kind: Kind) -> None:
    ours = definition(kind)
    theirs = KEDA[ours["metadata"]["name"]]
    assert facts(ours["spec"]) == facts(theirs)


def test_every_kind_of_keda_is_there() -> None:
    assert {f"{kind.plural}.{kind.group}" for kind in KINDS} == set(KEDA)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_schema_is_structural_and_explained(kind: Kind) -> None:
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for path, node in nodes(schema["properties"][part], part):
            typed = "type" in node or node.get("x-kubernetes-int-or-string")
            assert typed, f"{path} has no type"
            assert "$ref" not in node
            if not path.endswith(("[]", "*")):
                assert node.get("description") or path.endswith("template"), f"{path} is not explained"


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for key, sign in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + sign)


def test_the_samples_are_objects_of_ours() -> None:
    for path in (ROOT / "manifests/samples").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "ScaledObject":
                assert ScaledObject.parse(document).spec.triggers
            elif document["kind"] == "ScaledJob":
                assert ScaledJob.parse(document).spec.triggers
