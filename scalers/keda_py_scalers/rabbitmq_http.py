"""RabbitMQ over its management API: messages, also those out with consumers, and the rates of messages.

A queue is one request. Where many queues of a virtual host are asked for, pages of its whole list are fewer requests
for the same numbers; whom the list does not have (it may shift between two pages) is asked for by itself. A list that
turns out to be much longer than what is asked for is given up after one page, and not begun again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx

from keda_py.scaler import AUTH, Platform, ScalerError, SourceUnavailable, Trigger, param
from keda_py_scalers.azure import Tokens, workload
from keda_py_scalers.cloud_http import Bearer, CloudHttp
from keda_py_scalers.http import Get, HttpConnection, HttpMetadata, HttpScaler, StatusError
from keda_py_scalers.rabbitmq_rule import (
    COLUMNS,
    PATIENCE,
    Address,
    Answer,
    Question,
    SilenceError,
    queue_state,
)
from keda_py_scalers.transport import tls_context

LARGEST_PAGE: Final = 500
"""The broker refuses larger pages."""
MANY: Final = 16
"""From so many single questions on it is worth a look whether the list is cheaper."""
LISTED_PER_QUESTION: Final = 4
"""So many queues in a list cost the broker about as much as one that is asked for by itself (tests/bench/rabbitmq)."""


class ManagementMetadata(HttpMetadata):
    """The management API as any source over HTTP: made from the parameters of a trigger, never read from a manifest."""

    url: str = param("url", order=(AUTH,))
    key_password: str = param("keyPassword", order=(AUTH,), default="")
    workload_identity_resource: str = param("workloadIdentityResource", order=(AUTH,), default="")

    @property
    def address(self) -> str:
        """The URL of the queues of one virtual host."""
        return self.url

    def login(self, trigger: Trigger, http: CloudHttp, platform: Platform) -> Bearer | None:  # noqa: ARG002  a hook
        """Return the tokens of the daemon's Azure identity for the broker, None if none are wanted."""
        if not self.workload_identity_resource:
            return None
        return Tokens(workload(trigger.pod_identity), self.workload_identity_resource, http).bearer

    def tls(self, platform: Platform) -> Any:
        """Return how TLS is spoken, with a key that may be encrypted."""
        pair = (self.cert, self.key) if self.cert else None
        return tls_context(
            platform, ca=self.ca, pair=pair, unsafe=self.unsafe_ssl, key_password=self.key_password, strict=True
        )


@asynccontextmanager
async def management(
    meta: ManagementMetadata, address: Address, trigger: Trigger, *, platform: Platform
) -> AsyncIterator["ManagementConnection"]:
    """Open a pool of connections to the management API."""
    async with HttpScaler[ManagementMetadata].connect(meta, trigger, platform) as http:
        yield ManagementConnection(http, address)


class ManagementConnection:
    """The queues of one virtual host, seen by one user."""

    def __init__(self, http: HttpConnection, address: Address) -> None:
        self._http = http
        self._address = address
        self._measures_rates: bool | None = None
        self._list_length = 0

    async def answer_all(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Return the states of the queues that each question means, or why there are none."""
        names = {question.queue: question.seconds for question in questions if not question.pattern}
        listed: dict[str, Mapping[str, Any]] = {}
        if len(names) >= MANY:
            try:
                async with asyncio.timeout(max(names.values()) * PATIENCE / 2):
                    await self._list(names, listed)
            except SourceUnavailable:
                raise
            except (TimeoutError, ScalerError):
                # Slow, or shorter than a moment ago: whom the list does not tell of is asked for by itself.
                pass
        answers = await asyncio.gather(*(self._answer(question, listed) for question in questions))
        if all(isinstance(answer, SilenceError) for answer in answers):
            raise SourceUnavailable(f"{self._address} does not answer")
        return answers

    async def _answer(self, question: Question, listed: Mapping[str, Mapping[str, Any]]) -> Answer:
        try:
            async with asyncio.timeout(question.seconds * PATIENCE):
                if question.pattern:
                    found = await self._matching(question)
                else:
                    found = [listed.get(question.queue) or await self._queue(question.queue)]
                if question.rates and found and not any("message_stats" in queue for queue in found):
                    await self._check_rates()
                return [queue_state(queue) for queue in found]
        except TimeoutError:
            return SilenceError(question)
        except ScalerError as error:
            return error

    async def _queue(self, name: str) -> Mapping[str, Any]:
        try:
            return await self._get(f"{self._address.queues}/{quote(name, safe='')}", columns=COLUMNS)
        except StatusError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            where = f"the virtual host {self._address.vhost} of {self._address}"
            raise ScalerError(f"no queue {name} in {where}") from None

    async def _matching(self, question: Question) -> list[Mapping[str, Any]]:
        """Return all queues whose names match; raise `ScalerError` if the list changed from page to page."""
        size = min(question.page_size, LARGEST_PAGE)
        found: dict[str, Mapping[str, Any]] = {}
        counts = set()
        number = pages = 1
        while number <= pages:
            page = await self._page(number, size, name=question.queue, use_regex="true")
            found |= {queue["name"]: queue for queue in page["items"]}
            counts.add(page["filtered_count"])
            number, pages = number + 1, page["page_count"]
        if counts != {len(found)}:
            raise ScalerError("the queues changed while their list was read")
        return list(found.values())

    async def _list(self, names: Collection[str], listed: dict[str, Mapping[str, Any]]) -> None:
        """Add those of the queues that the list of all has to `listed`, as far as reading it pays."""
        worth = LISTED_PER_QUESTION * len(names)
        number = pages = 1
        while number <= pages and self._list_length <= worth:
            page = await self._page(number, min(LARGEST_PAGE, worth))
            listed |= {queue["name"]: queue for queue in page["items"] if queue["name"] in names}
            number, pages, self._list_length = number + 1, page["page_count"], page["filtered_count"]

    async def _page(self, number: int, size: int, **which: str) -> Mapping[str, Any]:
        page = await self._get(
            self._address.queues, page=str(number), page_size=str(size), pagination="true", columns=COLUMNS, **which
        )
        counts = [page.get(name) for name in ("page_count", "filtered_count")]
        items = page.get("items")
        if not all(type(count) is int for count in counts) or not isinstance(items, list):
            raise ScalerError(f"{self._address} does not answer as a management API does: is host right?")
        return page

    async def _check_rates(self) -> None:
        """Raise `ScalerError` if the broker does not measure rates at all: then one that is missing is not 0."""
        if self._measures_rates is None:
            overview = await self._get(f"{self._address.api}/overview", columns="rates_mode,disable_stats")
            self._measures_rates = overview.get("rates_mode") != "none" and overview.get("disable_stats") is not True
        if not self._measures_rates:
            raise ScalerError(
                f"{self._address} does not measure rates (management.rates_mode, management.disable_stats)"
            )

    async def _get(self, url: str, **params: str) -> Mapping[str, Any]:
        """Return the JSON object at a URL."""
        try:
            answer = json.loads(await self._http.get(Get(url, tuple(params.items()))))
        except StatusError as error:
            if error.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                # The broker says the same of a wrong password and of a virtual host that is not the user's.
                raise SourceUnavailable(f"{error}; is the user right, and may it use {self._address.vhost}?") from None
            raise
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ScalerError(f"{self._address} does not answer as a management API does: is host right?")
        return answer
