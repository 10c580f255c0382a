"""What follows from what a gateway says about a payout. Without I/O or a clock."""

from dataclasses import dataclass
from enum import StrEnum

from guilder.gateways.base import GatewayPayout, GatewayPayoutStatus
from guilder.kernel.money import Money


class PayoutStatus(StrEnum):
    """Where a payout stands. It moves down this list only, and ends in one of the last two."""

    REQUESTED = "requested"
    """The money has left the wallet; the gateway may or may not know of it."""
    SENT = "sent"
    """The gateway has accepted it."""
    PAID = "paid"
    """It arrived."""
    FAILED = "failed"
    """It will not arrive, and the money is back in the wallet."""


class Step(StrEnum):
    """What to do with a payout after a fetch."""

    NOTHING = "nothing"
    """Nothing is new."""
    NOTE_SENT = "note_sent"
    """Note that the gateway has it."""
    SETTLE_PAID = "settle_paid"
    """Post that it arrived."""
    SETTLE_RETURNED = "settle_returned"
    """Post the money back into the wallet."""
    ALARM = "alarm"
    """Stop, and tell an operator."""
    CONTRADICTION = "contradiction"
    """It has ended, and now the gateway says otherwise: tell an operator, move nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What we know of a payout.

    Args:
        reference: The gateway's id; None while the answer that names it is missing.
        is_alarmed: An operator is looking into it.
    """

    our_reference: str
    reference: str | None
    money: Money
    is_live: bool
    status: PayoutStatus
    is_alarmed: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and the reason of a failure or an alarm."""

    step: Step
    reason: str | None = None


_ENDS = {
    GatewayPayoutStatus.PAID: PayoutStatus.PAID,
    GatewayPayoutStatus.FAILED: PayoutStatus.FAILED,
}


def decide(expected: Expected, found: GatewayPayout) -> Decision:
    """Return what follows from a fetch.

    Invariants:
        A payout settles only if amount, currency, both references and the mode
        are what we asked for. One that has ended or is alarmed moves nothing more.
    """
    if expected.is_alarmed:
        return Decision(Step.NOTHING)
    difference = _difference(expected, found)
    end = _ENDS.get(found.status)
    if expected.status in (PayoutStatus.PAID, PayoutStatus.FAILED):
        agrees = difference is None and end in (None, expected.status)
        return Decision(Step.NOTHING if agrees else Step.CONTRADICTION)
    if difference is not None:
        return Decision(Step.ALARM, difference)
    if end is PayoutStatus.PAID:
        return Decision(Step.SETTLE_PAID)
    if end is PayoutStatus.FAILED:
        return Decision(Step.SETTLE_RETURNED, found.failure_code)
    return Decision(Step.NOTE_SENT if expected.status is PayoutStatus.REQUESTED else Step.NOTHING)


def _difference(expected: Expected, found: GatewayPayout) -> str | None:
    """Return the first thing that is not what we asked for, in this declared order."""
    if found.our_reference != expected.our_reference:
        return "our_reference_differs"
    if expected.reference is not None and found.reference != expected.reference:
        return "reference_differs"
    if found.is_live is not expected.is_live:
        return "mode_differs"
    if found.money.currency != expected.money.currency:
        return "currency_differs"
    if found.money.amount_minor != expected.money.amount_minor:
        return "amount_differs"
    return None
