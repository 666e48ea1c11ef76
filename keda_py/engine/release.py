"""Letting go of objects that are deleted: KEDA puts its finalizer on each of them (controllers/*/finalizer.go).

Where KEDA has been nobody else takes it off; ours is put on none for which nothing is to be done before it goes.
"""

from contextlib import suppress
from typing import Any

from keda_py.kube.client import Client, NotFound, Resource
from keda_py.naming import FINALIZER


async def release(client: Client, resource: Resource, found: dict[str, Any]) -> None:
    """Take KEDA's finalizer, and no other, off an object that is being deleted."""
    metadata = found["metadata"]
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers:
        return
    rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
    # Of the version that was looked at: a finalizer that somebody removed since is not to come back.
    patch = {"metadata": {"finalizers": rest, "resourceVersion": metadata["resourceVersion"]}}
    # The answer is not taken in: the watch may have told already that the object is gone, and it would be back.
    with suppress(NotFound):
        await client.merge_patch(resource, metadata.get("namespace", ""), metadata["name"], patch)
