"""OpenID Connect: a company that publishes where it is spoken to, and signs what it says.

Source:
    OpenID Connect Core 1.0 and Discovery 1.0; RFC 7636 (PKCE), RFC 9207 (`iss` in the answer),
    RFC 9700 (best practice).
"""

import asyncio
from base64 import urlsafe_b64decode
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from msgspec import Meta, Struct

from guilder.identity.outside import rules
from guilder.identity.outside.config import ProviderConfig, is_safe_url
from guilder.identity.outside.errors import OutsideAnswerRefused
from guilder.identity.outside.exchange import Asked, Exchange, text_in
from guilder.identity.outside.fetching import Fetcher
from guilder.identity.outside.models import OutsidePerson
from guilder.identity.outside.signing_keys import SigningKeys
from guilder.kernel.clock import Clock

_KEEP: Final = timedelta(hours=1)
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_BASIC, _POST = "client_secret_basic", "client_secret_post"
_Url = Annotated[str, Meta(min_length=8, max_length=2_000, pattern=r"^https?://[!-~]+$")]


class Metadata(Struct, frozen=True):
    """What a company publishes about itself, as far as it is used."""

    issuer: str
    authorization_endpoint: _Url
    token_endpoint: _Url
    jwks_uri: _Url
    userinfo_endpoint: _Url | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)
    authorization_response_iss_parameter_supported: bool = False

    @property
    def urls(self) -> tuple[str, ...]:
        """Whatever we or the browser are sent to."""
        every = (
            self.authorization_endpoint,
            self.token_endpoint,
            self.jwks_uri,
            self.userinfo_endpoint,
        )
        return tuple(url for url in every if url is not None)

    @property
    def method(self) -> str:
        """How we show who we are: in the header where they take it there."""
        offered = self.token_endpoint_auth_methods_supported
        return _POST if _POST in offered and _BASIC not in offered else _BASIC


class _Header(Struct, frozen=True):
    """Of an ID token. Keys, or addresses of keys, in it (`jwk`, `jku`, `x5u`) are not looked at."""

    alg: str
    kid: Annotated[str, Meta(max_length=512)] | None = None
    crit: msgspec.UnsetType | Any = msgspec.UNSET


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(dict[str, Any]).decode


class OidcProvider:
    """One OpenID Connect provider."""

    def __init__(self, config: ProviderConfig, *, clock: Clock) -> None:
        """Take who it is; nothing is fetched before somebody signs in."""
        self.config = config
        self._clock = clock
        self._fetcher = Fetcher(config)
        self._exchange = Exchange(config, self._fetcher)
        self._keys = SigningKeys(self._published_keys, clock=clock)
        self._metadata: Metadata | None = None
        self._fetched_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def authorization_url(self, asked: Asked) -> str:
        """Return where the browser is sent.

        Raises:
            OutsideUnavailable: It does not answer.
            OutsideAnswerRefused: What it publishes about itself is not its own.
        """
        metadata = await self._published()
        scope = " ".join(self.config.scopes)
        return self._exchange.url(
            metadata.authorization_endpoint, asked, scope=scope, with_nonce=True
        )

    async def check_issuer(self, named: str | None) -> None:
        """Refuse an answer that another company sent the browser back with (RFC 9207).

        Raises:
            OutsideAnswerRefused: It names another one, or none where it always names itself.
        """
        is_named = (await self._published()).authorization_response_iss_parameter_supported
        if named is None and not is_named:
            return
        if named != self.config.issuer:
            raise OutsideAnswerRefused("issuer_parameter")

    async def person(self, code: str, asked: Asked) -> OutsidePerson:
        """Return who came back.

        Raises:
            OutsideUnavailable: It does not answer.
            OutsideAnswerRefused: What it says is not to be believed.
        """
        metadata = await self._published()
        found = await self._exchange.token(
            metadata.token_endpoint, code, asked, method=metadata.method
        )
        claims = await self._signed_claims(text_in(found, "id_token"))
        problem = rules.claims_problem(
            claims,
            issuer=self.config.issuer,
            client_id=self.config.client_id,
            nonce=asked.secrets.nonce,
            now=self._clock(),
        )
        if problem is not None:
            raise OutsideAnswerRefused(problem)
        if "email" not in claims and metadata.userinfo_endpoint is not None:
            claims = await self._with_user_info(metadata.userinfo_endpoint, claims, found)
        return OutsidePerson(
            issuer=self.config.issuer,
            subject=str(claims["sub"]),
            name=rules.name_of(claims, self.config.label),
            email=rules.email_of(claims),
            is_email_shown=rules.is_email_shown(self.config.kind, claims),
        )

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._fetcher.aclose()

    async def _published(self) -> Metadata:
        """Return what it publishes about itself, an hour old at most."""
        async with self._lock:
            known, now = self._metadata, self._clock()
            if known is None or self._fetched_at is None or abs(now - self._fetched_at) > _KEEP:
                known = self._checked(
                    await self._fetcher.get(self.config.issuer.rstrip("/") + _WELL_KNOWN)
                )
                self._metadata, self._fetched_at = known, now
            return known

    def _checked(self, published: dict[str, Any]) -> Metadata:
        try:
            metadata = msgspec.convert(published, Metadata)
        except msgspec.ValidationError as error:
            raise OutsideAnswerRefused("metadata") from error
        if metadata.issuer != self.config.issuer:
            raise OutsideAnswerRefused("metadata_issuer")
        # It is trusted with who people are, not with our secret in clear.
        if not all(is_safe_url(url) for url in metadata.urls):
            raise OutsideAnswerRefused("metadata_url")
        return metadata

    async def _published_keys(self) -> dict[str, Any]:
        return await self._fetcher.get((await self._published()).jwks_uri)

    async def _signed_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is signed with the algorithm of a published key."""
        try:
            header = _read_header(_decoded(token.partition(".")[0]))
            if header.crit is not msgspec.UNSET:
                raise OutsideAnswerRefused("header")
            signing = await self._keys.find(header.kid)
            if header.alg != signing.algorithm:
                raise OutsideAnswerRefused("algorithm")
            signed = jws.deserialize_compact(token, signing.key, algorithms=[signing.algorithm])
            return _read_claims(signed.payload)
        except (msgspec.MsgspecError, JoseError, ValueError, RecursionError) as error:
            raise OutsideAnswerRefused("signature") from error

    async def _with_user_info(
        self, url: str, claims: dict[str, Any], found: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what it says of the same person elsewhere, where the token does not say it."""
        bearer = {"Authorization": f"Bearer {text_in(found, 'access_token')}"}
        more = await self._fetcher.get(url, headers=bearer)
        if more.get("sub") != claims["sub"]:
            raise OutsideAnswerRefused("user_info")
        return {**more, **claims}


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
