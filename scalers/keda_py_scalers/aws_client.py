"""AWS's library as we use it: behind types, without its retries and logs, and with failures in words.

Only `keda_py_scalers.aws` imports this, on first use.
"""

import asyncio
import logging
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError, NoCredentialsError, ParamValidationError
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.aws import Identity, Keys, Refused, Throttled
from keda_py_scalers.aws_http import Http, place_of
from keda_py_scalers.transport import tls_context

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Up to how many seconds a call holds back after the first throttled answer, and after many."""
SESSION_NAME: Final = "KEDA"
"""As KEDA calls its sessions: trust policies may name it."""
_THROTTLING: Final = frozenset(
    {
        "OverLimit",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_REJECTED: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class AwsAccount:
    """An identity at work in a region (`keda_py_scalers.aws.Account`)."""

    def __init__(self, identity: Identity, *, region: str, platform: Platform) -> None:
        # At its lower levels the library logs the answers of STS, keys included; we say ourselves what failed.
        logging.getLogger("botocore").setLevel(logging.CRITICAL)
        logging.getLogger("aiobotocore").setLevel(logging.CRITICAL)
        self._identity = identity
        self._region = region
        self._seconds = platform.http_timeout.total_seconds()
        tls = tls_context(platform, ca=_file_of("AWS_CA_BUNDLE"), pair=None, unsafe=False)
        self._config = _Config(
            http_session_cls=partial(Http, platform, tls),
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        self._daemon, own = self._new_session()
        self._session = self._daemon
        if identity.keys is not None:
            keys = identity.keys
            own.set_credentials(keys.access_key, keys.secret_key, keys.session_token or None)
        elif identity.role_arn:
            self._session, own = self._new_session()
            own.register_component("credential_provider", _Credentials(self._assume_role))

    def _new_session(self) -> tuple[Any, Any]:
        """Return a session, and what it is made of."""
        made_of = AioSession()
        made_of.register_component("data_loader", _models())
        made_of.set_default_client_config(self._config)
        paths = list(_models().search_paths)
        session = aioboto3.Session(botocore_session=made_of, region_name=self._region)
        # Each session adds its own folder, once more, to what is shared here.
        _models().search_paths[:] = paths
        return session, made_of

    async def keys(self) -> Keys:
        """Return credentials to sign with, replaced before they end; raise `SourceUnavailable` without any."""
        try:
            with in_words("the daemon's own AWS credentials"):
                credentials = await self._session.get_credentials()
                if credentials is None:
                    raise NoCredentialsError
                frozen = await credentials.get_frozen_credentials()
        except ScalerError as error:
            raise SourceUnavailable(str(error)) from None
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or "")

    @asynccontextmanager
    async def client(self, service: str, *, endpoint: str = "") -> AsyncIterator["Client"]:
        """Open a client; raise `SourceUnavailable` if there are no credentials, or no such region or endpoint."""
        await self.keys()
        async with _opened(self._session, service, endpoint) as opened:
            yield Client(opened, self, seconds=self._seconds)

    async def _assume_role(self) -> dict[str, str]:
        """Return new credentials of the role (KEDA aws_config_cache.go); asked again before they end.

        The web identity comes first, as there, but is tried each time: a refusal then need not be one now.
        """
        session = {"RoleArn": self._identity.role_arn, "RoleSessionName": SESSION_NAME}
        external = {"ExternalId": self._identity.external_id} if self._identity.external_id else {}
        refusals: list[str] = []
        # Read anew each time: Kubernetes renews it.
        token = _file_of("AWS_WEB_IDENTITY_TOKEN_FILE") if self._identity.web_identity else ""
        async with _opened(self._daemon, "sts") as sts:
            if token:
                try:
                    with in_words("AssumeRoleWithWebIdentity"):
                        return _temporary(await sts.assume_role_with_web_identity(**session, WebIdentityToken=token))
                except ScalerError as error:
                    refusals.append(str(error))
            try:
                with in_words("AssumeRole"):
                    return _temporary(await sts.assume_role(**session, **external))
            except ScalerError as error:
                refusals.append(str(error))
        raise SourceUnavailable(f"the role cannot be assumed: {'; '.join(refusals)}")


class Client:
    """A client of one service (`keda_py_scalers.aws.AwsClient`)."""

    def __init__(self, opened: Any, account: AwsAccount, *, seconds: float) -> None:
        self._opened = opened
        self._account = account
        self._place = place_of(opened.meta.endpoint_url)
        # What is held back still needs time to be answered in.
        self._pace = Pace(min(LONGEST_PAUSE, seconds / 2))

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to an operation."""
        await self._pace.wait()
        # Before the call, so that a failure to renew them is not taken for the service's answer.
        await self._account.keys()
        try:
            with in_words(self._place):
                answer: Mapping[str, Any] = await getattr(self._opened, operation)(**parameters)
        except Throttled:
            self._pace.slow_down()
            raise
        self._pace.speed_up()
        return answer


class Pace:
    """How long calls hold back when a service was asked too much: each a random time, up to a longest one.

    Chance decides who comes first, so that it is not the same callers each round that get no answer. Nothing is
    called twice: who asks will ask again.
    """

    def __init__(self, longest: float) -> None:
        self.seconds = 0.0
        self._longest = longest
        self._chance = random.Random()  # noqa: S311  not for secrets

    async def wait(self) -> None:
        """Hold back."""
        if self.seconds:
            await asyncio.sleep(self._chance.uniform(0, self.seconds))

    def slow_down(self) -> None:
        """Hold back twice as long from now on."""
        self.seconds = min(self._longest, max(FIRST_PAUSE, 2 * self.seconds))

    def speed_up(self) -> None:
        """Hold back a little less; about a hundred good answers bring the longest pause back to none."""
        self.seconds = 0.97 * self.seconds if self.seconds > FIRST_PAUSE else 0.0


class _Config(AioConfig):  # type: ignore[misc]  # the library has no types
    def merge(self, other_config: Any) -> Any:
        """Return both together; the library itself forgets how requests are sent, also for its own of credentials."""
        merged = super().merge(other_config)
        merged.http_session_cls = self.http_session_cls
        return merged


@dataclass(frozen=True, slots=True)
class _Credentials:
    """Where a session gets its credentials from, in place of the library's chain."""

    refresh: Callable[[], Awaitable[dict[str, str]]]

    async def load_credentials(self) -> Any:
        return AioDeferredRefreshableCredentials(self.refresh, "assume-role")


@lru_cache(maxsize=1)
def _models() -> Any:
    """Return what reads the library's descriptions of services, and keeps them: 8 MiB, for all identities once."""
    return create_loader()


@asynccontextmanager
async def _opened(session: Any, service: str, endpoint: str = "") -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        with in_words(service):
            try:
                opened = await stack.enter_async_context(session.client(service, endpoint_url=endpoint or None))
            except InvalidRegionError:
                raise SourceUnavailable("awsRegion: not the name of a region") from None
            except ValueError:
                raise SourceUnavailable(f"{service}: its endpoint is no URL such as http://host:4566") from None
        yield opened


def _file_of(variable: str) -> str:
    """Return what is in the file that a variable of the daemon's environment names; empty without one."""
    path = os.environ.get(variable)
    try:
        return Path(path).read_text().strip() if path else ""
    except OSError:
        return ""


def _temporary(answer: Any) -> dict[str, str]:
    given = answer["Credentials"]
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": given["Expiration"].isoformat(),
    }


@contextmanager
def in_words(place: str) -> Iterator[None]:
    """Raise what the library raises as a `ScalerError` that quotes nothing but AWS's code.

    AWS's messages are not quoted: that about a wrong signature repeats the request, session token included.
    """
    try:
        yield
    except ScalerError:
        raise
    except ClientError as error:
        raise _refusal(place, error) from None
    except NoCredentialsError:
        raise SourceUnavailable(
            "the daemon has no AWS credentials of its own: give its service account a role, or the trigger an identity"
        ) from None
    except ParamValidationError:
        raise ScalerError(
            f"{place}: a parameter cannot be right; is the role an ARN, the external id longer?"
        ) from None
    except BotoCoreError as error:
        raise SourceUnavailable(f"{place}: {type(error).__name__}") from None
    except (ResponseParserError, AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        raise ScalerError(f"{place} did not answer as AWS does: is that the right endpoint?") from None


def _refusal(place: str, error: Any) -> ScalerError:
    said = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # SQS answers with AWS.SimpleQueueService.X, and X is what matters. What is no code may be anything, a secret even.
    code = said.rpartition(".")[2]
    code = code if re.fullmatch(r"[A-Za-z]{1,64}", code) else str(status)
    if code in _THROTTLING:
        return Throttled(place, code)
    if code in _REJECTED:
        return SourceUnavailable(f"{place} does not accept the credentials ({code})")
    return Refused(place, code)
