"""Facebook: OAuth 2 for the way there, and Graph for who it is.

Facebook calls OpenID Connect for websites still in testing; its published metadata names no token
endpoint, and its tokens do not say whether an address was checked. The flow that it documents as
finished is this one. It takes PKCE, too. Nothing is signed: what Graph says over TLS, to a token
that was got for our own secret, is believed.

Source:
    Facebook Login, "Manually build a login flow"; Graph API, `GET /me` and `appsecret_proof`.
"""

import hashlib
import hmac
from urllib.parse import urlencode

from guilder.identity.outside import rules
from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.errors import OutsideAnswerRefused
from guilder.identity.outside.exchange import Asked, Exchange, text_in
from guilder.identity.outside.fetching import Fetcher
from guilder.identity.outside.models import OutsidePerson


class FacebookProvider:
    """Facebook."""

    def __init__(self, config: ProviderConfig) -> None:
        """Take who we are to it; nothing is fetched before somebody signs in."""
        self.config = config
        self._fetcher = Fetcher(config)
        self._exchange = Exchange(config, self._fetcher)

    async def authorization_url(self, asked: Asked) -> str:
        """Return where the browser is sent."""
        scope = ",".join(self.config.scopes)
        return self._exchange.url(self.config.dialog_url, asked, scope=scope, with_nonce=False)

    async def check_issuer(self, named: str | None) -> None:
        """Refuse an answer that another company sent the browser back with.

        Raises:
            OutsideAnswerRefused: It names another one.
        """
        if named is not None and named != self.config.issuer:
            raise OutsideAnswerRefused("issuer_parameter")

    async def person(self, code: str, asked: Asked) -> OutsidePerson:
        """Return who came back. No address is ever taken as checked.

        Raises:
            OutsideUnavailable: It does not answer.
            OutsideAnswerRefused: What it says is not to be believed.
        """
        found = await self._exchange.token(
            f"{self.config.graph_url}/oauth/access_token", code, asked, method="client_secret_post"
        )
        token = text_in(found, "access_token")
        proof = hmac.digest(self.config.client_secret.encode(), token.encode(), hashlib.sha256)
        query = urlencode({"fields": "id,name,email", "appsecret_proof": proof.hex()})
        claims = await self._fetcher.get(
            f"{self.config.graph_url}/me?{query}", headers={"Authorization": f"Bearer {token}"}
        )
        subject = rules.subject_of(claims.get("id"))
        if subject is None:
            raise OutsideAnswerRefused("subject")
        return OutsidePerson(
            issuer=self.config.issuer,
            subject=subject,
            name=rules.name_of(claims, self.config.label),
            email=rules.email_of(claims),
            is_email_shown=rules.is_email_shown(self.config.kind, claims),
        )

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._fetcher.aclose()
