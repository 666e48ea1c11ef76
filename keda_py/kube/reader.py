"""Read access to the cluster for scalers whose source is Kubernetes itself (`keda_py.scaler.KubernetesReader`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from keda_py.kube.client import ApiError, Client, Resource, Unreachable
from keda_py.scaler import ScalerError, SourceUnavailable


class ClusterReader:
    """Reads through the daemon's own client; what the API server refuses is the trigger's failure, in its words."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, api_version: str, plural: str, namespace: str, name: str) -> Mapping[str, Any]:
        """Return one object; raise `ScalerError` if it does not exist or may not be read."""
        try:
            return await self._client.get(_resource(api_version, plural), namespace, name)
        except ApiError as error:
            raise _failure(error) from error

    async def list(
        self, api_version: str, plural: str, namespace: str, *, label_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects that match; raise `ScalerError` if they cannot be listed."""
        try:
            found, _ = await self._client.list(_resource(api_version, plural), namespace, label_selector=label_selector)
        except ApiError as error:
            raise _failure(error) from error
        return found


def _failure(error: ApiError) -> ScalerError:
    return SourceUnavailable(str(error)) if isinstance(error, Unreachable) else ScalerError(str(error))


def _resource(api_version: str, plural: str) -> Resource:
    group, _, version = api_version.rpartition("/")
    return Resource(group, version, plural, "")
