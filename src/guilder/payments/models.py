"""A payment as it is stored."""

from datetime import datetime
from typing import ClassVar

from guilder.kernel.currency import currency
from guilder.kernel.ids import UserId, WalletId
from guilder.kernel.money import Money
from guilder.payments.rules import PaymentStatus
from guilder.storage.base import Document


class Payment(Document, frozen=True, kw_only=True):
    """An intent to add funds, and what has become of it.

    Args:
        fingerprint: SHA-256 of the request, hex. The id follows from user and idempotency key.
        reference: The gateway's id of it; None until its answer is recorded.
        checkout_url: Recorded together with the answer.
        failure_code: Why it failed or is alarmed.
        transfer_id: TypeID of the transfer that credited the wallet.
        is_watched: It is fetched again at `next_check_at`.
    """

    collection: ClassVar[str] = "payments"
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
    return_url: str | None
    fingerprint: str
    status: PaymentStatus
    reference: str | None = None
    checkout_url: str | None = None
    failure_code: str | None = None
    transfer_id: str | None = None
    is_watched: bool = True
    next_check_at: datetime

    @property
    def money(self) -> Money:
        """Return what is to be paid."""
        return Money(self.amount_minor, currency(self.currency))
