"""Tokens for SASL OAUTHBEARER by the client credentials grant, from the client that all triggers over HTTP use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from keda_py.scaler import Platform, Trigger
from keda_py_scalers.http import HttpMetadata, HttpScaler
from keda_py_scalers.kafka_auth import TokenEndpoint


class _ClientCredentials(HttpMetadata):
    @property
    def address(self) -> str:
        """The token endpoint: nothing else is asked."""
        return self.oauth_token_uri


@asynccontextmanager
async def tokens_of(
    endpoint: TokenEndpoint, platform: Platform, trigger: Trigger
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Yield what returns a token that is still good for a while; it raises `ScalerError` when there is none."""
    given = {
        "authModes": ["oauth"],
        "oauthTokenURI": endpoint.url,
        "clientID": endpoint.client,
        "clientSecret": endpoint.secret,
        "scopes": list(endpoint.scopes),
    }
    async with HttpScaler.connect(_ClientCredentials.model_validate(given), trigger, platform) as http:
        yield http.bearer
