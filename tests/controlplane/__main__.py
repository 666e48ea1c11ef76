"""``python -m tests.controlplane build|up|down [NAME]``: the control plane by hand."""

import argparse

from .build import binaries
from .cluster import Cluster


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("action", choices=("build", "up", "down"))
    parser.add_argument("name", nargs="?", default="keda-py")
    given = parser.parse_args()
    if given.action == "build":
        print(binaries())
        return
    cluster = Cluster(given.name)
    if given.action == "up":
        cluster.start()
        print(f"export KUBECONFIG={cluster.kubeconfig}")
    else:
        cluster.stop()


main()
