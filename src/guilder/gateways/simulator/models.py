"""What the simulator keeps: its payments, payouts, webhooks to send, and the faults that a test
asked for.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from guilder.storage.base import Document


class SimulatedState(StrEnum):
    """Where a simulated payment or payout stands. Only `OPEN` and `SENT` change."""

    OPEN = "open"
    """The checkout page waits for a person."""
    CAPTURED = "captured"
    """Paid."""
    DECLINED = "declined"
    """The card was declined."""
    CANCELLED = "cancelled"
    """The person went back."""
    SENT = "sent"
    """The payout is on its way."""
    PAID = "paid"
    """The payout arrived."""
    FAILED = "failed"
    """The payout did not arrive."""


class SimulatedPayment(Document, frozen=True, kw_only=True):
    """A payment in the simulator's own books. `our_reference` is the merchant's."""

    collection: ClassVar[str] = "simulator_payments"

    amount_minor: int
    currency: str
    our_reference: str
    return_url: str | None
    state: SimulatedState


class SimulatedPayout(Document, frozen=True, kw_only=True):
    """A payout in the simulator's own books. It settles when first looked at after `settles_at`."""

    collection: ClassVar[str] = "simulator_payouts"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("state", "settles_at"),)

    amount_minor: int
    currency: str
    our_reference: str
    destination_token: str
    state: SimulatedState
    settles_at: datetime


class DeliveryState(StrEnum):
    """Where a webhook stands in the simulator's outbox."""

    WAITING = "waiting"
    """To be sent when it is due."""
    DELIVERED = "delivered"
    """Answered with 2xx."""
    ABANDONED = "abandoned"
    """Given up after the last attempt."""


class Delivery(Document, frozen=True, kw_only=True):
    """A webhook in the simulator's outbox.

    Args:
        body: What is sent, byte for byte the same at every attempt.
        is_forged: Signed with a wrong secret, and sent once.
    """

    collection: ClassVar[str] = "simulator_deliveries"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("state", "due_at"),)

    body: str
    state: DeliveryState
    due_at: datetime
    attempts: int = 0
    is_forged: bool = False


class FaultScript(Document, frozen=True, kw_only=True):
    """What shall go wrong around one object. Its id is the merchant's reference of that object.

    Args:
        copies: How often each webhook is sent, at least.
        delay_ms: How long each webhook waits before it is sent.
        is_reordered: The first webhook is sent only after the last.
        is_forged: A forged copy of each webhook is sent too.
        is_lost: No genuine webhook is sent at all.
        hang_ms: How long the answer to the creating call is held back, after the
            effect; it then is 504. None: no fault.
        reported_amount_minor: What fetches say the amount is. None: the truth.
    """

    collection: ClassVar[str] = "simulator_scripts"

    copies: int = 1
    delay_ms: int = 0
    is_reordered: bool = False
    is_forged: bool = False
    is_lost: bool = False
    hang_ms: int | None = None
    reported_amount_minor: int | None = None


MODELS: tuple[type[Document], ...] = (SimulatedPayment, SimulatedPayout, Delivery, FaultScript)
"""For `Storage.migrate`."""
