"""What goes into the use-cases of API keys, and what comes out."""

from datetime import datetime

from msgspec import Struct

from guilder.api_keys.models import ApiKey, ApiKeyUsage
from guilder.api_keys.rules import UsageLimits
from guilder.identity.roles import Permission


class Wanted(Struct, frozen=True, kw_only=True):
    """A key that somebody asks for.

    Args:
        expires_at: A year from now if None.
        idempotency_key: Made by the client; None: each request makes a key.
    """

    name: str
    scopes: tuple[Permission, ...]
    limits: UsageLimits
    addresses: tuple[str, ...]
    expires_at: datetime | None
    idempotency_key: str | None


class Change(Struct, frozen=True, kw_only=True):
    """What is to be changed of a key. None: nothing."""

    name: str | None = None
    limits: UsageLimits | None = None
    addresses: tuple[str, ...] | None = None


class Shown(Struct, frozen=True, kw_only=True):
    """A key with its text, which is stored nowhere."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        """Return nothing that lets anybody in."""
        return f"Shown({self.key.id!r})"


class Use(Struct, frozen=True, kw_only=True):
    """What a key has used.

    Args:
        usage: None: it was never used.
        spent: By budget, in the order of the key's: minor units in the window of now.
        now: The time of the books.
    """

    key: ApiKey
    usage: ApiKeyUsage | None
    spent: tuple[int, ...]
    now: datetime
