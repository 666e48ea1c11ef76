"""Writes the CustomResourceDefinitions into a folder: ``make crds``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from keda_py.api.crd import KINDS, definition

HEADER = "# Made of the models in keda_py/api by `make crds`; change those.\n"


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and text of each file."""
    for kind in KINDS:
        yield f"{kind.group}_{kind.plural}.yaml", HEADER + yaml.safe_dump(definition(kind), sort_keys=False, width=120)
    listed = "".join(f"  - {kind.group}_{kind.plural}.yaml\n" for kind in KINDS)
    yield (
        "kustomization.yaml",
        f"{HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{listed}",
    )


def main(folder: str) -> None:
    """Write all files."""
    for name, text in files():
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, name).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
