"""The stored records of second factors and of the challenges that ask for them."""

from datetime import datetime
from typing import ClassVar

from guilder.identity.factors.rules import Method, Purpose, Standing
from guilder.kernel.ids import SessionId, UserId
from guilder.storage.base import Document


class TotpFactor(Document, frozen=True, kw_only=True):
    """An app that shows codes. Its id is the user's: there is one at most.

    Invariants:
        Only one that is confirmed counts. `last_step` never goes down: no code is taken twice.
    """

    collection: ClassVar[str] = "totp_factors"
    sealed: ClassVar[tuple[str, ...]] = ("secret",)

    secret: str
    """Base32, sealed."""
    confirmed_at: datetime | None = None
    """When a code of it was given for the first time."""
    last_step: int = 0
    """The latest 30 seconds, counted from 1970, whose code was taken."""


class RecoveryCode(Document, frozen=True, kw_only=True):
    """A recovery code that was not used. Its id is a keyed hash of user and code."""

    collection: ClassVar[str] = "recovery_codes"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id",),)

    user_id: UserId


class TrustedDevice(Document, frozen=True, kw_only=True):
    """A device on which the second factor was given, and is not asked for at sign-in."""

    collection: ClassVar[str] = "trusted_devices"
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("token_hash",),)
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id", "created_at"), ("expires_at",))

    user_id: UserId
    token_hash: str
    """SHA-256 of the user and the token, in hex."""
    device: str
    """What its user may know it by, such as `Firefox on Windows`: words of ours."""
    credentials_version: int
    """The user's: with a new password or factor no device is trusted any more."""
    expires_at: datetime


class Challenge(Document, frozen=True, kw_only=True):
    """A factor that was asked for. Its id has 128 random bits.

    Invariants:
        `attempts` never goes down, and each is stored before anything is compared.
        `standing` moves down its list only.
    """

    collection: ClassVar[str] = "challenges"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("kept_until",),)

    purpose: Purpose
    user_id: UserId
    session_id: SessionId | None
    """Of a step-up: no other session may use it."""
    credentials_version: int
    """The user's, when it was opened."""
    operation: str
    """A word of ours: what it is asked for."""
    binding: str
    """Keyed hash of the operation and all that was asked to be done; empty at sign-in."""
    methods: tuple[Method, ...]
    attempts: int = 0
    standing: Standing = Standing.OPEN
    spent_by: str | None = None
    """Keyed hash of the idempotency key under which it was used: that request may come again."""
    expires_at: datetime
    """Of the challenge; once approved, of the approval."""
    kept_until: datetime
    """Removed some time after this."""


MODELS: tuple[type[Document], ...] = (TotpFactor, RecoveryCode, TrustedDevice, Challenge)
"""For `Storage.migrate`."""
