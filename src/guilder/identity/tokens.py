"""Access tokens: short-lived JWTs whose algorithm is fixed by the key, never by the token.

Source:
    RFC 9068 (`at+jwt`), RFC 8725 (best practice), RFC 9864 (the algorithm's name `Ed25519`).
"""

import base64
import binascii
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, OKPKey

from guilder.identity.authentication import Principal
from guilder.identity.config import SigningKey
from guilder.identity.errors import Unauthenticated
from guilder.identity.roles import Role
from guilder.kernel.clock import Clock
from guilder.kernel.errors import check
from guilder.kernel.ids import SessionId, UserId, WalletId, new_uuid

_TOKEN_MAX = 2048
"""Characters: ours have about 450. Nothing longer is read or remembered."""
_SKEW = timedelta(seconds=5)
"""How far the clock of the process that signed may be ahead of ours."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a header may hold: a key or its address (`jwk`, `jku`, `x5u`) is unknown here."""

    alg: str
    kid: str
    typ: Literal["at+jwt"]


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    sub: str
    wid: str
    sid: str
    jti: str
    iat: int
    nbf: int
    exp: int
    role: Role = Role.USER
    ver: int = 0
    """`Principal.rights_version`."""
    mfa: bool = False
    """`Principal.has_second_factor`."""


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(_Claims).decode


class AccessTokens:
    """Issues and verifies access tokens, and remembers verified ones until they expire.

    Invariants:
        At most `cache_size` tokens are remembered. May be called from several threads.
    """

    def __init__(
        self,
        *,
        keys: tuple[SigningKey, ...],
        issuer: str,
        audience: str,
        ttl_s: int,
        clock: Clock,
        cache_size: int,
    ) -> None:
        """Prepare the keys; the first one signs."""
        self._keys = {key.kid: (key.algorithm, _imported(key)) for key in keys}
        self._signing_kid = keys[0].kid
        self._issuer = issuer
        self._audience = audience
        self._ttl = timedelta(seconds=ttl_s)
        self._clock = clock
        self._cache: OrderedDict[str, tuple[Principal, datetime]] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()

    def issue(self, principal: Principal, *, until: datetime | None = None) -> str:
        """Return a new token for a session's `principal`, valid from now for the configured life.

        Args:
            principal: Whom it speaks for.
            until: The end of the session: no token outlives it.

        Raises:
            InvariantViolation: It is a key's, which would outlive its limits in a token.
        """
        check(principal.session_id is not None and principal.scopes is None, "tokens are sessions'")
        now = int(self._clock().timestamp())
        expires_at = now + int(self._ttl.total_seconds())
        if until is not None:
            expires_at = max(now, min(expires_at, int(until.timestamp())))
        claims = _Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=principal.user_id,
            wid=principal.wallet_id,
            sid=principal.session_id or "",
            jti=new_uuid().hex,
            iat=now,
            nbf=now,
            exp=expires_at,
            role=principal.role,
            ver=principal.rights_version,
            mfa=principal.has_second_factor,
        )
        algorithm, key = self._keys[self._signing_kid]
        header = {"alg": algorithm, "kid": self._signing_kid, "typ": "at+jwt"}
        payload = msgspec.json.encode(claims)
        return jws.serialize_compact(header, payload, key, algorithms=[algorithm])

    def verify(self, token: str) -> Principal:
        """Return whose token it is.

        Raises:
            Unauthenticated: Not ours, not for us, altered, not yet valid, or expired.
        """
        if len(token) > _TOKEN_MAX:
            raise Unauthenticated
        now = self._clock()
        remembered = self._remembered(token)
        if remembered is None:
            remembered = self._verified(token, now)
            self._remember(token, remembered)
        principal, expires_at = remembered
        if now >= expires_at:
            self._forget(token)
            raise Unauthenticated
        return principal

    def _verified(self, token: str, now: datetime) -> tuple[Principal, datetime]:
        claims = self._signed_claims(token)
        # Not the end alone: a token that claims a longer life than we ever give is not ours.
        starts_at, expires_at = _time(claims.nbf), _time(claims.exp)
        is_ours = claims.iss == self._issuer and claims.aud == self._audience
        is_started = starts_at <= now + _SKEW and _time(claims.iat) <= now + _SKEW
        if not is_ours or not is_started or expires_at - starts_at > self._ttl:
            raise Unauthenticated
        principal = Principal(
            UserId(claims.sub),
            WalletId(claims.wid),
            SessionId(claims.sid),
            role=claims.role,
            rights_version=claims.ver,
            has_second_factor=claims.mfa,
        )
        return principal, expires_at

    def _signed_claims(self, token: str) -> _Claims:
        try:
            header = _read_header(_base64url(token.partition(".")[0]))
            algorithm, key = self._keys[header.kid]
            if header.alg != algorithm:
                raise Unauthenticated
            signed = jws.deserialize_compact(token.encode("ascii"), key, algorithms=[algorithm])
            return _read_claims(signed.payload)
        except (msgspec.MsgspecError, JoseError, ValueError, KeyError) as error:
            # ValueError covers broken base64 and non-ASCII text; KeyError an unknown kid.
            raise Unauthenticated from error

    def _remembered(self, token: str) -> tuple[Principal, datetime] | None:
        with self._lock:
            found = self._cache.get(token)
            if found is not None:
                self._cache.move_to_end(token)
            return found

    def _remember(self, token: str, verified: tuple[Principal, datetime]) -> None:
        with self._lock:
            self._cache[token] = verified
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    def _forget(self, token: str) -> None:
        with self._lock:
            self._cache.pop(token, None)


def _imported(key: SigningKey) -> Key:
    if key.algorithm == "HS256":
        return OctKey.import_key(key.key)
    return OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(key.key))


def _base64url(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise Unauthenticated from error


def _time(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Unauthenticated from error
