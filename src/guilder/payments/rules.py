"""What follows from what a gateway says about a payment. Without I/O or a clock."""

from dataclasses import dataclass
from enum import StrEnum

from guilder.gateways.base import GatewayPayment, GatewayPaymentStatus
from guilder.gateways.rules import Asked, difference


class PaymentStatus(StrEnum):
    """Where a payment stands. It moves down this list only; except that money which does come
    late is still credited.
    """

    PENDING = "pending"
    """Not known to have ended. Everything unclear is this."""
    EXPIRED = "expired"
    """Nobody paid within the time."""
    FAILED = "failed"
    """Explicitly declined, cancelled or refused."""
    CAPTURED = "captured"
    """The gateway has the money and the wallet has been credited."""
    ALARMED = "alarmed"
    """The gateway tells something else than we asked for: nothing is credited, an operator looks.
    """


class Step(StrEnum):
    """What to do with a payment after a fetch."""

    NOTHING = "nothing"
    """It has ended, or nothing is new."""
    WAIT = "wait"
    """Ask again later."""
    CAPTURE = "capture"
    """Credit the wallet, once."""
    FAIL = "fail"
    """Note that it failed."""
    EXPIRE = "expire"
    """Note that nobody paid."""
    ALARM = "alarm"
    """Stop, and tell an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected(Asked):
    """What we know of a payment."""

    status: PaymentStatus


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and the reason of a failure or an alarm."""

    step: Step
    reason: str | None = None


def decide(expected: Expected, found: GatewayPayment, *, is_over: bool) -> Decision:
    """Return what follows from a fetch.

    Args:
        is_over: The time to pay is over.

    Invariants:
        `CAPTURE` only if all five of amount, currency, both references and the
        mode are what we asked for. A captured or alarmed payment stays what it is.
    """
    if expected.status in (PaymentStatus.CAPTURED, PaymentStatus.ALARMED):
        return Decision(Step.NOTHING)
    wrong = difference(expected, found)
    if wrong is not None:
        return Decision(Step.ALARM, wrong)
    if found.status is GatewayPaymentStatus.CAPTURED:
        return Decision(Step.CAPTURE)
    if found.status is GatewayPaymentStatus.FAILED:
        is_new = expected.status is not PaymentStatus.FAILED
        return Decision(Step.FAIL, found.failure_code) if is_new else Decision(Step.NOTHING)
    if expected.status is not PaymentStatus.PENDING:
        return Decision(Step.NOTHING)
    return Decision(Step.EXPIRE if is_over else Step.WAIT)
