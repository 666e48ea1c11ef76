"""Tokens for SASL OAUTHBEARER by the client credentials grant, from the client that all triggers over HTTP use."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from keda_py.scaler import Platform, Trigger
from keda_py_scalers.http import HttpMetadata, HttpScaler


class _ClientCredentials(HttpMetadata):
    @property
    def address(self) -> str:
        """The token endpoint: nothing else is asked."""
        return self.oauth_token_uri


@asynccontextmanager
async def tokens_of(
    platform: Platform, trigger: Trigger, *, url: str, client: str, secret: str, scopes: Sequence[str]
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Yield what returns a token that is still good for a while; it raises `ScalerError` when there is none."""
    given = {
        "authModes": ["oauth"],
        "oauthTokenURI": url,
        "clientID": client,
        "clientSecret": secret,
        "scopes": list(scopes),
    }
    async with HttpScaler.connect(_ClientCredentials.model_validate(given), trigger, platform) as http:
        yield http.bearer
