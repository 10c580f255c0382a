"""What follows from what a gateway says about a payout. Without I/O or a clock."""

from dataclasses import dataclass
from enum import StrEnum

from guilder.gateways.base import GatewayPayout, GatewayPayoutStatus
from guilder.gateways.rules import Asked, difference


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
class Expected(Asked):
    """What we know of a payout.

    Args:
        is_alarmed: An operator is looking into it.
    """

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
    wrong = difference(expected, found)
    end = _ENDS.get(found.status)
    if expected.status in (PayoutStatus.PAID, PayoutStatus.FAILED):
        agrees = wrong is None and end in (None, expected.status)
        return Decision(Step.NOTHING if agrees else Step.CONTRADICTION)
    if wrong is not None:
        return Decision(Step.ALARM, wrong)
    if end is PayoutStatus.PAID:
        return Decision(Step.SETTLE_PAID)
    if end is PayoutStatus.FAILED:
        return Decision(Step.SETTLE_RETURNED, found.failure_code)
    return Decision(Step.NOTE_SENT if expected.status is PayoutStatus.REQUESTED else Step.NOTHING)
