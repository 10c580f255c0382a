"""A payout as stored. All but its progress follows from the transfer that asked for it."""

from datetime import datetime
from typing import ClassVar

from guilder.gateways.base import Destination, DestinationType
from guilder.kernel.currency import currency
from guilder.kernel.ids import UserId, WalletId
from guilder.kernel.money import Money
from guilder.payouts.rules import PayoutStatus
from guilder.storage.base import Document


class Payout(Document, frozen=True, kw_only=True):
    """Money on its way out.

    Args:
        destination_token: The gateway's token, never an account or card number.
        first_sent_at: When the gateway was asked for it first, whatever came of that.
        reference: The gateway's id of it; None until its answer is recorded.
        failure_code: Why it failed.
        alarm: What the gateway said that cannot be; an operator looks into it.
        settlement_id: TypeID of the transfer that settled it.
        is_watched: It is sent or fetched at `next_check_at`.
    """

    collection: ClassVar[str] = "payouts"
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
    destination_type: DestinationType
    destination_token: str
    status: PayoutStatus
    first_sent_at: datetime | None = None
    reference: str | None = None
    failure_code: str | None = None
    alarm: str | None = None
    settlement_id: str | None = None
    is_watched: bool = True
    next_check_at: datetime

    @property
    def money(self) -> Money:
        """Return what is sent."""
        return Money(self.amount_minor, currency(self.currency))

    @property
    def destination(self) -> Destination:
        """Return where it goes."""
        return Destination(type=self.destination_type, token=self.destination_token)
