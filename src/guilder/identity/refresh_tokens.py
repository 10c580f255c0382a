"""Refresh tokens: 256 bits, of which only a hash is stored, and from which the next one follows.

A token is `glr1.<session>.<generation>.<secret>.<seal>`. The seal is a MAC, so that a token we
never gave out is refused without a look into the database, and one we did give out is known for
ever, which is how reuse is noticed. The first secret of a session is random; each later one is a
keyed hash of the one before, so that a lost answer can be given again though no token is stored.
"""

import base64
import hashlib
import hmac
import secrets

from msgspec import Struct

from guilder.kernel.ids import SessionId
from guilder.vault.vault import derived_key

_PREFIX = "glr1"
_PARTS = 5
_LENGTH_MAX = 200
_SECRET_BYTES = 32
_SEAL_BYTES = 16


class RefreshToken(Struct, frozen=True):
    """A refresh token of ours. Its secret never appears in a log: use `digest`."""

    session_id: SessionId
    generation: int
    """Place in its session's line, from 1."""
    secret: str

    def __repr__(self) -> str:
        """Return everything but the secret."""
        return f"RefreshToken({self.session_id!r}, {self.generation})"

    @property
    def digest(self) -> str:
        """SHA-256 of the secret, in hex: what is stored."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


class RefreshTokens:
    """Makes, seals and reads refresh tokens.

    Invariants:
        `successor` is a function of the token: asked twice, it gives the same one twice. Without
        the key, a token tells nothing about its successor, nor the database about any token.
    """

    def __init__(self, pepper: bytes) -> None:
        """Derive the keys for seals and successors."""
        self._seal_key = derived_key(pepper, "refresh-token-seal")
        self._successor_key = derived_key(pepper, "refresh-token-successor")

    def first(self, session_id: SessionId) -> RefreshToken:
        """Return a new session's first token."""
        return RefreshToken(session_id, 1, secrets.token_urlsafe(_SECRET_BYTES))

    def successor(self, token: RefreshToken) -> RefreshToken:
        """Return the token that replaces `token`."""
        secret = _text(hmac.digest(self._successor_key, _body(token), hashlib.sha256))
        return RefreshToken(token.session_id, token.generation + 1, secret)

    def write(self, token: RefreshToken) -> str:
        """Return a token as the client gets it."""
        body = _body(token)
        return f"{body.decode()}.{self._seal(body)}"

    def read(self, text: str) -> RefreshToken | None:
        """Return the token, or None if it is not one that we gave out."""
        if len(text) > _LENGTH_MAX or not text.isascii():
            return None
        body, _, seal = text.rpartition(".")
        if not hmac.compare_digest(seal, self._seal(body.encode())):
            return None
        parts = body.split(".")
        if len(parts) != _PARTS - 1 or parts[0] != _PREFIX:
            return None
        return RefreshToken(SessionId(parts[1]), int(parts[2]), parts[3])

    def _seal(self, body: bytes) -> str:
        return _text(hmac.digest(self._seal_key, body, hashlib.sha256)[:_SEAL_BYTES])


def _body(token: RefreshToken) -> bytes:
    return f"{_PREFIX}.{token.session_id}.{token.generation}.{token.secret}".encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
