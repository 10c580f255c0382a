"""What is kept of money that is to move through a gateway, and of every webhook."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from guilder.gateways.base import SubjectKind
from guilder.kernel.currency import currency
from guilder.kernel.ids import UserId, WalletId
from guilder.kernel.money import Money
from guilder.storage.base import Document


class Intent(Document, frozen=True, kw_only=True):
    """Money that is to move through a gateway, and what has become of it.

    Args:
        gateway: Its name.
        reference: The gateway's id of it; None until its answer is recorded.
        is_watched: It is looked at again at `next_check_at`.
    """

    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("gateway", "reference"),)
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("is_watched", "next_check_at"),
        ("user_id", "created_at"),
    )

    user_id: UserId
    wallet_id: WalletId
    amount_minor: int
    currency: str
    gateway: str
    reference: str | None = None
    failure_code: str | None = None
    is_watched: bool = True
    next_check_at: datetime

    @property
    def money(self) -> Money:
        """Return what is to move."""
        return Money(self.amount_minor, currency(self.currency))


class ReceiptState(StrEnum):
    """Where a received webhook stands."""

    RECEIVED = "received"
    """Stored; what it is about is still to be fetched."""
    PROCESSED = "processed"
    """What it is about was fetched, and what follows is recorded."""
    UNMATCHED = "unmatched"
    """It is about nothing of ours."""
    IGNORED = "ignored"
    """It is about something that Guilder does not act on."""
    ABANDONED = "abandoned"
    """Given up; the janitors fetch what it was about anyway."""
    FORGED = "forged"
    """Its signature is not valid. Kept for inspection, in a bounded number of places."""


class WebhookReceipt(Document, frozen=True, kw_only=True):
    """A webhook as it came in. Its id follows from gateway and event, so it is stored once.

    Args:
        event_id: The gateway's; empty if forged.
        reference: The gateway's id of what it is about.
        body: The bytes, base64: they may be anything.
        headers: Those that name or sign the body.
    """

    collection: ClassVar[str] = "webhook_receipts"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("state", "due_at"),)

    gateway: str
    event_id: str
    kind: SubjectKind
    reference: str
    body: str
    headers: dict[str, str]
    state: ReceiptState
    due_at: datetime
    attempts: int = 0
