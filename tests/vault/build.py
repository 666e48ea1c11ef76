"""The Vault that tests run against: one binary, built once from Go modules and kept outside the tree.

1.18.1 is the newest version whose module builds as it is published: later ones need a state of their own SDK that no
version of it has.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.controlplane.build import BuildError, cache

_HERE = Path(__file__).parent


def binary() -> Path:
    """Return the server's binary; build it if it is not there, which takes minutes, once."""
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")))
    folder = cache() / f"vault-{digest.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Test processes start together: one builds, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "vault").exists():
            _build(folder / "vault.unfinished")
            (folder / "vault.unfinished").rename(folder / "vault")
    return folder / "vault"


def _build(target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("the Vault for tests is built with Go: install it")
    print("building a Vault once", flush=True)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), "."]
    if subprocess.run(command, cwd=_HERE, env=environment, check=False).returncode != 0:
        raise BuildError("go build of the Vault failed; its own words are above")
