"""The binaries of the control plane: taken from KUBEBUILDER_ASSETS, or built once from Go modules and kept.

Everything is one binary (`main.go`) with a small script for each component, and kwok with its kwokctl. Built files are
kept outside the tree, in a folder named after what they were made of, so that any change makes a new one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

KUBERNETES: Final = "v1.36.3"
KWOK: Final = "v0.8.0"
COMPONENTS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
KWOK_TOOLS: Final = ("kwok", "kwokctl")

_HERE: Final = Path(__file__).parent


class BuildError(Exception):
    """The binaries cannot be had; the message says why and what to do."""


def cache() -> Path:
    """Return the folder for what is kept between runs."""
    return Path(os.environ.get("KEDA_PY_CACHE") or Path.home() / ".cache" / "keda-py")


def binaries() -> Path:
    """Return the folder that holds all components; build those that are not there, which takes minutes, once."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folder = cache() / f"controlplane-{_fingerprint()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Test processes start together: one builds, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if given:
            _link_given(Path(given), folder)
        if missing := [name for name in COMPONENTS if not (folder / name).exists()]:
            _build_components(folder, missing)
        for name in KWOK_TOOLS:
            if not (folder / name).exists():
                _go(folder, "install", f"sigs.k8s.io/kwok/cmd/{name}@{KWOK}", cwd=folder)
    return folder


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{KUBERNETES} {KWOK} {os.environ.get('KUBEBUILDER_ASSETS', '')}".encode())
    for name in ("main.go", "go.mod", "go.sum"):
        digest.update((_HERE / name).read_bytes())
    return digest.hexdigest()[:12]


def _link_given(given: Path, folder: Path) -> None:
    for name in (*COMPONENTS, *KWOK_TOOLS):
        if (given / name).exists() and not (folder / name).exists():
            (folder / name).symlink_to((given / name).resolve())


def _build_components(folder: Path, names: list[str]) -> None:
    version = f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}"
    unfinished = folder / "controlplane.unfinished"
    _go(folder, "build", "-trimpath", "-ldflags", version, "-o", str(unfinished), ".", cwd=_HERE)
    unfinished.rename(folder / "controlplane")
    for name in names:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{folder}/controlplane" {name} "$@"\n')
        script.chmod(0o755)


def _go(folder: Path, *arguments: str, cwd: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("the control plane is built with Go: install it, or set KUBEBUILDER_ASSETS to its binaries")
    print(f"building the control plane once: go {arguments[0]} {arguments[-1]}", flush=True)
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(folder), "GOFLAGS": "-mod=readonly"}
    if subprocess.run([go, *arguments], cwd=cwd, env=environment, check=False).returncode != 0:
        raise BuildError(f"go {' '.join(arguments)} failed; its own words are above")
