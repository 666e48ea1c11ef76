"""AWS's library as we use it: behind types, without its retries and logs, and with failures in words.

Only `keda_py_scalers.aws` imports this, on first use.
"""

import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError, NoCredentialsError, ParamValidationError
from botocore.parsers import ResponseParserError

from keda_py.scaler import Platform, ScalerError, SourceUnavailable
from keda_py_scalers.aws import Identity, Keys, Refused, Throttled
from keda_py_scalers.aws_http import Http, place_of
from keda_py_scalers.transport import tls_context

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
_UNWELL: Final = frozenset({429, 500, 502, 503, 504})

# At its lower levels the library logs the answers of STS, keys included.
for _name in ("botocore", "aiobotocore", "boto3", "aioboto3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class AwsAccount:
    """An identity at work in a region (`keda_py_scalers.aws.Account`)."""

    def __init__(self, identity: Identity, *, region: str, platform: Platform) -> None:
        self._identity = identity
        self._region = region
        self._config = _Config(
            http_session_cls=partial(Http, platform, tls_context(platform, ca="", pair=None, unsafe=False)),
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        self._session = self._new_session()
        self._daemon = self._session
        if identity.keys is not None:
            keys = identity.keys
            self._session.set_credentials(keys.access_key, keys.secret_key, keys.session_token or None)
        elif identity.role_arn:
            self._session = self._new_session()
            self._session.register_component("credential_provider", _Credentials(self._assume_role))

    def _new_session(self) -> Any:
        session = AioSession()
        session.set_default_client_config(self._config)
        return session

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
        async with _opened(self._session, service, region=self._region, endpoint=endpoint) as opened:
            yield Client(opened, self)

    async def _assume_role(self) -> dict[str, str]:
        """Return new credentials of the role (KEDA aws_config_cache.go); asked again before they end.

        The web identity comes first, as there, but is tried each time: a refusal then need not be one now.
        """
        session = {"RoleArn": self._identity.role_arn, "RoleSessionName": SESSION_NAME}
        external = {"ExternalId": self._identity.external_id} if self._identity.external_id else {}
        refusals: list[str] = []
        token = _web_identity_token() if self._identity.web_identity else ""
        async with _opened(self._daemon, "sts", region=self._region) as sts:
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

    def __init__(self, opened: Any, account: AwsAccount) -> None:
        self._opened = opened
        self._account = account
        self.place = place_of(opened.meta.endpoint_url)

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to an operation."""
        # Before the call, so that a failure to renew them is not taken for the service's answer.
        await self._account.keys()
        with in_words(self.place):
            answer: Mapping[str, Any] = await getattr(self._opened, operation)(**parameters)
            return answer


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


@asynccontextmanager
async def _opened(session: Any, service: str, *, region: str, endpoint: str = "") -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        with in_words(service):
            try:
                client = aioboto3.Session(botocore_session=session, region_name=region).client(
                    service, endpoint_url=endpoint or None
                )
                opened = await stack.enter_async_context(client)
            except InvalidRegionError:
                raise SourceUnavailable("awsRegion: not the name of a region") from None
            except ValueError:
                raise SourceUnavailable(f"{service}: its endpoint is no URL such as http://host:4566") from None
        yield opened


def _web_identity_token() -> str:
    """Return the daemon's own token, read anew each time because Kubernetes renews it; empty if it has none."""
    path = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
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
        raise ScalerError(f"{place}: a parameter is not of the form that AWS wants: is the role an ARN?") from None
    except BotoCoreError as error:
        raise SourceUnavailable(f"{place}: {type(error).__name__}") from None
    except (ResponseParserError, AttributeError, KeyError, TypeError, ValueError):
        raise ScalerError(f"{place} did not answer as AWS does: is that the right endpoint?") from None


def _refusal(place: str, error: Any) -> ScalerError:
    said = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # SQS answers with AWS.SimpleQueueService.X, and X is what matters. What is no code may be anything, a secret even.
    code = said.rpartition(".")[2]
    code = code if re.fullmatch(r"[A-Za-z]{1,64}", code) else str(status)
    if code in _THROTTLING or status in _UNWELL:
        return Throttled(f"{place} is asked too much or is unwell ({code}); it is asked less for a while")
    if code in _REJECTED:
        return SourceUnavailable(f"{place} does not accept the credentials ({code})")
    return Refused(place, code)
