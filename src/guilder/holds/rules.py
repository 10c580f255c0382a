"""How a hold stands, and how long one may last."""

from datetime import datetime, timedelta
from enum import StrEnum

from guilder.storage.records import Hold, Transfer

LASTS = timedelta(days=7)
"""When nobody says how long."""
LASTS_AT_MOST = timedelta(days=90)

CODE = "hold"
CAPTURED = "hold_capture"
RELEASED = "hold_release"
EXPIRED = "hold_expired"
"""Codes of the transfers of a hold. Its release is one transfer, whoever asks for it."""


class HoldStatus(StrEnum):
    """How a hold stands."""

    HELD = "held"
    """Something is reserved and may be captured."""
    CAPTURED = "captured"
    """Nothing is reserved any more; the last of it was captured."""
    RELEASED = "released"
    """The recipient gave back what was left."""
    EXPIRED = "expired"
    """Its time was over before it was used up. What was left goes back."""


def status_of(hold: Hold, release: Transfer | None, *, now: datetime) -> HoldStatus:
    """Return how a hold stands.

    Args:
        release: The transfer that gave back what was left, if there is one.
    """
    if release is not None:
        return HoldStatus.EXPIRED if release.code == EXPIRED else HoldStatus.RELEASED
    if hold.remaining_minor == 0:
        return HoldStatus.CAPTURED
    return HoldStatus.EXPIRED if is_over(hold, now=now) else HoldStatus.HELD


def is_over(hold: Hold, *, now: datetime) -> bool:
    """Tell whether a hold's time is over."""
    return hold.expires_at is not None and now >= hold.expires_at
