"""What is stored about accounts at other companies, and about attempts to sign in by them."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from guilder.kernel.ids import UserId
from guilder.storage.base import Document


class OutsidePerson(Struct, frozen=True, kw_only=True):
    """Somebody, as another company knows them.

    Args:
        subject: Its name for them: with the issuer, the only thing that identifies an account.
        name: As others are to see it.
        email: In normal form; a hint unless
        is_email_shown: the company vouches for it.
    """

    issuer: str
    subject: str
    name: str
    email: str | None
    is_email_shown: bool

    def __repr__(self) -> str:
        """Return nothing personal."""
        return f"OutsidePerson({self.issuer!r})"


class AttemptSecrets(Struct, frozen=True, kw_only=True):
    """What only we and the other company see of an attempt."""

    nonce: str
    verifier: str
    """PKCE's, between us and the company. The client has one of its own."""

    def __repr__(self) -> str:
        """Return nothing secret."""
        return "AttemptSecrets(...)"


class OutsideAttempt(Document, frozen=True, kw_only=True):
    """Somebody was sent to another company, and is not back. Its id is the SHA-256 of its state.

    It ends by being removed, which only one request can do.
    """

    collection: ClassVar[str] = "outside_attempts"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)
    sealed: ClassVar[tuple[str, ...]] = ("secrets",)

    provider: str
    return_url: str
    challenge: str
    """S256 of the verifier that only the client has."""
    user_id: UserId | None = None
    """Who links an account; None: somebody signs in."""
    secrets: str
    """`AttemptSecrets` as JSON, sealed."""
    expires_at: datetime


class OutsideAnswer(Document, frozen=True, kw_only=True):
    """Somebody is back; the client has not asked yet. Its id is the SHA-256 of the one-time code.

    It ends by being removed, which only one request can do.
    """

    collection: ClassVar[str] = "outside_answers"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)
    sealed: ClassVar[tuple[str, ...]] = ("person",)

    provider: str
    challenge: str
    user_id: UserId | None = None
    person: str
    """`OutsidePerson` as JSON, sealed."""
    expires_at: datetime


class OutsideAccount(Document, frozen=True, kw_only=True):
    """An account at another company that signs a user in.

    Invariants:
        Its id is the blind index of issuer and subject: an account there belongs to one user here.
        A user has one account at each company.
    """

    collection: ClassVar[str] = "outside_accounts"
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id", "provider"),)
    sealed: ClassVar[tuple[str, ...]] = ("email",)

    user_id: UserId
    provider: str
    email: str | None
    """As the company named it when it was linked, sealed: for the owner to tell accounts apart."""


MODELS: tuple[type[Document], ...] = (OutsideAttempt, OutsideAnswer, OutsideAccount)
"""For `Storage.migrate`."""
