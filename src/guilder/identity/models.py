"""The stored records of identity, and the plain values its service hands out."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from guilder.kernel.ids import SessionId, UserId, WalletId
from guilder.storage.base import Document


class UserRecord(Struct, frozen=True, kw_only=True):
    """What a user may see of their own record; for a taken address, made up and not stored."""

    id: UserId
    name: str
    email: str
    phone: str | None
    wallet_id: WalletId
    created_at: datetime
    updated_at: datetime


class User(Document, frozen=True, kw_only=True):
    """A person who can sign in.

    Invariants:
        No two users share an address, whatever its case, or a phone number.
    """

    collection: ClassVar[str] = "users"
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("email_key",), ("phone",))

    name: str
    email: str
    """As the user writes it."""
    email_key: str
    """The address with its case folded: what is looked up."""
    phone: str | None
    """E.164."""
    password_hash: str
    """bcrypt over the peppered password; never leaves the store."""
    wallet_id: WalletId

    @property
    def user_id(self) -> UserId:
        """The id under its own type."""
        return UserId(self.id)

    def record(self) -> UserRecord:
        """Return what may be shown of this user."""
        return UserRecord(
            id=self.user_id,
            name=self.name,
            email=self.email,
            phone=self.phone,
            wallet_id=self.wallet_id,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class Session(Document, frozen=True, kw_only=True):
    """One sign-in and the line of refresh tokens that grew from it.

    Invariants:
        One token is valid at a time: the one of `generation`, whose SHA-256 is `token_hash`.
        Once `revoked_at` is set it stays.
    """

    collection: ClassVar[str] = "sessions"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("revoked_at",),
        ("expires_at",),
        ("user_id", "created_at"),
    )

    user_id: UserId
    wallet_id: WalletId
    generation: int
    """Of the latest refresh token, from 1."""
    token_hash: str
    """SHA-256 of the latest refresh token's secret, in hex."""
    rotated_at: datetime
    """When the latest refresh token was given out."""
    expires_at: datetime
    """The end whatever happens: refreshing does not move it."""
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    """`signed_out` or `refresh_token_reused`."""

    @property
    def session_id(self) -> SessionId:
        """The id under its own type."""
        return SessionId(self.id)


class RegistrationAnswer(Document, frozen=True, kw_only=True):
    """What a registration was answered, true or made up, so that a retry gets the same bytes.

    Every registration writes one, with a key or without: a taken address then costs a commit as a
    free one does. Holds no secret: the fingerprint covers the password only as bcrypt made it.
    """

    collection: ClassVar[str] = "registration_answers"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)

    salt: str
    """bcrypt parameters and salt under which the password entered the fingerprint."""
    fingerprint: str
    """Keyed hash over every value of the request, in hex."""
    answer: UserRecord
    expires_at: datetime
    """Removed some time after this."""


MODELS: tuple[type[Document], ...] = (User, Session, RegistrationAnswer)
"""For `Storage.migrate`."""
