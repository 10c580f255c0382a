"""The stored records of passkeys."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from guilder.kernel.ids import UserId
from guilder.storage.base import Document


class Passkey(Document, frozen=True, kw_only=True):
    """A key pair of which we have the public half. Its id follows from the credential's id.

    Invariants:
        `sign_count` only grows. Nothing in it signs anybody in.
    """

    collection: ClassVar[str] = "passkeys"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("user_id", "created_at"),)
    sealed: ClassVar[tuple[str, ...]] = ("name",)

    user_id: UserId
    name: str
    """As its owner calls it, sealed: it may say whose telephone it is."""
    credential_id: str
    """As the device made it, base64url."""
    public_key: str
    """COSE key, base64url."""
    sign_count: int
    """What the device has counted; 0 if it does not count."""
    transports: tuple[str, ...] = ()
    """Ways to reach the device, as the browser named them."""
    aaguid: str = ""
    """Model of the device, as it says itself; zeros if it does not."""
    is_synced: bool = False
    """It may be on several devices of its owner. Never changes."""
    last_used_at: datetime | None = None
    copy_suspected_at: datetime | None = None
    """When it last showed an older count than before: there may be a copy of it."""


class PasskeyChallenge(Document, frozen=True, kw_only=True):
    """A challenge that waits for its answer; its id is the SHA-256 of purpose and challenge."""

    collection: ClassVar[str] = "passkey_challenges"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("kept_until",),)

    user_id: UserId | None
    """Who may answer; None for whoever has a passkey."""
    subject: str
    """What the answer is good for, such as the id of a factor's challenge; empty if all is said."""
    kept_until: datetime
    """It may be answered before this, once, and is removed some time after."""


class PasskeyRecord(Struct, frozen=True, kw_only=True):
    """What users may see of a passkey of theirs."""

    id: str
    name: str
    is_synced: bool
    created_at: datetime
    last_used_at: datetime | None
    copy_suspected_at: datetime | None


MODELS: tuple[type[Document], ...] = (Passkey, PasskeyChallenge)
"""For `Storage.migrate`."""
