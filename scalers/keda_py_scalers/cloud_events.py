"""Where CloudEvents go: any HTTP receiver, or a topic of Azure Event Grid.

Both are a POST of the CloudEvents HTTP binding: `http` in its binary mode (attributes are headers), Event Grid as a
batch of one, with the topic's key or a token of the daemon's workload identity
(KEDA pkg/eventemitter/cloudevent_http_handler.go and azure_event_grid_topic_handler.go).
"""

import json
from typing import ClassVar, Final
from urllib.parse import quote, urlsplit

from keda_py.event_sink import CloudEvent, Destination, EventSink
from keda_py.scaler import ScalerError
from keda_py_scalers.azure import Tokens, below, workload
from keda_py_scalers.cloud_http import CloudHttp, Reply

API: Final = "2018-01-01"
RESOURCE: Final = "https://eventgrid.azure.net"
_OK: Final = range(200, 300)
_MOVED: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_PLAIN: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
"""What stands in a header as it is; the rest is percent-encoded (CloudEvents HTTP binding, 3.1.3.2)."""


class HttpSink(EventSink):
    """An HTTP receiver, told of an event in binary mode."""

    def __init__(self, to: Destination) -> None:
        """Raise `ScalerError` for what is no address."""
        super().__init__(to)
        _host(to.address, "spec.destination.http.uri", schemes=("http", "https"))
        self._http = CloudHttp(to.platform)

    async def send(self, event: CloudEvent) -> None:
        """Send an event; any 2xx means that it was taken."""
        headers = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in event.attributes().items()}
        headers["Content-Type"] = "application/json"
        body = json.dumps(event.data()).encode()
        _taken(await self._http.send("POST", self.to.address, headers=headers, data=body))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class EventGridTopic(EventSink):
    """A topic of Azure Event Grid."""

    near: ClassVar = ("eventgrid.azure.net", "eventgrid.azure.us", "eventgrid.azure.cn")
    """Below which names topics are: the daemon's token goes nowhere else."""

    def __init__(self, to: Destination) -> None:
        """Raise `ScalerError` for what is no address of a topic, and for who is not let in to one."""
        super().__init__(to)
        host = _host(to.address, "spec.destination.azureEventGridTopic.endpoint", schemes=("https",))
        self._http = CloudHttp(to.platform)
        self._key = to.parameters.get("accessKey", "").strip()
        self._tokens: Tokens | None = None
        if to.pod_identity:
            if to.pod_identity.provider != "azure-workload":
                raise ScalerError(f"podIdentity: Event Grid has no use for {to.pod_identity.provider}")
            if not any(below(host, name) for name in self.near):
                raise ScalerError(
                    "spec.destination.azureEventGridTopic.endpoint: no address of an Event Grid topic; the daemon's "
                    "token is not sent there, use an accessKey"
                )
            self._tokens = Tokens(workload(to.pod_identity), RESOURCE, self._http)
        elif not self._key:
            raise ScalerError("spec.authenticationRef: a topic needs the parameter accessKey, or a podIdentity")

    async def send(self, event: CloudEvent) -> None:
        """Send an event, as a batch of one."""
        token = "" if self._tokens is None else await self._tokens.bearer.token()
        reply = await self._post(event, token)
        if reply.status == _UNAUTHORIZED and self._tokens is not None:
            # Revoked before its time, as it may be.
            self._tokens.bearer.drop(token)
            reply = await self._post(event, await self._tokens.bearer.token())
        _taken(reply)

    async def _post(self, event: CloudEvent, token: str) -> Reply:
        login = {"Authorization": f"Bearer {token}"} if token else {"aeg-sas-key": self._key}
        headers = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8", **login}
        batch = [{**event.attributes(), "datacontenttype": "application/json", "data": event.data()}]
        query = "&" if urlsplit(self.to.address).query else "?"
        url = f"{self.to.address}{query}api-version={API}"
        return await self._http.send("POST", url, headers=headers, data=json.dumps(batch).encode())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _host(address: str, name: str, *, schemes: tuple[str, ...]) -> str:
    """Return the host of an address, in small letters; raise `ScalerError` for what is no address."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in schemes or not host:
        raise ScalerError(f"{name}: expected {' or '.join(f'{scheme}://' for scheme in schemes)} and a host")
    return host.lower()


def _taken(reply: Reply) -> None:
    if reply.status in _MOVED:
        raise ScalerError(f"{reply.place} answered {reply.status}: nobody is followed to another address; give that")
    if reply.status not in _OK:
        raise ScalerError(f"{reply.place} answered {reply.status}")
