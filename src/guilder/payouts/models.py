"""A payout as stored. All but its progress follows from the transfer that asked for it."""

from datetime import datetime
from typing import ClassVar

from guilder.gateways.base import Destination, DestinationType
from guilder.gateways.models import Intent
from guilder.payouts.rules import PayoutStatus


class Payout(Intent, frozen=True, kw_only=True):
    """Money on its way out.

    Args:
        destination_token: The gateway's token, never an account or card number.
        first_sent_at: When the gateway was asked for it first, whatever came of that.
        failure_code: Why it failed.
        alarm: What the gateway said that cannot be; an operator looks into it.
        settlement_id: TypeID of the transfer that settled it.
    """

    collection: ClassVar[str] = "payouts"

    destination_type: DestinationType
    destination_token: str
    status: PayoutStatus
    first_sent_at: datetime | None = None
    alarm: str | None = None
    settlement_id: str | None = None

    @property
    def destination(self) -> Destination:
        """Return where it goes."""
        return Destination(type=self.destination_type, token=self.destination_token)
