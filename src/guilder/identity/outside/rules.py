"""Decisions about what another company says, without I/O, clock or randomness."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from guilder.identity import rules as identity_rules
from guilder.identity.outside.config import Kind

ATTEMPT_TTL: Final = timedelta(minutes=10)
"""From the click to the way back."""
ANSWER_TTL: Final = timedelta(minutes=2)
"""From the way back to the client's last request."""
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
"""RFC 7636, 4.1."""
SUBJECT_MAX: Final = 255
"""OpenID Connect Core, 2: characters of `sub`, ASCII."""
SKEW: Final = timedelta(seconds=60)
"""How far another company's clock may be from ours."""
_TIME_MAX: Final = 253_402_300_799
_BY_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_GMAIL: Final = "@gmail.com"


def algorithm_of(key: Mapping[str, object]) -> str | None:
    """Return the one algorithm that a published key verifies, or None if it is not for that.

    It is the key's own `alg`, or the usual one of its type. What a token says has no part in it, so
    neither `none` nor a shared secret can come in.

    >>> algorithm_of({"kty": "RSA"}), algorithm_of({"kty": "oct", "alg": "HS256"})
    ('RS256', None)
    """
    if key.get("use", "sig") != "sig":
        return None
    by_curve = _BY_CURVE.get(str(key.get("crv")))
    families: tuple[str, ...]
    match key.get("kty"):
        case "RSA":
            usual, families = "RS256", ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
        case "EC" if by_curve:
            usual, families = by_curve, (by_curve,)
        case _:
            return None
    named = key.get("alg", usual)
    return named if isinstance(named, str) and named in families else None


def claims_problem(
    claims: Mapping[str, object],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now: datetime,
) -> str | None:
    """Return what is wrong with the claims of a signed ID token, in one word, or None.

    Source:
        OpenID Connect Core 1.0, 3.1.3.7. Stricter in one point: a token that is meant for
        others too is refused.
    """
    audience = claims.get("aud")
    if claims.get("iss") != issuer:
        return "issuer"
    if audience not in (client_id, [client_id]):
        return "audience"
    if claims.get("azp", client_id) != client_id:
        return "authorized_party"
    if not _is_same(claims.get("nonce"), nonce):
        return "nonce"
    issued_at, expires_at = _time(claims.get("iat")), _time(claims.get("exp"))
    if issued_at is None or expires_at is None:
        return "time"
    if expires_at <= now - SKEW:
        return "expired"
    if not now - ATTEMPT_TTL - SKEW <= issued_at <= now + SKEW:
        return "issued_at"
    return None if subject_of(claims.get("sub")) else "subject"


def subject_of(value: object) -> str | None:
    """Return a company's name for somebody, or None if it is none."""
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    return str(value) if is_text and 0 < len(str(value)) <= SUBJECT_MAX else None


def email_of(claims: Mapping[str, object]) -> str | None:
    """Return the address that is claimed, in normal form, or None."""
    text = claims.get("email")
    return identity_rules.normal_email(text) if isinstance(text, str) else None


def is_email_shown(kind: Kind, claims: Mapping[str, object]) -> bool:
    """Tell whether a company vouches today for the address that it names.

    Only the JSON value `true` counts. Google vouches for `gmail.com` and for the domains it hosts
    (`hd`); another address was checked there once, and may be somebody else's by now. Facebook
    says nothing of the kind, so it vouches for none.

    >>> is_email_shown("oidc", {"email": "a@example.com", "email_verified": "true"})
    False
    """
    email = email_of(claims)
    if email is None or claims.get("email_verified") is not True or kind == "facebook":
        return False
    if kind != "google":
        return True
    hosted = claims.get("hd")
    return email.endswith(_GMAIL) or (isinstance(hosted, str) and bool(hosted))


def name_of(claims: Mapping[str, object], label: str) -> str:
    """Return what to call somebody: the name that is claimed, if it is one."""
    text = claims.get("name")
    name = identity_rules.normal_name(text) if isinstance(text, str) else None
    return name or f"{label} user"


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, 4.2).

    >>> challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def is_verifier_of(verifier: str, challenge: str) -> bool:
    """Tell whether whoever has the verifier began the attempt. Takes the same time either way."""
    if VERIFIER.fullmatch(verifier) is None:
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)


def with_query(url: str, **values: str) -> str:
    """Return an address with values added to its query.

    >>> with_query("https://pay.example.com/back?tab=1", code="a&b")
    'https://pay.example.com/back?tab=1&code=a%26b'
    """
    return f"{url}{'&' if '?' in url else '?'}{urlencode(values)}"


def leaves_a_way_in(*, others: int, is_verified: bool, password_suffices: bool) -> bool:
    """Tell whether a user can still sign in without one of the linked accounts.

    Args:
        others: Linked accounts that stay.
        is_verified: An address or number is known to be the user's: a code goes there.
        password_suffices: There is a password of the user's own, and nothing more is asked.
    """
    return others > 0 or is_verified or password_suffices


def _is_same(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode(), expected.encode())


def _time(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _TIME_MAX:
        return None
    return datetime.fromtimestamp(value, UTC)
