"""Removes what nobody needs any more: answers kept for retries, and sessions long over."""

from datetime import datetime, timedelta

from guilder.identity.models import RegistrationAnswer, Session
from guilder.kernel.clock import Clock
from guilder.storage.base import Collection, Range, Storage

_PAGE = 500
_AFTER_EXPIRY = timedelta(days=1)
"""Longer than any access token lives, so that an ended session stays known while it matters."""


class Housekeeping:
    """Sweeps identity's collections."""

    def __init__(self, *, storage: Storage, clock: Clock) -> None:
        """Take what sweeping needs; does nothing yet."""
        self._answers = storage.documents(RegistrationAnswer)
        self._sessions = storage.documents(Session)
        self._clock = clock

    async def sweep(self) -> bool:
        """Remove up to a page of each; tell whether more is due."""
        now = self._clock()
        answers = await _remove(self._answers, now)
        sessions = await _remove(self._sessions, now - _AFTER_EXPIRY)
        return max(answers, sessions) == _PAGE


async def _remove(
    collection: Collection[RegistrationAnswer] | Collection[Session], before: datetime
) -> int:
    due = await collection.page({}, within=Range(field="expires_at", below=before), limit=_PAGE)
    for document in due:
        await collection.delete(document.id)
    return len(due)
