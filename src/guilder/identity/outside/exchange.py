"""The two steps of OAuth 2 that every company shares: the way there, and a code for a token."""

from typing import Any, Final

from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from msgspec import Struct

from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.errors import OutsideAnswerRefused
from guilder.identity.outside.fetching import Fetcher
from guilder.identity.outside.models import AttemptSecrets

_TOKEN_MAX: Final = 16_384
"""Characters of a token: Microsoft's, the longest, have about three thousand."""


class Asked(Struct, frozen=True, kw_only=True):
    """One attempt, as the company is asked about it.

    Args:
        state: Comes back with the browser.
        secrets: Come back signed, and go with the code.
        callback: Where the browser comes back.
    """

    state: str
    secrets: AttemptSecrets
    callback: str

    def __repr__(self) -> str:
        """Return nothing secret."""
        return "Asked(...)"


class Exchange:
    """Speaks OAuth 2 with one company, through authlib's client."""

    def __init__(self, config: ProviderConfig, fetcher: Fetcher) -> None:
        """Take what speaking needs; does nothing yet."""
        self._config = config
        self._fetcher = fetcher

    def url(self, endpoint: str, asked: Asked, *, scope: str, with_nonce: bool) -> str:
        """Return where the browser is sent, with state and PKCE's challenge."""
        more = {"nonce": asked.secrets.nonce} if with_nonce else {}
        url, _ = self._client(asked, "none").create_authorization_url(
            endpoint,
            state=asked.state,
            code_verifier=asked.secrets.verifier,
            scope=scope,
            **more,
        )
        return str(url)

    async def token(self, endpoint: str, code: str, asked: Asked, *, method: str) -> dict[str, Any]:
        """Return what a code is worth.

        Args:
            endpoint: The company's.
            code: From the browser.
            asked: The attempt that it belongs to.
            method: How we show who we are, such as `client_secret_basic`.

        Raises:
            OutsideUnavailable: No answer in time, or an error of theirs.
            OutsideAnswerRefused: The code is not good, or the answer cannot be read.
        """
        # A client of its own: it keeps the token it got. The connections are shared.
        client = self._client(asked, method)
        try:
            async with self._fetcher.asking():
                found = await client.fetch_token(
                    endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=asked.secrets.verifier,
                )
        except OAuthError as error:
            raise OutsideAnswerRefused("code") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise OutsideAnswerRefused("unreadable") from error
        return dict(found)

    def _client(self, asked: Asked, method: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            client_id=self._config.client_id,
            client_secret=self._config.client_secret,
            token_endpoint_auth_method=method,
            redirect_uri=asked.callback,
            code_challenge_method="S256",
            transport=self._fetcher.transport,
            timeout=self._fetcher.timeout,
            trust_env=False,
            follow_redirects=False,
        )


def text_in(found: dict[str, Any], name: str) -> str:
    """Return a token out of an answer.

    Raises:
        OutsideAnswerRefused: There is none, or none of a sane length.
    """
    value = found.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _TOKEN_MAX or not value.isascii():
        raise OutsideAnswerRefused(name)
    return value
