"""The stored records of identity, and the plain values its service hands out."""

from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from guilder.identity.roles import Role
from guilder.identity.throttle_rules import Tally
from guilder.kernel.ids import SessionId, UserId, WalletId
from guilder.storage.base import Document


class UserRecord(Struct, frozen=True, kw_only=True):
    """What a user may see of their own record; for a taken address, made up and not stored."""

    id: UserId
    name: str
    email: str | None
    phone: str | None
    wallet_id: WalletId
    created_at: datetime
    updated_at: datetime
    email_verified: bool = False
    phone_verified: bool = False


class User(Document, frozen=True, kw_only=True):
    """A person who can sign in.

    Invariants:
        No two users are found by one address, whatever its case, or by one phone number; one that
        is verified finds its user. Others may have it in their records, under no key: see `claims`.
        Address and number are stored sealed; `addresses.Addresses` opens, seals and indexes them.
    """

    collection: ClassVar[str] = "users"
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("email_key",), ("phone_key",))
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("rights_changed_at",),)
    sealed: ClassVar[tuple[str, ...]] = ("email", "phone")

    name: str
    """Not sealed: whoever pays somebody sees it."""
    email: str | None
    """The address as the user writes it, sealed."""
    email_key: str | None
    """Blind index of the address with its case folded: what is looked up. None, too, if it was
    somebody else's when it was given, or is now.
    """
    phone: str | None
    """The number in E.164, sealed."""
    phone_key: str | None = None
    """Blind index of the number; None as `email_key` is."""
    password_hash: str
    """bcrypt over the peppered password; never leaves the store."""
    wallet_id: WalletId
    email_verified_at: datetime | None = None
    """When it was first shown that the user reads what is sent to the address."""
    phone_verified_at: datetime | None = None
    credentials_version: int = 0
    """Raised to end every session that was opened with what is not to be trusted any more."""
    role: Role = Role.USER
    rights_version: int = 0
    """Raised to have every access token refused that was made before; a refresh makes the next."""
    rights_changed_at: datetime | None = None
    """When it was last raised: how other processes find it."""

    closed_at: datetime | None = None
    """When the account was closed and the user erased; see `erasure`."""

    def with_rights_changed(self, at: datetime) -> "User":
        """Return the user with access tokens of now refused; `Revocations.change` hears of it."""
        return replace(self, rights_version=self.rights_version + 1, rights_changed_at=at)

    @property
    def user_id(self) -> UserId:
        """The id under its own type."""
        return UserId(self.id)

    @property
    def is_verified(self) -> bool:
        """An address or a number is known to be the user's own."""
        return self.email_verified_at is not None or self.phone_verified_at is not None


class Session(Document, frozen=True, kw_only=True):
    """One sign-in and the line of refresh tokens that grew from it.

    Invariants:
        One token is valid at a time: the one of `generation`, whose SHA-256 is `token_hash`.
        Once `revoked_at` is set it stays.
        It is over, too, once the user has a higher `credentials_version`.
    """

    collection: ClassVar[str] = "sessions"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("revoked_at",),
        ("expires_at",),
        ("user_id", "created_at"),
    )
    sealed: ClassVar[tuple[str, ...]] = ("place",)

    user_id: UserId
    wallet_id: WalletId
    generation: int
    """Of the latest refresh token, from 1."""
    token_hash: str
    """SHA-256 of the latest refresh token's secret, in hex."""
    rotated_at: datetime
    """When the latest refresh token was given out: the session's last use."""
    expires_at: datetime
    """The end whatever happens: refreshing does not move it."""
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    """A word of `session_ends`."""
    credentials_version: int = 0
    """The user's, when it was opened or last carried over."""
    device: str = ""
    """Words for the device of its last use: see `devices`."""
    place: str | None = None
    """Where that was, coarse and sealed."""
    has_second_factor: bool = False
    """One was given when it was opened, or what is two factors at once, and was not removed since.
    Sessions from before this was stored count as opened without.
    """

    @property
    def session_id(self) -> SessionId:
        """The id under its own type."""
        return SessionId(self.id)

    def is_live(self, now: datetime, idle: timedelta | None) -> bool:
        """Tell whether it has neither been ended nor run out, unused for `idle` or at all."""
        is_idle = idle is not None and now - self.rotated_at >= idle
        return self.revoked_at is None and now < self.expires_at and not is_idle

    def ends_at(self, longest: timedelta) -> datetime:
        """Return the end whatever happens, if sessions of its user may now last so long at most."""
        return min(self.expires_at, self.created_at + longest)

    def is_outdated(self, user: User) -> bool:
        """Tell whether the user has changed credentials since it was opened."""
        return self.credentials_version < user.credentials_version


class KnownDevice(Document, frozen=True, kw_only=True):
    """A device from which a user has signed in; its id is the SHA-256 of user and device token."""

    collection: ClassVar[str] = "known_devices"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",), ("user_id",))

    user_id: UserId
    credentials_version: int
    """The user's, when it was first seen: one that has changed them since does not know it."""
    expires_at: datetime
    """Removed some time after this."""


class RegistrationAnswer(Document, frozen=True, kw_only=True):
    """What a registration was answered, true or made up, so that a retry gets the same bytes.

    Every registration writes one, with a key or without: a taken address then costs a commit as a
    free one does. Holds no secret: the fingerprint covers the password only as bcrypt made it.
    """

    collection: ClassVar[str] = "registration_answers"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)
    sealed: ClassVar[tuple[str, ...]] = ("answer",)

    salt: str
    """bcrypt parameters and salt under which the password entered the fingerprint."""
    fingerprint: str
    """Keyed hash over every value of the request, in hex."""
    answer: str
    """The `UserRecord` as JSON, sealed."""
    expires_at: datetime
    """Removed some time after this."""


class Throttle(Document, frozen=True, kw_only=True):
    """A counter of attempts: at an account, by an address, or at an account from a known place.

    Its id is a keyed hash of what it counts for.
    """

    collection: ClassVar[str] = "throttles"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)

    tally: Tally
    is_known: bool = False
    """The account has been signed in to from here."""
    expires_at: datetime
    """Removed some time after this."""


class OneTimeCode(Document, frozen=True, kw_only=True):
    """The latest code for one purpose and subject; its id is a keyed hash of both.

    Stored for unknown subjects too, so that guessing at them costs the same.
    """

    collection: ClassVar[str] = "one_time_codes"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("kept_until",),)

    issue_id: str
    """Of this very code; a newer one has another."""
    digest: str
    """Keyed hash of purpose, subject, issue and code, in hex."""
    attempts: int
    """At this code, whatever came of them."""
    expires_at: datetime
    kept_until: datetime
    """Removed some time after this."""


class SpentCode(Document, frozen=True, kw_only=True):
    """That a code was used; its id is the code's issue. There is one at most."""

    collection: ClassVar[str] = "spent_codes"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("kept_until",),)

    kept_until: datetime


class MailLink(Document, frozen=True, kw_only=True):
    """A link that was sent and not used; its id is the SHA-256 of purpose and token."""

    collection: ClassVar[str] = "mail_links"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("kept_until",), ("subject_key",))

    subject: str
    """Whom it is for: an id, nothing personal."""
    subject_key: str
    """Keyed hash of purpose and subject."""
    kept_until: datetime
    """It works before this, and is removed some time after."""


class ContactChange(Document, frozen=True, kw_only=True):
    """An address or number that waits to be confirmed. One per user and channel, as its id says."""

    collection: ClassVar[str] = "contact_changes"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id",), ("expires_at",))
    sealed: ClassVar[tuple[str, ...]] = ("contact",)

    user_id: UserId
    contact: str
    """In its normal form, sealed."""
    credentials_version: int
    """The user's, when it was begun: with a new password it is over."""
    expires_at: datetime
    """Removed some time after this."""


MODELS: tuple[type[Document], ...] = (
    User,
    Session,
    KnownDevice,
    RegistrationAnswer,
    Throttle,
    OneTimeCode,
    SpentCode,
    MailLink,
    ContactChange,
)
"""For `Storage.migrate`."""
