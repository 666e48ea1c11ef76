"""Manifests for these tests."""

from pathlib import Path

import yaml

WORKER = ["python3", "-c", "import time\nprint('at work', flush=True)\nwhile True: time.sleep(0.1)"]


def deployment(name: str, *, replicas: int = 0, command: list[str] | None = None) -> dict[str, object]:
    labels = {"app": name}
    container = {"name": "main", "image": "python:3", **({"command": command} if command else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def scaled_object(name: str, trigger: dict[str, object], **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "pollingInterval": 1,
            "cooldownPeriod": 2,
            "triggers": [trigger],
            **spec,
        },
    }


def scaled_job(name: str, trigger: dict[str, object], *, seconds: int) -> dict[str, object]:
    container = {"name": "main", "image": "busybox", "command": ["sleep", str(seconds)]}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [container]}}},
            "pollingInterval": 1,
            "maxReplicaCount": 3,
            "triggers": [trigger],
        },
    }


def write(path: Path, *documents: object) -> str:
    """Write objects into a file; return its path for a command line."""
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)
