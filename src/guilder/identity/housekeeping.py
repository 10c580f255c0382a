"""Removes what nobody needs any more: answers kept for retries, sessions long over, counters of
attempts that lie far back, and codes and links that have expired.
"""

from datetime import datetime, timedelta
from typing import TypeVar

from guilder.identity.factors.models import Challenge, TrustedDevice
from guilder.identity.factors.passkey_models import PasskeyChallenge
from guilder.identity.models import (
    ContactChange,
    KnownDevice,
    MailLink,
    OneTimeCode,
    RegistrationAnswer,
    Session,
    SpentCode,
    Throttle,
)
from guilder.identity.outside.models import OutsideAnswer, OutsideAttempt
from guilder.kernel.clock import Clock
from guilder.storage.base import Document, Range, Storage

D = TypeVar("D", bound=Document)

_PAGE = 500
_AFTER_EXPIRY = timedelta(days=1)
"""Longer than any access token lives, so that an ended session stays known while it matters."""
_DUE: tuple[tuple[type[Document], str, timedelta], ...] = (
    (RegistrationAnswer, "expires_at", timedelta()),
    (Session, "expires_at", _AFTER_EXPIRY),
    (KnownDevice, "expires_at", timedelta()),
    (Throttle, "expires_at", timedelta()),
    (OneTimeCode, "kept_until", timedelta()),
    (SpentCode, "kept_until", timedelta()),
    (MailLink, "kept_until", timedelta()),
    (ContactChange, "expires_at", timedelta()),
    (PasskeyChallenge, "kept_until", timedelta()),
    (Challenge, "kept_until", timedelta()),
    (TrustedDevice, "expires_at", timedelta()),
    (OutsideAttempt, "expires_at", timedelta()),
    (OutsideAnswer, "expires_at", timedelta()),
)
"""What is removed, by which time, and how long after it."""


class Housekeeping:
    """Sweeps identity's collections."""

    def __init__(self, *, storage: Storage, clock: Clock) -> None:
        """Take what sweeping needs; does nothing yet."""
        self._storage = storage
        self._clock = clock

    async def sweep(self) -> bool:
        """Remove up to a page of each; tell whether more is due."""
        now = self._clock()
        removed = [await self._remove(model, field, now - after) for model, field, after in _DUE]
        return max(removed) == _PAGE

    async def _remove(self, model: type[D], field: str, before: datetime) -> int:
        collection = self._storage.documents(model)
        due = await collection.page({}, within=Range(field=field, below=before), limit=_PAGE)
        for document in due:
            await collection.delete(document.id)
        return len(due)
