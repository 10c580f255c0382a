"""Sessions in cookies, for pages in a browser: kept from scripts, and of no use to other sites.

A browser sends cookies with requests that other sites cause. So whatever changes something must
show, first, that the browser does not say it comes from elsewhere (`Sec-Fetch-Site`, `Origin`), and
second, a token that only our own pages can read. Bearer tokens are sent by nobody by himself, and
need neither.

Source:
    RFC 6265bis (prefixes of names), OWASP CSRF Prevention Cheat Sheet (signed double submit).
"""

import hashlib
import hmac
from typing import Final, Protocol
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from guilder.identity.authentication import Principal
from guilder.identity.devices import DEVICE_COOKIE, KEPT_FOR, device_of, tokens_text
from guilder.identity.errors import CsrfRefused
from guilder.identity.sessions import SignIn
from guilder.kernel.ids import SessionId
from guilder.vault.vault import derived_key

ACCESS_COOKIE: Final = "__Host-guilder"
CSRF_COOKIE: Final = "__Host-guilder-csrf"
REFRESH_COOKIE: Final = "__Secure-guilder-refresh"
"""`__Host-` would be sent everywhere: this one goes to the paths that read it only."""
CSRF_HEADER: Final = "CSRF-Token"
PATH: Final = "/auth/cookie-session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SAME_SITE: Final = "strict"
CLEAR_SITE_DATA: Final = '"cache", "storage"'
"""Not "cookies": that would take the device's too, and those of neighbours."""


class AccessTokenReader(Protocol):
    """What reads the tokens in the cookies; `IdentityService` does."""

    def principal(self, access_token: str) -> Principal:
        """Return whose token it is.

        Raises:
            Unauthenticated: It is not valid, or its session has ended.
        """


class CookieSessions:
    """Sets, reads and takes back the cookies of sessions. Does no I/O.

    Invariants:
        With a cookie alone nothing is changed: not by a method that changes something, without the
        token of that very session, nor by one that a browser says another site caused.
    """

    def __init__(
        self, tokens: AccessTokenReader, *, secret: bytes, public_url: str | None, prefix: str
    ) -> None:
        """Take what reading needs.

        Args:
            tokens: Reads access tokens.
            secret: At least 32 bytes; the tokens against forged requests are made of it.
            public_url: Where browsers reach us; without one, whatever they name as the host.
            prefix: Of the paths of the API.
        """
        self._tokens = tokens
        self._key = derived_key(secret, "csrf-token")
        parts = urlsplit(public_url) if public_url else None
        self._origin = f"{parts.scheme}://{parts.netloc}".lower() if parts else None
        self._refresh_path = (parts.path.rstrip("/") if parts else "") + prefix + PATH

    async def principal(self, credential: str, connection: HTTPConnection) -> Principal:
        """Return whose cookie it is; see `authentication.CredentialReader`.

        Raises:
            Unauthenticated: It is not valid, or its session has ended.
            CsrfRefused: Another site may have caused the request.
        """
        principal = self._tokens.principal(credential)
        if connection.scope["method"] not in _SAFE:
            self.check(connection, principal.session_id)
        return principal

    def check(self, connection: HTTPConnection, session_id: SessionId | None) -> None:
        """Refuse a request that another site may have caused.

        Raises:
            CsrfRefused: The browser says so, or the token of the session is not there.
        """
        self.check_origin(connection)
        given = connection.headers.get(CSRF_HEADER, "")
        expected = self.csrf_token(session_id or "")
        if session_id is None or not hmac.compare_digest(given.encode(), expected.encode()):
            raise CsrfRefused

    def check_origin(self, connection: HTTPConnection) -> None:
        """Refuse what a browser says another site has caused; programs say nothing.

        Raises:
            CsrfRefused: It says so.
        """
        headers = connection.headers
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise CsrfRefused
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin.lower(), headers.get("host", "")):
            raise CsrfRefused

    def _is_ours(self, origin: str, host: str) -> bool:
        if self._origin is not None:
            return origin == self._origin
        # Which of http and https it was, only a proxy in front of us knows.
        return origin in (f"http://{host.lower()}", f"https://{host.lower()}")

    def csrf_token(self, session_id: str) -> str:
        """Return what shows that a page of ours asks in this session: 64 hex digits."""
        return hmac.digest(self._key, session_id.encode(), hashlib.sha256).hex()

    def give(self, response: Response, sign_in: SignIn, session_id: SessionId) -> str:
        """Put a session's tokens into cookies; return the token for `CSRF-Token`."""
        csrf_token = self.csrf_token(session_id)
        lasts = sign_in.refresh_expires_in_s
        _set(response, ACCESS_COOKIE, sign_in.access_token, sign_in.expires_in_s)
        _set(response, REFRESH_COOKIE, sign_in.refresh_token, lasts, path=self._refresh_path)
        # Of no use to whoever reads it elsewhere; our own pages must.
        _set(response, CSRF_COOKIE, csrf_token, lasts, is_hidden=False)
        return csrf_token

    def take_back(self, response: Response) -> None:
        """Have the browser forget a session, and what pages have kept of it."""
        _set(response, ACCESS_COOKIE, "", 0)
        _set(response, REFRESH_COOKIE, "", 0, path=self._refresh_path)
        _set(response, CSRF_COOKIE, "", 0, is_hidden=False)
        response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA


def remember_device(connection: HTTPConnection, response: Response, token: str) -> None:
    """Have the browser keep a device's token, beside those of others who use it."""
    tokens = tokens_text((token, *device_of(connection).tokens))
    _set(response, DEVICE_COOKIE, tokens, int(KEPT_FOR.total_seconds()))


def _set(
    response: Response,
    name: str,
    value: str,
    lasts_s: int,
    *,
    path: str = "/",
    is_hidden: bool = True,
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=lasts_s,
        path=path,
        secure=True,
        httponly=is_hidden,
        samesite=_SAME_SITE,
    )
