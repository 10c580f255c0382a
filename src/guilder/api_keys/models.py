"""API keys as stored: never the key itself."""

from datetime import datetime
from typing import ClassVar

from guilder.api_keys.rules import Mode, UsageLimits
from guilder.identity.roles import Permission
from guilder.kernel.ids import UserId, WalletId
from guilder.storage.base import Document


class ApiKey(Document, frozen=True, kw_only=True):
    """A key, whatever its secret is at the moment.

    Invariants:
        Every change raises `version` and `updated_at`: that is how other processes learn of it.
        Once `is_revoked` is set it stays. The record stays too: others look for it here.

    Args:
        name: As its owner typed it.
        prefix: How its latest secret begins.
        addresses: Blocks that it may be used from; none: anywhere.
    """

    collection: ClassVar[str] = "api_keys"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("user_id", "is_revoked", "created_at"),
        ("updated_at",),
    )

    user_id: UserId
    wallet_id: WalletId
    name: str
    mode: Mode
    prefix: str
    scopes: tuple[Permission, ...]
    limits: UsageLimits
    addresses: tuple[str, ...] = ()
    expires_at: datetime
    rotated_at: datetime | None = None
    is_revoked: bool = False


class ApiKeySecret(Document, frozen=True, kw_only=True):
    """A secret of a key; its id is the SHA-256 of the whole text of the key.

    Args:
        ends_at: Where a newer one has replaced it.
    """

    collection: ClassVar[str] = "api_key_secrets"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("key_id",),)

    key_id: str
    ends_at: datetime | None = None


class ApiKeyUsage(Document, frozen=True, kw_only=True):
    """How often a key was used; its id is the key's. Some seconds behind.

    Args:
        days: Requests by date in UTC, of the last month.
        window: The latest one of the key's quota.
        window_requests: In that.
    """

    collection: ClassVar[str] = "api_key_usage"

    requests: int
    last_used_at: datetime
    days: dict[str, int]
    window: str = ""
    window_requests: int = 0


class ApiKeyQuota(Document, frozen=True, kw_only=True):
    """How much of a quota the processes have taken; its id is the key's and the window's.

    Invariants:
        `leased` never exceeds the quota, and no process serves more than it has leased.
    """

    collection: ClassVar[str] = "api_key_quotas"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("expires_at",),)

    leased: int
    expires_at: datetime
    """Removed some time after this."""


MODELS: tuple[type[Document], ...] = (ApiKey, ApiKeySecret, ApiKeyUsage, ApiKeyQuota)
"""For `Storage.migrate`."""
